package archive

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/container"
)

// chunk is the number of bytes of a payload past which its frame is written, and how much of a larger entry a frame takes.
const chunk = 1 << 20

// Progress takes how far a long operation has come: the number of versions done, and of bytes written or read. It is called often, by
// one goroutine.
type Progress func(versions, bytes int64)

// Write writes an excerpt. madeBy is the program that does, with its version; progress may be nil. It needs memory for a few
// frames and one version. What is written is an export only where there is no error: one that breaks off is known for what it is.
func Write(w io.Writer, e *history.Excerpt, madeBy string, created time.Time, progress Progress) (Counts, error) {
	f, err := container.NewWriter(w, magic)
	if err != nil {
		return Counts{}, fmt.Errorf("write the export: %w", err)
	}
	x := &writer{w: f, progress: progress}
	err = x.all(e, madeBy, created)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return x.counts, fmt.Errorf("write the export: %w", err)
	}
	return x.counts, nil
}

// writer is an export that is being written.
type writer struct {
	w        *container.Writer
	progress Progress
	chunk    []byte // of the frame that comes next
	entry    []byte
	counts   Counts
}

func (x *writer) all(e *history.Excerpt, madeBy string, created time.Time) error {
	h := Header{Format: format, Start: e.Start, End: e.End, Namespace: e.Namespace.String(), Created: created.UTC().Truncate(time.Second), MadeBy: madeBy}
	for _, r := range e.Resources {
		h.Resources = append(h.Resources, r.String())
	}
	if err := x.document(headerFrame, h); err != nil {
		return err
	}
	if err := x.document(catalogueFrame, e.Catalogue); err != nil {
		return err
	}
	for i := range e.Gaps {
		if err := x.put(gapFrame, appendGap(x.entry[:0], &e.Gaps[i])); err != nil {
			return err
		}
		x.counts.Gaps++
	}
	if err := x.flush(gapFrame); err != nil {
		return err
	}
	if err := x.versions(standingFrame, e.Baselines, &x.counts.Baselines); err != nil {
		return err
	}
	if err := x.versions(versionFrame, e.Records, &x.counts.Versions); err != nil {
		return err
	}
	return x.document(footerFrame, x.counts)
}

func (x *writer) document(kind byte, of any) error {
	payload, err := json.Marshal(of)
	if err != nil {
		return err
	}
	return x.w.Write(kind, payload)
}

func (x *writer) versions(kind byte, list iter.Seq2[*history.Record, error], n *int64) error {
	for r, err := range list {
		if err != nil {
			return err
		}
		if err := x.put(kind, appendVersion(x.entry[:0], r)); err != nil {
			return err
		}
		*n++
		if x.progress != nil {
			x.progress(x.counts.Baselines+x.counts.Versions, x.w.Size())
		}
	}
	return x.flush(kind)
}

// put adds an entry, behind its length, to the frames of a kind. It may begin in one and end in another.
func (x *writer) put(kind byte, entry []byte) error {
	x.entry = entry
	x.chunk = binary.AppendUvarint(x.chunk, uint64(len(entry)))
	for len(x.chunk)+len(entry) > chunk {
		n := max(chunk-len(x.chunk), 0)
		x.chunk = append(x.chunk, entry[:n]...)
		entry = entry[n:]
		if err := x.flush(kind); err != nil {
			return err
		}
	}
	x.chunk = append(x.chunk, entry...)
	return nil
}

func (x *writer) flush(kind byte) error {
	if len(x.chunk) == 0 {
		return nil
	}
	err := x.w.Write(kind, x.chunk)
	x.chunk = x.chunk[:0]
	return err
}

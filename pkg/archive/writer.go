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

// frameSize is the largest length of a frame's payload in bytes. A longer entry
// continues in the next frame.
const frameSize = 1 << 20

// Progress receives the number of versions that are done, and the number of
// bytes that are written or read. One goroutine calls it often.
type Progress func(versions, bytes int64)

// Write writes an excerpt. madeBy is the name and version of the program.
// progress may be nil. Write needs memory for a few frames and one version. It
// neither closes nor syncs w.
//
// After an error the file is incomplete, and [Open] rejects it. The counts are
// those of the entries so far.
func Write(w io.Writer, e *history.Excerpt, madeBy string, created time.Time, progress Progress) (Counts, error) {
	f, err := container.NewWriter(w, magic)
	if err != nil {
		return Counts{}, fmt.Errorf("write export: %w", err)
	}
	x := &writer{w: f, progress: progress}
	err = x.all(e, madeBy, created)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return x.counts, fmt.Errorf("write export: %w", err)
	}
	return x.counts, nil
}

// writer is a running [Write].
type writer struct {
	w        *container.Writer
	progress Progress
	frame    []byte // payload of the next frame
	entry    []byte // buffer of an encoded entry
	counts   Counts
}

// all writes the frames in the order of the format.
func (x *writer) all(e *history.Excerpt, madeBy string, created time.Time) error {
	h := Header{
		Format: format, Start: e.Start, End: e.End, Namespace: e.Namespace.String(),
		Cluster: e.Cluster, Watched: e.Watched, Unrecorded: e.Unrecorded,
		Created: created.UTC().Truncate(time.Second), MadeBy: madeBy,
	}
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
	if err := x.versions(baselineFrame, e.Baselines, &x.counts.Baselines); err != nil {
		return err
	}
	if err := x.versions(versionFrame, e.Records, &x.counts.Versions); err != nil {
		return err
	}
	return x.document(footerFrame, x.counts)
}

// document writes a frame with a JSON document.
func (x *writer) document(kind byte, of any) error {
	payload, err := json.Marshal(of)
	if err != nil {
		return err
	}
	return x.w.Write(kind, payload)
}

// versions writes versions in frames of a kind, and counts them.
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

// put appends an entry, with its length before it, to the frames of a kind. The
// entry may begin in one frame and end in another.
func (x *writer) put(kind byte, entry []byte) error {
	x.entry = entry
	x.frame = binary.AppendUvarint(x.frame, uint64(len(entry)))
	for len(x.frame)+len(entry) > frameSize {
		n := max(frameSize-len(x.frame), 0) // the length may have exceeded the frame
		x.frame = append(x.frame, entry[:n]...)
		entry = entry[n:]
		if err := x.flush(kind); err != nil {
			return err
		}
	}
	x.frame = append(x.frame, entry...)
	return nil
}

// flush writes the pending frame.
func (x *writer) flush(kind byte) error {
	if len(x.frame) == 0 {
		return nil
	}
	err := x.w.Write(kind, x.frame)
	x.frame = x.frame[:0]
	return err
}

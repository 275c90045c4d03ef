package archive

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/binval"
	"github.com/watchhistory/watchhistory/pkg/internal/container"
)

// Journal writes a recording while it is made. The file is valid whenever the
// process ends: [Open] reads it up to its last intact mark, and reports that it
// was interrupted. It must be used by one goroutine at a time.
type Journal struct {
	x   writer
	buf *bufio.Writer // holds the frames of one Append

	catalogue, unrecorded []byte // as they were written last
	gaps                  map[gapKey]history.Gap
	end                   time.Time // the last mark
	err                   error     // of an Append that failed; later ones return it
}

// gapKey identifies a gap of a journal. Another one with the same key replaces
// it.
type gapKey struct {
	resource schema.GroupResource
	start    time.Time
}

// NewJournal begins a journal. It uses Start, Cluster, Watched, Created and
// MadeBy of the header. The journal neither closes nor syncs w.
func NewJournal(w io.Writer, h Header) (*Journal, error) {
	j := &Journal{buf: bufio.NewWriter(w), gaps: map[gapKey]history.Gap{}}
	f, err := container.NewWriter(j.buf, journalMagic)
	if err != nil {
		return nil, fmt.Errorf("write recording: %w", err)
	}
	j.x.w = f
	err = j.x.document(headerFrame, Header{
		Format: journalFormat, Start: h.Start.UTC(), Cluster: h.Cluster, Watched: h.Watched,
		Created: h.Created.UTC().Truncate(time.Second), MadeBy: h.MadeBy,
	})
	if err != nil {
		return nil, fmt.Errorf("write recording: %w", err)
	}
	return j, nil
}

// Append writes what was recorded since the last call, and a mark at the
// excerpt's end. The catalogue, the unrecorded resources and the gaps are those
// of the whole recording; only what changed is written. Baselines and the
// extent's other fields are ignored. Records may be nil.
//
// After an error the journal is incomplete, and all later calls return the same
// error. Up to the mark before, the file is valid.
func (j *Journal) Append(e *history.Excerpt) error {
	if j.err == nil {
		if err := j.append(e); err != nil {
			j.err = fmt.Errorf("write recording: %w", err)
		}
	}
	return j.err
}

// Size returns the number of bytes that were written.
func (j *Journal) Size() int64 { return j.x.w.Size() }

// append is Append without the check for an earlier error.
func (j *Journal) append(e *history.Excerpt) error {
	if err := j.changed(catalogueFrame, e.Catalogue, &j.catalogue); err != nil {
		return err
	}
	if err := j.changed(unrecordedFrame, e.Unrecorded, &j.unrecorded); err != nil {
		return err
	}
	if err := j.changedGaps(e.Gaps); err != nil {
		return err
	}
	if e.Records != nil {
		if err := j.x.versions(versionFrame, e.Records, &j.x.counts.Versions); err != nil {
			return err
		}
	}
	if e.End.After(j.end) {
		j.end = e.End
	}
	if err := j.x.w.Write(markFrame, binval.AppendTime(nil, j.end)); err != nil {
		return err
	}
	return j.buf.Flush()
}

// changed writes a JSON document in a frame of a kind, unless it is the same as
// before.
func (j *Journal) changed(kind byte, of any, before *[]byte) error {
	payload, err := json.Marshal(of)
	if err != nil || bytes.Equal(payload, *before) {
		return err
	}
	*before = payload
	return j.x.w.Write(kind, payload)
}

// changedGaps writes the gaps that are new or differ, and withdraws those that
// are not in the list any more: a gap that ends at its start never was.
func (j *Journal) changedGaps(gaps []history.Gap) error {
	current := make(map[gapKey]history.Gap, len(gaps))
	for _, g := range gaps {
		g.Start = g.Start.UTC()
		k := gapKey{g.GroupResource(), g.Start}
		current[k] = g
		if before, ok := j.gaps[k]; ok && before == g {
			continue
		}
		if err := j.x.put(gapFrame, appendGap(j.x.entry[:0], &g)); err != nil {
			return err
		}
	}
	for k, g := range j.gaps {
		if _, ok := current[k]; ok {
			continue
		}
		g.End = g.Start
		if err := j.x.put(gapFrame, appendGap(j.x.entry[:0], &g)); err != nil {
			return err
		}
	}
	j.gaps = current
	return j.x.flush(gapFrame)
}

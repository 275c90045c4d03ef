package archive

import (
	"errors"
	"io"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/container"
)

// The encoding of versions.
var (
	AppendVersion = appendVersion
	DecodeVersion = decodeVersion
)

// Magic is the beginning of an export.
const Magic = magic

// ReadAll reads an export to its end, without a log.
func ReadAll(in io.Reader) ([]*history.Record, error) {
	s, done, err := newSource(in, nil)
	if err != nil {
		return nil, err
	}
	defer done()
	return s.all()
}

// JournalMagic is the beginning of a journal.
const JournalMagic = journalMagic

// ReadJournal reads a journal as Open does, without a log.
func ReadJournal(in io.Reader, dir string) (h Header, records []*history.Record, unusable int64, err error) {
	o, err := openSource(in, dir, nil)
	if err != nil {
		return h, nil, 0, err
	}
	defer o.done()
	records, err = o.all()
	return o.header, records, o.unusable, err
}

// ReadJournalFrames is ReadJournal for frames without a container. They end as
// a truncated file does.
func ReadJournalFrames(r frames) ([]*history.Record, error) {
	var read recordedFrames
	state, err := scanFrames(&source{}, &truncated{r, &read})
	if err != nil {
		return nil, err
	}
	s := &source{r: &versionFrames{r: &read, left: state.frames}}
	state.fill(s)
	s.excerpt.Records = s.versions(versionFrame, &s.counts.Versions, nil)
	return s.all()
}

// recordedFrames are frames that are read again.
type recordedFrames struct {
	kinds    []byte
	payloads [][]byte
}

// Next implements frames.
func (r *recordedFrames) Next() (byte, []byte, error) {
	kind, payload := r.kinds[0], r.payloads[0]
	r.kinds, r.payloads = r.kinds[1:], r.payloads[1:]
	return kind, payload, nil
}

// truncated keeps frames, and replaces their end.
type truncated struct {
	frames

	kept *recordedFrames
}

// Next implements frames.
func (t *truncated) Next() (byte, []byte, error) {
	kind, payload, err := t.frames.Next()
	if errors.Is(err, io.EOF) {
		return 0, nil, container.ErrTruncated
	}
	t.kept.kinds, t.kept.payloads = append(t.kept.kinds, kind), append(t.kept.payloads, payload)
	return kind, payload, err
}

// ReadFrames is ReadAll for frames without a container.
func ReadFrames(r frames) ([]*history.Record, error) {
	s := &source{r: r}
	if err := s.begin(); err != nil {
		return nil, err
	}
	return s.all()
}

func (s *source) all() (records []*history.Record, err error) {
	for _, list := range []func(func(*history.Record, error) bool){s.excerpt.Baselines, s.excerpt.Records} {
		for r, err := range list {
			if err != nil {
				return nil, err
			}
			records = append(records, r)
		}
	}
	return records, nil
}

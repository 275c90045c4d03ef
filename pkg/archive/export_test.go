package archive

import (
	"io"

	"github.com/watchhistory/watchhistory/pkg/history"
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

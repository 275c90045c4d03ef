package archive

import (
	"io"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// The parts of the format, for tests that are about nothing else.
var (
	AppendVersion = appendVersion
	DecodeVersion = decodeVersion
)

// The magic, for tests that put files together.
const Magic = magic

// ReadAll reads an export to its end, and makes no log of it.
func ReadAll(in io.Reader) ([]*history.Record, error) {
	s, done, err := newSource(in, nil)
	if err != nil {
		return nil, err
	}
	defer done()
	return s.all()
}

// ReadFrames is ReadAll of frames that are not in a container.
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

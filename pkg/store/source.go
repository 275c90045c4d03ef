package store

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/container"
)

// source is a backup that is being read.
type source struct {
	r *container.Reader
	header
}

func openBackup(b io.Reader) (*source, error) {
	r, err := container.NewReader(b, backupMagic)
	if err != nil {
		return nil, unreadable(err)
	}
	s := &source{r: r}
	if err := s.document(backupHeader, &s.header); err != nil {
		r.Close()
		return nil, err
	}
	if s.Format == 0 || s.Format > format {
		r.Close()
		return nil, history.Errorf(history.Invalid,
			"it was made of format %d, and this recorder knows formats up to %d: use a newer recorder", s.Format, format)
	}
	return s, nil
}

// unreadable says in the user's words why a backup can't be read.
func unreadable(err error) error {
	switch {
	case errors.Is(err, container.ErrForeign):
		return history.Errorf(history.Invalid, "it is no backup of watchhistory-recorder")
	case errors.Is(err, container.ErrTruncated), errors.Is(err, container.ErrCorrupt):
		return history.Errorf(history.Invalid, "it is damaged (%v): use another copy of it, or an earlier backup", err)
	default:
		return fmt.Errorf("read: %w", err)
	}
}

// document reads a frame of the kind that has to come next.
func (s *source) document(kind byte, into any) error {
	got, payload, err := s.r.Next()
	if err != nil {
		return unreadable(err)
	}
	if got != kind {
		return unreadable(container.ErrCorrupt)
	}
	if err := json.Unmarshal(payload, into); err != nil {
		return unreadable(fmt.Errorf("%w: %w", container.ErrCorrupt, err))
	}
	return nil
}

// entries calls each for every entry, whose bytes are valid until it returns, and between for every frame. It reads up to the end.
func (s *source) entries(each func(k, v []byte, expires uint64) error, between func() error) (f footer, err error) {
	var n uint64
	for {
		kind, payload, err := s.r.Next()
		if err != nil {
			return f, unreadable(err)
		}
		if kind == backupFooter {
			err = json.Unmarshal(payload, &f)
			if err != nil || f.Entries != n {
				return f, unreadable(container.ErrCorrupt)
			}
			break
		}
		if kind != backupEntries {
			return f, unreadable(container.ErrCorrupt)
		}
		for len(payload) > 0 {
			var k, v []byte
			var expires uint64
			if k, v, expires, payload, err = nextEntry(payload); err != nil {
				return f, err
			}
			n++
			if err := each(k, v, expires); err != nil {
				return f, err
			}
		}
		if err := between(); err != nil {
			return f, err
		}
	}
	if _, _, err := s.r.Next(); !errors.Is(err, io.EOF) {
		return f, unreadable(cmp.Or(err, container.ErrCorrupt))
	}
	return f, nil
}

func nextEntry(b []byte) (k, v []byte, expires uint64, rest []byte, err error) {
	var ok1, ok2 bool
	if k, b, ok1 = field(b); !ok1 || len(k) == 0 {
		return nil, nil, 0, nil, unreadable(container.ErrCorrupt)
	}
	expires, n := binary.Uvarint(b)
	if n <= 0 {
		return nil, nil, 0, nil, unreadable(container.ErrCorrupt)
	}
	if v, b, ok2 = field(b[n:]); !ok2 {
		return nil, nil, 0, nil, unreadable(container.ErrCorrupt)
	}
	return k, v, expires, b, nil
}

// field takes a length and so many bytes off b.
func field(b []byte) (f, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, false
	}
	return b[size:][:n], b[size:][n:], true
}

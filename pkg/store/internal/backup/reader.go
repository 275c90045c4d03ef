package backup

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/container"
)

// Reader reads a backup. It is not safe for concurrent use.
type Reader struct {
	Header

	r *container.Reader
}

// Open reads a backup's header. It returns a [history.Invalid] error if the
// file is not a backup, or is one of a database whose format is not in the
// range. The caller must call [Reader.Close].
func Open(b io.Reader, oldest, newest uint16) (*Reader, error) {
	c, err := container.NewReader(b, magic)
	if err != nil {
		return nil, readError(err)
	}
	r := &Reader{r: c}
	if err := r.document(headerFrame, &r.Header); err != nil {
		c.Close()
		return nil, err
	}
	if r.Format < oldest || r.Format > newest {
		c.Close()
		return nil, history.Errorf(history.Invalid,
			"database format %d is not supported: this recorder reads formats %d to %d", r.Format, oldest, newest)
	}
	return r, nil
}

// Close releases the reader. It does not close the underlying reader.
func (r *Reader) Close() { r.r.Close() }

// Entries reads the backup to its end, and returns its footer. It calls each
// for every entry, and between after every frame of entries. An error of either
// ends the reading and is returned unchanged. The bytes of an entry are valid
// until each returns. Entries must be called once.
func (r *Reader) Entries(each func(k, v []byte, expires uint64) error, between func() error) (f Footer, err error) {
	var n uint64
	for {
		kind, payload, err := r.r.Next()
		if err != nil {
			return f, readError(err)
		}
		if kind == footerFrame {
			err = json.Unmarshal(payload, &f)
			if err != nil || f.Entries != n {
				return f, readError(container.ErrCorrupt)
			}
			break
		}
		if kind != entriesFrame {
			return f, readError(container.ErrCorrupt)
		}
		for len(payload) > 0 {
			var k, v []byte
			var expires uint64
			if k, v, expires, payload, err = NextEntry(payload); err != nil {
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
	if _, _, err := r.r.Next(); !errors.Is(err, io.EOF) {
		return f, readError(cmp.Or(err, container.ErrCorrupt))
	}
	return f, nil
}

// document reads the next frame, which must be of a kind, into a JSON document.
func (r *Reader) document(kind byte, into any) error {
	got, payload, err := r.r.Next()
	if err != nil {
		return readError(err)
	}
	if got != kind {
		return readError(container.ErrCorrupt)
	}
	if err := json.Unmarshal(payload, into); err != nil {
		return readError(fmt.Errorf("%w: %w", container.ErrCorrupt, err))
	}
	return nil
}

package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// log is the part of a log that an export answers from.
type log interface {
	Scan(ctx context.Context, scan history.Scan) iter.Seq2[*history.Record, error]
	Count(ctx context.Context, filter history.Filter, most int) (n int, exact bool, err error)
	Latest(ctx context.Context, ref history.ObjectRef) (*history.Record, error)
	Resources(ctx context.Context) ([]history.Resource, error)
	Gaps(ctx context.Context, resources []schema.GroupResource, start, end time.Time) ([]history.Gap, error)
}

// Reader answers from an export what the log that it was made of would answer about its range. Of what lies before and behind, it
// knows nothing: whoever asks beyond its header's range has to say so. It is safe for concurrent use.
type Reader struct {
	log

	header Header
	counts Counts
	close  func() error
}

// Open reads an export to its end, and makes a log of it in a new directory in dir; "" is the directory for temporary files. It
// takes the memory of a log, and about the room on disk that the versions take in the recorder's. What is no export, or not a whole
// one, is a [history.Invalid] error; then nothing is left behind. The reader has to be closed.
func Open(ctx context.Context, export io.Reader, dir string, progress Progress) (_ *Reader, err error) {
	in, done, err := newSource(export, progress)
	if err != nil {
		return nil, refused(err)
	}
	defer done()
	dir, err = os.MkdirTemp(dir, "watchhistory-export-*")
	if err != nil {
		return nil, fmt.Errorf("read the export: %w", err)
	}
	remove := func() error { return os.RemoveAll(dir) }
	s, err := store.Import(ctx, dir, &in.excerpt, store.Options{})
	if err != nil {
		return nil, errors.Join(refused(err), remove())
	}
	r := &Reader{log: s, header: in.header, counts: in.counts}
	r.close = func() error { return errors.Join(s.Close(), remove()) }
	return r, nil
}

// Header says what the export is of.
func (r *Reader) Header() Header { return r.header }

// Counts says how much it holds.
func (r *Reader) Counts() Counts { return r.counts }

// Close ends running scans, and removes the log.
func (r *Reader) Close() error { return r.close() }

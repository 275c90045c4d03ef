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

// log is the part of a log that answers queries. [store.Store] implements it.
type log interface {
	Scan(ctx context.Context, scan history.Scan) iter.Seq2[*history.Record, error]
	Count(ctx context.Context, filter history.Filter, most int) (n int, exact bool, err error)
	Objects(ctx context.Context, scan history.Scan, most int) (first []*history.Record, complete bool, err error)
	MayMatch(ctx context.Context, filters []history.Filter) (may []bool, err error)
	State(ctx context.Context, scan history.StateScan) iter.Seq2[*history.Record, error]
	Compare(ctx context.Context, scan history.CompareScan) iter.Seq2[history.Difference, error]
	Latest(ctx context.Context, ref history.ObjectRef) (*history.Record, error)
	Resources(ctx context.Context) ([]history.Resource, error)
	Gaps(ctx context.Context, resources []schema.GroupResource, start, end time.Time) ([]history.Gap, error)
}

// Reader answers queries from an export as the original log would. It has no
// versions or gaps outside the range of its header; callers that query beyond
// the range must report that. It is safe for concurrent use.
type Reader struct {
	log

	header      Header
	counts      Counts
	interrupted bool
	unusable    int64
	close       func() error // closes the log and removes its directory
}

// Open reads an export to its end, and imports it into a log in a new directory
// in dir. An empty dir means the directory for temporary files. progress may be
// nil. The log needs as much memory as any other, and about as much disk space
// as the versions take in the original one.
//
// Open also reads a [Journal] up to its last intact mark, and reports by
// [Reader.Interrupted] that the recording may have gone on. A journal that
// can't seek is copied to a temporary file first.
//
// A file that is neither a complete export nor a journal with a mark is a
// [history.Invalid] error. After any error the new directory is removed. The
// caller must call [Reader.Close].
func Open(ctx context.Context, export io.Reader, dir string, progress Progress) (_ *Reader, err error) {
	in, err := openSource(export, dir, progress)
	if err != nil {
		return nil, readError(err)
	}
	defer in.done()
	dir, err = os.MkdirTemp(dir, "watchhistory-export-*")
	if err != nil {
		return nil, fmt.Errorf("read export: %w", err)
	}
	remove := func() error { return os.RemoveAll(dir) }
	s, err := store.Import(ctx, dir, &in.excerpt, store.Options{})
	if err != nil {
		return nil, errors.Join(readError(err), remove())
	}
	r := &Reader{log: s, header: in.header, counts: in.counts, interrupted: in.interrupted, unusable: in.unusable}
	r.close = func() error { return errors.Join(s.Close(), remove()) }
	return r, nil
}

// Header returns the description of the export. The end of a journal is its
// last intact mark.
func (r *Reader) Header() Header { return r.header }

// Interrupted reports whether the file is a journal: the recording ended
// abruptly, or is running. What happened after the header's end is not in the
// file. unusable is the number of bytes at the end that were ignored.
func (r *Reader) Interrupted() (interrupted bool, unusable int64) { return r.interrupted, r.unusable }

// Counts returns the numbers of its entries.
func (r *Reader) Counts() Counts { return r.counts }

// Close ends running scans with an error, and removes the log.
func (r *Reader) Close() error { return r.close() }

package admin

import (
	"context"
	"io"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/archive"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// Log is what can be kept whole.
type Log interface {
	Backup(ctx context.Context, w io.Writer, from store.Position, progress store.Progress) (store.Position, error)
	Verify(ctx context.Context, report func(store.Damage), progress store.Progress) (store.Verification, error)
	Resources(ctx context.Context) ([]history.Resource, error)
	Excerpt(ctx context.Context, of history.Extent, use func(*history.Excerpt) error) error
}

// keeper does what commands ask for: on a log, or by asking the recorder that runs on it.
type keeper interface {
	Backup(ctx context.Context, w io.Writer, from store.Position, progress store.Progress) (store.Position, error)
	Verify(ctx context.Context, report func(store.Damage), progress store.Progress) (store.Verification, error)
	Export(ctx context.Context, w io.Writer, wanted Wanted, progress archive.Progress) (Exported, error)
}

// Wanted is which part of a history is to be exported.
type Wanted struct {
	Start, End time.Time // a zero End is now
	Types      []string  // resources in any form that kubectl takes; none: all
	Namespace  string    // as in [history.Extent]
}

// Exported is what an export turned out to hold.
type Exported struct {
	archive.Counts

	Start time.Time `json:"start"` // later than wanted where history begins later
	End   time.Time `json:"end"`
}

// local is a log that this process has open.
type local struct {
	Log

	program string // that this is, with its version
}

// Export writes the file of a part of the log's history.
func (l local) Export(ctx context.Context, w io.Writer, wanted Wanted, progress archive.Progress) (x Exported, err error) {
	of := history.Extent{Start: wanted.Start, End: wanted.End, Namespace: history.ParseNamespaceScope(wanted.Namespace)}
	if of.Resources, err = l.resources(ctx, wanted.Types); err != nil {
		return x, err
	}
	err = l.Excerpt(ctx, of, func(e *history.Excerpt) (err error) {
		x.Start, x.End = e.Start, e.End
		x.Counts, err = archive.Write(w, e, l.program, time.Now(), progress)
		return err
	})
	return x, err
}

// resources returns what the types name. One that names nothing is refused: it would be exported as if nothing had happened.
func (l local) resources(ctx context.Context, types []string) (list []schema.GroupResource, err error) {
	if len(types) == 0 {
		return nil, nil
	}
	catalogue, err := l.Resources(ctx)
	if err != nil {
		return nil, err
	}
	for _, arg := range types {
		named := history.Matching(catalogue, arg)
		if len(named) == 0 {
			return nil, history.Errorf(history.Invalid, "--resource: nothing was ever recorded that is called %q", arg)
		}
		for _, r := range named {
			list = append(list, r.GroupResource())
		}
	}
	return list, nil
}

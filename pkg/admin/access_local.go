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

// Log is the part of a [store.Store] that the operations need.
type Log interface {
	Backup(ctx context.Context, w io.Writer, from store.Position, progress store.Progress) (store.Position, error)
	Verify(ctx context.Context, report func(store.Damage), progress store.Progress) (store.Verification, error)
	Resources(ctx context.Context) ([]history.Resource, error)
	Excerpt(ctx context.Context, of history.Extent, use func(*history.Excerpt) error) error
}

// Selection is the part of a history to export. Its JSON is the parameter of an
// export through the socket.
type Selection struct {
	Start, End time.Time // a zero End means now
	Types      []string  // resources in any form of kubectl; none means all
	Namespace  string    // as in [history.Extent]
}

// Exported describes the content of an export. Its JSON is the trailer of an
// export through the socket.
type Exported struct {
	archive.Counts

	Start time.Time `json:"start"` // later than selected if the history starts later
	End   time.Time `json:"end"`
}

// local is the access to a log that this process opened. It is as safe for
// concurrent use as its Log.
type local struct {
	Log

	program string // the name and the version of this program
}

// Export writes a part of the history to w.
func (l local) Export(
	ctx context.Context, w io.Writer, sel Selection, progress archive.Progress,
) (x Exported, err error) {
	extent := history.Extent{Start: sel.Start, End: sel.End, Namespace: history.ParseNamespaceScope(sel.Namespace)}
	if extent.Resources, err = l.resources(ctx, sel.Types); err != nil {
		return x, err
	}
	err = l.Excerpt(ctx, extent, func(e *history.Excerpt) (err error) {
		x.Start, x.End = e.Start, e.End
		x.Counts, err = archive.Write(w, e, l.program, time.Now(), progress)
		return err
	})
	return x, err
}

// resources returns the resources that types match. It fails if a type matches
// none: without it, the export would look as if nothing had happened.
func (l local) resources(ctx context.Context, types []string) (list []schema.GroupResource, err error) {
	if len(types) == 0 {
		return nil, nil
	}
	catalogue, err := l.Resources(ctx)
	if err != nil {
		return nil, err
	}
	for _, arg := range types {
		matches := history.Matching(catalogue, arg)
		if len(matches) == 0 {
			return nil, history.Errorf(history.Invalid, "--resource: no resource matching %q was ever recorded", arg)
		}
		for _, r := range matches {
			list = append(list, r.GroupResource())
		}
	}
	return list, nil
}

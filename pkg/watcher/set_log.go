package watcher

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

const (
	// logInterval is the time between two reports, and how long a failure has
	// to last to be logged. Most watches that are interrupted resume sooner.
	logInterval = time.Second
	// maxEstablishing is how long the API server may ask to retry later before
	// that is logged. It does so while it establishes a CRD.
	maxEstablishing = 15 * time.Second
	// maxUndecided is how long the API server may leave open whether it permits
	// a resource, before those that it does not permit are logged without it.
	maxUndecided = 15 * time.Second
	// maxLoggedFailures bounds the failures of a resource that are logged until
	// it is watched again.
	maxLoggedFailures = 10
	// maxLoggedNames is how many resources a line names.
	maxLoggedNames = 10
)

// logDigest logs the failures of watches: one line for each cause, for all
// resources that have it. It logs a cause of a resource once until the resource
// is watched again. It must be used by one goroutine.
type logDigest struct {
	log     *slog.Logger
	watched map[schema.GroupResource]bool            // ever
	logged  map[schema.GroupResource]map[string]bool // details, since the resource was watched
}

func newLogDigest(log *slog.Logger) *logDigest {
	return &logDigest{
		log: log, logged: map[schema.GroupResource]map[string]bool{},
		watched: map[schema.GroupResource]bool{discoveryResource().GroupResource(): true}, // its success is not logged
	}
}

// report logs the changes of the states until ctx is done. It waits a moment
// after a change, so that changes with one cause share a line.
func (s *Set) report(ctx context.Context) {
	d := newLogDigest(s.log)
	for again := false; ; {
		if !again {
			select {
			case <-ctx.Done():
				return
			case <-s.changes:
			}
		}
		if !sleep(ctx, logInterval) {
			return
		}
		now := time.Now()
		again = d.update(ctx, append(s.status.states(), s.status.dependencies()...), now)
		again = s.reportForbidden(ctx, now) || again
	}
}

// update logs the changes since the last call. It reports whether it has to be
// called again even if no state changes.
func (d *logDigest) update(ctx context.Context, states []Status, now time.Time) (again bool) {
	var first, back []string
	failed := map[string][]string{}           // names by detail
	reasons := map[string]history.GapReason{} // by detail
	recent := map[string]bool{}               // details of failures that are too recent to log
	for _, s := range states {
		if s.State == Waiting && now.Sub(s.Since) < logInterval {
			recent[s.Detail] = true
		}
	}
	for _, s := range states {
		gr := s.Resource.GroupResource()
		switch {
		case s.State == Watching && len(d.logged[gr]) > 0:
			back = append(back, gr.String())
			delete(d.logged, gr)
		case s.State == Watching && !d.watched[gr]:
			first = append(first, gr.String())
			d.watched[gr] = true
		case !s.Failed() || s.Refused && !s.Configured: // reportForbidden logs those not permitted
		case now.Sub(s.Since) < logInterval, s.Establishing(now):
			again = true
		case recent[s.Detail] && now.Sub(s.Since) < 2*logInterval:
			again = true // to log them in one line
		case d.isNew(gr, s.Detail):
			failed[s.Detail] = append(failed[s.Detail], gr.String())
			reasons[s.Detail] = s.Reason
		}
	}
	for _, detail := range slices.Sorted(maps.Keys(failed)) {
		args := append(resourceArgs(failed[detail]), "reason", reasons[detail], "err", detail)
		d.log.WarnContext(ctx, "watch failed, retrying", args...)
	}
	if len(back) > 0 {
		d.log.InfoContext(ctx, "watching again", resourceArgs(back)...)
	}
	if len(first) > 0 {
		d.log.InfoContext(ctx, "watching", resourceArgs(first)...)
	}
	return again
}

// isNew reports whether a failure of a resource is to be logged, and notes it.
func (d *logDigest) isNew(gr schema.GroupResource, detail string) bool {
	logged := d.logged[gr]
	if logged[detail] || len(logged) >= maxLoggedFailures {
		return false
	}
	if logged == nil {
		logged = map[string]bool{}
		d.logged[gr] = logged
	}
	logged[detail] = true
	return true
}

// resourceArgs returns the log arguments for these resources. Resources of the
// core group come first.
func resourceArgs(names []string) []any {
	if len(names) == 1 {
		return []any{"resource", names[0]}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(strings.Count(a, ".")-strings.Count(b, "."), strings.Compare(a, b))
	})
	listed := strings.Join(names[:min(len(names), maxLoggedNames)], ",")
	if len(names) > maxLoggedNames {
		listed += ",…"
	}
	return []any{"count", len(names), "resources", listed}
}

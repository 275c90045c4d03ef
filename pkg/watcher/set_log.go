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
)

const (
	// digestEvery is the time between two looks at what has changed, and how
	// long a fault has to last to be logged: most watches that break are open
	// again by then.
	digestEvery = time.Second
	// throttledWithin is how long the server may ask to come later before
	// that is logged: while it establishes a CRD, it does.
	throttledWithin = 15 * time.Second
	// mostCauses bounds the causes that are logged of one resource until it
	// is watched again.
	mostCauses = 10
	// firstNames is how many resources a line names.
	firstNames = 10
)

// digest logs what keeps resources from being watched: one line per cause,
// however many resources it has, and each cause once until they are watched
// again. It is for one goroutine.
type digest struct {
	log     *slog.Logger
	watched map[schema.GroupResource]bool            // ever
	said    map[schema.GroupResource]map[string]bool // causes, since it was watched
}

func newDigest(log *slog.Logger) *digest {
	return &digest{
		log: log, said: map[schema.GroupResource]map[string]bool{},
		watched: map[schema.GroupResource]bool{discoveryResource().GroupResource(): true}, // it is not one to be watched
	}
}

// report keeps the log up to date with the board until ctx is done.
func (s *Set) report(ctx context.Context) {
	d := newDigest(s.log)
	for again := false; ; {
		if !again {
			select {
			case <-ctx.Done():
				return
			case <-s.news:
			}
		}
		if !sleep(ctx, digestEvery) {
			return
		}
		again = d.look(ctx, append(s.board.states(), s.board.dependencies()...), time.Now())
	}
}

// look logs what has changed, and reports whether something is to be looked at
// again although nothing more changes.
func (d *digest) look(ctx context.Context, states []Status, now time.Time) (again bool) {
	var first, back []string
	failed := map[string][]Status{} // by cause
	young := map[string]bool{}      // causes with resources that failed too recently to log
	for _, s := range states {
		if s.State == Waiting && now.Sub(s.Since) < digestEvery {
			young[s.Reason] = true
		}
	}
	for _, s := range states {
		gr := s.Resource.GroupResource()
		switch {
		case s.State == Watching && len(d.said[gr]) > 0:
			back = append(back, gr.String())
			delete(d.said, gr)
		case s.State == Watching && !d.watched[gr]:
			first = append(first, gr.String())
			d.watched[gr] = true
		case s.State != Waiting || s.Cause == "" || s.Refused && !s.Configured:
		case now.Sub(s.Since) < digestEvery, s.Establishing(now):
			again = true
		case young[s.Reason] && now.Sub(s.Since) < 2*digestEvery:
			again = true // to log them in one line
		case d.news(gr, s.Reason):
			failed[s.Reason] = append(failed[s.Reason], s)
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(failed)) {
		list := failed[reason]
		names := make([]string, len(list))
		for i, s := range list {
			names[i] = s.Resource.GroupResource().String()
		}
		d.log.WarnContext(ctx, "watch failed, retrying", append(about(names), "cause", list[0].Cause, "err", reason)...)
	}
	if len(back) > 0 {
		d.log.InfoContext(ctx, "watching again", about(back)...)
	}
	if len(first) > 0 {
		d.log.InfoContext(ctx, "watching", about(first)...)
	}
	return again
}

// news reports whether a cause was not logged yet of a resource, and notes it.
func (d *digest) news(gr schema.GroupResource, cause string) bool {
	said := d.said[gr]
	if said[cause] || len(said) >= mostCauses {
		return false
	}
	if said == nil {
		said = map[string]bool{}
		d.said[gr] = said
	}
	said[cause] = true
	return true
}

// about returns what a line says of the resources that it is about.
func about(names []string) []any {
	if len(names) == 1 {
		return []any{"resource", names[0]}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(strings.Count(a, ".")-strings.Count(b, "."), strings.Compare(a, b))
	})
	listed := strings.Join(names[:min(len(names), firstNames)], ",")
	if len(names) > firstNames {
		listed += ",…"
	}
	return []any{"count", len(names), "resources", listed}
}

package cli

import (
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// gaps returns those that touch what queries ask for and the time from start to end, in the order of their starts. The
// queries are those whose answers say that there are gaps: without any, nothing is asked.
func (s *session) gaps(ctx context.Context, queries []client.EventsQuery, start, end time.Time) ([]v1.Gap, error) {
	if len(queries) == 0 {
		return nil, nil
	}
	q := client.GapsQuery{Start: start, End: end}
	for i := range queries {
		q.Resources = append(q.Resources, queries[i].Resources...)
	}
	found, err := s.Gaps(ctx, q)
	if err != nil || len(q.Resources) > 0 {
		return found, err
	}
	return s.within(ctx, queries[0].Namespace, found)
}

// within leaves out the gaps of types that have no objects in the scope.
func (s *session) within(ctx context.Context, scope history.NamespaceScope, gaps []v1.Gap) ([]v1.Gap, error) {
	if scope == history.AllNamespaces || len(gaps) == 0 {
		return gaps, nil
	}
	list, err := s.Resources(ctx)
	if err != nil {
		return nil, err
	}
	known := resources(list)
	return slices.DeleteFunc(gaps, func(g v1.Gap) bool {
		return slices.ContainsFunc(known, func(r history.Resource) bool {
			return r.GroupResource() == (schema.GroupResource{Group: g.Group, Resource: g.Resource}) && !r.Scoped(scope != history.ClusterScoped)
		})
	}), nil
}

// hides returns the flag without which the answer would be a table and show gaps; "" where it is one.
func (o *output) hides() string {
	if o.isTable() {
		return ""
	}
	return "--output"
}

// showBlind writes gaps where nothing else is to be shown, and says that they are there.
func (q *question) showBlind(gaps []v1.Gap, table table, hiddenBy string) error {
	if hiddenBy == "" {
		if err := table(nil, gaps); err != nil {
			return err
		}
	}
	q.env.note(gapsNote(gaps, true, hiddenBy))
	return nil
}

// gapsNote says how many gaps there are where the answer does not show them, which the flag hiddenBy causes, or shows nothing
// else.
func gapsNote(gaps []v1.Gap, empty bool, hiddenBy string) string {
	if len(gaps) == 0 || !empty && hiddenBy == "" {
		return ""
	}
	touch, them := "touch", "them"
	if len(gaps) == 1 {
		touch, them = "touches", "it"
	}
	text := "Changes may be missing: " + plural(len(gaps), "gap") + " " + touch + " the time of this answer"
	if hiddenBy != "" {
		text += "; without " + hiddenBy + " a table shows " + them
	}
	return text + "."
}

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

// gaps returns the gaps that overlap the time from start to end and the
// resources of queries, in the order of their starts. The queries are those
// whose responses report gaps. Without any, gaps sends no request.
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
	// A query without resources is the only one, and gaps have no namespace.
	return s.gapsIn(ctx, queries[0].Namespace, found)
}

// gapsIn returns the gaps of types whose objects can be in the scope.
func (s *session) gapsIn(ctx context.Context, scope history.NamespaceScope, gaps []v1.Gap) ([]v1.Gap, error) {
	if scope == history.AllNamespaces || len(gaps) == 0 {
		return gaps, nil
	}
	list, err := s.Resources(ctx)
	if err != nil {
		return nil, err
	}
	known := resources(list)
	return slices.DeleteFunc(gaps, func(g v1.Gap) bool {
		resource := schema.GroupResource{Group: g.Group, Resource: g.Resource}
		return slices.ContainsFunc(known, func(r history.Resource) bool {
			return r.GroupResource() == resource && !r.Scoped(scope != history.ClusterScoped)
		})
	}), nil
}

// hidesGaps returns the flag because of which the output has no gap rows, or
// "".
func (o *output) hidesGaps() string {
	switch {
	case o.sortBy != "":
		return "--sort-by"
	case o.isTable():
		return ""
	default:
		return "--output"
	}
}

// writeGapsOnly writes a table of gaps, if nothing else is to be written, and a
// note about them. With a flag in hiddenBy it writes only the note.
//
// The gaps are the reason why the output may be empty, so they are written
// although there are no records.
func (o *queryOptions) writeGapsOnly(gaps []v1.Gap, table table, hiddenBy string) error {
	if hiddenBy == "" {
		if err := table(nil, gaps); err != nil {
			return err
		}
	}
	o.env.note(gapsNote(len(gaps), true, hiddenBy))
	return nil
}

// gapsNote returns a note with the number of gaps, if the output is empty or
// the flag hiddenBy hides them. Otherwise it returns "".
func gapsNote(gaps int, empty bool, hiddenBy string) string {
	if gaps == 0 || !empty && hiddenBy == "" {
		return ""
	}
	overlap, them := "overlap", "them"
	if gaps == 1 {
		overlap, them = "overlaps", "it"
	}
	text := "Changes may be missing: " + plural(gaps, "gap") + " " + overlap + " the time of this output"
	if hiddenBy != "" {
		text += "; without " + hiddenBy + " a table shows " + them
	}
	return text + "."
}

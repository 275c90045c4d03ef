package query

import (
	"cmp"
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Relations is a query for the relations of one object at a time: what it uses,
// owns and selects, and what uses, owns and selects it.
type Relations struct {
	Namespace history.NamespaceScope // one namespace, or [history.ClusterScoped]
	Type      string                 // one resource in any form that kubectl accepts
	Name      string
	Group     string // as in [Timeline]

	At time.Time // inclusive; zero: now
	// Depth is the number of relations between the object and the farthest
	// others. Its owners and its descendants are followed to their end in any
	// case, and what leads to a descendant leads to the object. 0 means 1.
	Depth int

	// budget is shared with other questions. nil means that there are none.
	budget *relationBudget
	// narrow leaves out the pods that lead to an object of the first level. For
	// a node these are all pods of the cluster.
	narrow bool
}

// relationBudget bounds several questions about relations together.
type relationBudget struct {
	effort int       // records that may still be read, as in [Options]
	stop   time.Time // when the last question ends
}

// isSpent reports whether no further question can be answered.
func (b *relationBudget) isSpent() bool { return b.effort <= 0 || !time.Now().Before(b.stop) }

// RelatedState is what is known of an object in a [RelationGraph]. The texts
// are part of the REST API.
type RelatedState string

// The states of related objects.
const (
	// Existed means that the object existed at the time.
	Existed RelatedState = "exists"
	// Missing means that the object did not exist at the time, although
	// another one names it: the reference is dangling. If the object has no
	// name, nothing of its resource was selected.
	Missing RelatedState = "missing"
	// NotRecorded means that it is not known whether the object existed: its
	// resource was not recorded, the caller may not read it, or changes of it
	// may be missing at the time.
	NotRecorded RelatedState = "unrecorded"
)

// RelatedObject is an object of a [RelationGraph].
type RelatedObject struct {
	// Ref has no UID if that is not known, and no name if it is a whole
	// resource. Its Resource is empty if only the Kind is known.
	Ref   history.ObjectRef
	Kind  string
	State RelatedState
	// Version is the newest version at the time, without its object. It is nil
	// unless the object Existed, or if it is a whole resource.
	Version *history.Record
}

// Relation leads from one object of a [RelationGraph] to another one. From and
// To are positions in its Objects.
type Relation struct {
	From, To int
	Rule     string // of package relation
	Path     string // in the object From; empty if the rule has no field
	Optional bool   // From works without To
}

// RelationGraph is the answer to [Relations].
//
// Its Total is the number of relations. It is not Exact if a bound was reached,
// so that others may be missing.
type RelationGraph struct {
	Moments

	// Objects begin with the one that the question is about. The others are in
	// the order in which they were found.
	Objects   []RelatedObject
	Relations []Relation
}

// Relations returns the relations of the object, and the ownership among all
// objects of the answer. If the type is not known, the
// error is an [UnknownTypeError]. If there was no state at the time, it is a
// [TimeError]. If the object did not exist and nothing leads to it, it is a
// [history.NotFound] error.
func (s *Service) Relations(ctx context.Context, q Relations) (RelationGraph, error) {
	w, graph, err := s.relationWalk(ctx, q)
	if err != nil {
		return graph, err
	}
	err = w.walk(ctx, max(q.Depth, 1))
	if q.budget != nil {
		q.budget.effort -= w.allowed - w.effort
	}
	if err != nil {
		return graph, tooOld(graph.At, err)
	}
	w.relateOwners()
	w.finish(&graph)
	if len(graph.Relations) > 0 {
		return graph, nil
	}
	switch o := graph.Objects[0]; o.State {
	case Existed:
		return graph, nil
	case Missing:
		return graph, history.Errorf(history.NotFound, "%s did not exist at %s, and nothing refers to it",
			o.Ref, graph.At.Format(time.RFC3339Nano))
	default:
		if since := graph.Coverage.Since; !since.IsZero() && !since.After(graph.At) {
			return graph, history.Errorf(history.NotFound,
				"changes of %s may be missing at %s, and nothing refers to it",
				o.Ref, graph.At.Format(time.RFC3339Nano))
		}
		q := Objects{Types: []string{q.Type}, Group: q.Group, Namespace: q.Namespace}
		return graph, notRecorded(q, graph.At, graph.Coverage)
	}
}

// relationWalk prepares the answer. It returns what is known of it without the
// relations.
func (s *Service) relationWalk(ctx context.Context, q Relations) (*relationWalk, RelationGraph, error) {
	var graph RelationGraph
	own := scope{[]string{q.Type}, q.Group, q.Namespace}
	all, err := s.everything(ctx)
	if err != nil {
		return nil, graph, err
	}
	w := newRelationWalk(ctx, s, all)
	w.narrow = q.narrow
	if b := q.budget; b != nil {
		if w.effort = min(w.effort, b.effort); w.stop.IsZero() || b.stop.Before(w.stop) {
			w.stop = b.stop
		}
	}
	w.allowed = w.effort
	named, err := s.see(ctx, all, q.Name, own)
	if err != nil {
		return nil, graph, err
	}
	near, err := s.see(ctx, all, "", scope{namespace: q.Namespace})
	if err != nil {
		return nil, graph, err
	}
	if s.caller != nil {
		every := schema.GroupResource{Group: everyResource, Resource: everyResource}
		may, err := s.mayReadScope(ctx, every, history.AllNamespaces, "")
		if err != nil {
			return nil, graph, err
		}
		graph.Restricted = !may
	}
	now, newest, err := s.newest(ctx, named.view, near.view, q.Name)
	if err != nil {
		return nil, graph, err
	}
	var none history.StateCursor
	if _, graph.At, w.until, err = pin(time.Time{}, q.At, &none, now, newest); err != nil {
		return nil, graph, err
	}
	w.at = graph.At
	graph.Ignored = named.and(near).ignored(own, scope{namespace: q.Namespace})
	graph.Coverage = named.coverage(graph.At, own)
	graph.Final = !graph.At.After(newest) || graph.At.Before(now.Add(-commitTolerance))
	resources := slices.DeleteFunc(s.resolveObject(named.catalogue, Object{Type: q.Type, Group: q.Group}),
		func(r history.Resource) bool {
			namespace, _ := q.Namespace.Namespace()
			return r.Plural == "" || !r.Scoped(namespace != "") || history.IsReserved(r.GroupResource())
		})
	if len(resources) == 0 {
		return nil, graph, &UnknownTypeError{"no such resource is or was recorded in the namespace"}
	}
	w.resources = resources
	w.namespace, _ = q.Namespace.Namespace()
	w.name, w.named = q.Name, named.view
	return w, graph, w.readGaps(ctx)
}

// newest returns the present time and that of the newest record that the caller
// may read, of those with a name in one view, and of all in another one.
func (s *Service) newest(
	ctx context.Context, named, all history.View, name string,
) (now, newest time.Time, err error) {
	now, newest, err = s.present(ctx, all, "")
	if err != nil || named == nil {
		return now, newest, err
	}
	later, other, err := s.present(ctx, named, name)
	if other.After(newest) {
		newest = other
	}
	if later.After(now) {
		now = later
	}
	return now, newest, err
}

// finish adds the results of the walk to the answer.
func (w *relationWalk) finish(graph *RelationGraph) {
	graph.Objects, graph.Relations, graph.Exact = w.objects, w.relations, w.exact
	graph.Total = len(w.relations)
	graph.Final = graph.Final && w.exact
	for _, g := range w.gaps {
		if w.involved[g.GroupResource()] || w.owners[g.GroupResource()] {
			graph.Gaps = append(graph.Gaps, g)
			graph.Final = graph.Final && !g.Open()
		}
	}
	known := func(r history.Resource) bool {
		return slices.ContainsFunc(graph.Coverage.Unrecorded, func(u history.UnrecordedResource) bool {
			return same(u.Resource, r)
		})
	}
	for _, u := range w.all.unrecorded {
		if w.involved[u.Resource.GroupResource()] && !known(u.Resource) {
			graph.Coverage.Unrecorded = append(graph.Coverage.Unrecorded, u)
		}
	}
	late := func(r history.Resource) bool {
		return slices.ContainsFunc(graph.Coverage.Late, func(l history.Resource) bool { return same(l, r) })
	}
	for _, r := range w.all.catalogue {
		if w.involved[r.GroupResource()] && r.Since.After(w.at) && !late(r) {
			graph.Coverage.Late = append(graph.Coverage.Late, r)
		}
	}
	slices.SortFunc(graph.Coverage.Unrecorded, func(a, b history.UnrecordedResource) int {
		return compareResources(a.Resource, b.Resource)
	})
	slices.SortFunc(graph.Coverage.Late, compareResources)
}

// compareResources orders resources by group and plural.
func compareResources(a, b history.Resource) int {
	return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Plural, b.Plural))
}

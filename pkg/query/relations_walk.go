package query

import (
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/relation"
)

// Bounds of a [RelationGraph].
const (
	maxRelatedObjects = 2_000
	maxRelations      = 10_000
)

// relationWalk walks over the objects that are related to one, level by level.
// No read of the log runs within another one.
type relationWalk struct {
	service *Service
	rules   relation.Rules
	all     sight
	at      time.Time // the question's time
	until   time.Time // the time of the states to read
	effort  int       // records that may still be read; 4 KiB of an object are another one
	allowed int       // effort when the walk began
	stop    time.Time // zero: never
	narrow  bool      // as in [Relations]

	// The object that the question is about. named is what the caller may read
	// of it, because the question has its name.
	resources []history.Resource
	namespace string
	name      string
	named     history.View

	gaps   []history.Gap // of all resources, that touch the time
	views  map[viewKey]history.View
	seen   map[history.NamespaceScope]sight // what may be owned
	inside map[string]labels.Set            // the labels of namespaces
	// involved are the resources that the answer depends on, and owners those
	// that may contain owned objects. The caller may read both.
	involved, owners map[schema.GroupResource]bool

	objects   []RelatedObject
	details   []relatedDetail // of the objects
	index     map[relatedKey]int
	relations []Relation
	known     map[Relation]bool
	exact     bool
}

// viewKey is a resource and the namespaces that a view of it is about.
type viewKey struct {
	resource schema.GroupResource
	scope    history.NamespaceScope
}

// relatedKey identifies an object of the graph. If its resource is not known,
// its kind is. Without a name, the state distinguishes a whole resource from an
// empty selection.
type relatedKey struct {
	ref   history.ObjectRef
	kind  string
	state RelatedState
}

// relatedDetail is what a walk needs of an object.
type relatedDetail struct {
	labels   labels.Set
	expanded bool // its relations are in the graph
}

// newRelationWalk returns a walk that ends after half of the time that its
// context has, so that an answer that takes long is not exact, and not an
// error.
func newRelationWalk(ctx context.Context, s *Service, all sight) *relationWalk {
	w := &relationWalk{
		service: s, rules: relation.All(), all: all, effort: s.options.Effort, exact: true,
		views: map[viewKey]history.View{}, seen: map[history.NamespaceScope]sight{}, inside: map[string]labels.Set{},
		involved: map[schema.GroupResource]bool{}, owners: map[schema.GroupResource]bool{},
		index: map[relatedKey]int{}, known: map[Relation]bool{},
	}
	if deadline, limited := ctx.Deadline(); limited {
		w.stop = time.Now().Add(time.Until(deadline) / 2)
	}
	return w
}

// walk finds the relations of the question's object.
func (w *relationWalk) walk(ctx context.Context, depth int) error {
	record, err := w.root(ctx)
	if err != nil {
		return err
	}
	if err := w.ancestors(ctx, record); err != nil {
		return err
	}
	descendants, err := w.owned(ctx, 0, ownershipDepth)
	if err != nil {
		return err
	}
	if err := w.uses(ctx, 0, record); err != nil {
		return err
	}
	if err := w.usedBy(ctx, append([]int{0}, descendants...), false); err != nil {
		return err
	}
	for range depth - 1 {
		if err := w.deeper(ctx); err != nil {
			return err
		}
	}
	return nil
}

// deeper finds the relations of all objects that were found before.
func (w *relationWalk) deeper(ctx context.Context) error {
	var level []int
	for i := range w.objects {
		if w.objects[i].Version != nil && !w.details[i].expanded {
			level = append(level, i)
		}
	}
	for _, i := range level {
		ref := w.objects[i].Ref
		view, err := w.view(ctx, ref.Scope(), ref.GroupResource())
		if err != nil {
			return err
		}
		record, err := w.read(ctx, ref, view)
		if err != nil {
			return err
		}
		if err := w.uses(ctx, i, record); err != nil {
			return err
		}
		if _, err := w.owned(ctx, i, 1); err != nil {
			return err
		}
	}
	return w.usedBy(ctx, level, w.narrow)
}

// exhausted reports whether nothing more must be read. The answer is then not
// exact.
func (w *relationWalk) exhausted() bool {
	if w.effort > 0 && (w.stop.IsZero() || time.Now().Before(w.stop)) {
		return false
	}
	w.exact = false
	return true
}

// spend counts the effort of a record that was read.
func (w *relationWalk) spend(r *history.Record) { w.effort -= 1 + len(r.Object)/effortBytes }

// add returns the position of an object of the graph, and adds it unless it is
// there. It returns -1 if the graph is full.
func (w *relationWalk) add(o RelatedObject) int {
	key := relatedKey{ref: o.Ref}
	if o.Ref.Resource == "" {
		key.kind = o.Kind
	}
	if o.Ref.Name == "" {
		key.state = o.State
	}
	if i, there := w.index[key]; there {
		return i
	}
	if len(w.objects) == maxRelatedObjects {
		w.exact = false
		return -1
	}
	i := len(w.objects)
	w.index[key] = i
	w.objects = append(w.objects, o)
	w.details = append(w.details, relatedDetail{})
	return i
}

// addVersion adds an object that existed.
func (w *relationWalk) addVersion(r *history.Record) int {
	bare := *r
	bare.Object = nil
	return w.add(RelatedObject{Ref: r.Ref, Kind: r.Kind, State: Existed, Version: &bare})
}

// relate adds a relation between two objects, unless one of them is not in the
// graph.
func (w *relationWalk) relate(r Relation) {
	if r.From < 0 || r.To < 0 || w.known[r] {
		return
	}
	if len(w.relations) == maxRelations {
		w.exact = false
		return
	}
	w.known[r] = true
	w.relations = append(w.relations, r)
}

// view returns what the caller may read of resources in a scope. It notes that
// the answer depends on them.
func (w *relationWalk) view(
	ctx context.Context, of history.NamespaceScope, resources ...schema.GroupResource,
) (history.View, error) {
	if w.service.caller == nil {
		for _, r := range resources {
			w.involved[r] = true
		}
		return nil, nil
	}
	var unknown []history.Resource
	for _, r := range resources {
		if _, decided := w.views[viewKey{r, of}]; decided {
			continue
		}
		w.views[viewKey{r, of}] = history.View{}
		if known, is := w.resource(r); is {
			unknown = append(unknown, known)
		}
	}
	decided, err := w.service.decide(ctx, unknown, of, "", earlier{})
	if err != nil {
		return nil, rightsError(err)
	}
	for r, grant := range decided.view {
		w.views[viewKey{r, of}] = history.View{r: grant}
	}
	all := history.View{}
	for _, r := range resources {
		all = merged(all, w.views[viewKey{r, of}])
		w.involved[r] = w.involved[r] || all.Touches(r)
	}
	return all, nil
}

// resource returns a resource that is or was recorded or served.
func (w *relationWalk) resource(r schema.GroupResource) (history.Resource, bool) {
	for _, known := range w.everyResource() {
		if known.GroupResource() == r {
			return known, true
		}
	}
	return history.Resource{}, false
}

// everyResource returns the resources of the catalogue, followed by those of
// the last discovery.
func (w *relationWalk) everyResource() []history.Resource {
	return slices.Concat(w.all.catalogue, w.service.options.Served())
}

// read returns the version of an object with its contents, or nil if there was
// none. Without a UID it is any incarnation.
func (w *relationWalk) read(ctx context.Context, of history.ObjectRef, view history.View) (*history.Record, error) {
	if w.exhausted() {
		return nil, nil
	}
	filter := history.Filter{
		Resources: []schema.GroupResource{of.GroupResource()}, Namespace: of.Scope(), Name: of.Name, UID: of.UID,
		View: view,
	}
	w.effort--
	var newest *history.Record
	for r, err := range w.service.reader.State(ctx, history.StateScan{Filter: filter, At: w.until, Bodies: true}) {
		if err != nil {
			return nil, err
		}
		if w.spend(r); newest == nil || r.Time.After(newest.Time) {
			newest = r
		}
	}
	return newest, nil
}

// root adds the question's object as the first one, and returns its version. If
// the type names several resources, it is the first one that has the object.
func (w *relationWalk) root(ctx context.Context) (*history.Record, error) {
	for _, r := range w.resources {
		ref := history.ObjectRef{Group: r.Group, Resource: r.Plural, Namespace: w.namespace, Name: w.name}
		record, err := w.read(ctx, ref, w.named)
		if err != nil {
			return nil, err
		}
		if record != nil {
			w.involved[ref.GroupResource()] = true
			w.details[w.addVersion(record)].labels = relation.Labels(record.Object)
			return record, nil
		}
	}
	first := w.resources[0]
	ref := history.ObjectRef{Group: first.Group, Resource: first.Plural, Namespace: w.namespace, Name: w.name}
	w.involved[ref.GroupResource()] = w.named.Touches(ref.GroupResource())
	w.add(RelatedObject{Ref: ref, Kind: first.Kind, State: w.absent(ref, w.named)})
	return nil, nil
}

// absent returns the state of an object that has no version at the time, as far
// as a view shows it.
func (w *relationWalk) absent(ref history.ObjectRef, view history.View) RelatedState {
	return w.absentIn(ref, ref.Scope(), view)
}

// absentIn is absent for the objects of a scope.
func (w *relationWalk) absentIn(
	ref history.ObjectRef, of history.NamespaceScope, view history.View,
) RelatedState {
	r := ref.GroupResource()
	if view != nil && !view[r].All {
		if since, granted := view[r].Namespaces[ref.Namespace]; !granted || since.After(w.at) {
			return NotRecorded
		}
	}
	recorded := recordedIn([]scope{{namespace: of}}, w.all.catalogue, w.all.unrecorded)
	switch {
	case !slices.ContainsFunc(recorded, func(known history.Resource) bool {
		return known.GroupResource() == r && !known.Since.After(w.at)
	}):
	case slices.ContainsFunc(w.gaps, func(g history.Gap) bool { return g.GroupResource() == r }):
	case slices.ContainsFunc(w.all.rules, func(rule history.IgnoreRule) bool {
		return (rule.Resource == r || rule.Resource == schema.GroupResource{}) && len(rule.Changes) == 0 &&
			(rule.Whole() || slices.Contains(rule.Namespaces, ref.Namespace))
	}):
	case w.exhausted(): // perhaps it was not read
	default:
		return Missing
	}
	return NotRecorded
}

// readGaps reads the gaps of all resources that touch the time.
func (w *relationWalk) readGaps(ctx context.Context) (err error) {
	w.gaps, err = w.service.reader.Gaps(ctx, nil, w.at, w.at.Add(1))
	return err
}

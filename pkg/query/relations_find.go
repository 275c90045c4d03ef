package query

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/relation"
)

// relationsPerObject bounds the relations that are read from one object, so
// that a single one can't fill the graph.
const relationsPerObject = 2_000

// found returns the relations of a version to others.
func (w *relationWalk) found(r *history.Record, rules relation.Rules) relation.Found {
	found := rules.Of(relation.Object{
		Group: r.Ref.Group, Resource: r.Ref.Resource, Namespace: r.Ref.Namespace, Name: r.Ref.Name, JSON: r.Object,
	}, relationsPerObject)
	w.exact = w.exact && found.Complete
	return found
}

// confirm reports whether a reference is one. A guess is only if objects are
// recorded, and visible to the caller, that it may lead to. It completes the
// reference. It must not be called while the log is read.
//
// If the group is not known, it is the one that was guessed, or the only one
// that has the kind.
func (w *relationWalk) confirm(ctx context.Context, ref *relation.Reference) (bool, error) {
	if !ref.Guess {
		return true, nil
	}
	var best history.Resource
	found := 0
	for _, r := range w.all.catalogue {
		namespace := ref.Namespace
		if !r.Scoped(true) {
			namespace = ""
		}
		if !mayMean(ref, r) || !r.Scoped(namespace != "") {
			continue
		}
		view, err := w.view(ctx, history.ScopeOf(namespace), r.GroupResource())
		if err != nil {
			return false, err
		}
		if view != nil && !view.MayContain(r.GroupResource(), namespace) {
			continue
		}
		if found++; found == 1 || r.Group == ref.Group {
			best = r
		}
	}
	if found == 0 || found > 1 && best.Group != ref.Group {
		return false, nil
	}
	ref.Group, ref.Resource = best.Group, best.Plural
	if !best.Scoped(true) {
		ref.Namespace = ""
	}
	return true, nil
}

// mayMean reports whether a guess may be about a resource.
func mayMean(ref *relation.Reference, r history.Resource) bool {
	if r.Group != ref.Group && (!ref.AnyGroup || !relation.IsCustom(r.Group)) {
		return false
	}
	return ref.Resource == r.Plural || ref.Resource == "" && slices.Contains(r.Kinds(), ref.Kind)
}

// ownership returns the rule of ownerReferences.
func (w *relationWalk) ownership() relation.Rules {
	return slices.DeleteFunc(slices.Clone(w.rules), func(r relation.Rule) bool { return r.Name != relation.Owner })
}

// ancestors adds the owners of the first object, and their owners.
func (w *relationWalk) ancestors(ctx context.Context, record *history.Record) error {
	type owner struct {
		at     int
		record *history.Record
	}
	level, rule := []owner{{0, record}}, w.ownership()
	for range ownershipDepth {
		var next []owner
		for _, o := range level {
			if o.record == nil {
				continue
			}
			for _, ref := range w.found(o.record, rule).References {
				before := len(w.objects)
				at, record, err := w.refer(ctx, o.at, ref)
				if err != nil {
					return err
				}
				if at >= before {
					next = append(next, owner{at, record})
				}
			}
		}
		level = next
	}
	w.exact = w.exact && len(level) == 0
	return nil
}

// owned adds what an object owns, level by level, and returns it.
func (w *relationWalk) owned(ctx context.Context, owner, depth int) (all []int, err error) {
	level, rule := []int{owner}, w.ownership()
	for range depth {
		var next []int
		for _, i := range level {
			children, err := w.children(ctx, i)
			if err != nil {
				return all, err
			}
			for _, child := range children {
				before := len(w.objects)
				at := w.addVersion(child)
				for _, ref := range w.found(child, rule).References {
					if at >= 0 && ref.UID == w.objects[i].Ref.UID {
						w.relate(Relation{From: at, To: i, Rule: ref.Rule, Path: ref.Path})
					}
				}
				if at >= before {
					w.details[at].labels = relation.Labels(child.Object)
					next = append(next, at)
				}
			}
		}
		level = next
		all = append(all, level...)
	}
	w.exact = w.exact && (len(level) == 0 || depth == 1)
	return all, nil
}

// children returns the versions of the objects that an object owns.
func (w *relationWalk) children(ctx context.Context, owner int) ([]*history.Record, error) {
	o := &w.objects[owner]
	if o.State != Existed || o.Ref.UID == "" || w.exhausted() {
		return nil, nil
	}
	of := history.AllNamespaces
	if o.Ref.Namespace != "" {
		of = o.Ref.Scope()
	}
	seen, known := w.seen[of]
	if !known {
		var err error
		if seen, err = w.service.see(ctx, w.all, "", scope{namespace: of}); err != nil {
			return nil, err
		}
		w.seen[of] = seen
	}
	for _, r := range seen.catalogue {
		if r.Scoped(true) || of == history.AllNamespaces {
			w.owners[r.GroupResource()] = true
		}
	}
	scan := history.Scan{
		Filter: history.Filter{Owner: o.Ref.UID, End: w.until.Add(1), View: seen.view}, Order: history.NewestFirst,
	}
	read, alive := map[types.UID]bool{}, []history.ObjectRef{}
	for r, err := range w.service.reader.Scan(ctx, scan) {
		if err != nil {
			return nil, err
		}
		if w.spend(r); w.exhausted() || len(alive) == maxRelatedObjects {
			w.exact = false
			break
		}
		if !read[r.Ref.UID] && r.Verb != history.Delete {
			alive = append(alive, r.Ref)
		}
		read[r.Ref.UID] = true
	}
	slices.SortFunc(alive, history.ObjectRef.Compare)
	var children []*history.Record
	for _, ref := range alive {
		child, err := w.read(ctx, ref, seen.view)
		if err != nil {
			return nil, err
		}
		if child != nil && slices.Contains(child.Owners, o.Ref.UID) {
			children = append(children, child)
		}
	}
	return children, nil
}

// uses adds what an object leads to. record is its version, or nil.
func (w *relationWalk) uses(ctx context.Context, from int, record *history.Record) error {
	if record == nil {
		return nil
	}
	w.details[from] = relatedDetail{labels: relation.Labels(record.Object), expanded: true}
	found := w.found(record, w.rules)
	for _, ref := range found.References {
		is, err := w.confirm(ctx, &ref)
		if err != nil {
			return err
		}
		if !is {
			continue
		}
		if _, _, err := w.refer(ctx, from, ref); err != nil {
			return err
		}
	}
	selected := map[viewKey][]relation.Selection{}
	for _, s := range found.Selections {
		of := viewKey{schema.GroupResource{Group: s.Group, Resource: s.Resource}, s.Namespace}
		if !s.Whole {
			selected[of] = append(selected[of], s)
			continue
		}
		if err := w.whole(ctx, from, of, s, Existed); err != nil {
			return err
		}
	}
	for _, of := range slices.SortedFunc(maps.Keys(selected), func(a, b viewKey) int {
		return cmp.Or(cmp.Compare(a.resource.String(), b.resource.String()), cmp.Compare(a.scope, b.scope))
	}) {
		if err := w.selects(ctx, from, of, selected[of]); err != nil {
			return err
		}
	}
	return nil
}

// refer adds the object that another one names, and the relation. It returns
// the object's position, and its version if the object was added.
func (w *relationWalk) refer(ctx context.Context, from int, ref relation.Reference) (int, *history.Record, error) {
	o, view, possible, err := w.resolve(ctx, ref)
	if err != nil || !possible || w.exhausted() {
		return -1, nil, err
	}
	if w.isRoot(o.Ref) {
		w.relate(Relation{From: from, Rule: ref.Rule, Path: ref.Path, Optional: ref.Optional})
		return 0, nil, nil
	}
	var record *history.Record
	if o.Ref.Resource != "" {
		if record, err = w.read(ctx, o.Ref, view); err != nil {
			return -1, nil, err
		}
	}
	var at int
	if record != nil {
		at = w.addVersion(record)
	} else {
		o.State = NotRecorded
		if o.Ref.Resource != "" {
			o.State = w.absent(o.Ref, view)
		}
		at = w.add(o)
	}
	w.relate(Relation{From: from, To: at, Rule: ref.Rule, Path: ref.Path, Optional: ref.Optional})
	return at, record, nil
}

// isRoot reports whether a reference is to the question's object. What the
// caller may read of that one depends on its name.
func (w *relationWalk) isRoot(ref history.ObjectRef) bool {
	root := w.objects[0].Ref
	if ref.UID == "" || root.UID == "" {
		ref.UID, root.UID = "", ""
	}
	return ref == root
}

// resolve returns the object that a reference names, and what the caller may
// read of its resource. It reports false if there can be no such object.
//
// A kind is that of a resource in the catalogue or in the last discovery. A
// resource that only the catalogue has is found only if the caller may read it.
func (w *relationWalk) resolve(
	ctx context.Context, ref relation.Reference,
) (o RelatedObject, view history.View, possible bool, err error) {
	o = RelatedObject{
		Ref: history.ObjectRef{
			Group: ref.Group, Resource: ref.Resource, Namespace: ref.Namespace, Name: ref.Name, UID: ref.UID,
		},
		Kind: ref.Kind,
	}
	if history.IsReserved(o.Ref.GroupResource()) {
		return o, nil, false, nil
	}
	served := w.service.options.Served()
	for i, r := range slices.Concat(served, w.all.catalogue) {
		if r.Group != ref.Group || ref.Resource != "" && r.Plural != ref.Resource ||
			ref.Resource == "" && !slices.Contains(r.Kinds(), ref.Kind) {
			continue
		}
		namespace := ref.Namespace
		if !r.Scoped(true) {
			namespace = ""
		}
		if !r.Scoped(namespace != "") {
			continue
		}
		view, err := w.view(ctx, history.ScopeOf(namespace), r.GroupResource())
		if err != nil {
			return o, nil, false, err
		}
		if i < len(served) || view.MayContain(r.GroupResource(), namespace) {
			o.Ref.Resource, o.Ref.Namespace = r.Plural, namespace
			o.Kind = cmp.Or(o.Kind, r.Kind)
			return o, view, true, nil
		}
	}
	if ref.Resource != "" {
		view, err = w.view(ctx, o.Ref.Scope(), o.Ref.GroupResource())
	}
	return o, view, true, err
}

// whole adds a relation to a whole resource.
func (w *relationWalk) whole(
	ctx context.Context, from int, of viewKey, s relation.Selection, state RelatedState,
) error {
	namespace, _ := of.scope.Namespace()
	o := RelatedObject{
		Ref:   history.ObjectRef{Group: s.Group, Resource: s.Resource, Namespace: namespace},
		State: state,
	}
	if s.Group != everyResource && s.Resource != everyResource {
		view, err := w.view(ctx, of.scope, of.resource)
		if err != nil {
			return err
		}
		if w.absentIn(o.Ref, of.scope, view) == NotRecorded {
			o.State = NotRecorded
		}
	}
	w.relate(Relation{From: from, To: w.add(o), Rule: s.Rule, Path: s.Path})
	return nil
}

// selects adds the objects of one place that an object selects. If a selector
// with labels selects none, the relation is to the whole resource, which is
// then missing.
func (w *relationWalk) selects(ctx context.Context, from int, of viewKey, selections []relation.Selection) error {
	view, err := w.view(ctx, of.scope, of.resource)
	if err != nil {
		return err
	}
	matches, n := make([][]*history.Record, len(selections)), 0
	complete, err := w.state(ctx, of.scope, []schema.GroupResource{of.resource}, view, func(r *history.Record) bool {
		t := relation.Target{
			Group: r.Ref.Group, Resource: r.Ref.Resource, Namespace: r.Ref.Namespace, Name: r.Ref.Name,
			Labels: relation.Labels(r.Object),
		}
		r.Object = nil
		for i := range selections {
			if selections[i].Selects(&t) {
				matches[i] = append(matches[i], r)
				n++
			}
		}
		return n <= maxRelations
	})
	if err != nil {
		return err
	}
	for i, s := range selections {
		for _, r := range matches[i] {
			w.relate(Relation{From: from, To: w.addVersion(r), Rule: s.Rule, Path: s.Path})
		}
		if len(matches[i]) == 0 && complete && !s.Labels.Empty() {
			if err := w.whole(ctx, from, of, s, Missing); err != nil {
				return err
			}
		}
	}
	return nil
}

// state calls f for the versions of a state with their contents, until it
// returns false. It reports whether all of them were read.
func (w *relationWalk) state(
	ctx context.Context, of history.NamespaceScope, resources []schema.GroupResource, view history.View,
	f func(*history.Record) bool,
) (complete bool, err error) {
	scan := history.StateScan{
		Filter: history.Filter{Resources: resources, Namespace: of, View: view}, At: w.until, Bodies: true,
	}
	if w.exhausted() {
		return false, nil
	}
	for r, err := range w.service.reader.State(ctx, scan) {
		if err != nil {
			return false, err
		}
		if w.spend(r); w.exhausted() {
			return false, nil
		}
		if !f(r) {
			w.exact = false
			return false, nil
		}
	}
	return true, nil
}

// usedBy adds what leads to some objects of the graph, with or without pods.
func (w *relationWalk) usedBy(ctx context.Context, targets []int, withoutPods bool) error {
	search := relationSearch{w: w, places: map[history.NamespaceScope]map[schema.GroupResource]bool{}}
	for _, i := range targets {
		if err := search.add(ctx, i); err != nil {
			return err
		}
	}
	for _, of := range slices.Sorted(maps.Keys(search.places)) {
		resources := search.places[of]
		if withoutPods {
			delete(resources, podsOf)
		}
		if of != history.AllNamespaces {
			maps.DeleteFunc(resources, func(r schema.GroupResource, _ bool) bool {
				return search.places[history.AllNamespaces][r]
			})
		}
		if err := search.read(ctx, of, slices.SortedFunc(maps.Keys(resources), func(a, b schema.GroupResource) int {
			return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Resource, b.Resource))
		})); err != nil {
			return err
		}
	}
	for _, only := range search.only {
		if err := search.readOnly(ctx, only); err != nil {
			return err
		}
	}
	return nil
}

// relateOwners adds the ownership among the objects of the graph, so that
// readers can group them. It needs no further reads.
func (w *relationWalk) relateOwners() {
	existing := map[types.UID]int{}
	for i := range w.objects {
		if uid := w.objects[i].Ref.UID; w.objects[i].State == Existed && uid != "" {
			existing[uid] = i
		}
	}
	for i := range w.objects {
		if w.objects[i].Version == nil {
			continue
		}
		for _, uid := range w.objects[i].Version.Owners {
			if owner, there := existing[uid]; there {
				path := relation.OwnerPath(w.objects[owner].Ref.Name)
				w.relate(Relation{From: i, To: owner, Rule: relation.Owner, Path: path})
			}
		}
	}
}

// relationSearch searches for what leads to the targets.
type relationSearch struct {
	w       *relationWalk
	targets []searchTarget
	places  map[history.NamespaceScope]map[schema.GroupResource]bool // where it may be
	only    []history.ObjectRef                                      // objects that may lead to a target
}

// searchTarget is an object of the graph with its position.
type searchTarget struct {
	relation.Target

	at      int
	existed bool
	named   bool // references may name it
}

// relationMatch is a relation that was found. Its From is not known yet.
type relationMatch struct {
	from   *history.Record
	target *searchTarget
	guess  *relation.Reference // nil: the relation is certain
	Relation
}

// add adds a target, and the places that may have something that leads to it.
func (s *relationSearch) add(ctx context.Context, i int) error {
	o := &s.w.objects[i]
	t := searchTarget{at: i, existed: o.State == Existed, Target: relation.Target{
		Group: o.Ref.Group, Resource: o.Ref.Resource, Kinds: []string{o.Kind}, Namespace: o.Ref.Namespace,
		Name: o.Ref.Name, UID: o.Ref.UID, Labels: s.w.details[i].labels,
	}}
	if t.existed && t.Namespace != "" {
		var err error
		if t.NamespaceLabels, err = s.w.labelsOf(ctx, t.Namespace); err != nil {
			return err
		}
	}
	for _, rule := range s.w.rules.To(o.Ref.GroupResource()) {
		switch {
		case rule.Name == relation.Owner || rule.Selects && !t.existed:
		case rule.Only != nil:
			for _, from := range rule.From {
				name := rule.Only(o.Ref.GroupResource())
				only := history.ObjectRef{Group: from.Group, Resource: from.Resource, Name: name}
				if !slices.Contains(s.only, only) {
					s.only = append(s.only, only)
				}
			}
		default:
			t.named = t.named || !rule.Selects
			s.addPlaces(rule, o.Ref.Namespace)
		}
	}
	s.targets = append(s.targets, t)
	return nil
}

// addPlaces adds the places of the objects that a rule may lead from.
func (s *relationSearch) addPlaces(rule relation.Rule, namespace string) {
	of := history.ScopeOf(namespace)
	if rule.Across && !rule.Near || namespace == "" {
		of = history.AllNamespaces
	}
	if s.places[of] == nil {
		s.places[of] = map[schema.GroupResource]bool{}
	}
	for _, from := range rule.From {
		s.places[of][from] = true
	}
	for _, r := range s.w.all.catalogue {
		if rule.Custom && relation.IsCustom(r.Group) {
			s.places[of][r.GroupResource()] = true
		}
	}
}

// read reads the objects of resources in a scope, and adds those that lead to a
// target.
func (s *relationSearch) read(ctx context.Context, of history.NamespaceScope, all []schema.GroupResource) error {
	view, err := s.w.view(ctx, of, all...)
	if err != nil {
		return err
	}
	known := slices.DeleteFunc(all, func(r schema.GroupResource) bool {
		return !view.Touches(r) || !slices.ContainsFunc(s.w.all.catalogue, func(known history.Resource) bool {
			return known.GroupResource() == r
		})
	})
	if len(known) == 0 {
		return nil
	}
	var matches []relationMatch
	if _, err := s.w.state(ctx, of, known, view, func(r *history.Record) bool {
		matches = append(matches, s.match(r)...)
		return len(matches) <= maxRelations
	}); err != nil {
		return err
	}
	return s.addMatches(ctx, matches)
}

// readOnly reads one object, and adds it if it leads to a target.
func (s *relationSearch) readOnly(ctx context.Context, of history.ObjectRef) error {
	view, err := s.w.view(ctx, of.Scope(), of.GroupResource())
	if err != nil {
		return err
	}
	record, err := s.w.read(ctx, of, view)
	if err != nil || record == nil {
		return err
	}
	return s.addMatches(ctx, s.match(record))
}

// addMatches adds relations to the graph, unless they are guesses about other
// objects.
func (s *relationSearch) addMatches(ctx context.Context, matches []relationMatch) error {
	for _, m := range matches {
		if m.guess != nil {
			is, err := s.w.confirm(ctx, m.guess)
			if err != nil {
				return err
			}
			if !is || !m.guess.Names(&m.target.Target) {
				continue
			}
		}
		m.From = s.w.addVersion(m.from)
		s.w.relate(m.Relation)
	}
	return nil
}

// match returns the relations of an object to the targets. It drops the
// object's contents.
func (s *relationSearch) match(r *history.Record) (matches []relationMatch) {
	object := r.Object
	defer func() { r.Object = nil }()
	if !s.mayMatch(r, object) {
		return nil
	}
	found := s.w.found(r, s.w.rules)
	for i := range s.targets {
		t := &s.targets[i]
		for j := range found.References {
			ref := found.References[j]
			if !t.named || ref.Rule == relation.Owner || !mayName(ref, t) {
				continue
			}
			m := relationMatch{from: r, target: t, Relation: Relation{
				To: t.at, Rule: ref.Rule, Path: ref.Path, Optional: ref.Optional,
			}}
			if ref.Guess {
				m.guess = &ref
			}
			matches = append(matches, m)
		}
		for j := range found.Selections {
			if by := &found.Selections[j]; t.existed && by.Selects(&t.Target) {
				by := Relation{To: t.at, Rule: by.Rule, Path: by.Path}
				matches = append(matches, relationMatch{from: r, target: t, Relation: by})
			}
		}
	}
	return matches
}

// mayName reports whether a reference names a target, whatever the group of a
// guess is.
func mayName(ref relation.Reference, t *searchTarget) bool {
	if ref.AnyGroup {
		ref.Group = t.Group
	}
	return ref.Names(&t.Target)
}

// needleLimit bounds the names that an object is searched for before it is
// decoded.
const needleLimit = 16

// mayMatch reports whether an object has to be decoded. An object that selects
// nothing can lead only to those whose names it contains.
func (s *relationSearch) mayMatch(r *history.Record, object []byte) bool {
	if slices.ContainsFunc(s.w.rules, func(rule relation.Rule) bool {
		return rule.Selects && rule.Applies(r.Ref.Group, r.Ref.Resource)
	}) {
		return true
	}
	needles := 0
	for i := range s.targets {
		t := &s.targets[i]
		if !t.named {
			continue
		}
		// JSON may escape other characters.
		plain := !strings.ContainsFunc(t.Name, func(c rune) bool {
			return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != ':'
		})
		if needles++; needles > needleLimit || !plain || bytes.Contains(object, []byte(t.Name)) {
			return true
		}
	}
	return false
}

// labelsOf returns the labels of a namespace. The API server sets one of them,
// which is known in any case.
func (w *relationWalk) labelsOf(ctx context.Context, namespace string) (labels.Set, error) {
	if set, known := w.inside[namespace]; known {
		return set, nil
	}
	ref := history.ObjectRef{Resource: "namespaces", Name: namespace}
	view, err := w.view(ctx, history.ClusterScoped, ref.GroupResource())
	if err != nil {
		return nil, err
	}
	record, err := w.read(ctx, ref, view)
	if err != nil {
		return nil, err
	}
	set := labels.Set{}
	if record != nil {
		set = relation.Labels(record.Object)
	}
	set["kubernetes.io/metadata.name"] = namespace
	w.inside[namespace] = set
	return set, nil
}

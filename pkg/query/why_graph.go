package query

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/symptom"
	"github.com/watchhistory/watchhistory/pkg/why"
)

// The rules of package relation that lead to objects whose symptoms are those
// of the object of the question, too.
const (
	ruleOwner    = "owner"
	ruleRole     = "roleRef"
	ruleSelector = "selector" // of a Service
	ruleBackend  = "backend"  // of a route
)

// The codes of symptoms that relations show. Those of package symptom come from
// one version.
const (
	codeNoEndpoints = "NoEndpoints"
	codeMissing     = "MissingReference"
)

const (
	// maxMoments bounds the times at which a reference may have begun to
	// dangle.
	maxMoments = 1_000
	// manyMoments is the number of these that are tried one by one.
	manyMoments = 16
)

// graphAt returns the relations of the object at a time, with the owners of
// what it selects. The graph is empty if the object did not exist.
func (w *investigation) graphAt(ctx context.Context, at time.Time) (RelationGraph, error) {
	graph, err := w.relationsAt(ctx, at, 2)
	if err == nil && len(graph.Objects) > 0 {
		err = errors.Join(w.addOwners(ctx, &graph), w.addRoles(ctx, &graph))
	}
	return graph, err
}

// relationsAt returns the relations of the object at a time. The graph is empty
// if the object did not exist.
func (w *investigation) relationsAt(ctx context.Context, at time.Time, depth int) (RelationGraph, error) {
	q := w.query
	graph, err := w.service.Relations(ctx, Relations{
		Namespace: q.Namespace, Type: q.Type, Name: q.Name, Group: q.Group, At: at, Depth: depth,
		budget: w.budget, narrow: true,
	})
	var early *TimeError
	if errors.As(err, &early) || history.CodeOf(err) == history.NotFound {
		return RelationGraph{}, nil
	}
	return graph, err
}

// maxBindings bounds the bindings whose roles are read.
const maxBindings = 10

// addRoles adds the roles that bindings of the graph give to ServiceAccounts of
// the object. They are one relation further away than other objects, and pods
// fail without them.
func (w *investigation) addRoles(ctx context.Context, graph *RelationGraph) error {
	read := 0
	for i := range graph.Objects {
		o := graph.Objects[i]
		binds := o.Ref.Resource == "rolebindings" || o.Ref.Resource == "clusterrolebindings"
		if !binds || o.Version == nil || read == maxBindings {
			continue
		}
		read++
		of, err := w.service.Relations(ctx, Relations{
			Namespace: o.Ref.Scope(), Type: o.Ref.Resource, Name: o.Ref.Name, Group: o.Ref.Group, At: graph.At,
		})
		var early *TimeError
		switch {
		case errors.As(err, &early) || history.CodeOf(err) == history.NotFound:
			continue // it did not exist
		case err != nil:
			return err
		}
		for _, r := range of.Relations {
			if r.Rule == ruleRole && r.From == 0 {
				graph.Objects = append(graph.Objects, of.Objects[r.To])
				graph.Relations = append(graph.Relations, Relation{From: i, To: len(graph.Objects) - 1, Rule: ruleRole})
			}
		}
	}
	return nil
}

// addOwners adds the owners of the objects that the object of the question
// selects, even if they were deleted since.
func (w *investigation) addOwners(ctx context.Context, graph *RelationGraph) error {
	for _, i := range graph.family() {
		if graph.Objects[i].Version == nil || i == 0 {
			continue
		}
		chain, err := w.chain(ctx, graph.Objects[i].Version)
		if err != nil {
			return err
		}
		from := i
		for _, owner := range chain[1:] {
			to := slices.IndexFunc(graph.Objects, func(o RelatedObject) bool { return o.Ref == owner.Ref })
			if to < 0 {
				to = len(graph.Objects)
				graph.Objects = append(graph.Objects, RelatedObject{
					Ref: owner.Ref, Kind: owner.Kind, State: Existed, Version: owner,
				})
			}
			graph.Relations = append(graph.Relations, Relation{From: from, To: to, Rule: ruleOwner})
			from = to
		}
	}
	return nil
}

// family returns the positions of the object, its owners and its descendants.
// The family of a Service or a route includes the pods that it leads to, with
// their owners.
func (g *RelationGraph) family() []int {
	in := map[int]bool{0: true}
	for changed := true; changed; {
		changed = false
		for _, r := range g.Relations {
			if in[r.From] == in[r.To] {
				continue
			}
			leads := r.Rule == ruleOwner || in[r.From] && (r.Rule == ruleBackend || g.selectsPods(r))
			if leads {
				in[r.From], in[r.To], changed = true, true, true
			}
		}
	}
	var all []int
	for i := range g.Objects {
		if in[i] {
			all = append(all, i)
		}
	}
	return all
}

// selectsPods reports whether a relation leads from a Service to its pods.
// Only the object of the question and its backends matter: a Deployment is not
// the owner of what else its Service selects.
func (g *RelationGraph) selectsPods(r Relation) bool {
	if r.Rule != ruleSelector || g.Objects[r.From].Ref.GroupResource() != (schema.GroupResource{Resource: "services"}) {
		return false
	}
	return r.From == 0 || slices.ContainsFunc(g.Relations, func(other Relation) bool {
		return other.From == 0 && other.To == r.From && other.Rule == ruleBackend
	})
}

// neighbour is an object near the one with the problem.
type neighbour struct {
	RelatedObject

	distance why.Distance
	path     []PathStep
	verbs    []history.Verb // of its changes; empty: all
	named    bool           // by a symptom
}

// neighbours returns the objects near the one with the problem, at the time and
// earlier: what a pod used that does not exist any more may be the cause. The
// namespace of the object is one of them.
func (w *investigation) neighbours() []neighbour {
	all := w.graph.neighbours()
	index := map[string]int{}
	for i := range all {
		index[nameOf(all[i].Ref)] = i
	}
	for i := range w.former {
		for _, former := range w.former[i].neighbours() {
			i, known := index[nameOf(former.Ref)]
			switch {
			case !known:
				index[nameOf(former.Ref)] = len(all)
				all = append(all, former)
			case former.distance < all[i].distance:
				all[i].distance, all[i].path = former.distance, former.path
			}
		}
	}
	if namespace := w.answer.Of.Ref.Namespace; namespace != "" {
		of := history.ObjectRef{Resource: "namespaces", Name: namespace}
		all = append(all, neighbour{
			RelatedObject: RelatedObject{Ref: of, Kind: "Namespace", State: Existed},
			distance:      why.Direct, path: []PathStep{{"namespace", of, "Namespace"}},
			verbs: []history.Verb{history.Update},
		})
	}
	return all
}

// others selects changes of objects without a relation that may be candidates.
type others struct {
	history.Filter

	distance why.Distance
	within   time.Duration // before the onset
}

// others returns the changes in the namespace of the object and of
// cluster-scoped objects. Deletions in the namespace are few, so they are read
// for a longer time, and separately: many updates must not displace them. So
// are changes of admission, which concern objects without naming them.
func (w *investigation) others() []others {
	own := history.Filter{Namespace: w.answer.Of.Ref.Scope()}
	global := history.Filter{Namespace: history.ClusterScoped}
	deleted, globallyDeleted, admission := own, global, global
	deleted.Verbs = []history.Verb{history.Delete}
	globallyDeleted.Verbs = deleted.Verbs
	all := []others{
		{deleted, why.Nearby, w.lookback},
		{own, why.Nearby, nearbyTime},
		{globallyDeleted, why.Elsewhere, nearbyTime},
		{global, why.Elsewhere, nearbyTime},
	}
	refused := func(s ObservedSymptom) bool { return s.Code == "AdmissionDenied" || s.Code == "WebhookFailed" }
	if slices.ContainsFunc(w.answer.Symptoms, refused) {
		for _, plural := range []string{
			"validatingadmissionpolicies", "validatingadmissionpolicybindings", "mutatingadmissionpolicies",
			"mutatingadmissionpolicybindings", "validatingwebhookconfigurations", "mutatingwebhookconfigurations",
		} {
			r := schema.GroupResource{Group: "admissionregistration.k8s.io", Resource: plural}
			admission.Resources = append(admission.Resources, r)
		}
		all = append(all, others{admission, why.Elsewhere, w.lookback})
	}
	return all
}

// maxFormer bounds the deletions in a scope before which the relations are
// read.
const maxFormer = 5

// readFormer reads the relations right before the onset, and right before the
// newest deletions. An object that was deleted before the onset may have no
// relation later.
func (w *investigation) readFormer(ctx context.Context) error {
	times := []time.Time{w.answer.Onset.Add(-1)}
	for _, o := range w.others() {
		if len(o.Verbs) == 0 {
			continue
		}
		o.Classes, o.View = []history.Class{history.Root}, w.view
		o.Start, o.End = w.answer.Onset.Add(-o.within), w.answer.Onset.Add(1)
		scan := history.Scan{Filter: o.Filter, Order: history.NewestFirst, Limit: maxFormer}
		for r, err := range w.service.reader.Scan(ctx, scan) {
			if err != nil {
				return err
			}
			times = append(times, r.Time.Add(-1))
		}
	}
	for _, at := range times {
		if w.budget.isSpent() {
			w.unread(UnreadEarlierRelations, true)
			break
		}
		graph, err := w.graphAt(ctx, at)
		if err != nil {
			return err
		}
		w.unread(UnreadEarlierRelations, len(graph.Objects) > 0 && !graph.Exact)
		w.former = append(w.former, graph)
	}
	return nil
}

// minName is the length of the shortest name that is searched for in texts.
const minName = 3

// names reports whether a symptom, or the object if it is a custom resource,
// names another object.
func (w *investigation) names(other string) bool {
	if len(other) < minName || other == w.answer.Of.Ref.Name {
		return false
	}
	for i := range w.answer.Symptoms {
		if s := &w.answer.Symptoms[i]; s.Of.Ref.Name != other && hasWord(s.Text, other) {
			return true
		}
	}
	group := w.answer.Of.Ref.Group
	if !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io") || w.newestOf == nil {
		return false
	}
	return bytes.Contains(w.newestOf.Object, strconv.AppendQuote(nil, other))
}

// hasWord reports whether a text has a word that no other character of a name
// continues.
func hasWord(text, word string) bool {
	inName := func(c byte) bool { return c == '-' || c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' }
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		begin, end := from+i, from+i+len(word)
		if (begin == 0 || !inName(text[begin-1])) && (end == len(text) || !inName(text[end])) {
			return true
		}
		from = end
	}
}

// nameOf identifies an object by its resource, namespace and name.
func nameOf(ref history.ObjectRef) string {
	return ref.GroupResource().String() + "/" + ref.Namespace + "/" + ref.Name
}

// neighbours returns the objects of the graph with their distances. The family
// has none.
func (g *RelationGraph) neighbours() []neighbour {
	all := make([]neighbour, len(g.Objects))
	reached := make([]bool, len(g.Objects))
	for i := range g.Objects {
		all[i].RelatedObject = g.Objects[i]
	}
	if len(all) == 0 {
		return nil
	}
	level := g.family()
	for _, i := range level {
		reached[i] = true
	}
	for distance := why.Direct; len(level) > 0 && distance <= why.Indirect; distance++ {
		var next []int
		for _, from := range level {
			for _, r := range g.Relations {
				to := r.To
				if r.To == from {
					to = r.From
				} else if r.From != from {
					continue
				}
				if reached[to] {
					continue
				}
				reached[to] = true
				o := &all[to]
				o.distance = distance
				o.path = append(slices.Clone(all[from].path), PathStep{r.Rule, o.Ref, o.Kind})
				next = append(next, to)
			}
		}
		level = next
	}
	for i := range all {
		if !reached[i] {
			all[i].distance = why.Indirect
		}
	}
	return all
}

// dangling sets the symptom of an object that has no health of its own, such as
// a Service: it selects no pods, or names an object that does not exist.
func (w *investigation) dangling(ctx context.Context) error {
	found, at, target := w.graph.danglingOf()
	if found.Code == "" {
		return nil
	}
	since, healthy, err := w.danglingSince(ctx, at, target)
	if err != nil {
		return err
	}
	w.answer.Symptoms = []ObservedSymptom{{
		Symptom: found, Of: Subject{w.graph.Objects[at].Ref, w.graph.Objects[at].Kind}, Since: since, Count: 1,
	}}
	w.answer.Onset, w.answer.HealthyUntil = since, healthy
	w.answer.Health = symptom.Health{State: symptom.Failing, Text: found.Text}
	return nil
}

// danglingOf returns the symptom of the first required relation of the object,
// or of one of its backends, that leads nowhere. It also returns the object
// that has it, and the resource that the relation leads to.
func (g *RelationGraph) danglingOf() (found symptom.Symptom, of int, target schema.GroupResource) {
	for _, r := range g.Relations {
		to := &g.Objects[r.To]
		backend := slices.ContainsFunc(g.Relations, func(other Relation) bool {
			return other.From == 0 && other.To == r.From && other.Rule == ruleBackend
		})
		if to.State != Missing || r.Optional || r.Rule == ruleOwner || r.From != 0 && !backend {
			continue
		}
		switch {
		case to.Ref.Name != "" && r.From == 0:
			text := strings.ToLower(to.Kind) + "/" + to.Ref.Name + " does not exist"
			return symptom.Symptom{Code: codeMissing, Subject: r.Rule, Text: text}, r.From, to.Ref.GroupResource()
		case to.Ref.Name == "" && g.selectsPods(r):
			found = symptom.Symptom{Code: codeNoEndpoints, Subject: r.Rule, Text: "matches 0 pods"}
			of, target = r.From, to.Ref.GroupResource()
		}
	}
	return found, of, target
}

// danglingSince returns since when a relation of the object, or of the backend
// at a position of the graph, leads nowhere. That is the time of a change of
// the object or of an object that it may have led to. healthy is a time right
// before it, or zero if the relation never led anywhere.
func (w *investigation) danglingSince(
	ctx context.Context, of int, target schema.GroupResource,
) (since, healthy time.Time, err error) {
	begin := w.end.Add(-w.lookback)
	var moments []time.Time
	add := func(filter history.Filter) error {
		filter.Start, filter.End, filter.View = begin, w.end, w.view
		scan := history.Scan{Filter: filter, Order: history.NewestFirst, Limit: maxMoments}
		for r, err := range w.service.reader.Scan(ctx, scan) {
			if err != nil {
				return err
			}
			moments = append(moments, r.Time)
		}
		return nil
	}
	scope := w.answer.Of.Ref.Scope()
	targets := history.Filter{
		Namespace: scope, Resources: []schema.GroupResource{target},
		Verbs: []history.Verb{history.Delete},
	}
	changes := history.Filter{
		Namespace: scope, Classes: []history.Class{history.Root},
		Resources: []schema.GroupResource{
			w.answer.Of.Ref.GroupResource(), target, {Resource: "services"},
		},
	}
	if err = errors.Join(add(targets), add(changes)); err != nil {
		return since, healthy, err
	}
	slices.SortFunc(moments, func(a, b time.Time) int { return b.Compare(a) })
	depth := 1
	if of != 0 {
		depth = 2 // over a backend
	}
	// led reports whether the relation led somewhere right before a moment.
	// known is false if that was not read.
	led := func(n int) (led, known bool, err error) {
		if w.budget.isSpent() {
			return false, false, nil
		}
		graph, err := w.relationsAt(ctx, moments[n].Add(-1), depth)
		if err != nil || len(graph.Objects) == 0 {
			return false, err == nil, err
		}
		found, _, _ := graph.danglingOf()
		return found.Code == "", graph.Exact || found.Code != "", nil
	}
	n, known, err := newestLed(len(moments), led)
	w.unread(UnreadDangling, !known)
	switch {
	case err != nil || len(moments) == 0:
		return w.answer.Of.Time, healthy, err
	case n == len(moments):
		return moments[n-1], healthy, nil
	case !known:
		return moments[n], healthy, nil
	default:
		return moments[n], moments[n].Add(-1), nil
	}
}

// newestLed returns the first of n moments, newest first, before which a
// relation led somewhere, or n if there is none. If that is not known, it is
// the moment since when the relation is known to lead nowhere.
//
// The relation led somewhere for a time, and nowhere before and after it. So a
// binary search needs a moment of that time.
func newestLed(n int, led func(int) (led, known bool, err error)) (moment int, known bool, err error) {
	last, next := -1, 0
	for next < n {
		is, known, err := led(next)
		if err != nil || !known {
			return last + 1, false, err
		}
		if is {
			break
		}
		last, next = next, next+1+next/manyMoments*next
	}
	next = min(next, n)
	for next-last > 1 {
		middle := (last + next) / 2
		is, known, err := led(middle)
		if err != nil || !known {
			return last + 1, false, err
		}
		if is {
			next = middle
		} else {
			last = middle
		}
	}
	return next, true, nil
}

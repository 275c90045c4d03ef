package query

import (
	"cmp"
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/selector"
)

// Object is a query for the history of the objects that had one name, one after
// another.
type Object struct {
	Namespace history.NamespaceScope // one namespace, or [history.ClusterScoped]
	Type      string                 // one resource in any form that kubectl accepts
	Name      string
	UID       types.UID // one incarnation; "" means all
	Group     string    // as in [Timeline]

	Start, End time.Time
	// Revisions selects versions by their revision. The answer then has no
	// Events.
	Revisions []uint64
	// Verbs, Managers, Classes and Selector select the object's own records, as
	// in [Timeline], except for the selector's reasons and types of Events:
	// these select the Events.
	Verbs    []history.Verb
	Managers []string
	Classes  []history.Class
	Selector *selector.Selector
	// Descendants includes the Events regarding the object's descendants.
	Descendants bool

	Order        history.Order
	After        history.Cursor // in the object's own records
	RelatedAfter history.Cursor // in the Events
	Limit        int            // records of each list; must be positive
	Bare         bool           // without objects

	// Each, if set, is called with the versions of both pages instead of
	// collecting them: all own ones, in order, and then the Events. Otherwise
	// as in [Timeline].
	Each func(List, *Version) error
	// Rest, if set, reads a part of earlier pages again. The pages then have
	// versions only, as in [Timeline].
	Rest *Rest
}

// List is the list of an [ObjectHistory] that a version belongs to.
type List struct {
	Resource string // as in [ObjectHistory]
	Related  bool   // the Events, and not the object's own records
}

// Rest has the numbers of versions to read of each list. They replace
// [Object.Limit]. A list is not read if its number is 0. End is the [Page.End]
// of the object's own records, as [Timeline.Rest].
type Rest struct {
	Own, Related int
	End          history.Cursor
}

// ObjectHistory is a page of the object's own records, and one of the Events
// regarding it.
type ObjectHistory struct {
	// Resource is the plural of the resource that the question's type names, or
	// the type itself if it names none.
	Resource string
	Own      Page
	Related  Page
	// Gaps are those of the object's resource and of Events. If descendants are
	// included, the resources that may contain descendants are added. The pages
	// have no gaps of their own.
	Gaps []history.Gap
	// Ignored has the current rules that ignore a part of either list.
	Ignored []history.IgnoreRule
	// Coverage describes both lists.
	Coverage Coverage
	// Restricted means that the caller may read less than the question is
	// about, as in [Page]. The pages have no value of their own.
	Restricted bool
	// Final is that of [Page], for both lists. It is also true if all revisions
	// of the question were found. Then only a new object with the name may add
	// versions. It is false with descendants: new ones may replace others.
	Final bool
}

// RelatedError means that the object's own records were read, but not the
// Events regarding it.
type RelatedError struct{ Err error }

// Error returns the text of the cause.
func (e *RelatedError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RelatedError) Unwrap() error { return e.Err }

// Object returns the history of the object under all its incarnations. An
// object that was never recorded has two empty pages, which is not an error.
func (s *Service) Object(ctx context.Context, q Object) (ObjectHistory, error) {
	empty := ObjectHistory{Resource: q.Type, Own: Page{Exact: true}, Related: Page{Exact: true}}
	seen, err := s.seeObject(ctx, q)
	if err != nil {
		return empty, err
	}
	all := seen.all()
	empty.Ignored = all.ignored(q.scopes()...)
	empty.Coverage = all.coverage(q.Start, q.scopes()...)
	empty.Restricted = seen.restricted
	resources := s.resolveObject(seen.own.catalogue, q)
	if len(resources) == 0 {
		return empty, nil
	}
	empty.Resource = cmp.Or(resources[0].Plural, q.Type)
	records := history.Filter{Namespace: q.Namespace, Name: q.Name, UID: q.UID, View: seen.own.view}
	for _, r := range resources {
		records.Resources = append(records.Resources, r.GroupResource())
	}
	if q.Rest != nil {
		return s.objectRest(ctx, q, empty, seen, records, resources)
	}
	over, err := s.isOver(ctx, q.End, history.Cursor{}, seen.own.view, q.Name)
	if err != nil {
		return empty, err
	}
	answer, own, contents := empty, q.own(records), q.Selector.WithoutEvents()
	if answer.Own, err = s.scan(ctx, own, contents, history.Cursor{}, q.each(empty.Resource, false)); err != nil {
		return empty, err
	}
	if err := s.total(ctx, own, contents, &answer.Own); err != nil {
		return empty, err
	}
	answer.Gaps, err = s.reader.Gaps(ctx, q.gapResources(all.catalogue, records.Resources), q.Start, q.End)
	if err != nil {
		return empty, err
	}
	answer.Gaps = seen.restrict(answer.Gaps)
	if len(q.Revisions) == 0 {
		room := s.options.PageBytes - answer.Own.bytes
		if answer.Related, err = s.related(ctx, q, seen, resources, records, room); err != nil {
			return empty, &RelatedError{Err: err}
		}
	}
	answer.Final = (over || q.found(&answer.Own)) && !q.Descendants && !answer.Own.early && !answer.Related.early &&
		!slices.ContainsFunc(answer.Gaps, history.Gap.Open)
	return answer, nil
}

// found reports whether a page has all revisions of the question.
func (q Object) found(own *Page) bool {
	revisions := slices.Compact(slices.Sorted(slices.Values(q.Revisions)))
	return len(revisions) > 0 && own.Count >= len(revisions)
}

// objectRest adds to the answer what the question's Rest selects.
func (s *Service) objectRest(
	ctx context.Context, q Object, answer ObjectHistory, seen objectSight,
	records history.Filter, resources []history.Resource,
) (_ ObjectHistory, err error) {
	if q.Limit = q.Rest.Own; q.Limit > 0 {
		own, contents, each := q.own(records), q.Selector.WithoutEvents(), q.each(answer.Resource, false)
		if answer.Own, err = s.scan(ctx, own, contents, q.Rest.End, each); err != nil {
			return answer, err
		}
	}
	if q.Limit = q.Rest.Related; q.Limit > 0 {
		room := s.options.PageBytes - answer.Own.bytes
		if answer.Related, err = s.related(ctx, q, seen, resources, records, room); err != nil {
			return answer, &RelatedError{Err: err}
		}
	}
	return answer, nil
}

// own returns the scan of the object's own records, which the filter selects.
func (q Object) own(all history.Filter) history.Scan {
	own := history.Scan{Filter: all, Order: q.Order, After: q.After, Limit: q.Limit, Bodies: !q.Bare}
	own.Start, own.End, own.Revisions, own.Verbs, own.Managers = q.Start, q.End, q.Revisions, q.Verbs, q.Managers
	own.Classes = q.Classes
	return own
}

// each returns the function that receives the versions of one list, or nil.
func (q Object) each(resource string, related bool) func(*Version) error {
	if q.Each == nil {
		return nil
	}
	return func(v *Version) error { return q.Each(List{Resource: resource, Related: related}, v) }
}

// gapResources returns the resources whose gaps touch the answer.
//
// With descendants, these are all resources that may contain some. Those of the
// descendants that were found are not enough: an owner that was never observed
// may connect the object to others.
func (q Object) gapResources(catalogue []history.Resource, own []schema.GroupResource) []schema.GroupResource {
	if len(q.Revisions) > 0 {
		return own
	}
	all := slices.Concat(own, history.EventResources())
	if !q.Descendants {
		return all
	}
	for _, r := range catalogue {
		// A namespaced object can't own a cluster-scoped one.
		ownable := r.Scoped(true) || q.Namespace == history.ClusterScoped
		if ownable && !slices.Contains(all, r.GroupResource()) {
			all = append(all, r.GroupResource())
		}
	}
	return all
}

// scopes returns the scopes of the object and of the Events regarding it. The
// Events of a cluster-scoped object may be in any namespace.
func (q Object) scopes() []scope {
	own := scope{[]string{q.Type}, q.Group, q.Namespace}
	if len(q.Revisions) > 0 {
		return []scope{own}
	}
	namespace := q.Namespace
	if namespace == history.ClusterScoped {
		namespace = history.AllNamespaces
	}
	scopes := []scope{own}
	for _, r := range history.EventResources() {
		scopes = append(scopes, scope{[]string{r.Resource}, cmp.Or(r.Group, CoreGroup), namespace})
	}
	return scopes
}

// objectSight is what the caller can see of an object, of the Events regarding
// it, and of the objects that it may own. restricted is as in [ObjectHistory].
type objectSight struct {
	own, events, owned sight
	restricted         bool
}

// seeObject returns the caller's sight of what an answer contains.
func (s *Service) seeObject(ctx context.Context, q Object) (seen objectSight, err error) {
	all, err := s.everything(ctx)
	if err != nil {
		return seen, err
	}
	own, events := q.scopes()[0], q.scopes()[1:]
	if seen.own, err = s.see(ctx, all, q.Name, own); err != nil {
		return seen, err
	}
	seen.events.view, seen.owned.view = history.View{}, history.View{}
	for _, scope := range events {
		of, err := s.see(ctx, all, "", scope)
		if err != nil {
			return seen, err
		}
		view := merged(seen.events.view, of.view)
		seen.events = of.and(seen.events)
		seen.events.view = view
	}
	if q.Descendants && len(events) > 0 {
		if seen.owned, err = s.see(ctx, all, "", scope{namespace: events[0].namespace}); err != nil {
			return seen, err
		}
	}
	if q.Rest == nil {
		seen.restricted, err = s.restrictedObject(ctx, all, seen, q)
	}
	return seen, err
}

// restrictedObject reports whether the caller may read less than the answer
// about an object contains. The Events are recorded as one of two resources.
func (s *Service) restrictedObject(ctx context.Context, all sight, seen objectSight, q Object) (bool, error) {
	own, events := q.scopes()[0], q.scopes()[1:]
	restricted, err := s.restricted(ctx, all, seen.own.view, q.Name, own)
	if s.caller == nil || restricted || err != nil || len(events) == 0 {
		return restricted, err
	}
	var known []history.Resource
	for _, of := range events {
		known = append(known, all.resources(of)...)
	}
	of := scope{namespace: events[0].namespace}
	if may, err := s.mayReadAll(ctx, known, seen.events.view, of, ""); !may || err != nil {
		return true, err
	}
	if !q.Descendants {
		return false, nil
	}
	return s.restricted(ctx, all, seen.owned.view, "", of)
}

// all returns what is visible of anything in the answer.
func (o objectSight) all() sight { return o.own.and(o.events).and(o.owned) }

// restrict returns the gaps of resources that are visible in the answer.
func (o objectSight) restrict(gaps []history.Gap) []history.Gap {
	if o.own.view == nil {
		return gaps
	}
	view := merged(merged(o.own.view, o.events.view), o.owned.view)
	return slices.DeleteFunc(gaps, func(g history.Gap) bool { return !view.Touches(g.GroupResource()) })
}

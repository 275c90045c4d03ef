package query

import (
	"cmp"
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Object asks for one object's history.
type Object struct {
	Namespace string // [history.NoNamespace] for cluster-scoped objects
	Type      string // one resource in any form that kubectl takes
	Name      string
	UID       types.UID // one incarnation; "" means all
	Group     string    // as in [Timeline]

	Start, End time.Time
	// Revisions selects versions by their number in their incarnation. With it, no Events are asked for.
	Revisions []uint64
	// Descendants asks for the Events regarding everything that the object owned, too.
	Descendants bool

	Order        history.Order
	After        history.Cursor // of the object's own records
	RelatedAfter history.Cursor // of the Events
	Limit        int            // records of either; must be positive
	Bare         bool           // without their objects
}

// ObjectHistory is the answer: a page of the object's own records, and one of the Events regarding it.
type ObjectHistory struct {
	// Resource is the plural of what the question's type names; the type itself where it names nothing.
	Resource string
	Own      Page
	Related  Page
	// Gaps are those of the object's resource and, where Events are asked for, of Events; where those of descendants are, of
	// every resource that may be one. The pages have none of their own.
	Gaps []history.Gap
	// Omitted is what the rules leave out of both, in the object's namespace.
	Omitted []history.IgnoreRule
	// Coverage is that of both.
	Coverage Coverage
}

// RelatedError says that the object's own records could be read, but not the Events regarding it.
type RelatedError struct{ Err error }

// Error returns the reason alone: what was read is clear from the type.
func (e *RelatedError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *RelatedError) Unwrap() error { return e.Err }

// Object returns the history of the object under all its incarnations. An object that was never recorded has none; that is
// no error.
func (s *Service) Object(ctx context.Context, q Object) (ObjectHistory, error) {
	empty := ObjectHistory{Resource: q.Type, Own: Page{Exact: true}, Related: Page{Exact: true}}
	var err error
	if empty.Omitted, err = s.omitted(ctx, q.scopes()...); err != nil {
		return empty, err
	}
	if empty.Coverage, err = s.coverage(ctx, q.Start, q.scopes()...); err != nil {
		return empty, err
	}
	resources, err := s.resolveObject(ctx, q)
	if err != nil || len(resources) == 0 {
		return empty, err
	}
	empty.Resource = cmp.Or(resources[0].Plural, q.Type)
	all := history.Filter{Namespace: q.Namespace, Name: q.Name, UID: q.UID}
	for _, r := range resources {
		all.Resources = append(all.Resources, r.GroupResource())
	}
	own := history.Scan{Filter: all, Order: q.Order, After: q.After, Limit: q.Limit, Bodies: !q.Bare}
	own.Start, own.End, own.Revisions = q.Start, q.End, q.Revisions
	answer := empty
	if answer.Own, err = s.scan(ctx, own); err != nil {
		return empty, err
	}
	if err := s.total(ctx, own, &answer.Own); err != nil {
		return empty, err
	}
	about, err := s.about(ctx, q, all.Resources)
	if err != nil {
		return empty, err
	}
	if answer.Gaps, err = s.reader.Gaps(ctx, about, q.Start, q.End); err != nil {
		return empty, err
	}
	if len(q.Revisions) > 0 {
		return answer, nil
	}
	if answer.Related, err = s.related(ctx, q, resources, all, s.options.PageBytes-answer.Own.bytes()); err != nil {
		return empty, &RelatedError{Err: err}
	}
	return answer, nil
}

// about returns the resources whose gaps touch the answer. What was missed of descendants can't be narrowed to those that were found: of
// an owner that was never seen, nobody knows that it stands in between.
func (s *Service) about(ctx context.Context, q Object, own []schema.GroupResource) ([]schema.GroupResource, error) {
	if len(q.Revisions) > 0 {
		return own, nil
	}
	about := slices.Concat(own, history.EventResources())
	if !q.Descendants {
		return about, nil
	}
	catalogue, err := s.reader.Resources(ctx)
	for _, r := range catalogue {
		ownable := r.Scoped(true) || q.Namespace == history.NoNamespace // what is in a namespace owns nothing outside of it
		if ownable && !slices.Contains(about, r.GroupResource()) {
			about = append(about, r.GroupResource())
		}
	}
	return about, err
}

// scopes returns where the object and the Events regarding it are. Those of a cluster-scoped object may be in any namespace.
func (q Object) scopes() []scope {
	own := scope{[]string{q.Type}, q.Group, q.Namespace}
	if len(q.Revisions) > 0 {
		return []scope{own}
	}
	namespace := q.Namespace
	if namespace == history.NoNamespace {
		namespace = ""
	}
	scopes := []scope{own}
	for _, r := range history.EventResources() {
		scopes = append(scopes, scope{[]string{r.Resource}, cmp.Or(r.Group, CoreGroup), namespace})
	}
	return scopes
}

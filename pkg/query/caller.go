package query

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Authorizer decides what one caller may read in the cluster now. Its methods
// must be safe for concurrent use, and must cache: they are called for each
// question. An error means that the decision is not known.
type Authorizer interface {
	// List reports whether the caller may read all objects of a resource in a
	// scope. [history.AllNamespaces] includes cluster-scoped objects, and
	// [history.ClusterScoped] means only these.
	List(ctx context.Context, r schema.GroupResource, scope history.NamespaceScope) (bool, error)
	// Get reports whether the caller may get an object, which need not exist.
	// The namespace of a cluster-scoped object is empty. An empty name means
	// every object of the namespace.
	Get(ctx context.Context, r schema.GroupResource, namespace, name string) (bool, error)
	// Path reports whether the caller may get a path of the API server that is
	// not a resource, such as "/openapi/v3".
	Path(ctx context.Context, path string) (bool, error)
	// Namespaces returns the namespaces that exist now, with the times of their
	// creation. They must be read after every right that List or Get has
	// granted before: otherwise, a right in a namespace that was created again
	// would apply to the objects of the earlier one. A namespace that had
	// records must be absent only if they are older than the list. The caller
	// of Namespaces must not modify the map.
	Namespaces(ctx context.Context, had history.Activity) (map[string]time.Time, error)
}

// RightsError means that the rights of a question's caller are not known.
type RightsError struct{ Err error }

// Error returns the text of the cause.
func (e *RightsError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RightsError) Unwrap() error { return e.Err }

// reviews bounds the concurrent calls of an [Authorizer] for one question.
const reviews = 16

// As returns the service for a caller. It answers as if the log contained only
// what the caller may read:
//
//   - A record is visible if the caller may list its resource in its namespace,
//     or if the question names the object and the caller may get it.
//   - Rights in a namespace don't apply to objects that are older than the
//     namespace: they belonged to an earlier one of the same name.
//   - A resource without a visible object in the question's namespaces does
//     not exist, and has no gaps.
//   - Hashes in Secrets are visible only to callers who may get the Secret.
//   - A document is visible if the caller may get its path.
func (s *Service) As(caller Authorizer) *Service {
	restricted := *s
	restricted.caller = caller
	return &restricted
}

// sight is what a question's caller can see of the scopes that it is about.
type sight struct {
	catalogue  []history.Resource
	unrecorded []history.UnrecordedResource
	rules      []history.IgnoreRule
	view       history.View // nil: everything
}

// everything returns the sight of a caller who may read everything.
func (s *Service) everything(ctx context.Context) (sight, error) {
	catalogue, err := s.reader.Resources(ctx)
	if err != nil {
		return sight{}, err
	}
	return sight{catalogue: catalogue, unrecorded: s.options.Unrecorded(), rules: s.options.IgnoreRules()}, nil
}

// see returns the part of the scopes in all that the caller can see. name is
// the name of the objects that the question is about, or empty.
func (s *Service) see(ctx context.Context, all sight, name string, scopes ...scope) (sight, error) {
	if s.caller == nil {
		return all, nil
	}
	all.view = history.View{}
	for _, of := range scopes {
		d, err := s.decide(ctx, all.resources(of), of.namespace, name, earlier{})
		if err != nil {
			return sight{}, rightsError(err)
		}
		for r, grant := range d.view {
			all.view[r] = joined(all.view[r], grant)
		}
	}
	return all.visible(), nil
}

// joined returns what one of two grants contains. They must agree about the
// creations of namespaces.
func joined(a, b history.Grant) history.Grant {
	if a.All || b.All {
		return history.Grant{All: true}
	}
	all := map[string]time.Time{}
	maps.Copy(all, a.Namespaces)
	maps.Copy(all, b.Namespaces)
	return history.Grant{Namespaces: all}
}

// resources returns the resources that are in the scope.
func (s sight) resources(of scope) []history.Resource {
	known := withIgnored(s.catalogue, s.rules)
	for _, u := range s.unrecorded {
		if !slices.ContainsFunc(known, func(r history.Resource) bool { return same(r, u.Resource) }) {
			known = append(known, u.Resource)
		}
	}
	return choose(known, of.types, of.group)
}

// visible returns the part of the sight that its view contains.
func (s sight) visible() sight {
	hidden := func(r history.Resource) bool { return !s.view.Touches(r.GroupResource()) }
	seen := sight{view: s.view}
	seen.catalogue = slices.DeleteFunc(slices.Clone(s.catalogue), hidden)
	seen.unrecorded = slices.DeleteFunc(slices.Clone(s.unrecorded), func(u history.UnrecordedResource) bool {
		return hidden(u.Resource)
	})
	for _, rule := range s.rules {
		if rule, some := visibleRule(rule, s.view); some {
			seen.rules = append(seen.rules, rule)
		}
	}
	return seen
}

// visibleRule returns the part of a rule that a view contains, and whether
// there is one.
func visibleRule(rule history.IgnoreRule, view history.View) (history.IgnoreRule, bool) {
	every := rule.Resource == schema.GroupResource{}
	if !every && !view.Touches(rule.Resource) || every && len(view) == 0 {
		return rule, false
	}
	if len(rule.Namespaces) == 0 {
		return rule, true
	}
	rule.Namespaces = slices.DeleteFunc(slices.Clone(rule.Namespaces), func(namespace string) bool {
		if !every {
			return !view.MayContain(rule.Resource, namespace)
		}
		for r := range view {
			if view.MayContain(r, namespace) {
				return false
			}
		}
		return true
	})
	return rule, len(rule.Namespaces)+len(rule.Changes) > 0
}

// and returns what is visible in one of two sights. The view is that of s.
func (s sight) and(other sight) sight {
	for _, r := range other.catalogue {
		if !slices.ContainsFunc(s.catalogue, func(known history.Resource) bool { return same(known, r) }) {
			s.catalogue = append(slices.Clip(s.catalogue), r)
		}
	}
	for _, u := range other.unrecorded {
		if !slices.ContainsFunc(s.unrecorded, func(known history.UnrecordedResource) bool {
			return same(known.Resource, u.Resource)
		}) {
			s.unrecorded = append(slices.Clip(s.unrecorded), u)
		}
	}
	for _, rule := range other.rules {
		if !slices.ContainsFunc(s.rules, func(known history.IgnoreRule) bool { return sameRule(known, rule) }) {
			s.rules = append(slices.Clip(s.rules), rule)
		}
	}
	return s
}

// merged returns a view with the resources of both, or nil if one of them is
// nil. A resource that is in both has the grant of b.
func merged(a, b history.View) history.View {
	if a == nil || b == nil {
		return nil
	}
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// sameRule reports whether two rules are equal.
func sameRule(a, b history.IgnoreRule) bool {
	return a.Resource == b.Resource && slices.Equal(a.Namespaces, b.Namespaces) && slices.Equal(a.Changes, b.Changes)
}

// created returns the times from which objects in the namespaces are granted.
// They are those of the namespaces' creation, or zero if rights also apply to
// earlier namespaces. A namespace that does not exist now is absent.
func (s *Service) created(
	ctx context.Context, namespaces []string, had history.Activity,
) (map[string]time.Time, error) {
	since := map[string]time.Time{"": {}}
	if s.options.EarlierNamespaces {
		for _, namespace := range namespaces {
			since[namespace] = time.Time{}
		}
		return since, nil
	}
	if !slices.ContainsFunc(namespaces, func(namespace string) bool { return namespace != "" }) {
		return since, nil
	}
	exist, err := s.caller.Namespaces(ctx, had)
	for _, namespace := range namespaces {
		if at, exists := exist[namespace]; exists {
			since[namespace] = at
		}
	}
	return since, err
}

// mayRead reports whether the caller may read the objects of a namespace or, if
// name is not empty, those with that name. namespace is "" for cluster-scoped
// objects.
func (s *Service) mayRead(ctx context.Context, r schema.GroupResource, namespace, name string) (bool, error) {
	allowed, err := s.caller.List(ctx, r, history.ScopeOf(namespace))
	if allowed || err != nil || name == "" {
		return allowed, err
	}
	return s.caller.Get(ctx, r, namespace, name)
}

// eachConcurrently calls f for the numbers below n, some at a time, until one
// fails. Most decisions are cached, so a goroutine for each would cost more
// than the decision.
func eachConcurrently(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range min(n, reviews) {
		group.Go(func() error {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := f(ctx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// restrict returns the gaps of visible resources.
func (s sight) restrict(gaps []history.Gap) []history.Gap {
	return slices.DeleteFunc(gaps, func(g history.Gap) bool { return !s.view.Touches(g.GroupResource()) })
}

// Sight is what the caller can see of the catalogue.
type Sight struct {
	// Resources is the catalogue: the resources that are or were recorded.
	Resources []history.Resource

	view history.View
}

// Sees reports whether the caller can see any object of the resource.
func (s Sight) Sees(r schema.GroupResource) bool { return s.view.Touches(r) }

// SeesIn reports whether the caller can see any object of the resource in a
// namespace.
func (s Sight) SeesIn(r schema.GroupResource, namespace string) bool {
	return s.view.MayContain(r, namespace)
}

// Resources returns what the caller can see of the catalogue, and of other
// resources.
func (s *Service) Resources(ctx context.Context, others ...history.Resource) (Sight, error) {
	catalogue, err := s.reader.Resources(ctx)
	if err != nil || s.caller == nil {
		return Sight{Resources: catalogue}, err
	}
	all := map[schema.GroupResource]history.Resource{}
	for _, r := range slices.Concat(catalogue, others) {
		if _, known := all[r.GroupResource()]; !known {
			all[r.GroupResource()] = r
		}
	}
	d, err := s.decide(ctx, slices.Collect(maps.Values(all)), history.AllNamespaces, "", earlier{})
	if err != nil {
		return Sight{}, rightsError(err)
	}
	seen := sight{catalogue: catalogue, view: d.view}.visible()
	return Sight{Resources: seen.catalogue, view: d.view}, nil
}

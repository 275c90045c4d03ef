package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// resourceType is a type as the recorder is asked for it.
type resourceType struct {
	Group, Plural string
	Namespaced    bool
}

// GroupResource returns the type's identity.
func (t resourceType) GroupResource() schema.GroupResource {
	return schema.GroupResource{Group: t.Group, Resource: t.Plural}
}

// wire names the type to the recorder without a doubt about its group.
func (t resourceType) wire() string {
	if t.Group == "" {
		return t.Plural + ".v1"
	}
	return t.Plural + "." + t.Group
}

// resolver finds out what a type's name means.
type resolver struct {
	mapper    func() (meta.RESTMapper, error)
	discovery discoveryClient // nil: categories are not asked for
	recorded  func(context.Context) (*v1.ResourceList, error)
	env       *Environment       // for warnings
	catalogue []history.Resource // nil: not asked for yet
	warned    bool

	unreachable error // why the API server did not say which types there are; nil: it was not asked, or it did
}

// resolve asks the cluster's discovery and, where that does not know the type or does not answer, the recorder.
func (r *resolver) resolve(ctx context.Context, arg string) (resourceType, error) {
	found, discoveryErr := resourceType{}, r.unreachable
	if discoveryErr == nil {
		found, discoveryErr = r.discover(arg)
	}
	if discoveryErr == nil {
		return r.recordedAs(ctx, found), nil
	}
	if ctx.Err() != nil {
		return found, context.Cause(ctx)
	}
	found, err := r.remember(ctx, arg)
	if history.CodeOf(err) == history.NotFound && !meta.IsNoMatchError(discoveryErr) {
		return found, history.Errorf(history.NotFound,
			"the recorder has no resource type %q, and the API server did not say which types there are: %v", arg, discoveryErr)
	}
	if err != nil {
		return found, err
	}
	if _, err := r.discover(found.wire()); err == nil {
		r.warnf("%q is a former name of %s", arg, found.GroupResource())
	} else if meta.IsNoMatchError(discoveryErr) {
		r.warnf("the server does not serve %s any more; the recorder remembers it", found.GroupResource())
	} else if !r.warned {
		r.warned = true
		r.warnf("the API server did not say which types there are (%v); the recorder's types are used", discoveryErr)
	}
	return found, nil
}

// recordedAs returns the type under which objects are recorded. Those of Events are served by two groups, and recorded from the one
// that the recorder's configuration names.
func (r *resolver) recordedAs(ctx context.Context, found resourceType) resourceType {
	both := eventTypes()
	i := slices.Index(both, found)
	if i < 0 {
		return found
	}
	other := both[1-i]
	if known, err := r.known(ctx, found.wire()); known || err != nil {
		return found
	}
	if known, err := r.known(ctx, other.wire()); known && err == nil {
		return other
	}
	return found
}

// eventTypes are those under which Events may be recorded.
func eventTypes() (types []resourceType) {
	for _, r := range history.EventResources() {
		types = append(types, resourceType{Group: r.Group, Plural: r.Resource, Namespaced: true})
	}
	return types
}

// discover takes every form that kubectl does: plural, singular, short name, kind, with a group and a version or without.
func (r *resolver) discover(arg string) (resourceType, error) {
	defer r.env.mayPrompt()()
	mapper, err := r.mapper()
	if err != nil {
		return resourceType{}, err
	}
	full, short := schema.ParseResourceArg(strings.ToLower(arg))
	gvr := schema.GroupVersionResource{}
	if full != nil {
		gvr, err = mapper.ResourceFor(*full)
	}
	if full == nil || meta.IsNoMatchError(err) {
		gvr, err = mapper.ResourceFor(short.WithVersion(""))
	}
	if err == nil {
		return scoped(mapper, gvr)
	}
	if byKind, kindErr := discoverKind(mapper, arg); kindErr == nil {
		return byKind, nil
	}
	return resourceType{}, err
}

func scoped(mapper meta.RESTMapper, gvr schema.GroupVersionResource) (resourceType, error) {
	kind, err := mapper.KindFor(gvr)
	if err != nil {
		return resourceType{}, err
	}
	mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return resourceType{}, err
	}
	return ofMapping(mapping), nil
}

func discoverKind(mapper meta.RESTMapper, arg string) (resourceType, error) {
	full, short := schema.ParseKindArg(arg)
	if full != nil {
		if mapping, err := mapper.RESTMapping(full.GroupKind(), full.Version); err == nil {
			return ofMapping(mapping), nil
		}
	}
	mapping, err := mapper.RESTMapping(short)
	if err != nil {
		return resourceType{}, err
	}
	return ofMapping(mapping), nil
}

func ofMapping(m *meta.RESTMapping) resourceType {
	return resourceType{
		Group: m.Resource.Group, Plural: m.Resource.Resource,
		Namespaced: m.Scope.Name() == meta.RESTScopeNameNamespace,
	}
}

// remember looks the type up in the recorder's catalogue.
func (r *resolver) remember(ctx context.Context, arg string) (resourceType, error) {
	matches, err := r.matches(ctx, arg)
	if err != nil {
		return resourceType{}, err
	}
	switch len(matches) {
	case 0:
		return resourceType{}, history.Errorf(history.NotFound,
			"neither the server nor the recorder has a resource type %q; 'kubectl api-resources' lists the types", arg)
	case 1:
		return resourceType{Group: matches[0].Group, Plural: matches[0].Plural, Namespaced: matches[0].Namespaced}, nil
	default:
		var names []string
		for _, m := range matches {
			names = append(names, m.GroupResource().String())
		}
		return resourceType{}, invalidf("%q may be any of %s: name one of them", arg, strings.Join(names, ", "))
	}
}

// known tells whether the recorder's catalogue has the type.
func (r *resolver) known(ctx context.Context, arg string) (bool, error) {
	matches, err := r.matches(ctx, arg)
	return len(matches) > 0, err
}

// matches returns what arg may mean in the catalogue.
func (r *resolver) matches(ctx context.Context, arg string) ([]history.Resource, error) {
	if r.catalogue == nil {
		list, err := r.recorded(ctx)
		if err != nil {
			return nil, err
		}
		r.catalogue = resources(list)
	}
	return history.Matching(r.catalogue, arg), nil
}

func resources(list *v1.ResourceList) []history.Resource {
	all := []history.Resource{}
	for _, r := range list.Resources {
		resource := history.Resource{
			Group: r.Group, Version: r.Version, Plural: r.Plural, Kind: r.Kind, Singular: r.Singular,
			ShortNames: r.ShortNames, Namespaced: r.Namespaced,
		}
		for _, d := range r.Former {
			resource.Former = append(resource.Former, history.Definition{
				Kind: d.Kind, Singular: d.Singular, ShortNames: d.ShortNames, Namespaced: d.Namespaced,
			})
		}
		same := func(known history.Resource) bool { return known.GroupResource() == resource.GroupResource() }
		if !slices.ContainsFunc(all, same) {
			all = append(all, resource)
		}
	}
	return all
}

func (r *resolver) warnf(format string, args ...any) {
	r.env.note("Warning: " + fmt.Sprintf(format, args...))
}

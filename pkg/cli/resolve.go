package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// resourceType identifies a type in queries to the recorder.
type resourceType struct {
	Group, Plural string
	Namespaced    bool
}

// GroupResource returns the group and the plural.
func (t resourceType) GroupResource() schema.GroupResource {
	return schema.GroupResource{Group: t.Group, Resource: t.Plural}
}

// resourceArg returns the type as a query parameter. It always has a group or,
// for the core group, a version, so that it is not ambiguous.
func (t resourceType) resourceArg() string {
	if t.Group == "" {
		return t.Plural + ".v1"
	}
	return t.Plural + "." + t.Group
}

// resolver maps what users type to types: through the cluster's discovery, or
// through the recorder's catalogue. It is not safe for concurrent use.
//
// Discovery and the catalogue are read when a name first needs them. The
// catalogue is kept after that.
type resolver struct {
	mapper        func() (meta.RESTMapper, error)                    // nil means that there is no cluster to ask
	discovery     func() (discovery.CachedDiscoveryInterface, error) // nil means that there is no cluster to ask
	readCatalogue func(context.Context) (*v1.ResourceList, error)
	env           *Environment       // for warnings
	catalogue     []history.Resource // nil before the first use
	warned        bool               // that discovery failed

	onlyClusterScoped bool // each of the types that were resolved is
	resolved          bool // a type was resolved

	discoveryErr error // of the categories; discovery is not tried again after it
}

// resolve returns the type that arg means. It searches discovery first. If
// discovery fails or does not have the type, it searches the catalogue and
// prints a warning.
//
// It fails if neither has the type, if the catalogue has several types of that
// name or can't be read, or if ctx is done.
func (r *resolver) resolve(ctx context.Context, arg string) (resourceType, error) {
	found, err := r.find(ctx, arg)
	if err == nil {
		r.onlyClusterScoped = !found.Namespaced && (r.onlyClusterScoped || !r.resolved)
		r.resolved = true
	}
	return found, err
}

// find is resolve without its notes for later.
func (r *resolver) find(ctx context.Context, arg string) (resourceType, error) {
	if r.mapper == nil {
		return r.fromCatalogue(ctx, arg)
	}
	found, discoveryErr := resourceType{}, r.discoveryErr
	if discoveryErr == nil {
		found, discoveryErr = r.discover(arg)
	}
	if discoveryErr == nil {
		return r.recordedAs(ctx, found), nil
	}
	if ctx.Err() != nil {
		return found, context.Cause(ctx)
	}
	found, err := r.fromCatalogue(ctx, arg)
	if history.CodeOf(err) == history.NotFound && !meta.IsNoMatchError(discoveryErr) {
		return found, history.Errorf(history.NotFound,
			"the recorder has no resource type %q, and discovery failed: %v", arg, discoveryErr)
	}
	if err != nil {
		return found, err
	}
	// Only the catalogue has the type under this name: warn with the reason.
	if _, err := r.discover(found.resourceArg()); err == nil {
		r.warnf("%q is a former name of %s", arg, found.GroupResource())
	} else if meta.IsNoMatchError(discoveryErr) {
		r.warnf("the server no longer serves %s; using the recorder's catalogue", found.GroupResource())
	} else {
		r.warnOfDiscovery(discoveryErr)
	}
	return found, nil
}

// warnOfDiscovery warns once that discovery failed.
func (r *resolver) warnOfDiscovery(err error) {
	if !r.warned {
		r.warned = true
		r.warnf("discovery failed (%v); using the recorder's catalogue", err)
	}
}

// recordedAs returns the type under which objects of a type are recorded. Two
// groups serve the same Events; the recorder's configuration names one of them.
func (r *resolver) recordedAs(ctx context.Context, found resourceType) resourceType {
	both := eventTypes()
	i := slices.Index(both, found)
	if i < 0 {
		return found
	}
	other := both[1-i]
	if known, err := r.isRecorded(ctx, found.resourceArg()); known || err != nil {
		return found
	}
	if known, err := r.isRecorded(ctx, other.resourceArg()); known && err == nil {
		return other
	}
	return found
}

// eventTypes returns the two types of Kubernetes Events.
func eventTypes() (types []resourceType) {
	for _, r := range history.EventResources() {
		types = append(types, resourceType{Group: r.Group, Plural: r.Resource, Namespaced: true})
	}
	return types
}

// discover returns the served type that arg means. It accepts every form that
// kubectl does: plural, singular, short name or kind, with or without group and
// version.
func (r *resolver) discover(arg string) (resourceType, error) {
	defer r.env.suspendProgress()()
	mapper, err := r.mapper()
	if err != nil {
		return resourceType{}, err
	}
	// The rest of "deployments.v1.apps" is a version and a group, or a group
	// with a dot. The former is tried first, as kubectl does.
	full, short := schema.ParseResourceArg(strings.ToLower(arg))
	gvr := schema.GroupVersionResource{}
	if full != nil {
		gvr, err = mapper.ResourceFor(*full)
	}
	if full == nil || meta.IsNoMatchError(err) {
		gvr, err = mapper.ResourceFor(short.WithVersion(""))
	}
	if err == nil {
		return typeOfResource(mapper, gvr)
	}
	// A kind is often its singular in another case, and was found then. If not,
	// the error about the resource is the better one.
	if byKind, kindErr := discoverKind(mapper, arg); kindErr == nil {
		return byKind, nil
	}
	return resourceType{}, err
}

// typeOfResource returns the type of a served resource. Its scope is known only
// for its kind.
func typeOfResource(mapper meta.RESTMapper, gvr schema.GroupVersionResource) (resourceType, error) {
	kind, err := mapper.KindFor(gvr)
	if err != nil {
		return resourceType{}, err
	}
	mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return resourceType{}, err
	}
	return typeOfMapping(mapping), nil
}

// discoverKind returns the served type whose kind arg is.
func discoverKind(mapper meta.RESTMapper, arg string) (resourceType, error) {
	full, short := schema.ParseKindArg(arg)
	if full != nil {
		if mapping, err := mapper.RESTMapping(full.GroupKind(), full.Version); err == nil {
			return typeOfMapping(mapping), nil
		}
	}
	mapping, err := mapper.RESTMapping(short)
	if err != nil {
		return resourceType{}, err
	}
	return typeOfMapping(mapping), nil
}

func typeOfMapping(m *meta.RESTMapping) resourceType {
	return resourceType{
		Group: m.Resource.Group, Plural: m.Resource.Resource,
		Namespaced: m.Scope.Name() == meta.RESTScopeNameNamespace,
	}
}

// category returns the types of a category, such as "all". It returns none if
// the server has no such category, or if discovery fails.
func (r *resolver) category(name string) []resourceType {
	if r.discovery == nil || r.discoveryErr != nil || strings.Contains(name, ".") {
		return nil
	}
	defer r.env.suspendProgress()()
	d, err := r.discovery()
	if err != nil {
		return nil
	}
	_, lists, err := d.ServerGroupsAndResources()
	if err != nil && len(lists) == 0 {
		r.discoveryErr = err
		return nil
	}
	var found []resourceType
	for _, list := range lists {
		for i := range list.APIResources {
			served := &list.APIResources[i]
			group, _, grouped := strings.Cut(list.GroupVersion, "/")
			if !grouped { // the core group has only a version
				group = ""
			}
			t := resourceType{Group: group, Plural: served.Name, Namespaced: served.Namespaced}
			isSubresource := strings.Contains(served.Name, "/")
			if slices.Contains(served.Categories, name) && !isSubresource && !slices.Contains(found, t) {
				found = append(found, t)
			}
		}
	}
	return found
}

// fromCatalogue returns the type that arg means in the recorder's catalogue. It
// fails if there is none, or more than one.
func (r *resolver) fromCatalogue(ctx context.Context, arg string) (resourceType, error) {
	matches, err := r.matches(ctx, arg)
	if err != nil {
		return resourceType{}, err
	}
	switch len(matches) {
	case 0:
		if r.mapper == nil {
			return resourceType{}, history.Errorf(history.NotFound, "the file has no resource type %q", arg)
		}
		return resourceType{}, history.WithHint(history.Errorf(history.NotFound,
			"neither the server nor the recorder has a resource type %q", arg),
			"'kubectl api-resources' lists the types.")
	case 1:
		return resourceType{Group: matches[0].Group, Plural: matches[0].Plural, Namespaced: matches[0].Namespaced}, nil
	default:
		var names []string
		for _, m := range matches {
			names = append(names, m.GroupResource().String())
		}
		return resourceType{}, invalidf("%q is ambiguous: want one of %s", arg, strings.Join(names, ", "))
	}
}

// isRecorded reports whether the recorder's catalogue has a type.
func (r *resolver) isRecorded(ctx context.Context, arg string) (bool, error) {
	matches, err := r.matches(ctx, arg)
	return len(matches) > 0, err
}

// matches returns the resources of the catalogue that arg matches. The
// catalogue is read once.
func (r *resolver) matches(ctx context.Context, arg string) ([]history.Resource, error) {
	if err := r.readOnce(ctx); err != nil {
		return nil, err
	}
	return history.Matching(r.catalogue, arg), nil
}

// readOnce reads the catalogue, unless it was read before.
func (r *resolver) readOnce(ctx context.Context) error {
	if r.catalogue != nil {
		return nil
	}
	list, err := r.readCatalogue(ctx)
	if err != nil {
		return err
	}
	r.catalogue = resources(list)
	return nil
}

// resources returns the resources of a list, each group and plural once.
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
		same := func(other history.Resource) bool { return other.GroupResource() == resource.GroupResource() }
		if !slices.ContainsFunc(all, same) {
			all = append(all, resource)
		}
	}
	return all
}

// warnf prints a warning.
func (r *resolver) warnf(format string, args ...any) {
	r.env.note("Warning: " + fmt.Sprintf(format, args...))
}

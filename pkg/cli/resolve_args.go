package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/client-go/kubernetes/scheme"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// subject is the object that a command shows, or all objects of a type. It is
// comparable, so that duplicates can be found.
type subject struct {
	resourceType

	name string // "" means all objects
}

// String returns `deployments.apps "web"`, or "deployments.apps" for all
// objects.
func (s subject) String() string {
	if s.name == "" {
		return s.GroupResource().String()
	}
	return s.GroupResource().String() + " \"" + s.name + "\""
}

// namespaceOf returns the scope to query. Cluster-scoped types are in no
// namespace.
func (s subject) namespaceOf(scope history.NamespaceScope) history.NamespaceScope {
	if !s.Namespaced {
		return history.ClusterScoped
	}
	return scope
}

// namespaces returns the scopes to query, the one of the type's current scope
// first.
//
// A CRD can be deleted and created again with another scope, and discovery may
// be cached for hours. So objects of a custom type may have been recorded both
// in the namespace and as cluster-scoped objects.
func (s subject) namespaces(scope history.NamespaceScope) []history.NamespaceScope {
	first := s.namespaceOf(scope)
	switch {
	case isBuiltIn(s.Group):
		return []history.NamespaceScope{first}
	case scope == history.AllNamespaces:
		return []history.NamespaceScope{history.AllNamespaces} // includes cluster-scoped objects
	case first == history.ClusterScoped:
		return []history.NamespaceScope{first, scope}
	default:
		return []history.NamespaceScope{first, history.ClusterScoped}
	}
}

// isBuiltIn reports whether a group belongs to Kubernetes itself. The scope of
// its types never changes.
func isBuiltIn(group string) bool { return scheme.Scheme.IsGroupRegistered(group) }

// scopeNote returns a warning if events contain objects of another scope than
// the type has now. Otherwise it returns "".
func (s subject) scopeNote(events []v1.Event) string {
	for i := range events {
		e := &events[i]
		if e.Group != s.Group || e.ResourceType != s.Plural || (e.Namespace != "") == s.Namespaced {
			continue
		}
		other := "cluster-scoped"
		if e.Namespace != "" {
			other = "namespaced"
		}
		return fmt.Sprintf("Warning: %s was recorded with two scopes: its %s objects are shown as well",
			s.GroupResource(), other)
	}
	return ""
}

// subjects resolves the types of arguments. Each subject is returned once.
// Either all of them have a name, or none has.
func (s *session) subjects(ctx context.Context, args []string) ([]subject, error) {
	all, err := parseMany(args)
	if err != nil {
		return nil, err
	}
	var subjects []subject
	for _, arg := range all {
		if arg.name, arg.ref, err = cutReference(arg.name); err != nil {
			return nil, err
		}
		if err := arg.reject("Use history or show for one version."); err != nil {
			return nil, err
		}
		types, err := s.typesOf(ctx, arg)
		if err != nil {
			return nil, err
		}
		for _, t := range types {
			if sub := (subject{t, arg.name}); !slices.Contains(subjects, sub) {
				subjects = append(subjects, sub)
			}
		}
	}
	return subjects, nil
}

// typesOf returns the type of an argument, or the types of a category. As in
// kubectl, a category takes precedence over a type of that name.
func (s *session) typesOf(ctx context.Context, arg objectArg) ([]resourceType, error) {
	types := s.types.category(arg.kind)
	if s.types.discovery == nil || s.types.discoveryErr != nil {
		var err error
		if types, err = s.recordedCategory(ctx, arg.kind); err != nil {
			return nil, err
		}
		if err := s.types.discoveryErr; err != nil && len(types) > 0 {
			s.types.warnOfDiscovery(err)
		}
	}
	if len(types) > 0 {
		if arg.name != "" {
			return nil, withAdvice(fmt.Sprintf("Give the type of %q.", arg.name),
				"%q is a category of several types", arg.kind)
		}
		return types, nil
	}
	t, err := s.types.resolve(ctx, arg.kind)
	return []resourceType{t}, err
}

// objectArg is a parsed argument whose type is not resolved. The kind is any
// name of a type; an empty name means all objects.
type objectArg struct {
	kind, name string
	ref        reference
}

// parseObject parses "TYPE NAME" or "TYPE/NAME". A reference may follow the
// name.
func parseObject(args []string) (objectArg, error) {
	arg, err := parseName(args)
	if err != nil {
		return arg, err
	}
	whole := arg.name
	if arg.name, arg.ref, err = cutReference(whole); err == nil && arg.name == "" {
		err = invalidf("%q has no name: want one object, as in %s/NAME", strings.Join(args, " "), arg.kind)
	}
	return arg, err
}

// parseName parses "TYPE NAME" or "TYPE/NAME", and keeps a reference in the
// name.
func parseName(args []string) (objectArg, error) {
	var arg objectArg
	var slash bool
	switch len(args) {
	case 1:
		arg.kind, arg.name, slash = strings.Cut(args[0], "/")
		if !slash {
			return arg, invalidf("%q has no name: want one object, as in %s/NAME", args[0], args[0])
		}
	case 2:
		arg = objectArg{kind: args[0], name: args[1]}
	default:
		return arg, invalidf("want one object, as TYPE NAME or TYPE/NAME, got %d arguments", len(args))
	}
	switch {
	case arg.kind == "" || arg.name == "" || strings.Contains(arg.name, "/"):
		return arg, invalidf("%q is not an object: want TYPE NAME or TYPE/NAME", strings.Join(args, " "))
	case strings.Contains(arg.kind, "/"):
		return arg, withAdvice(fmt.Sprintf("Remove %q.", arg.name), "%q already has a name", arg.kind)
	case strings.Contains(arg.kind, ","):
		return arg, invalidf("%q names several types: want one object", arg.kind)
	default:
		return arg, nil
	}
}

// parseMany parses the arguments of get, as kubectl does: types separated by
// commas, types and names, or any number of TYPE/NAME. A word after the types
// is always a name. It checks the form only; the types are not resolved.
func parseMany(args []string) ([]objectArg, error) {
	slashes := 0
	for _, arg := range args {
		if strings.Contains(arg, "/") {
			slashes++
		}
	}
	switch {
	case len(args) == 0:
		return nil, nil
	case slashes == 0:
		return parseTypes(args[0], args[1:])
	case slashes < len(args): // kubectl's text
		return nil, invalidf("there is no need to specify a resource type as a separate argument " +
			"when passing arguments in resource/name form " +
			"(e.g. 'get resource/<resource_name>' instead of 'get resource resource/<resource_name>')")
	}
	var all []objectArg
	for _, arg := range args {
		kind, name, _ := strings.Cut(arg, "/")
		switch {
		case strings.Contains(name, "/"):
			return nil, invalidf("%q: arguments in resource/name form may not have more than one slash", arg)
		case kind == "" || name == "" || strings.Contains(kind, ","):
			return nil, invalidf("%q: arguments in resource/name form must have a single resource and name", arg)
		}
		all = append(all, objectArg{kind: kind, name: name})
	}
	return all, nil
}

// parseTypes combines every type with every name. Without names it returns all
// objects of the types.
func parseTypes(types string, names []string) ([]objectArg, error) {
	if len(names) == 0 {
		names = []string{""}
	} else if slices.Contains(names, "") {
		return nil, invalidf("resource name may not be empty")
	}
	var all []objectArg
	for kind := range strings.SplitSeq(types, ",") {
		if kind == "" {
			return nil, invalidf("%q contains an empty type", types)
		}
		for _, name := range names {
			all = append(all, objectArg{kind: kind, name: name})
		}
	}
	return all, nil
}

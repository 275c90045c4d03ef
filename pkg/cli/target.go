package cli

import (
	"slices"
	"strings"

	"k8s.io/client-go/kubernetes/scheme"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// target is what a command is about: a type, and perhaps one object of it.
type target struct {
	resourceType

	name string // empty: all objects
}

// String is "deployments.apps web" or, of all objects, "deployments.apps".
func (t target) String() string {
	if t.name == "" {
		return t.GroupResource().String()
	}
	return t.GroupResource().String() + " \"" + t.name + "\""
}

// namespaceOf returns the scope to ask for. Cluster-scoped types are in no namespace.
func (t target) namespaceOf(scope history.NamespaceScope) history.NamespaceScope {
	if !t.Namespaced {
		return history.ClusterScoped
	}
	return scope
}

// namespaces returns the namespaces to ask for, that of the type's present scope first.
//
// A CRD can be deleted and created again with another scope, and what discovery says may be hours old. So objects of a custom
// type may have been recorded in the namespace and as cluster-scoped ones, whatever its scope is now.
func (t target) namespaces(scope history.NamespaceScope) []history.NamespaceScope {
	first := t.namespaceOf(scope)
	switch {
	case isBuiltIn(t.Group):
		return []history.NamespaceScope{first}
	case scope == history.AllNamespaces:
		return []history.NamespaceScope{history.AllNamespaces} // both
	case first == history.ClusterScoped:
		return []history.NamespaceScope{first, scope}
	default:
		return []history.NamespaceScope{first, history.ClusterScoped}
	}
}

// isBuiltIn reports whether the types of a group are part of Kubernetes itself and can't be defined anew.
func isBuiltIn(group string) bool { return scheme.Scheme.IsGroupRegistered(group) }

// scopeNote says that the answer holds objects of a scope that the type has not; "" if it holds none.
func (t target) scopeNote(events []v1.Event) string {
	for i := range events {
		e := &events[i]
		if e.Group != t.Group || e.ResourceType != t.Plural || (e.Namespace != "") == t.Namespaced {
			continue
		}
		if e.Namespace == "" {
			return "Warning: " + t.GroupResource().String() + " was recorded with two scopes: its cluster-scoped objects are shown, too"
		}
		return "Warning: " + t.GroupResource().String() + " was recorded with two scopes: its objects in namespaces are shown, too"
	}
	return ""
}

// parsed is an argument before its type is known.
type parsed struct{ kind, name string }

// parseObject reads "TYPE NAME" or "TYPE/NAME".
func parseObject(args []string) (parsed, error) {
	var p parsed
	var slash bool
	switch len(args) {
	case 1:
		p.kind, p.name, slash = strings.Cut(args[0], "/")
		if !slash {
			return p, invalidf("which %s? Give its name too, as in %s/NAME", args[0], args[0])
		}
	case 2:
		p = parsed{args[0], args[1]}
	default:
		return p, invalidf("want one object, as TYPE NAME or TYPE/NAME, got %d arguments", len(args))
	}
	switch {
	case p.kind == "" || p.name == "" || strings.Contains(p.name, "/"):
		return p, invalidf("%q is no object: want TYPE NAME or TYPE/NAME", strings.Join(args, " "))
	case strings.Contains(p.kind, "/"):
		return p, invalidf("%q has a name already: leave out %q", p.kind, p.name)
	case strings.Contains(p.kind, ","):
		return p, invalidf("%q are several types: want one object", p.kind)
	default:
		return p, nil
	}
}

// parseMany reads what get takes, as kubectl reads it: types with commas
// between them, the same with names of their objects, or TYPE/NAME any number
// of times. A word after the types is a name, whatever else it may mean.
func parseMany(args []string) ([]parsed, error) {
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
	case slashes < len(args):
		return nil, invalidf("there is no need to specify a resource type as a separate argument when passing arguments in " +
			"resource/name form (e.g. 'get resource/<resource_name>' instead of 'get resource resource/<resource_name>')")
	}
	var all []parsed
	for _, arg := range args {
		kind, name, _ := strings.Cut(arg, "/")
		switch {
		case strings.Contains(name, "/"):
			return nil, invalidf("%q: arguments in resource/name form may not have more than one slash", arg)
		case kind == "" || name == "" || strings.Contains(kind, ","):
			return nil, invalidf("%q: arguments in resource/name form must have a single resource and name", arg)
		}
		all = append(all, parsed{kind, name})
	}
	return all, nil
}

// parseTypes combines every type with every name. Without names it stands for
// all objects of the types.
func parseTypes(types string, names []string) ([]parsed, error) {
	if len(names) == 0 {
		names = []string{""}
	} else if slices.Contains(names, "") {
		return nil, invalidf("resource name may not be empty")
	}
	var all []parsed
	for kind := range strings.SplitSeq(types, ",") {
		if kind == "" {
			return nil, invalidf("%q has an empty type in it", types)
		}
		for _, name := range names {
			all = append(all, parsed{kind, name})
		}
	}
	return all, nil
}

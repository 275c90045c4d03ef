package cli

import (
	"context"
	"strings"

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

// namespaceOf returns the namespace to ask for: none for cluster-scoped objects, "" for all.
func (t target) namespaceOf(namespace string) string {
	if !t.Namespaced {
		return history.NoNamespace
	}
	return namespace
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

// parseMany reads what get takes: types, with commas between them, and TYPE/NAME; or one list of types and names of their
// objects. Several arguments without a slash are types where the recorder knows all of them, else names.
func parseMany(ctx context.Context, args []string, known func(context.Context, string) (bool, error)) ([]parsed, error) {
	if len(args) > 1 && !strings.Contains(strings.Join(args, ""), "/") {
		types, err := allKnown(ctx, args[1:], known)
		if err != nil {
			return nil, err
		}
		if !types {
			return named(args[0], args[1:]), nil
		}
	}
	var all []parsed
	for _, arg := range args {
		if kind, name, slash := strings.Cut(arg, "/"); slash {
			p, err := parseObject([]string{kind, name})
			if err != nil {
				return nil, err
			}
			all = append(all, p)
			continue
		}
		for kind := range strings.SplitSeq(arg, ",") {
			if kind == "" {
				return nil, invalidf("%q has an empty type in it", arg)
			}
			all = append(all, parsed{kind: kind})
		}
	}
	return all, nil
}

// named combines every type with every name.
func named(types string, names []string) []parsed {
	var all []parsed
	for kind := range strings.SplitSeq(types, ",") {
		for _, name := range names {
			all = append(all, parsed{kind, name})
		}
	}
	return all
}

func allKnown(ctx context.Context, args []string, known func(context.Context, string) (bool, error)) (bool, error) {
	for _, arg := range args {
		for kind := range strings.SplitSeq(arg, ",") {
			if ok, err := known(ctx, kind); !ok || err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

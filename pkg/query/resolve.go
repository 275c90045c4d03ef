package query

import (
	"context"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// CoreGroup names the group whose real name is empty, where a group is asked for. It can be no other group's name.
const CoreGroup = "core"

// resolve returns the resources of the catalogue that one of the types names and that are in the group. No types mean
// all; an empty group means any.
func (s *Service) resolve(ctx context.Context, types []string, group string) ([]history.Resource, error) {
	catalogue, err := s.reader.Resources(ctx)
	if err != nil {
		return nil, err
	}
	return choose(catalogue, types, group), nil
}

// resolveObject returns the resources that the question's type names: those of
// the catalogue; otherwise those that the API server serves; otherwise, if the
// type is spelled like a kind, one that has a kind and no plural. Only the
// catalogue's have records of their own, but Events may regard an object of
// any type.
func (s *Service) resolveObject(ctx context.Context, q Object) ([]history.Resource, error) {
	found, err := s.resolve(ctx, []string{q.Type}, q.Group)
	if err != nil || len(found) > 0 {
		return found, err
	}
	if found = choose(s.options.Served(), []string{q.Type}, q.Group); len(found) > 0 {
		return found, nil
	}
	return kinds(q.Type, q.Group), nil
}

// kinds returns what arg means as "Kind", "Kind.group" or "Kind.version.group";
// both of the latter if it may be either. What has no upper-case letter is not
// a kind.
func kinds(arg, group string) []history.Resource {
	if arg == strings.ToLower(arg) {
		return nil
	}
	versioned, plain := schema.ParseKindArg(arg)
	found := []history.Resource{{Group: plain.Group, Kind: plain.Kind}}
	if versioned != nil {
		found = append(found, history.Resource{Group: versioned.Group, Version: versioned.Version, Kind: versioned.Kind})
	}
	if plain.Group == "" && group != "" && group != CoreGroup {
		found[0].Group = group
	}
	return choose(found, nil, group)
}

// choose is resolve for a catalogue that is at hand.
func choose(catalogue []history.Resource, types []string, group string) []history.Resource {
	catalogue = slices.DeleteFunc(slices.Clone(catalogue), func(r history.Resource) bool {
		return group != "" && group != r.Group && (group != CoreGroup || r.Group != "")
	})
	if len(types) == 0 {
		return catalogue
	}
	var found []history.Resource
	for _, arg := range types {
		for _, r := range history.Matching(catalogue, arg) {
			if !slices.ContainsFunc(found, func(f history.Resource) bool { return f.GroupResource() == r.GroupResource() }) {
				found = append(found, r)
			}
		}
	}
	return found
}

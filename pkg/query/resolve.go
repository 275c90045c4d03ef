package query

import (
	"context"
	"slices"
	"strings"

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
		for _, r := range Named(catalogue, arg) {
			if !slices.ContainsFunc(found, func(f history.Resource) bool { return f.GroupResource() == r.GroupResource() }) {
				found = append(found, r)
			}
		}
	}
	return found
}

// Named returns what arg names, in any form that kubectl takes. A plural that is spelled out wins over another resource's short name or kind.
func Named(catalogue []history.Resource, arg string) []history.Resource {
	plural, _, _ := strings.Cut(strings.ToLower(arg), ".")
	var byPlural, byAny []history.Resource
	for _, r := range catalogue {
		switch {
		case plural == "" || !r.Named(arg): // a resource may have no singular, which is not its name
		case r.Plural == plural:
			byPlural = append(byPlural, r)
		default:
			byAny = append(byAny, r)
		}
	}
	if len(byPlural) > 0 {
		return byPlural
	}
	return byAny
}

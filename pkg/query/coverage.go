package query

import (
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// together is how far apart recordings may begin that a recorder began at once:
// its first lists take so long.
const together = time.Minute

// Coverage says what of a question's time and resources can't be in the log,
// because it was not recorded. What should have been recorded is in gaps.
type Coverage struct {
	// Since is when recording began of the first of the question's resources or,
	// if it is trimmed, where what is kept of them begins. It is zero if none is
	// recorded, or if nobody knows of one of them.
	Since   time.Time
	Trimmed bool
	// Late are those of the question's resources whose recording began later than
	// Since, and after the question's time begins.
	Late []history.Resource
	// Absent are those that are not recorded.
	Absent []history.UnrecordedResource
}

// coverage returns the coverage of the scopes from a start on; a zero start is
// the beginning of history.
func (s *Service) coverage(ctx context.Context, start time.Time, scopes ...scope) (Coverage, error) {
	catalogue, err := s.reader.Resources(ctx)
	if err != nil {
		return Coverage{}, err
	}
	absent := s.options.Absent()
	var c Coverage
	for _, sc := range scopes {
		for _, a := range absentIn(sc, absent, catalogue) {
			if !slices.ContainsFunc(c.Absent, func(known history.UnrecordedResource) bool { return same(known.Resource, a.Resource) }) {
				c.Absent = append(c.Absent, a)
			}
		}
	}
	recorded := recordedIn(scopes, catalogue, absent)
	if slices.ContainsFunc(recorded, func(r history.Resource) bool { return r.Since.IsZero() }) || len(recorded) == 0 {
		return c, nil
	}
	first := slices.MinFunc(recorded, func(a, b history.Resource) int { return a.Since.Compare(b.Since) })
	c.Since, c.Trimmed = first.Since, first.Trimmed
	for _, r := range recorded {
		if r.Since.After(start) && r.Since.After(c.Since.Add(together)) {
			c.Late = append(c.Late, r)
		}
	}
	return c, nil
}

// recordedIn returns the resources of the scopes that are in the catalogue,
// without those that are in it because they are waited for.
func recordedIn(scopes []scope, catalogue []history.Resource, absent []history.UnrecordedResource) (all []history.Resource) {
	seen := map[schema.GroupResource]bool{}
	for _, a := range absent {
		seen[a.Resource.GroupResource()] = true
	}
	for _, sc := range scopes {
		for _, r := range choose(catalogue, sc.types, sc.group) {
			if seen[r.GroupResource()] && r.Since.IsZero() || !(place{r, sc.namespace}).holds() {
				continue
			}
			if !slices.ContainsFunc(all, func(known history.Resource) bool { return same(known, r) }) {
				all = append(all, r)
			}
		}
	}
	return all
}

// absentIn returns what a scope asks for and is not recorded. A type that the
// catalogue has means that one, and not others of the same plural.
func absentIn(sc scope, absent []history.UnrecordedResource, catalogue []history.Resource) (all []history.UnrecordedResource) {
	types := slices.DeleteFunc(slices.Clone(sc.types), func(arg string) bool {
		return slices.ContainsFunc(choose(catalogue, []string{arg}, sc.group), func(r history.Resource) bool {
			return !slices.ContainsFunc(absent, func(a history.UnrecordedResource) bool { return same(a.Resource, r) })
		})
	})
	if len(types) == 0 && len(sc.types) > 0 {
		return nil
	}
	var resources []history.Resource
	for _, a := range absent {
		resources = append(resources, a.Resource)
	}
	asked := choose(resources, types, sc.group)
	for _, a := range absent {
		wanted := slices.ContainsFunc(asked, func(r history.Resource) bool { return same(r, a.Resource) })
		if wanted && (place{a.Resource, sc.namespace}).holds() {
			all = append(all, a)
		}
	}
	return all
}

func same(a, b history.Resource) bool { return a.GroupResource() == b.GroupResource() }

package query

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// startupSpread is the largest difference between the starts of recordings that
// count as one start. The first lists of a recorder may take that long.
const startupSpread = time.Minute

// Coverage describes the part of a question's time and resources that was not
// recorded, so that the log can't contain it. Changes that should have been
// recorded and are missing are in a [history.Gap] instead.
type Coverage struct {
	// Since is when the history of the first of the question's resources
	// begins: with its recording or, if Trimmed, with what retention has kept.
	// It is zero if none is recorded, or if the start of one is unknown.
	Since   time.Time
	Trimmed bool
	// Late are the question's resources whose history begins later than Since
	// and later than the question's start.
	Late []history.Resource
	// Unrecorded are the question's resources that are not recorded.
	Unrecorded []history.UnrecordedResource
}

// coverage returns the coverage of the scopes from start on. A zero start means
// the beginning of history.
func (s sight) coverage(start time.Time, scopes ...scope) Coverage {
	var c Coverage
	for _, sc := range scopes {
		for _, u := range unrecordedIn(sc, s.unrecorded, s.catalogue) {
			if !slices.ContainsFunc(c.Unrecorded, func(known history.UnrecordedResource) bool {
				return same(known.Resource, u.Resource)
			}) {
				c.Unrecorded = append(c.Unrecorded, u)
			}
		}
	}
	recorded := recordedIn(scopes, s.catalogue, s.unrecorded)
	if slices.ContainsFunc(recorded, func(r history.Resource) bool { return r.Since.IsZero() }) || len(recorded) == 0 {
		return c
	}
	first := slices.MinFunc(recorded, func(a, b history.Resource) int { return a.Since.Compare(b.Since) })
	c.Since, c.Trimmed = first.Since, first.Trimmed
	for _, r := range recorded {
		if r.Since.After(start) && r.Since.After(c.Since.Add(startupSpread)) {
			c.Late = append(c.Late, r)
		}
	}
	return c
}

// recordedIn returns the resources of the scopes that were recorded. The
// catalogue may also have a resource whose recording has not begun.
func recordedIn(
	scopes []scope, catalogue []history.Resource, unrecorded []history.UnrecordedResource,
) (all []history.Resource) {
	waiting := map[schema.GroupResource]bool{}
	for _, u := range unrecorded {
		waiting[u.Resource.GroupResource()] = true
	}
	for _, sc := range scopes {
		for _, r := range choose(catalogue, sc.types, sc.group) {
			if waiting[r.GroupResource()] && r.Since.IsZero() || !(place{r, sc.namespace}).mayHold() {
				continue
			}
			if !slices.ContainsFunc(all, func(known history.Resource) bool { return same(known, r) }) {
				all = append(all, r)
			}
		}
	}
	return all
}

// unrecordedIn returns the resources of a scope that are not recorded. If a
// type names a recorded resource, it means that one, and not another one of the
// same plural.
func unrecordedIn(
	sc scope, unrecorded []history.UnrecordedResource, catalogue []history.Resource,
) (all []history.UnrecordedResource) {
	types := slices.DeleteFunc(slices.Clone(sc.types), func(arg string) bool {
		return slices.ContainsFunc(choose(catalogue, []string{arg}, sc.group), func(r history.Resource) bool {
			return !slices.ContainsFunc(unrecorded, func(u history.UnrecordedResource) bool {
				return same(u.Resource, r)
			})
		})
	})
	if len(types) == 0 && len(sc.types) > 0 {
		return nil
	}
	var resources []history.Resource
	for _, u := range unrecorded {
		resources = append(resources, u.Resource)
	}
	asked := choose(resources, types, sc.group)
	for _, u := range unrecorded {
		wanted := slices.ContainsFunc(asked, func(r history.Resource) bool { return same(r, u.Resource) })
		if wanted && (place{u.Resource, sc.namespace}).mayHold() {
			all = append(all, u)
		}
	}
	return all
}

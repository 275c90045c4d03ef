package clustertest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
)

// OutsideGaps names the writes that are not recorded and lie in none of the gaps that the recorder owns up to, a line each. A write
// lies between the recorded versions of its resource that come before it and after it by resourceVersion; a gap of that resource
// has to touch the time between these two. Deletions have no resourceVersion, and are not looked at.
func OutsideGaps(truth []Write, recorded []v1.Event, gaps []v1.Gap) (findings []string) {
	type version struct{ uid, rv string }
	have := map[version]bool{}
	sights := map[schema.GroupResource][]sight{}
	for _, e := range recorded {
		rv, err := strconv.ParseUint(e.ResourceVersion, 10, 64)
		if err != nil {
			return append(findings, fmt.Sprintf("%s %s has the resourceVersion %q", e.ResourceType, e.ResourceName, e.ResourceVersion))
		}
		have[version{e.UID, e.ResourceVersion}] = true
		resource := schema.GroupResource{Group: e.Group, Resource: e.ResourceType}
		sights[resource] = append(sights[resource], sight{rv, e.Timestamp})
	}
	for _, s := range sights {
		slices.SortFunc(s, func(a, b sight) int { return cmp.Compare(a.rv, b.rv) })
	}
	for _, w := range truth {
		if w.Verb == "delete" || have[version{w.UID, w.ResourceVersion}] {
			continue
		}
		resource := schema.GroupResource{Group: w.Group, Resource: w.Resource}
		from, to := around(sights[resource], w.ResourceVersion)
		if !slices.ContainsFunc(gaps, func(g v1.Gap) bool {
			return g.Group == w.Group && g.Resource == w.Resource && !g.Start.After(to) && (g.End.IsZero() || !g.End.Before(from))
		}) {
			findings = append(findings, fmt.Sprintf("%s of %s %s at %s is missing, and there is no gap between %v and %v", w.Verb, resource, w.Name, w.ResourceVersion, from, to))
		}
	}
	return findings
}

// sight is when a version was recorded.
type sight struct {
	rv uint64
	at time.Time
}

// around returns when the versions before and after a resourceVersion were recorded.
func around(sorted []sight, rv string) (from, to time.Time) {
	n, _ := strconv.ParseUint(rv, 10, 64) // 0 is before all
	i, _ := slices.BinarySearchFunc(sorted, n, func(s sight, n uint64) int { return cmp.Compare(s.rv, n) })
	if to = time.Unix(1<<40, 0); i < len(sorted) {
		to = sorted[i].at
	}
	if i > 0 {
		from = sorted[i-1].at
	}
	return from, to
}

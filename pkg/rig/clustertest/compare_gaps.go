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

// OutsideGaps returns a finding for each write that is neither recorded nor in
// a gap of its resource.
//
// The time of a write is between the recorded versions of its resource before
// and after it, by resourceVersion. A gap must touch that time. Deletions have
// no resourceVersion and are not checked.
func OutsideGaps(truth []Write, recorded []v1.Event, gaps []v1.Gap) (findings []string) {
	type version struct{ uid, rv string }
	have := map[version]bool{}
	recordedAt := map[schema.GroupResource][]observation{}
	for _, e := range recorded {
		rv, err := strconv.ParseUint(e.ResourceVersion, 10, 64)
		if err != nil {
			return append(findings, fmt.Sprintf("%s %s has resourceVersion %q, want a number",
				e.ResourceType, e.ResourceName, e.ResourceVersion))
		}
		have[version{e.UID, e.ResourceVersion}] = true
		resource := schema.GroupResource{Group: e.Group, Resource: e.ResourceType}
		recordedAt[resource] = append(recordedAt[resource], observation{rv, e.Timestamp})
	}
	for _, s := range recordedAt {
		slices.SortFunc(s, func(a, b observation) int { return cmp.Compare(a.rv, b.rv) })
	}
	for _, w := range truth {
		if w.Verb == "delete" || have[version{w.UID, w.ResourceVersion}] {
			continue
		}
		resource := schema.GroupResource{Group: w.Group, Resource: w.Resource}
		from, to := around(recordedAt[resource], w.ResourceVersion)
		if !slices.ContainsFunc(gaps, func(g v1.Gap) bool {
			return g.Group == w.Group && g.Resource == w.Resource && !g.Start.After(to) &&
				(g.End.IsZero() || !g.End.Before(from))
		}) {
			findings = append(findings, fmt.Sprintf("%s of %s %s at %s is missing, want a gap between %v and %v",
				w.Verb, resource, w.Name, w.ResourceVersion, from, to))
		}
	}
	return findings
}

// observation is the time at which a version was recorded.
type observation struct {
	rv uint64
	at time.Time
}

// around returns the times of the versions before and after a resourceVersion.
func around(sorted []observation, rv string) (from, to time.Time) {
	n, _ := strconv.ParseUint(rv, 10, 64) // 0 is before all others
	i, _ := slices.BinarySearchFunc(sorted, n, func(s observation, n uint64) int { return cmp.Compare(s.rv, n) })
	if to = time.Unix(1<<40, 0); i < len(sorted) {
		to = sorted[i].at
	}
	if i > 0 {
		from = sorted[i-1].at
	}
	return from, to
}

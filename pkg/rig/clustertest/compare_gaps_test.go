package clustertest_test

import (
	"testing"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

func TestOutsideGaps_ReportsMissingWrites(t *testing.T) {
	at := func(second int) time.Time { return time.Date(2026, 1, 2, 3, 4, second, 0, time.UTC) }
	recorded := []v1.Event{
		{ResourceType: "pods", UID: "a", ResourceVersion: "10", Timestamp: at(10)},
		{ResourceType: "pods", UID: "a", ResourceVersion: "20", Timestamp: at(20)},
		{ResourceType: "secrets", UID: "b", ResourceVersion: "15", Timestamp: at(1)},
	}
	write := func(resource, uid, rv string) clustertest.Write {
		return clustertest.Write{Resource: resource, UID: uid, ResourceVersion: rv, Verb: "update"}
	}
	gap := func(resource string, start, end int) v1.Gap {
		g := v1.Gap{Resource: resource, Start: at(start)}
		if end > 0 {
			g.End = at(end)
		}
		return g
	}
	for name, tc := range map[string]struct {
		write clustertest.Write
		gap   v1.Gap
		want  int
	}{
		"recorded":                        {write("pods", "a", "10"), gap("nodes", 1, 2), 0},
		"in a gap":                        {write("pods", "a", "15"), gap("pods", 12, 18), 0},
		"in a gap that began before":      {write("pods", "a", "15"), gap("pods", 5, 11), 0},
		"in an open gap":                  {write("pods", "a", "25"), gap("pods", 19, 0), 0},
		"before all, in the first gap":    {write("pods", "a", "5"), gap("pods", 1, 2), 0},
		"the gap ended before":            {write("pods", "a", "15"), gap("pods", 5, 9), 1},
		"the gap began after":             {write("pods", "a", "15"), gap("pods", 21, 0), 1},
		"the gap is another resource's":   {write("pods", "a", "15"), gap("secrets", 12, 18), 1},
		"the same version of another UID": {write("pods", "c", "10"), gap("nodes", 1, 2), 1},
		"a deletion": {
			clustertest.Write{Resource: "pods", UID: "a", Verb: "delete"}, gap("nodes", 1, 2), 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := clustertest.OutsideGaps([]clustertest.Write{tc.write}, recorded, []v1.Gap{tc.gap})
			if len(got) != tc.want {
				t.Errorf("got %d findings, want %d: %q", len(got), tc.want, got)
			}
		})
	}
}

package clustertest_test

import (
	"strings"
	"testing"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

// life returns the writes and the records of an object that is created, updated
// twice and deleted.
func life() (truth []clustertest.Write, recorded []v1.Event) {
	for i, verb := range []string{"create", "update", "update", "delete"} {
		rv := string(rune('3' + i))
		recorded = append(recorded, v1.Event{UID: "u", Verb: verb, ResourceVersion: rv, Revision: uint64(i) + 1})
		if verb == "delete" {
			rv = ""
		}
		truth = append(truth, clustertest.Write{Resource: "pods", Name: "a", UID: "u", ResourceVersion: rv, Verb: verb})
	}
	return truth, recorded
}

// without returns the records except some, with new revisions.
func without(events []v1.Event, gone ...int) (left []v1.Event) {
	for i, e := range events {
		keep := true
		for _, n := range gone {
			keep = keep && i != n
		}
		if keep {
			e.Revision = uint64(len(left)) + 1
			left = append(left, e)
		}
	}
	return left
}

// inferred marks a record as inferred.
func inferred(events []v1.Event, n int) []v1.Event {
	events[n].Inferred = &v1.Interval{}
	return events
}

func TestCompare_ReportsMistakes(t *testing.T) {
	all := clustertest.Blind{From: 4, To: 5}
	tests := map[string]struct {
		change func([]v1.Event) []v1.Event
		blind  []clustertest.Blind
		want   string // part of a finding; "" means no finding
	}{
		"right": {func(e []v1.Event) []v1.Event { return e }, nil, ""},
		"missing": {
			func(e []v1.Event) []v1.Event { return without(e, 1) }, nil, "update of pods a at 4 is missing",
		},
		"missing deletion": {
			func(e []v1.Event) []v1.Event { return e[:3] }, nil, "the deletion of pods a is missing",
		},
		"missing whole": {func([]v1.Event) []v1.Event { return nil }, nil, "create of pods a at 3 is missing"},
		"twice": {
			func(e []v1.Event) []v1.Event { return append(e[:2:2], e[1:]...) }, nil, "comes after 4",
		},
		"out of order": {
			func(e []v1.Event) []v1.Event { e[1], e[2] = e[2], e[1]; return e }, nil, "comes after 5",
		},
		"another verb": {
			func(e []v1.Event) []v1.Event { e[1].Verb = "create"; return e }, nil, "never happened",
		},
		"another version": {func(e []v1.Event) []v1.Event { e[3].UID = "v"; return e }, nil, "no such object"},
		"after deletion": {
			func(e []v1.Event) []v1.Event { e[2], e[3] = e[3], e[2]; return e }, nil, "comes after its deletion",
		},
		"revisions with a hole": {
			func(e []v1.Event) []v1.Event { e[1].Revision = 7; return e }, nil, "is revision 7, want 2",
		},
		"inferred without need": {func(e []v1.Event) []v1.Event { return inferred(e, 3) }, nil, "want it observed"},
		"initial without need": {
			func(e []v1.Event) []v1.Event { e[0].Initial = true; return e }, nil, "want it observed",
		},
		"missing in the blind": {
			func(e []v1.Event) []v1.Event { return without(e, 1, 2) }, []clustertest.Blind{all}, "",
		},
		"missing before it": {
			func(e []v1.Event) []v1.Event { return without(e, 0) },
			[]clustertest.Blind{all},
			"create of pods a at 3 is missing",
		},
		"inferred in the blind": {
			func(e []v1.Event) []v1.Event { return inferred(without(e, 1), 1) }, []clustertest.Blind{all}, "",
		},
		"inferred out of it": {
			func(e []v1.Event) []v1.Event { return inferred(e, 0) },
			[]clustertest.Blind{all},
			"outside of blind intervals",
		},
		"inferred, never was": {
			func(e []v1.Event) []v1.Event { e[2].ResourceVersion = "6"; return inferred(e[:3], 2) },
			[]clustertest.Blind{all},
			"is inferred and never happened",
		},
		"deletion never noticed": {
			func(e []v1.Event) []v1.Event { return e[:1] },
			[]clustertest.Blind{all},
			"the deletion of pods a is missing",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			truth, recorded := life()
			got := clustertest.Compare(truth, test.change(recorded), test.blind...).Findings
			if test.want == "" && len(got) > 0 ||
				test.want != "" && !strings.Contains(strings.Join(got, "\n"), test.want) {
				t.Errorf("got findings %q, want %q", got, test.want)
			}
		})
	}
}

func TestCompare_RequiresNewestState(t *testing.T) {
	truth, recorded := life()
	got := clustertest.Compare(truth[:3], recorded[:2], clustertest.Blind{From: 4, To: 5})
	if len(got.Findings) != 1 || !strings.Contains(got.Findings[0], "the newest state") {
		t.Errorf("got findings %q, want one about the newest state", got.Findings)
	}
}

func TestCompare_ReportsInventedDeletion(t *testing.T) {
	truth, recorded := life()
	got := clustertest.Compare(truth[:3], inferred(recorded, 3), clustertest.Blind{From: 4, To: 5})
	if len(got.Findings) != 1 || !strings.Contains(got.Findings[0], "inferred and never happened") {
		t.Errorf("got findings %q, want one about the deletion", got.Findings)
	}
}

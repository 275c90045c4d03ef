package render_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// gap returns a gap of a resource such as "deployments.apps". It started and
// ended the given times ago, and is open if to is negative.
func gap(resource string, from, to time.Duration, reason string) v1.Gap {
	g := v1.Gap{Start: ago(from), Reason: reason, Detail: "because of " + resource}
	g.Resource, g.Group, _ = strings.Cut(resource, ".")
	if to >= 0 {
		g.End = ago(to)
	}
	return g
}

// gaps returns gaps of every kind, in the order of their starts.
func gaps() []v1.Gap {
	all := []v1.Gap{
		gap("pods", 7*day, 6*day, "expired"),
		gap("nodes", 41*time.Minute+30*time.Second, 41*time.Minute, "disconnected"),
	}
	restart := []string{"pods", "services", "configmaps", "deployments.apps", "replicasets.apps", "events"}
	for i, resource := range restart {
		one := gap(resource, 9*time.Minute-time.Duration(i)*time.Second,
			7*time.Minute-time.Duration(i)*time.Second, "restarted")
		one.Detail = "the recorder was away"
		all = append(all, one)
	}
	evil := gap("wol\x1b[31mves\u202e.toys", 3*time.Minute, -1, "not_served")
	evil.Detail = "evil\r\n\x1b[31mred"
	return append(all, evil)
}

const day = 24 * time.Hour

func TestTimeline_WithGaps(t *testing.T) {
	testLooks(t, func(p *render.Printer) error { return p.Timeline(changes(), gaps()) })
}

func TestHistory_WithGaps(t *testing.T) {
	testLooks(t, func(p *render.Printer) error {
		events := changes()
		slices.Reverse(events)
		return p.History(events, gaps())
	})
}

func TestRelated_WithGaps(t *testing.T) {
	testLooks(t, func(p *render.Printer) error {
		return p.Related(kubernetesEvents(), []v1.Gap{
			gap("events", 10*time.Minute, 270*time.Second, "expired"),
			gap("events", 150*time.Second, 130*time.Second, "disconnected"),
		})
	})
}

// TestTimeline_ContinuesAfterGapRows checks pages with gaps only. The header
// precedes the first change, and gap rows widen no column.
func TestTimeline_ContinuesAfterGapRows(t *testing.T) {
	var out bytes.Buffer
	p, events, all := render.New(&out, render.Options{Now: now()}), changes(), gaps()
	for _, page := range []struct {
		events []v1.Event
		gaps   []v1.Gap
	}{{nil, all[:1]}, {events[:1], nil}, {nil, all[1:2]}, {events[1:3], all[2:]}} {
		if err := p.Timeline(page.events, page.gaps); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, out.String())
}

// TestTimeline_AlignsLongTables checks that a gap row in a long table does not
// change the columns after it.
func TestTimeline_AlignsLongTables(t *testing.T) {
	var events []v1.Event
	for i := range 2500 {
		events = append(events,
			web(uint64(i+1), 3000*time.Second-time.Duration(i)*time.Second, "update", fmt.Sprint("version ", i+1)))
	}
	events[2400].ResourceName = "a-longer-name-than-all-before"
	var out bytes.Buffer
	p := render.New(&out, render.Options{Now: now()})
	err := p.Timeline(events, []v1.Gap{gap("pods", 2000*time.Second-1, 1999*time.Second-1, "restarted")})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if len(lines) != 1+2500+1+1 || !strings.HasPrefix(lines[1002], "-- recorder saw no pods ") {
		t.Errorf("got %d lines, the 1003rd %q; want %d lines, the 1003rd a gap row",
			len(lines), lines[1002], 1+2500+1+1)
	}
	at := strings.Index(lines[0], "SUMMARY")
	for i, line := range slices.Delete(lines[:2502], 1002, 1003) {
		if i > 0 && strings.Index(line, "version ") != at {
			t.Fatalf("line %d: got its summary in column %d, want %d\n%q\n%q",
				i, strings.Index(line, "version "), at, lines[0], line)
		}
	}
}

func TestGapRow_GroupsGaps(t *testing.T) {
	const minute = time.Minute
	many := func(resources ...string) []v1.Gap {
		var all []v1.Gap
		for _, r := range resources {
			all = append(all, gap(r, 9*minute, 7*minute, "restarted"))
		}
		return all
	}
	for name, tc := range map[string]struct {
		gaps []v1.Gap
		want string // the texts of the rows after "recorder"
	}{
		"one": {many("pods"), "saw no pods from 9m to 7m (restarted)"},
		"two": {many("nodes", "pods"), "saw no pods and nodes from 9m to 7m (restarted)"},
		"three": {
			many("deployments.apps", "services", "pods"),
			"saw no pods, services and deployments from 9m to 7m (restarted)",
		},
		"four": {
			many("b.x", "a.x", "pods", "nodes"), "saw no pods, nodes and 2 more from 9m to 7m (restarted)",
		},
		"same name": {many("things.a", "things.b"), "saw no things from 9m to 7m (restarted)"},
		"open":      {[]v1.Gap{gap("pods", 3*minute, -1, "forbidden")}, "sees no pods since 3m: forbidden"},
		"several open": {
			[]v1.Gap{gap("pods", 4*minute, -1, "not_served"), gap("nodes", 3*minute, -1, "not_served")},
			"sees no pods and nodes since 4m: not served",
		},
		"same age": {
			[]v1.Gap{gap("pods", 100*minute-1, 99*minute, "eclipsed")}, "saw no pods for 59s, 99m ago (eclipsed)",
		},
		"close together": {
			[]v1.Gap{gap("pods", 20*minute, 15*minute, "expired"), gap("nodes", 18*minute, 13*minute, "expired")},
			"saw no pods and nodes from 20m to 13m (expired)",
		},
		"different causes": {
			[]v1.Gap{gap("pods", 9*minute, 7*minute, "expired"), gap("nodes", 9*minute, 7*minute, "forbidden")},
			"saw no pods from 9m to 7m (expired)\nsaw no nodes from 9m to 7m (forbidden)",
		},
		"one outage": {
			[]v1.Gap{
				gap("pods", 9*minute, 7*minute, "expired"), gap("nodes", 9*minute, 7*minute, "disconnected"),
				gap("services", 9*minute, 7*minute, "expired"), gap("secrets", 9*minute, 7*minute, "server_error"),
			},
			"saw no pods, nodes and 2 more from 9m to 7m (server error)",
		},
		"distant starts": {
			[]v1.Gap{gap("pods", 20*minute, 15*minute, "expired"), gap("nodes", 18*minute-1, 15*minute, "expired")},
			"saw no pods from 20m to 15m (expired)\nsaw no nodes from 17m to 15m (expired)",
		},
		"distant ends": {
			[]v1.Gap{gap("pods", 20*minute, 15*minute, "expired"), gap("nodes", 20*minute, 13*minute-1, "expired")},
			"saw no pods from 20m to 15m (expired)\nsaw no nodes from 20m to 12m (expired)",
		},
		"consecutive": {
			[]v1.Gap{
				gap("pods", 200*time.Second, 180*time.Second, "expired"),
				gap("nodes", 150*time.Second, 130*time.Second, "expired"),
			},
			"saw no pods from 3m20s to 3m (expired)\nsaw no nodes from 2m30s to 2m10s (expired)",
		},
		"one still open": {
			[]v1.Gap{gap("pods", minute, 30*time.Second, "expired"), gap("nodes", minute, -1, "expired")},
			"saw no pods from 60s to 30s (expired)\nsees no nodes since 60s: expired",
		},
		"dropped": {
			[]v1.Gap{gap("pods", 9*day, 8*day, "dropped"), gap("nodes", 9*day, 8*day, "dropped")},
			"kept no pods and nodes from 9d to 8d (dropped)",
		},
		"groups do not grow step by step": {
			[]v1.Gap{
				gap("a", 30*minute, 20*minute, "expired"), gap("b", 29*minute, 18*minute, "expired"),
				gap("c", 29*minute, 17*minute, "expired"),
			},
			"saw no a and b from 30m to 18m (expired)\nsaw no c from 29m to 17m (expired)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := render.New(&out, render.Options{Now: now()}).Timeline(nil, tc.gaps); err != nil {
				t.Fatal(err)
			}
			var want strings.Builder
			for row := range strings.SplitSeq(tc.want, "\n") {
				want.WriteString("-- recorder " + row + " --\n")
			}
			if out.String() != want.String() {
				t.Errorf("got\n%swant\n%s", out.String(), want.String())
			}
		})
	}
}

// TestGapRow_WideShowsDetail checks that a wide row has all resources with
// their groups, and the detail if all gaps share it.
func TestGapRow_WideShowsDetail(t *testing.T) {
	same := []v1.Gap{
		gap("pods", 9*time.Minute, -1, "forbidden"), gap("nodes", 9*time.Minute, -1, "forbidden"),
		gap("things.a", 9*time.Minute, -1, "forbidden"),
	}
	for i := range same {
		same[i].Detail = "not allowed"
	}
	differing := slices.Clone(same)
	differing[2].Detail = "things may not"
	var out bytes.Buffer
	p := render.New(&out, render.Options{Now: now(), Wide: true})
	for _, gaps := range [][]v1.Gap{same, differing, same[2:]} {
		if err := p.Timeline(nil, gaps); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, out.String())
}

package render_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/olekukonko/tablewriter/pkg/twwidth"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// incidents returns folded rows of each kind.
func incidents() []v1.Row {
	at := func(minutes, seconds int) time.Time {
		return now().Add(-time.Duration(60-minutes)*time.Minute + time.Duration(seconds)*time.Second)
	}
	object := func(kind, plural, name string) v1.Object {
		return v1.Object{Kind: kind, ResourceType: plural, Namespace: "shop", Name: name}
	}
	change := func(verb string, revision uint64, at time.Time) v1.Event {
		return v1.Event{Verb: verb, Revision: revision, Timestamp: at}
	}
	person := v1.Writer{Name: "kubectl-set", Short: "kubectl set", Class: "person"}
	operator := v1.Writer{Name: "ledger-operator", Short: "ledger-operator", Class: "automation"}
	system := v1.Writer{Name: "kube-controller-manager", Short: "kcm", Class: "system"}
	after := 4.0
	return []v1.Row{
		{
			Kind: "change", Start: at(30, 25), Object: object("Deployment", "deployments", "web"), Objects: 1,
			Summary: "image app 1.4.0 → 1.5.0-rc1", Writers: []v1.Writer{person}, Consequences: 40,
			Changes: []v1.Event{change("update", 11, at(30, 25))},
			Outcome: &v1.Outcome{State: "failing", Text: "2 pods ImagePullBackOff", AfterSeconds: &after},
		},
		{
			Kind: "fight", Start: at(31, 0), Object: object("Deployment", "deployments", "ledger"), Objects: 1,
			Summary: "replicas 2 ⇄ 4", Writers: []v1.Writer{person, operator}, Consequences: 12,
			ConsequencesRelation: "gte",
			Changes: []v1.Event{
				change("update", 3, at(31, 0)), change("update", 4, at(31, 9)),
				change("update", 5, at(31, 20)), change("update", 6, at(31, 29)),
			},
			Outcome: &v1.Outcome{State: "ready", Text: "2/2 ready"},
		},
		{
			Kind: "repeat", Start: at(32, 0), Object: object("Database", "databases", "orders"), Objects: 1,
			Summary: "spec.seen 4 → 5", Writers: []v1.Writer{operator},
			Changes: []v1.Event{change("update", 8, at(32, 0)), change("update", 9, at(41, 0))},
		},
		{
			Kind: "bulk", Start: at(42, 0), Object: object("Deployment", "deployments", "api"), Objects: 14,
			Summary: "image app 1 → 2 in 14 deployments", Writers: []v1.Writer{operator},
			Changes: []v1.Event{change("update", 2, at(42, 0))},
			Outcome: &v1.Outcome{State: "progressing", Text: "9 of 14 ready"},
		},
		{
			Kind: "change", Start: at(43, 0), Object: object("ConfigMap", "configmaps", "feature-flags"), Objects: 1,
			Summary: "deleted", Changes: []v1.Event{change("delete", 4, at(43, 0))},
		},
		{
			Kind: "change", Start: at(43, 30), Object: object("Secret", "secrets", "db"), Objects: 1,
			Summary: "password changed", Writers: []v1.Writer{operator},
			Changes: []v1.Event{change("update", 2, at(43, 30))},
			UsedBy: []v1.User{
				{Object: object("Deployment", "deployments", "web")},
				{Object: object("Deployment", "deployments", "worker"), OutdatedPods: 2},
			},
		},
		{
			Kind: "change", Start: at(44, 0), Object: object("Node", "nodes", "node-1"), Objects: 1,
			Summary: "Ready False: KubeletNotReady, PLEG is not healthy", Writers: []v1.Writer{system},
			Changes: []v1.Event{change("update", 70, at(44, 0))},
		},
		{
			Kind: "problem", Start: at(45, 0), End: at(47, 0), Object: object("Deployment", "deployments", "worker"),
			Summary:  "pod/worker-7d OOMKilled (limit 256Mi)",
			Problems: []v1.Problem{{Timestamp: at(45, 0)}, {Timestamp: at(47, 0)}},
		},
	}
}

// TestFolded_Widths has a golden file for each usual width, plain and in
// colour. Nothing is cut.
func TestFolded_Widths(t *testing.T) {
	for name, opts := range map[string]render.Options{
		"pipe": {}, "80": {Width: 80}, "120": {Width: 120}, "200": {Width: 200},
		"80 color": {Width: 80, Color: true}, "120 color": {Width: 120, Color: true},
		"namespaces": {Width: 120, Namespaces: true},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			opts.Now = now()
			p := render.New(&out, opts)
			rows := incidents()
			if err := p.Heading(&render.Heading{Namespace: "shop", Start: rows[0].Start}, rows); err != nil {
				t.Fatal(err)
			}
			gaps := []v1.Gap{{
				Resource: "pods", Start: rows[2].Start.Add(-time.Second), End: rows[2].Start, Reason: "restarted",
			}}
			if err := p.Folded(rows, gaps); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(out.String()) {
				if width := twwidth.Width(strings.TrimSuffix(line, "\n")); opts.Width > 0 && width > opts.Width {
					t.Errorf("got %d columns, want at most %d: %q", width, opts.Width, line)
				}
			}
			if strings.Contains(out.String(), "…\n") {
				t.Errorf("got a text that was cut in\n%s", out.String())
			}
			golden(t, out.String())
		})
	}
}

// TestFolded_SaysOnlyWhatHolds checks that a row of several namespaces does not
// name one of them, and that a fight is not called a return.
func TestFolded_SaysOnlyWhatHolds(t *testing.T) {
	rows := incidents()
	bulk, fight := rows[slices.IndexFunc(rows, func(r v1.Row) bool { return r.Kind == "bulk" })], rows[1]
	bulk.Changes = []v1.Event{{Namespace: "shop", Verb: "update"}, {Namespace: "billing", Verb: "update"}}
	fight.Again = 33
	var out bytes.Buffer
	p := render.New(&out, render.Options{Now: now(), Location: time.UTC, Namespaces: true})
	if err := p.Folded([]v1.Row{bulk, fight}, nil); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.HasPrefix(got, "2 namespaces ") || strings.Contains(got, "again") {
		t.Errorf("got\n%s\nwant 2 namespaces, and no return of the fight", got)
	}
}

func TestRowTotals_CountsKnownWriters(t *testing.T) {
	unknown := v1.Row{Changes: make([]v1.Event, 2)}
	known := v1.Row{Changes: make([]v1.Event, 1), Writers: []v1.Writer{{Name: "kubectl"}}, Consequences: 1}
	for _, tt := range []struct {
		rows []v1.Row
		want string
	}{
		{nil, "0 changes (0 consequences folded)"},
		{[]v1.Row{unknown}, "2 changes by unknown writers (0 consequences folded)"},
		{[]v1.Row{unknown, known}, "3 changes by 1 writer (1 consequence folded)"},
	} {
		if got := render.RowTotals(tt.rows); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

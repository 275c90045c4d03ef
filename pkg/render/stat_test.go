package render_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// stats returns a line of each kind.
func stats() []render.Stat {
	difference := func(change, kind, name, summary string) v1.Difference {
		return v1.Difference{Change: change, Namespace: "shop", Kind: kind, ResourceName: name, Summary: summary}
	}
	return []render.Stat{
		{
			Mark: render.StatModified, Changes: 2, Writers: []string{"argocd", "kubectl edit"},
			Difference: difference("changed", "Deployment", "api",
				"image api 1.2.3 → 1.2.4, memory limit 512Mi → 256Mi, RETRIES 3 → 0, and one more long text"),
		},
		{Mark: render.StatModified, Changes: 1, Difference: difference("recreated", "Service", "web", "selector")},
		{Mark: render.StatDeleted, Difference: difference("deleted", "ConfigMap", "feature-flags", "")},
		{
			Mark: render.StatAdded, Changes: 1, Writers: []string{"helm"},
			Difference: difference("created", "ConfigMap", "new\x1b[31m", ""),
		},
		{
			Mark: render.StatSame, Changes: 4, Writers: []string{"kubectl set"},
			Difference: difference("changed", "Deployment", "web", ""),
		},
		{
			Mark: render.StatSame, Changes: 2, Writers: []string{"kubectl rollout"},
			Difference: v1.Difference{
				Change: "changed", Namespace: "shop", Kind: "Deployment", ResourceName: "worker", Remainder: "restart",
			},
		},
	}
}

func TestStats_Widths(t *testing.T) {
	from := now().Truncate(24 * time.Hour).Add(12*time.Hour + 30*time.Minute)
	testWidths(t, func(p *render.Printer) error { return p.Stats(stats(), from, &v1.ObjectCount{Objects: 36}) })
}

// TestStats_Totals checks the last line for answers of older recorders, and for
// counts that are not exact.
func TestStats_Totals(t *testing.T) {
	from := now().Add(-time.Hour)
	owned := stats()
	owned[0].Difference.Derived = true
	for name, tt := range map[string]struct {
		stats   []render.Stat
		existed *v1.ObjectCount
		want    string
	}{
		"not counted": {stats(), nil, "2 changed, 1 deleted, 1 created; 2 changed in between, as before\n"},
		"at least": {
			stats(), &v1.ObjectCount{Objects: 9, Relation: v1.AtLeast},
			"2 changed, 1 deleted, 1 created; at least 6 of at least 9 as at " + from.Format("15:04") + "\n",
		},
		"derived": {
			owned, &v1.ObjectCount{Objects: 9},
			"2 changed, 1 deleted, 1 created; 7 of 9 as at " + from.Format("15:04") + "\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := render.New(&out, render.Options{Now: now()}).Stats(tt.stats, from, tt.existed); err != nil {
				t.Fatal(err)
			}
			if got := out.String()[strings.LastIndex(strings.TrimSuffix(out.String(), "\n"), "\n")+1:]; got != tt.want {
				t.Errorf("got the last line %q, want %q", got, tt.want)
			}
		})
	}
}

func TestInitialNote_CountsObjects(t *testing.T) {
	for _, tt := range []struct {
		existed *v1.ObjectCount
		want    string
	}{
		{nil, ""},
		{&v1.ObjectCount{Objects: 3}, ""},
		{
			&v1.ObjectCount{Objects: 3, Initial: 1},
			"1 object was first observed after 12:30: it is compared with its first version.",
		},
		{
			&v1.ObjectCount{Objects: 3, Initial: 2},
			"2 objects were first observed after 12:30: they are compared with their first versions.",
		},
	} {
		if got := render.InitialNote(tt.existed, "12:30"); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt.existed, got, tt.want)
		}
	}
}

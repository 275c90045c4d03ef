package render_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/render"
)

func TestWhy_Widths(t *testing.T) {
	onset, healthy, searched := ago(5*time.Minute), ago(6*time.Minute), ago(24*time.Hour)
	object := func(kind, name string) v1.Object { return v1.Object{Kind: kind, Namespace: "shop", Name: name} }
	config := web(2, 6*time.Minute, "update", "app.yaml: timeout 30s → .30, ttl 300 → .0",
		v1.Manager{Manager: "kubectl-edit"})
	config.Kind, config.ResourceType, config.ResourceName, config.Group = "ConfigMap", "configmaps", "web-config", ""
	restart := web(26, 5*time.Minute, "update", "restarted", v1.Manager{Manager: "kubectl-rollout"})
	secret := web(2, 4*time.Minute, "delete", "deleted")
	secret.Kind, secret.ResourceType, secret.ResourceName, secret.Group = "Secret", "secrets", "db-credentials", ""
	why := v1.Why{
		Object: object("Deployment", "web"), State: "failing", Text: "2/3 ready", Onset: &onset, HealthyUntil: &healthy,
		Searched: &searched,
		Symptoms: []v1.Symptom{{
			Object: object("Pod", "web-778468f48f-bt8sx"), Count: 2, Since: onset,
			Text: `CrashLoopBackOff, exit 1 "yaml: timeout: missing unit"`,
		}},
		Causes: []v1.Cause{
			{
				Change: config, Score: 2, Likely: true,
				Path: []v1.PathStep{{Rule: "envFrom", Object: object("ConfigMap", "web-config")}},
				For:  []string{"such a change can cause a crash", "1m before", "by a person", "nothing else changed"},
			},
			{Change: restart, Score: 1.9, Likely: true, For: []string{"pods took the new configuration"}},
			{Change: secret, Score: 0.1, Against: []string{"after the first failure"}},
		},
	}
	testWidths(t, func(p *render.Printer) error { return p.Why(&why) })
}

// TestWhy_NamesTheCommandThatUndoes checks the command after the causes.
func TestWhy_NamesTheCommandThatUndoes(t *testing.T) {
	onset := ago(5 * time.Minute)
	change := func(plural, verb string, revision uint64) v1.Event {
		e := web(revision, 6*time.Minute, verb, "changed")
		e.ResourceType, e.Group, e.ResourceName = plural, "", "x"
		return e
	}
	for _, tt := range []struct {
		change v1.Event
		likely bool
		want   string
	}{
		{change("configmaps", "update", 3), true, " undo: watchhistory restore configmaps/x#2 -n shop\n"},
		{change("configmaps", "delete", 3), true, " undo: watchhistory restore configmaps/x -n shop\n"},
		{change("configmaps", "update", 3), false, ""},
		{change("configmaps", "create", 1), true, ""},
		{change("secrets", "update", 3), true, ""},
	} {
		var out bytes.Buffer
		p := render.New(&out, render.Options{Now: now(), Location: time.UTC, Program: "watchhistory"})
		if err := p.Why(&v1.Why{
			Object: v1.Object{Kind: "Deployment", Name: "web"}, State: "failing", Onset: &onset, Searched: &onset,
			Causes: []v1.Cause{{Change: tt.change, Likely: tt.likely, Score: 1}},
		}); err != nil {
			t.Fatal(err)
		}
		_, got, found := strings.Cut(out.String(), " undo: ")
		if got = " undo: " + got; !found {
			got = ""
		}
		if got != tt.want {
			t.Errorf("%s %s: got %q, want %q", tt.change.Verb, tt.change.ResourceType, got, tt.want)
		}
	}
}

// TestWhy_WithoutProblem checks that only an object that is ready is said to
// have nothing wrong.
func TestWhy_WithoutProblem(t *testing.T) {
	for _, tt := range []struct{ state, text, want string }{
		{"ready", "3/3 ready", "deployment/web  3/3 ready: nothing is wrong with it or with what it owns\n"},
		{
			"progressing", "1/2 ready",
			"deployment/web  1/2 ready: no problem yet; what is not ready for a minute is one\n",
		},
		{"unknown", "", "deployment/web  reports no health; no problem of it or of what it owns is recorded\n"},
	} {
		var out bytes.Buffer
		p := render.New(&out, render.Options{Now: now(), Location: time.UTC})
		if err := p.Why(&v1.Why{
			Object: v1.Object{Kind: "Deployment", Name: "web"}, State: tt.state, Text: tt.text,
		}); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.state, got, tt.want)
		}
	}
}

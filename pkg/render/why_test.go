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

// TestWhy_SaysWhatIsKnownOfTheOnset checks the texts about the onset, and about
// changes of which none is likely.
func TestWhy_SaysWhatIsKnownOfTheOnset(t *testing.T) {
	onset, healthy := ago(5*time.Minute), ago(6*time.Minute)
	clock := func(at time.Time) string { return at.Format("15:04:05") }
	cause := func(before time.Duration) v1.Cause {
		return v1.Cause{Change: web(2, 5*time.Minute+before, "update", "changed"), Score: 0.1}
	}
	for _, tt := range []struct {
		name                      string
		initial                   bool
		healthy                   *time.Time
		causes                    []v1.Cause
		state, since, unexplained string
	}{
		{
			"failed before the recording", true, nil,
			[]v1.Cause{cause(time.Second)},
			"0/1 ready, failing since before its recording began at " + clock(onset),
			"since before " + clock(onset), "Other changes before the onset:",
		},
		{
			"was healthy", false, &healthy,
			[]v1.Cause{cause(0)},
			"0/1 ready, failing since " + clock(onset) + " (healthy before, at " + clock(healthy) + ")",
			"since " + clock(onset), "Other changes before the onset:",
		},
		{
			"was never healthy", false, nil,
			[]v1.Cause{cause(time.Second), cause(-time.Second)},
			"0/1 ready, failing since " + clock(onset) + ", and never healthy since it was recorded",
			"since " + clock(onset), "Other changes around the onset:",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := v1.Why{
				State: "failing", Text: "0/1 ready", Onset: &onset, Initial: tt.initial, HealthyUntil: tt.healthy,
				Searched: &healthy, Causes: tt.causes,
			}
			if got := render.WhyState(&w, clock); got != tt.state {
				t.Errorf("got the state %q, want %q", got, tt.state)
			}
			s := v1.Symptom{Since: onset, Initial: tt.initial}
			if got := render.SymptomSince(&s, clock); got != tt.since {
				t.Errorf("got the time %q, want %q", got, tt.since)
			}
			want := "No likely cause is recorded since " + clock(healthy) + ". " + tt.unexplained
			if got := render.WhyUnexplained(&w, clock); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// TestWhy_Namespaces checks that the namespace is named only if asked for.
func TestWhy_Namespaces(t *testing.T) {
	for _, tt := range []struct {
		namespaces      bool
		namespace, want string
	}{
		{false, "shop", "deployment/web  3/3"},
		{true, "shop", "deployment/web in shop  3/3"},
		{true, "", "deployment/web  3/3"},
	} {
		var out bytes.Buffer
		p := render.New(&out, render.Options{Now: now(), Location: time.UTC, Namespaces: tt.namespaces})
		if err := p.Why(&v1.Why{
			Object: v1.Object{Kind: "Deployment", Namespace: tt.namespace, Name: "web"}, State: "ready", Text: "3/3",
		}); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); !strings.HasPrefix(got, tt.want+":") {
			t.Errorf("namespaces %t: got %q, want it to begin with %q", tt.namespaces, got, tt.want)
		}
	}
}

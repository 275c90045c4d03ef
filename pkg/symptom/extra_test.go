package symptom_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/selector"
	"github.com/watchhistory/watchhistory/pkg/symptom"
)

// clusters is a custom resource.
var clusters = schema.GroupResource{Group: "postgresql.cnpg.io", Resource: "clusters"}

func TestExtra_Of(t *testing.T) {
	extra, err := symptom.Compile([]symptom.Rule{
		{Code: "ReplicaLag", Resource: clusters, Expression: `object.status.lag > 30`, Text: "replica lag over 30s"},
		{Code: "NoPrimary", Resource: clusters, Expression: `object.status.primary == ""`},
		{Code: "Old", Resource: clusters, Expression: `old != null || size(changed) > 0`},
		{Code: "Expired", Resource: schema.GroupResource{Resource: "events"}, Expression: "true"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, resource, object string
		verb                   history.Verb
		want                   []string
	}{
		{
			"both", clusters.String(), `{"status":{"lag":31,"primary":""}}`, history.Update,
			[]string{"ReplicaLag: replica lag over 30s", "NoPrimary: NoPrimary"},
		},
		{
			"one", clusters.String(), `{"status":{"lag":30,"primary":""}}`, history.Update,
			[]string{"NoPrimary: NoPrimary"},
		},
		{"a missing field", clusters.String(), `{"status":{}}`, history.Update, nil},
		{"a wrong type", clusters.String(), `{"status":{"lag":"x"}}`, history.Update, nil},
		{"another resource", "pods", `{"status":{"lag":31,"primary":""}}`, history.Update, nil},
		{"an Event", "events", `{}`, history.Create, []string{"Expired: Expired"}},
		{"an expired Event", "events", `{}`, history.Delete, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := extra.Of(t.Context(), record(c.resource, c.verb, []byte(c.object)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, format(got)); diff != "" {
				t.Errorf("symptoms (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExtra_NilHasNoRules(t *testing.T) {
	var extra *symptom.Extra
	got, err := extra.Of(t.Context(), record(clusters.String(), history.Update, []byte("{}")))
	if err != nil || got != nil {
		t.Errorf("got %v, %v, want nothing", got, err)
	}
}

func TestExtra_ReturnsErrors(t *testing.T) {
	items := "[" + strings.Repeat(`"x",`, 2000) + `"y"]`
	extra, err := symptom.Compile([]symptom.Rule{{
		Code: "Slow", Resource: clusters, Expression: `object.a.all(x, object.a.all(y, x != y || size(x) < 9))`,
	}})
	if err != nil {
		t.Fatal(err)
	}
	r := record(clusters.String(), history.Update, []byte(`{"a":`+items+`}`))
	if _, err := extra.Of(t.Context(), r); !errors.Is(err, selector.ErrTooExpensive) {
		t.Errorf("got error %v, want %v", err, selector.ErrTooExpensive)
	}
	if got, err := extra.At(t.Context(), r, r.Time); got != nil || err != nil {
		t.Errorf("got %v, %v, want no symptom of a rule that is too expensive", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := extra.Of(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
}

func TestExtra_Begin(t *testing.T) {
	extra, err := symptom.Compile([]symptom.Rule{
		{Code: "Lag", Resource: clusters, Expression: `object.lag > 30`},
		{Code: "Bad", Resource: clusters, Expression: `object.bad`},
		{Code: "Seen", Resource: schema.GroupResource{Resource: "events"}, Expression: "true"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, resource, before, object string
		verb                           history.Verb
		want                           []string
		begins                         bool
	}{
		{"begins", clusters.String(), `{"lag":1}`, `{"lag":31}`, history.Update, []string{"Lag: Lag"}, true},
		{"lasts", clusters.String(), `{"lag":31}`, `{"lag":32}`, history.Update, []string{"Lag: Lag"}, false},
		{"ends", clusters.String(), `{"lag":31}`, `{"lag":1}`, history.Update, nil, false},
		{
			"another begins", clusters.String(), `{"lag":31}`, `{"lag":31,"bad":true}`, history.Update,
			[]string{"Lag: Lag", "Bad: Bad"},
			true,
		},
		{"created", clusters.String(), "", `{"bad":true}`, history.Create, []string{"Bad: Bad"}, true},
		{"not known before", clusters.String(), "", `{"bad":true}`, history.Update, []string{"Bad: Bad"}, true},
		{"an Event", "events", "", `{}`, history.Create, []string{"Seen: Seen"}, true},
		{"an Event again", "events", `{}`, `{}`, history.Update, []string{"Seen: Seen"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before []byte
			if c.before != "" {
				before = []byte(c.before)
			}
			got, begins, err := extra.Begin(t.Context(), record(c.resource, c.verb, []byte(c.object)), before)
			if diff := cmp.Diff(c.want, format(got)); err != nil || diff != "" || begins != c.begins {
				t.Errorf("got error %v, begins %t, want %t; symptoms (-want +got):\n%s", err, begins, c.begins, diff)
			}
		})
	}
}

// TestExtra_AddsToTable checks that configured symptoms come before those of
// the table, and that an object that has one is failing.
func TestExtra_AddsToTable(t *testing.T) {
	extra, err := symptom.Compile([]symptom.Rule{{Code: "Lag", Resource: clusters, Expression: `object.lag > 30`}})
	if err != nil {
		t.Fatal(err)
	}
	const ready = `"status":{"conditions":[{"type":"Ready","status":"True"}]}`
	const not = `"status":{"conditions":[{"type":"Ready","status":"False","reason":"Expired"}]}`
	for _, c := range []struct {
		name, object string
		verb         history.Verb
		symptoms     []string
		health       symptom.Health
	}{
		{"none", `{"lag":1,` + ready + `}`, history.Update, nil, symptom.Health{State: symptom.Ready, Text: "ready"}},
		{
			"ready", `{"lag":31,` + ready + `}`, history.Update,
			[]string{"Lag: Lag"},
			symptom.Health{State: symptom.Failing, Text: "Lag"},
		},
		{
			"unknown", `{"lag":31}`, history.Update,
			[]string{"Lag: Lag"},
			symptom.Health{State: symptom.Failing, Text: "Lag"},
		},
		{
			"both", `{"lag":31,` + not + `}`, history.Update,
			[]string{"Lag: Lag", "ConditionFalse Ready: not ready: Expired"},
			symptom.Health{State: symptom.Failing, Text: "not ready: Expired"},
		},
		{
			"deleted", `{"lag":31}`, history.Delete,
			[]string{"Lag: Lag"},
			symptom.Health{State: symptom.Done, Text: "deleted"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := record(clusters.String(), c.verb, []byte(c.object))
			found, err := extra.At(t.Context(), r, r.Time)
			if diff := cmp.Diff(c.symptoms, format(found)); err != nil || diff != "" {
				t.Errorf("got error %v, symptoms (-want +got):\n%s", err, diff)
			}
			if got, err := extra.HealthAt(t.Context(), r, r.Time); err != nil || got != c.health {
				t.Errorf("got health %v, %v, want %v", got, err, c.health)
			}
		})
	}
}

func TestCompile_RejectsInvalidRules(t *testing.T) {
	good := symptom.Rule{Code: "Lag", Resource: clusters, Expression: "true"}
	with := func(change func(r *symptom.Rule)) []symptom.Rule {
		r := good
		change(&r)
		return []symptom.Rule{good, r}
	}
	for _, c := range []struct {
		name  string
		rules []symptom.Rule
		want  string
	}{
		{"no code", with(func(r *symptom.Rule) { r.Code = "" }), `rule 2: code: "": want letters`},
		{"code", with(func(r *symptom.Rule) { r.Code = "lag-time" }), `rule 2: code: "lag-time": want letters`},
		{
			"no resource", with(func(r *symptom.Rule) { r.Resource = schema.GroupResource{} }),
			"rule 2: Lag: the resource is",
		},
		{"twice", []symptom.Rule{good, good}, "rule 2: Lag: the same resource has a rule"},
		{"lines", with(func(r *symptom.Rule) { r.Code, r.Text = "B", "a\nb" }), "rule 2: B: want a text in one line"},
		{"syntax", with(func(r *symptom.Rule) { r.Code, r.Expression = "B", "object." }), "rule 2: B: line 1,"},
		{"type", with(func(r *symptom.Rule) { r.Code, r.Expression = "B", "verb" }), "rule 2: B: line 1, column 1"},
		{
			"log", with(func(r *symptom.Rule) { r.Code, r.Expression = "B", "newest" }),
			"rule 2: B: problem, newest and created are variables of queries only",
		},
		{"many", make([]symptom.Rule, 101), "101 rules: want at most 100"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := symptom.Compile(c.rules)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got error %v, want one with %q", err, c.want)
			}
			if code := history.CodeOf(err); code != history.Invalid {
				t.Errorf("got code %v, want %v", code, history.Invalid)
			}
		})
	}
}

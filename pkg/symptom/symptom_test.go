package symptom_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/sample"
	"github.com/watchhistory/watchhistory/pkg/symptom"
)

// noon is the time at which the objects of tests are judged.
var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// testCase is an object of testdata, and its symptoms.
type testCase struct {
	Name     string
	Rule     string // that the case tests: positively if there are symptoms in Want
	Resource string // "deployments.apps"
	Verb     string // "update" if empty
	Object   json.RawMessage
	Want     []string // "Code subject: text", or "Code: text" without a subject
	Health   string   // "state: text"; only in cases of health
}

func load(tb testing.TB, pattern string) (cases []testCase) {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil {
		tb.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		var some []testCase
		if err := json.Unmarshal(text, &some); err != nil {
			tb.Fatalf("%s: %v", file, err)
		}
		cases = append(cases, some...)
	}
	if len(cases) == 0 {
		tb.Fatalf("%s: got no cases, want some", pattern)
	}
	return cases
}

func (c *testCase) record(tb testing.TB) *history.Record {
	tb.Helper()
	verb := history.Update
	if c.Verb != "" {
		parsed, err := history.ParseVerb(c.Verb)
		if err != nil {
			tb.Fatal(err)
		}
		verb = parsed
	}
	return record(c.Resource, verb, c.Object)
}

func record(resource string, verb history.Verb, object []byte) *history.Record {
	of := schema.ParseGroupResource(resource)
	return &history.Record{
		Ref:  history.ObjectRef{Group: of.Group, Resource: of.Resource, Namespace: "shop", Name: "web", UID: "uid"},
		Verb: verb, Time: noon, Object: object,
	}
}

// format returns symptoms as in the cases.
func format(symptoms []symptom.Symptom) (texts []string) {
	for _, s := range symptoms {
		subject := ""
		if s.Subject != "" {
			subject = " " + s.Subject
		}
		texts = append(texts, s.Code+subject+": "+s.Text)
	}
	return texts
}

func TestOf_Cases(t *testing.T) {
	for _, c := range load(t, "symptoms_*.json") {
		t.Run(c.Rule+"/"+c.Name, func(t *testing.T) {
			r := c.record(t)
			if diff := cmp.Diff(c.Want, format(symptom.Of(r))); diff != "" {
				t.Errorf("symptoms (-want +got):\n%s", diff)
			}
			fired := slices.Contains(symptom.RulesAt(r, noon), c.Rule)
			if want := isPositive(&c); fired != want {
				t.Errorf("rule %q found a symptom: got %t, want %t", c.Rule, fired, want)
			}
		})
	}
}

// isPositive reports whether the rule of the case should find a symptom. A case
// with symptoms of other rules is negative if its name begins with "not".
func isPositive(c *testCase) bool { return len(c.Want) > 0 && !strings.HasPrefix(c.Name, "not ") }

func TestOf_EachRuleHasCases(t *testing.T) {
	positive, negative := map[string]bool{}, map[string]bool{}
	cases := load(t, "symptoms_*.json")
	names := symptom.RuleNames()
	for i := range cases {
		c := &cases[i]
		if !slices.Contains(names, c.Rule) {
			t.Errorf("case %q: got unknown rule %q, want one of the table", c.Name, c.Rule)
		}
		if isPositive(c) {
			positive[c.Rule] = true
		} else {
			negative[c.Rule] = true
		}
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			t.Errorf("rule %q: got two of the name, want one", name)
		}
		if !positive[name] || !negative[name] {
			t.Errorf("rule %q: got a positive case %t and a negative one %t, want both",
				name, positive[name], negative[name])
		}
	}
}

func TestCodes_AreDocumentedInTheirOrder(t *testing.T) {
	page, err := os.ReadFile("../../docs/symptoms.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for row := range strings.SplitSeq(string(page), "\n") {
		code, _, ok := strings.Cut(strings.TrimPrefix(row, "| `"), "` |")
		if ok && strings.HasPrefix(row, "| `") && code[0] >= 'A' && code[0] <= 'Z' {
			documented = append(documented, code)
		}
	}
	if diff := cmp.Diff(symptom.Codes(), documented); diff != "" {
		t.Errorf("rows of docs/symptoms.md (-want +got):\n%s", diff)
	}
}

// A state is a symptom if it lasts, and is not at the version's time.
func TestAt_StatesThatLast(t *testing.T) {
	for _, c := range []struct{ name, resource, object, want string }{
		{
			"claim", "persistentvolumeclaims",
			`{"metadata":{"creationTimestamp":"2026-01-01T11:59:50Z"},"status":{"phase":"Pending"}}`,
			"ClaimPending: not bound",
		},
		{
			"deletion", "configmaps",
			`{"metadata":{"deletionTimestamp":"2026-01-01T12:00:00Z","finalizers":["example.com/keep"]}}`,
			"Terminating: terminating, waits for finalizer example.com/keep",
		},
		{
			"readiness", "pods",
			`{"spec":{"containers":[{"name":"app","readinessProbe":{}}]},"status":{"phase":"Running",
			"conditions":[{"type":"Ready","status":"False","lastTransitionTime":"2026-01-01T11:59:50Z"}],
			"containerStatuses":[{"name":"app","ready":false,"state":{"running":{"startedAt":"2026-01-01T11:59:55Z"}}}]}}`,
			"NotReady app: not ready: readiness probe does not pass",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := record(c.resource, history.Update, []byte(c.object))
			if got := symptom.Of(r); len(got) > 0 {
				t.Errorf("at the version's time: got %v, want nothing", got)
			}
			if got := format(symptom.At(r, noon.Add(5*time.Minute))); !slices.Equal(got, []string{c.want}) {
				t.Errorf("five minutes later: got %q, want %q", got, c.want)
			}
			if got := symptom.At(r, time.Time{}); len(got) > 0 {
				t.Errorf("without a time: got %v, want nothing", got)
			}
		})
	}
}

// hostile are objects that no API server returns.
func hostile() []string {
	deep := strings.Repeat(`{"status":[`, 5000) + strings.Repeat(`]}`, 5000)
	conditions := strings.Repeat(`{"type":"Ready","status":"False","message":"`+strings.Repeat(`é\n`, 2000)+`"},`, 100)
	containers := strings.Repeat(`{"name":"a\u0000\u2028b","state":{"waiting":{"reason":"CrashLoopBackOff"}},`+
		`"lastState":{"terminated":{"exitCode":1,"message":"`+strings.Repeat(`x\r\n`, 500)+`"}}},`, 200)
	return []string{
		"", "null", "[]", "7", `"x"`, "{", "\xff", `{"status":`, `{"status":[]}`,
		`{"status":"x","spec":7,"metadata":[]}`,
		`{"status":{"phase":7,"conditions":{}}}`, `{"status":{"conditions":[7,null,[],"x",{"type":7,"status":{}}]}}`,
		`{"status":{"containerStatuses":[{"name":{},"state":[],"lastState":"x"}]}}`,
		`{"status":{"containerStatuses":{"state":{"waiting":1}}}}`, `{"type":"Warning","reason":[],"message":{}}`,
		`{"status":{"replicas":1e999,"readyReplicas":-99999999999999999999,"updatedReplicas":1.5}}`,
		`{"metadata":{"deletionTimestamp":"x","finalizers":"y","creationTimestamp":7}}`,
		`{"type":"Warning","reason":"FailedCreate","message":"exceeded quota: "}`,
		`{"type":"Warning","reason":"Unhealthy","message":": "}`,
		`{"type":"Warning","reason":"FailedMount","message":"\" : ]: "}`,
		`{"status":{"conditions":[{"type":"ReplicaFailure","status":"True","message":"\ud800 is forbidden: \ufffe"}]}}`,
		deep, `{"status":{"conditions":[` + conditions + `{}]}}`,
		`{"status":{"phase":"Running","containerStatuses":[` + containers + `{}]}}`,
	}
}

// resources are resources of all rules.
func resources() []string {
	return append(symptom.Gauged(), "events", "events.events.k8s.io", "endpoints", "endpointslices.discovery.k8s.io",
		"certificates.cert-manager.io", "configmaps")
}

func TestOf_HostileObjects(t *testing.T) {
	for _, object := range hostile() {
		for _, resource := range resources() {
			checkBounds(t, record(resource, history.Update, []byte(object)))
		}
	}
}

// The objects that a real API server served have no symptoms but those that the
// dev cluster's pods really had.
func TestOf_RecordedObjects(t *testing.T) {
	codes := map[string]bool{}
	for e, err := range sample.Recorded() {
		if err != nil {
			t.Fatal(err)
		}
		of := schema.GroupResource{Group: e.Resource.Group, Resource: e.Resource.Plural}
		r := record(of.String(), history.Update, e.Object)
		checkBounds(t, r)
		// Without a time, nothing is known to last.
		for _, s := range symptom.At(r, time.Time{}) {
			codes[s.Code] = true
		}
	}
	got := slices.Sorted(maps.Keys(codes))
	if want := []string{"CrashLoop", "Exited", "ImagePull", "NoEndpoints"}; !slices.Equal(got, want) {
		t.Errorf("got codes %q, want %q", got, want)
	}
}

// checkBounds checks the promises that hold for all objects.
func checkBounds(t *testing.T, r *history.Record) {
	t.Helper()
	symptoms := symptom.Of(r)
	if len(symptoms) > 16 {
		t.Errorf("%s: got %d symptoms, want at most 16", r.Ref, len(symptoms))
	}
	health := symptom.HealthOf(r)
	if (health.State == symptom.Unknown) != (health.Text == "") {
		t.Errorf("%s: got health %s with text %q, want a text if it is known", r.Ref, health.State, health.Text)
	}
	checkText(t, r, health.Text, 200)
	for i, s := range symptoms {
		if s.Text == "" || !slices.Contains(symptom.Codes(), s.Code) {
			t.Errorf("%s: got %+v, want a code and a text", r.Ref, s)
		}
		checkText(t, r, s.Text, 200)
		checkText(t, r, s.Subject, 80)
		for _, other := range symptoms[:i] {
			if s.Subject != "" && s.Subject == other.Subject {
				t.Errorf("%s: got two symptoms of %q, want one", r.Ref, s.Subject)
			}
		}
	}
}

func checkText(t *testing.T, r *history.Record, text string, width int) {
	t.Helper()
	if n := utf8.RuneCountInString(text); n > width || !utf8.ValidString(text) {
		t.Errorf("%s: got %d characters %q, want at most %d, valid", r.Ref, n, text, width)
	}
	if strings.ContainsAny(text, "\n\r\t\v\f\u0085\u2028\u2029") || strings.TrimSpace(text) != text {
		t.Errorf("%s: got %q, want one line", r.Ref, text)
	}
}

func FuzzOf(f *testing.F) {
	for _, pattern := range []string{"symptoms_*.json", "health.json"} {
		for _, c := range load(f, pattern) {
			f.Add(c.Resource, []byte(c.Object))
		}
	}
	for _, object := range hostile() {
		if len(object) < 1000 {
			f.Add("pods", []byte(object))
		}
	}
	f.Fuzz(func(t *testing.T, resource string, object []byte) {
		r := record(resource, history.Update, object)
		checkBounds(t, r)
		for _, resource := range resources() {
			checkBounds(t, record(resource, history.Update, object))
		}
	})
}

// BenchmarkOf measures a pod that is ready, as most pods are.
func BenchmarkOf(b *testing.B) {
	for _, c := range load(b, "health.json") {
		if c.Name == "ready pod" {
			r := c.record(b)
			b.ReportAllocs()
			for b.Loop() {
				symptom.Of(r)
			}
		}
	}
}

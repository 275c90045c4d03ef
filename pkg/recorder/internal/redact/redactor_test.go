package redact_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder/internal/redact"
)

// The tests of package recorder check that no hidden value gets into the
// records, the files or the log. The tests of this package check the engine
// alone.

const value = "hunter2-Zk3vQ9xL0pWm"

var (
	pods    = schema.GroupResource{Resource: "pods"}
	secrets = schema.GroupResource{Resource: "secrets"}
	hash    = regexp.MustCompile(`hmac-sha256:[0-9a-f]{32}`)
)

// newRedactor returns a redactor of a resource with the rules.
func newRedactor(tb testing.TB, resource schema.GroupResource, rules ...redact.Rule) *redact.Redactor {
	tb.Helper()
	r, err := redact.New(resource, []byte("key"))
	if err != nil {
		tb.Fatal(err)
	}
	compiled, err := redact.Compile(rules, nil)
	if err != nil {
		tb.Fatal(err)
	}
	r.SetRules(compiled)
	return r
}

func noPrevious(redact.Identity) []byte { return nil }

// redacted redacts an object with no previous version, and replaces hashes by
// HASH.
func redacted(t *testing.T, r *redact.Redactor, object string) (text string, opaque bool) {
	t.Helper()
	got, opaque, err := r.Redact([]byte(object), noPrevious)
	if err != nil {
		t.Fatal(err)
	}
	return hash.ReplaceAllString(string(got), "HASH"), opaque
}

// lastApplied returns an object with a text as its last-applied configuration.
func lastApplied(text string) string {
	quoted, _ := json.Marshal(text) // can't fail for a string
	return `{"metadata":{"name":"a","annotations":{"` + redact.LastApplied + `":` + string(quoted) + `}}}`
}

func TestRedact_BothKindsOfRules(t *testing.T) {
	rule := redact.Rule{Resource: pods, Paths: []string{"env[*].value"}, Names: []string{"^PASS"}}
	labels := redact.Rule{Resource: secrets, Paths: []string{"metadata.labels.team"}}
	for _, tt := range []struct {
		name         string
		r            *redact.Redactor
		object, want string
		opaque       bool
	}{
		{
			"no rule", newRedactor(t, pods), `{"env":[{"name":"PASS","value":"x"}]}`,
			`{"env":[{"name":"PASS","value":"x"}]}`, false,
		},
		{
			"selected value", newRedactor(t, pods, rule),
			`{"env":[{"name":"PASS","value":"` + value + `"},{"name":"USER","value":"u"}]}`,
			`{"env":[{"name":"PASS","value":"HASH"},{"name":"USER","value":"u"}]}`, false,
		},
		{
			"copy elsewhere", newRedactor(t, pods, rule),
			`{"env":[{"name":"PASS","value":"` + value + `"}],"args":["-p=` + value + `","-v"]}`,
			`{"env":[{"name":"PASS","value":"HASH"}],"args":["HASH","-v"]}`, false,
		},
		{
			"last-applied copy", newRedactor(t, pods, rule),
			lastApplied(`{"env":[{"name":"PASS","value":"` + value + `"}]}`),
			lastApplied(`{"env":[{"name":"PASS","value":"HASH"}]}`), false,
		},
		{
			"last-applied copy that is not JSON", newRedactor(t, pods, rule),
			lastApplied(`{"env":`), lastApplied("HASH"), true,
		},
		{
			"Secret", newRedactor(t, secrets),
			`{"kind":"Secret","metadata":{"name":"s","labels":{"team":"shop"}},"data":{"p":"eA=="}}`,
			`{"kind":"Secret","metadata":{"name":"s","labels":{"team":"shop"}},"data":{"p":"HASH"}}`, false,
		},
		{
			"last-applied copy of a Secret", newRedactor(t, secrets),
			lastApplied(`{"stringData":{"p":"x"},"metadata":{"name":"a"}}`),
			lastApplied(`{"stringData":{"p":"HASH"},"metadata":{"name":"a"}}`), false,
		},
		{
			"last-applied copy of a Secret that is not an object", newRedactor(t, secrets),
			lastApplied(`["x"]`), lastApplied("HASH"), true,
		},
		{
			"Secret with a rule", newRedactor(t, secrets, labels),
			`{"metadata":{"name":"s","labels":{"team":"shop","app":"web"}},"data":{"p":"eA=="}}`,
			`{"metadata":{"name":"s","labels":{"team":"HASH","app":"web"}},"data":{"p":"HASH"}}`, false,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, opaque := redacted(t, tt.r, tt.object)
			if got != tt.want || opaque != tt.opaque {
				t.Errorf("got  %s, opaque: %t\nwant %s, opaque: %t", got, opaque, tt.want, tt.opaque)
			}
		})
	}
}

func TestRedact_BoundsNestedCopies(t *testing.T) {
	r := newRedactor(t, pods, redact.Rule{Resource: pods, Paths: []string{"data"}})
	object := lastApplied(`{"data":"` + value + `"}`)
	for range 6 {
		object = lastApplied(object)
	}
	got, opaque := redacted(t, r, object)
	if strings.Contains(got, value) || !opaque {
		t.Errorf("got %s, opaque: %t; want the innermost copy hashed completely", got, opaque)
	}
}

func TestRedactAgain_KeepsHashes(t *testing.T) {
	rule := redact.Rule{Resource: pods, Paths: []string{"data[*]"}}
	for name, tt := range map[string]struct {
		r      *redact.Redactor
		object string
	}{
		"rule": {newRedactor(t, pods, rule), `{"metadata":{"name":"a"},"data":{"p":"` +
			value + `"},"note":"see ` + value + `"}`},
		"rule, last-applied copy": {
			newRedactor(t, pods, rule), lastApplied(`{"data":{"p":"` + value + `"}}`),
		},
		"Secret": {newRedactor(t, secrets), `{"kind":"Secret","metadata":{"name":"s","labels":{"a":"` +
			value + `"}},"stringData":{"p":"` + value + `"}}`},
		"Secret, last-applied copy": {
			newRedactor(t, secrets), lastApplied(`{"stringData":{"p":"` + value + `"}}`),
		},
	} {
		first, _, err := tt.r.Redact([]byte(tt.object), noPrevious)
		if err != nil {
			t.Fatal(err)
		}
		second, err := tt.r.RedactAgain(first)
		if err != nil {
			t.Fatal(err)
		}
		if string(second) != string(first) || strings.Contains(string(first), value) {
			t.Errorf("%s: got %s, want %s without the value", name, second, first)
		}
	}
}

func TestSetRules_AppliesFromNextObject(t *testing.T) {
	r := newRedactor(t, pods)
	const object = `{"metadata":{"name":"a"},"data":"x"}`
	if got, _ := redacted(t, r, object); got != object {
		t.Errorf("without rules: got %s, want %s", got, object)
	}
	compiled, err := redact.Compile([]redact.Rule{{Resource: pods, Paths: []string{"data"}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetRules(compiled)
	if got, want := first(redacted(t, r, object)), `{"metadata":{"name":"a"},"data":"HASH"}`; got != want {
		t.Errorf("with a rule: got %s, want %s", got, want)
	}
}

func first(text string, _ bool) string { return text }

func TestNew_SecretsRequireKey(t *testing.T) {
	if _, err := redact.New(secrets, nil); err == nil {
		t.Error("Secrets without a key: got no error, want one")
	}
	if _, err := redact.New(pods, nil); err != nil {
		t.Errorf("pods without a key: got %v, want no error", err)
	}
}

func TestCompile_RejectsInvalidRules(t *testing.T) {
	for want, rule := range map[string]redact.Rule{
		"at character 2":            {Resource: pods, Paths: []string{"a..b"}},
		"missing closing )":         {Resource: pods, Paths: []string{"a[*]"}, Names: []string{"("}},
		"identified by this field":  {Resource: pods, Paths: []string{"metadata.uid"}},
		"is redacted already":       {Resource: secrets, Paths: []string{"data.a"}},
		"annotations and labels":    {Resource: secrets, Paths: []string{"metadata.name"}},
		`redact pods: "apiVersion"`: {Resource: pods, Paths: []string{"apiVersion"}},
	} {
		_, err := redact.Compile([]redact.Rule{rule}, nil)
		if history.CodeOf(err) != history.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got error %v, want an Invalid error with %q", rule, err, want)
		}
	}
	for _, key := range []string{"", "a b", redact.LastApplied} {
		if _, err := redact.Compile(nil, []string{key}); history.CodeOf(err) != history.Invalid {
			t.Errorf("annotation %q: got error %v, want an Invalid error", key, err)
		}
	}
}

// TestRedact_HashesDeeplyNestedCopies nests copies of an object in annotations,
// deeper than they are read.
func TestRedact_HashesDeeplyNestedCopies(t *testing.T) {
	r := newRedactor(t, pods, redact.Rule{Resource: pods, Paths: []string{"data"}})
	object := `{"metadata":{"name":"a"},"data":{"p":"` + value + `"}}`
	for depth := range 8 {
		if got, _ := redacted(t, r, object); strings.Contains(got, value) || !strings.Contains(got, "HASH") {
			t.Errorf("%d copies: got %s, want a hash instead of the value", depth, got)
		}
		quoted, _ := json.Marshal(object) // can't fail for a string
		object = `{"metadata":{"name":"a","annotations":{"example.com/copy":` + string(quoted) + `}}}`
	}
}

// FuzzRedactor checks for any object that the result is valid JSON, and that a
// second pass accepts it.
func FuzzRedactor(f *testing.F) {
	f.Add(`{"metadata":{"name":"a","annotations":{"a":"{\"data\":{\"p\":\"x\"}}"}},"data":{"p":"eA=="}}`)
	f.Add(lastApplied(`{"data":{"p":"hunter2"}}`))
	f.Fuzz(func(t *testing.T, object string) {
		for _, r := range []*redact.Redactor{
			newRedactor(t, secrets),
			newRedactor(t, pods, redact.Rule{Resource: pods, Paths: []string{"data[*]", "metadata.labels"}}),
		} {
			got, _, err := r.Redact([]byte(object), noPrevious)
			if err != nil {
				continue
			}
			if json.Valid([]byte(object)) && !json.Valid(got) {
				t.Fatalf("redact %q: got invalid JSON %q", object, got)
			}
			if _, err := r.RedactAgain(got); err != nil {
				t.Fatalf("redact %q again: %v", got, err)
			}
		}
	})
}

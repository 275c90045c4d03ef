package problem_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/summary/internal/problem"
)

// words returns the words that clients interpret as a problem in lower-cased
// text.
func words() []string {
	return []string{
		"crashloop", "imagepull", "errimage", "oom", "error", "waiting", "terminated",
		"not ready", "notready", "pressure",
		"unavailable", "kubelet", "pending", "bound", "lost", "failed", "failure",
		"unschedul", "insufficient", "exceeded",
		"mount", "probe", "evict", "back-off", "init container", "exit code",
	}
}

// testCase is one line of a testdata file: an object, and its problem.
type testCase struct {
	Name     string
	Resource string // "deployments.apps"
	Object   json.RawMessage
	Before   json.RawMessage
	Want     string   // the whole reason; "" if there is no problem
	Words    []string // that the lower-cased reason contains
}

func load(t *testing.T, file string) []testCase {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var cases []testCase
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if len(cases) == 0 {
		t.Fatalf("%s: got no cases, want some", file)
	}
	return cases
}

func TestOf_ProblemsInWordsOfStatus(t *testing.T) {
	for _, file := range []string{"pods.json", "nodes.json", "volumes.json", "workloads.json"} {
		for _, c := range load(t, file) {
			t.Run(strings.TrimSuffix(file, ".json")+"/"+c.Name, func(t *testing.T) {
				got := problem.Of(schema.ParseGroupResource(c.Resource), c.Object, c.Before)
				if got != c.Want {
					t.Errorf("got  %q\nwant %q", got, c.Want)
				}
				for _, word := range c.Words {
					if !strings.Contains(strings.ToLower(got), word) {
						t.Errorf("got %q, want it to contain %q", got, word)
					}
				}
			})
		}
	}
}

// The status of a healthy object contains words that mean a problem, with the
// values false and zero. None of them may be reported.
func TestOf_NothingForHealthyObjects(t *testing.T) {
	for _, c := range load(t, "healthy.json") {
		t.Run(c.Name, func(t *testing.T) {
			got := problem.Of(schema.ParseGroupResource(c.Resource), c.Object, c.Before)
			for _, word := range words() {
				if strings.Contains(strings.ToLower(got), word) {
					t.Errorf("got %q, want it without %q", got, word)
				}
			}
			if got != "" {
				t.Errorf("got %q, want nothing", got)
			}
		})
	}
}

func TestOf_CutsLongTexts(t *testing.T) {
	container := `{"name":"app","state":{"waiting":{"reason":"CreateContainerError","message":"` +
		strings.Repeat("é\\n", 5000) + `"}}}`
	object := `{"status":{"containerStatuses":[` + container + strings.Repeat(","+container, 30) + `]}}`
	got := problem.Of(schema.GroupResource{Resource: "pods"}, []byte(object), nil)
	if n := len([]rune(got)); n != 1000 {
		t.Errorf("got %d runes, want 1000", n)
	}
	if strings.ContainsAny(got, "\n\t") {
		t.Errorf("got %q, want one line", got)
	}
	if !strings.Contains(got, "CreateContainerError") {
		t.Errorf("got %q, want it to contain CreateContainerError", got)
	}
}

func TestOf_InvalidObjects(t *testing.T) {
	for _, text := range []string{"", "null", "[]", `{"status":[]}`, `{"status":{"phase":7}}`, "{", "\xff"} {
		for _, resource := range []string{
			"pods", "nodes", "persistentvolumes", "events", "deployments.apps", "jobs.batch", "widgets.example.com",
		} {
			if got := problem.Of(schema.ParseGroupResource(resource), []byte(text), []byte(text)); got != "" {
				t.Errorf("%s %q: got %q, want nothing", resource, text, got)
			}
		}
	}
}

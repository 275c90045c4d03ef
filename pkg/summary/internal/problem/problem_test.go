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

// words are what clients take for trouble when they find it in lower-cased text.
func words() []string {
	return []string{
		"crashloop", "imagepull", "errimage", "oom", "error", "waiting", "terminated", "not ready", "notready", "pressure",
		"unavailable", "kubelet", "pending", "bound", "lost", "failed", "failure", "unschedul", "insufficient", "exceeded",
		"mount", "probe", "evict", "back-off", "init container", "exit code",
	}
}

// testCase is one line of a testdata file: an object in a state, and what has to be said about it.
type testCase struct {
	Name     string
	Resource string // "deployments.apps"
	Object   json.RawMessage
	Before   json.RawMessage
	Want     string   // the whole reason; "" means that nothing may be said
	Words    []string // that the lower-cased reason has to have
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
		t.Fatalf("%s has no cases", file)
	}
	return cases
}

func TestTroubleIsSaidInTheStatusWords(t *testing.T) {
	for _, file := range []string{"pods.json", "nodes.json", "volumes.json", "workloads.json"} {
		for _, c := range load(t, file) {
			t.Run(strings.TrimSuffix(file, ".json")+"/"+c.Name, func(t *testing.T) {
				got := problem.Of(schema.ParseGroupResource(c.Resource), c.Object, c.Before)
				if got != c.Want {
					t.Errorf("got  %q\nwant %q", got, c.Want)
				}
				for _, word := range c.Words {
					if !strings.Contains(strings.ToLower(got), word) {
						t.Errorf("%q does not have %q", got, word)
					}
				}
			})
		}
	}
}

// A healthy object's whole status is false and zero in words that mean trouble; none of them may come out.
func TestNothingIsSaidAboutWhatIsFine(t *testing.T) {
	for _, c := range load(t, "healthy.json") {
		t.Run(c.Name, func(t *testing.T) {
			got := problem.Of(schema.ParseGroupResource(c.Resource), c.Object, c.Before)
			for _, word := range words() {
				if strings.Contains(strings.ToLower(got), word) {
					t.Errorf("%q has %q", got, word)
				}
			}
			if got != "" {
				t.Errorf("got %q about a healthy object", got)
			}
		})
	}
}

func TestLongTextsAreCut(t *testing.T) {
	container := `{"name":"app","state":{"waiting":{"reason":"CreateContainerError","message":"` + strings.Repeat("é\\n", 5000) + `"}}}`
	object := `{"status":{"containerStatuses":[` + container + strings.Repeat(","+container, 30) + `]}}`
	got := problem.Of(schema.GroupResource{Resource: "pods"}, []byte(object), nil)
	if n := len([]rune(got)); n != 1000 {
		t.Errorf("%d runes, want 1000", n)
	}
	if strings.ContainsAny(got, "\n\t") {
		t.Error("the reason has more than one line")
	}
	if !strings.Contains(got, "CreateContainerError") {
		t.Errorf("%q lost the reason", got)
	}
}

func TestWhatIsNoObjectHasNoTrouble(t *testing.T) {
	for _, text := range []string{"", "null", "[]", `{"status":[]}`, `{"status":{"phase":7}}`, "{", "\xff"} {
		for _, resource := range []string{"pods", "nodes", "persistentvolumes", "events", "deployments.apps", "jobs.batch", "widgets.example.com"} {
			if got := problem.Of(schema.ParseGroupResource(resource), []byte(text), []byte(text)); got != "" {
				t.Errorf("%s %q: got %q", resource, text, got)
			}
		}
	}
}

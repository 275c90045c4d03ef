package cli_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// writeReleased records a Deployment that Helm released, and that people
// changed.
func (r *recording) writeReleased() {
	r.t.Helper()
	put := func(ago time.Duration, verb history.Verb, manager, field string, replicas, ready int) {
		object := fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"api",`+
			`"namespace":"shop","labels":{"app.kubernetes.io/managed-by":"Helm","helm.sh/chart":"api-1.2.4"},`+
			`"annotations":{"meta.helm.sh/release-name":"api","meta.helm.sh/release-namespace":"shop"}},`+
			`"spec":{"replicas":%d},"status":{"replicas":%[1]d,"updatedReplicas":%[1]d,"readyReplicas":%[2]d,`+
			`"availableReplicas":%[2]d}}`, replicas, ready)
		version := &history.Record{
			Ref: ref("apps", "deployments", "shop", "api", "uid-api"), Kind: "Deployment", Verb: verb,
			Managers: by(manager), Object: []byte(object),
		}
		version.Managers[0].Fields = []string{field}
		if manager == "kube-controller-manager" {
			version.Class = history.Consequence
		}
		r.write(ago, version)
	}
	put(59*time.Minute, history.Create, "helm", "spec", 1, 0)
	put(58*time.Minute, history.Update, "kube-controller-manager", "status.readyReplicas", 1, 1)
	put(30*time.Minute, history.Update, "kubectl-edit", "spec.replicas", 4, 1)
	put(20*time.Minute, history.Update, "helm", "spec.replicas", 2, 1)
	put(19*time.Minute, history.Update, "kube-controller-manager", "status.readyReplicas", 2, 2)
}

func TestViews_OfReleases(t *testing.T) {
	r := newRecording(t)
	r.writeReleased()
	for args, want := range map[string]string{
		"history deploy/api": `(?m)^#4 .* helm           replicas 4 → 2.* \(chart api-1\.2\.4\)\n` +
			` +✓ 2/2 ready after 1m \(1 version folded\)\n`,
		"history deploy/api --revision 4": `(?m)^#4 .* \(chart api-1\.2\.4\)\n +✓ 2/2 ready after 1m `,
		"show deploy/api#4": `(?m)^Change:    updated, a root change\n` +
			`Release:   helm release shop/api, chart api-1\.2\.4\nOutcome:   ✓ 2/2 ready after 1m\n`,
		"show deploy/api#3":          `(?m)^Outcome:   … 1/4 ready\n`,
		"blame deploy/api":           `(?m)^#4   helm   20m   spec\.replicas: +2   \(also written by kubectl edit\)$`,
		"blame deploy/api -o wide":   `\(also written by kubectl edit in #3, 30m ago\)`,
		"blame deploy/api -o json":   `"alsoWrittenBy": \[\n +\{\n +"manager": "kubectl-edit",`,
		"diff --from deploy/api#1":   `(?m)^M   deployment/api   replicas 1 → 2 \(helm, kubectl edit\)\n`,
		"diff deploy --from 25m":     `; 0 of 1 as at `,
		"blame deploy/api --at 25m ": `(?m)^#3   kubectl edit   30m   spec\.replicas: +4   \(also written by helm\)$`,
	} {
		t.Run(args, func(t *testing.T) {
			_, out, stderr := r.run(t, append(strings.Fields(args), "-n", "shop")...)
			if !regexp.MustCompile(want).MatchString(out) {
				t.Errorf("got\n%s%swant %s", out, stderr, want)
			}
		})
	}
}

// TestJSON_CarriesTheFold checks that records for programs have the class, how
// they ended, and their release.
func TestJSON_CarriesTheFold(t *testing.T) {
	r := newRecording(t)
	r.writeReleased()
	for _, args := range []string{"get -o json", "history deploy/api -o json", "-o json"} {
		_, out, stderr := r.run(t, append(strings.Fields(args), "-n", "shop")...)
		var document struct{ Items []v1.Event }
		if err := json.Unmarshal([]byte(out), &document); err != nil || len(document.Items) != 5 {
			t.Fatalf("%s: got %s%s, want 5 records", args, out, stderr)
		}
		for _, e := range document.Items {
			switch isRoot := e.Class == v1.ClassRoot; {
			case isRoot != (e.Delivery != nil) && e.Revision != 3, isRoot != (e.Outcome != nil):
				t.Errorf("%s: got %+v with the outcome %+v and the release %+v", args, e, e.Outcome, e.Delivery)
			case e.Revision == 4 && (e.Outcome.Text != "2/2 ready" || e.Delivery.Chart != "api-1.2.4"):
				t.Errorf("%s: got %+v and %+v, want 2/2 ready and the chart api-1.2.4", args, e.Outcome, e.Delivery)
			}
		}
	}
}

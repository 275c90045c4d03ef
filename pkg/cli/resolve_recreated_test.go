package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

// definition is the part of a CRD that a test changes.
type definition struct {
	plural, kind, scope string
	versions            []string
}

// define replaces a CRD and waits until the server serves it. A nil definition
// deletes the CRD.
func define(t *testing.T, cluster *clustertest.Cluster, name string, d *definition) {
	t.Helper()
	kubectl := func(args ...string) {
		t.Helper()
		if out, err := cluster.Kubectl(t.Context(), args...); err != nil {
			t.Fatalf("kubectl %q: %v\n%s", args, err, out)
		}
	}
	kubectl("delete", "crd", name, "--ignore-not-found", "--wait")
	if d == nil {
		return
	}
	versions := ""
	for i, v := range d.versions {
		versions += fmt.Sprintf(
			"\n  - {name: %s, served: true, storage: %t, schema: {openAPIV3Schema: {type: object}}}", v, i == 0,
		)
	}
	manifest := fmt.Sprintf(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %s.twice.example}
spec:
  group: twice.example
  scope: %s
  names: {plural: %s, singular: %s, kind: %s}
  versions:%s
`, d.plural, d.scope, d.plural, strings.ToLower(d.kind), d.kind, versions)
	file := filepath.Join(t.TempDir(), "crd.yaml")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl("apply", "-f", file)
	kubectl("wait", "--for=condition=Established", "crd/"+d.plural+".twice.example")
}

// writeIncarnation records one incarnation of object x, and an Event about it.
// An empty namespace means cluster-scoped.
func (r *recording) writeIncarnation(t *testing.T, ago time.Duration, plural, kind, namespace, uid string) {
	t.Helper()
	if err := r.log.Register(t.Context(), history.Resource{
		Group: "twice.example", Version: "v1", Plural: plural, Kind: kind,
		Singular: strings.ToLower(kind), Namespaced: namespace != "",
	}); err != nil {
		t.Fatal(err)
	}
	for i, verb := range []history.Verb{history.Create, history.Update} {
		object := fmt.Sprintf(`{"metadata":{"name":"x"},"spec":{"size":%d}}`, i)
		r.write(ago-time.Duration(i)*time.Second, &history.Record{
			Ref: ref("twice.example", plural, namespace, "x", uid), Kind: kind, Verb: verb, Object: []byte(object),
		})
	}
	in := namespace
	if in == "" {
		in = "default"
	}
	r.write(ago-2*time.Second, &history.Record{
		Ref: ref("", "events", in, "about-"+uid, "uid-about-"+uid), Kind: "Event", Verb: history.Create,
		Regarding: &history.Target{
			Group: "twice.example", Kind: kind, Namespace: namespace, Name: "x", UID: types.UID(uid),
		},
		Object: fmt.Appendf(nil,
			`{"involvedObject":{"kind":%q,"name":"x"},"type":"Normal","reason":"About-%s","message":"m"}`, kind, uid),
	})
}

// testRecreated checks a type that was deleted and created again with another
// scope. Objects of both scopes are found, with a fresh and a stale discovery
// cache.
func testRecreated(t *testing.T, cluster *clustertest.Cluster) {
	t.Helper()
	for _, change := range []struct {
		from, to    string // scopes
		first, then string // namespaces of the incarnations
	}{
		{from: "Cluster", to: "Namespaced", first: "", then: "shop"},
		{from: "Namespaced", to: "Cluster", first: "shop", then: ""},
	} {
		t.Run(change.from+" to "+change.to, func(t *testing.T) {
			r := newRecording(t)
			r.writeIncarnation(t, time.Hour, "twins", "Twin", change.first, "old")
			r.writeIncarnation(t, time.Minute, "twins", "Twin", change.then, "new")
			stale := t.TempDir()
			runPlugin := func(cache, args string) (code int, stdout, stderr string) {
				var out bytes.Buffer
				code, stderr = run(t.Context(), r, &out, append(strings.Fields(args), "--recorder-url", r.url,
					"--kubeconfig", cluster.Kubeconfig, "--cache-dir", cache)...)
				return code, out.String(), stderr
			}
			define(t, cluster, "twins.twice.example", &definition{"twins", "Twin", change.from, []string{"v1"}})
			runPlugin(stale, "get twins -n shop") // fills the cache
			define(t, cluster, "twins.twice.example", &definition{"twins", "Twin", change.to, []string{"v1"}})
			for name, cache := range map[string]string{"fresh": t.TempDir(), "stale": stale} {
				for args, want := range map[string][]string{
					"history twin/x -n shop -o jsonpath={.items[*].uid}":           {"new new old old"},
					"history twin/x -n shop --uid old -o jsonpath={.items[*].uid}": {"old old"},
					"history twin/x -n shop --uid new -o jsonpath={.items[*].uid}": {"new new"},
					"history twin/x -n shop --uid old --revision 2 -o name":        {"twin.twice.example/x"},
					"history twin/x -n shop --revision 1.. -o name":                {"twin.twice.example/x\n"},
					"history twin/x -n shop --uid old --diff":                      {"-   size: 0\n+   size: 1"},
					"history twin/x -n shop --diff":                                {"-   size: 0\n+   size: 1"},
					"get twins -n shop -o jsonpath={.items[*].uid}":                {"old old new new"},
					"get twin/x -n shop -o jsonpath={.items[*].uid}":               {"old old new new"},
					"get twins -A -o jsonpath={.items[*].uid}":                     {"old old new new"},
					"related twin/x -n shop":                                       {"About-old", "About-new"},
				} {
					code, stdout, stderr := runPlugin(cache, args)
					for _, part := range want {
						if code != 0 || !strings.Contains(stdout, part) {
							t.Errorf("%s cache: %s: got exit code %d, stdout %q, want 0 and %q; stderr %q",
								name, args, code, stdout, part, stderr)
						}
					}
					if strings.HasPrefix(args, "get twins") &&
						!strings.Contains(stderr, "twins.twice.example was recorded with two scopes") {
						t.Errorf("%s cache: %s: got stderr %q, want a warning about the scopes", name, args, stderr)
					}
				}
			}
			define(t, cluster, "twins.twice.example", nil)
			code, stdout, stderr := runPlugin(t.TempDir(), "history twin/x -n shop -o jsonpath={.items[*].uid}")
			if code != 0 || stdout != "new new old old" {
				t.Errorf("removed type: got exit code %d, stdout %q, stderr %q, want 0 and both incarnations",
					code, stdout, stderr)
			}
			var out bytes.Buffer
			code, _ = run(t.Context(), r, &out, "__complete", "history", "-n", "shop", "--recorder-url", r.url, "twin/")
			if code != 0 || !strings.Contains(out.String(), "twin/x") {
				t.Errorf("completion: got exit code %d, stdout %q, want 0 and twin/x", code, out.String())
			}
		})
	}
}

package daemon_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/history"
)

func TestDefaultsAreTheContracts(t *testing.T) {
	c := daemon.DefaultConfig()
	var plurals []string
	for _, r := range c.Resources {
		plurals = append(plurals, r.GroupResource().String())
	}
	want := "pods nodes services configmaps secrets persistentvolumeclaims persistentvolumes events namespaces " +
		"deployments.apps replicasets.apps statefulsets.apps daemonsets.apps jobs.batch cronjobs.batch " +
		"ingresses.networking.k8s.io networkpolicies.networking.k8s.io"
	if diff := cmp.Diff(strings.Fields(want), plurals); diff != "" {
		t.Errorf("default resources (-want +got):\n%s", diff)
	}
	if !c.DiscoverCRDs || c.StoragePath != "/data/watch-events" || c.Retention() != 14*24*time.Hour ||
		c.Address() != "127.0.0.1:8080" || c.MaxQueryLimit != 1000 {
		t.Errorf("defaults are %+v", c)
	}
}

func TestParseConfigOverridesOnlyWhatItNames(t *testing.T) {
	got, err := daemon.ParseConfig([]byte(`
discoverCRDs: false
serverPort: 9000
resources:
  - {group: apps, version: v1, kind: Deployment, plural: deployments, namespaced: true}
  - {group: "", version: v1, kind: Node, plural: nodes}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := daemon.DefaultConfig()
	want.DiscoverCRDs, want.ServerPort = false, 9000
	want.Resources = []history.Resource{
		{Group: "apps", Version: "v1", Kind: "Deployment", Plural: "deployments", Namespaced: true},
		{Version: "v1", Kind: "Node", Plural: "nodes"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, empty := range []string{"", "# nothing\n", "---\n"} {
		if got, err := daemon.ParseConfig([]byte(empty)); err != nil || !cmp.Equal(daemon.DefaultConfig(), got) {
			t.Errorf("%q: %+v, %v; want the defaults", empty, got, err)
		}
	}
}

func TestParseConfigNamesLineAndField(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"unknown field", "serverPort: 1\nretentionHours: 3\n", "line 2: retentionHours: unknown field; known are bindAddress, "},
		{"wrong type", "\nretentionDays: two weeks\n", `line 2: retentionDays: want a whole number from 1 to 3650, got "two weeks"`},
		{"out of range", "serverPort: 70000\n", "line 1: serverPort: want a whole number from 0 to 65535"},
		{"quoted number", "serverPort: \"80\"\n", "line 1: serverPort: want a whole number"},
		{"no boolean", "discoverCRDs: perhaps\n", `line 1: discoverCRDs: want true or false, got "perhaps"`},
		{"repeated", "serverPort: 1\nserverPort: 2\n", "line 2: serverPort: given twice"},
		{"no address", "bindAddress: everywhere\n", "line 1: bindAddress: want an IP address"},
		{"empty path", "storagePath: \"\"\n", "line 1: storagePath: is empty"},
		{"list expected", "resources: pods\n", "line 1: resources: want a list"},
		{"field of a resource", "resources:\n- {version: v1, kind: Pod, plural: pods, scoped: true}\n", "line 2: resources[0].scoped: unknown field"},
		{"missing plural", "resources:\n- version: v1\n  kind: Pod\n", "line 2: resources[0].plural: missing"},
		{"bad plural", "resources:\n- {version: v1, kind: Pod, plural: Pods}\n", "line 2: resources[0].plural: \"Pods\""},
		{
			"twice", "resources:\n- {version: v1, kind: Pod, plural: pods}\n- {version: v2, kind: Pod, plural: pods}\n",
			"line 3: resources[1]: pods stands on line 2 already",
		},
		{"a list", "- a\n", "line 1: want a mapping"},
		{"second document", "serverPort: 1\n---\nserverPort: 2\n", "line 2: a second document"},
		{"no YAML", "a: [\n", "line 1: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := daemon.ParseConfig([]byte(tt.in))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got error %v, want one with %q", err, tt.want)
			}
			if history.CodeOf(err) != history.Invalid || strings.Contains(err.Error(), "\n") {
				t.Errorf("want one line of code %s, got %q of %s", history.Invalid, err, history.CodeOf(err))
			}
		})
	}
}

func TestEnvironmentIsStrongerThanTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resources.yaml")
	if err := os.WriteFile(path, []byte("serverPort: 9000\nstoragePath: /from/file\nretentionDays: 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"CONFIG_PATH": path, "SERVER_PORT": "9001", "BADGER_PATH": "/from/env", "BIND_ADDRESS": "0.0.0.0"}
	c, err := daemon.LoadConfig(func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	if c.Address() != "0.0.0.0:9001" || c.StoragePath != "/from/env" || c.RetentionDays != 3 {
		t.Errorf("got %+v", c)
	}
}

func TestLoadConfigRefuses(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("serverport: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"CONFIG_PATH": bad}, "bad.yaml: line 1: serverport: unknown field"},
		{map[string]string{"CONFIG_PATH": bad + ".absent"}, "CONFIG_PATH names: open "},
		{map[string]string{"SERVER_PORT": "http"}, `SERVER_PORT: want a port`},
		{map[string]string{"BIND_ADDRESS": "localhost"}, `BIND_ADDRESS: want an IP address`},
	}
	for _, tt := range tests {
		_, err := daemon.LoadConfig(func(k string) string { return tt.env[k] })
		if err == nil || !strings.Contains(err.Error(), tt.want) || history.CodeOf(err) != history.Invalid {
			t.Errorf("%v: got %v, want an invalid error with %q", tt.env, err, tt.want)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte("resources: [{version: v1, kind: Pod, plural: pods}]"))
	f.Add([]byte("a: &a {<<: *a}"))
	f.Add([]byte("serverPort: *x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := daemon.ParseConfig(data)
		if err != nil {
			return
		}
		if c.RetentionDays < 1 || c.MaxQueryLimit < 1 || c.StoragePath == "" || c.ServerPort < 0 {
			t.Errorf("accepted %q as %+v", data, c)
		}
	})
}

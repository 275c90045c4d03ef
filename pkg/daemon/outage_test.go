package daemon_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

// configuration returns the configuration of a daemon on a free port, with the
// database in dir.
func configuration(dir string, change func(*daemon.Config)) daemon.Config {
	c := daemon.DefaultConfig()
	c.ServerPort, c.StoragePath = 0, dir
	if change != nil {
		change(&c)
	}
	return c
}

// open returns the details of the open gaps with this reason, by resource.
func (r *running) open(t *testing.T, reason history.GapReason) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, g := range r.gaps(t, "") {
		if g.End.IsZero() && g.Reason == string(reason) {
			all[g.Resource] = g.Detail
		}
	}
	return all
}

// TestStart_ServesHistoryWithoutAPIServer starts the recorder during an outage.
// Recording continues after the outage.
func TestStart_ServesHistoryWithoutAPIServer(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	kubectl(t, "create", "namespace", "outage")
	first := start(t, dir, cluster.Config(), onlyConfigMaps)
	kubectl(t, "create", "configmap", "one", "-n", "outage")
	const query = "namespace=outage&resourceType=configmaps"
	first.eventually(t, "the creation is recorded", func() (bool, string) {
		got := verbs(first.events(t, query))
		return strings.HasSuffix(got, "create"), got
	})
	recorded := verbs(first.events(t, query))
	first.stop(t)
	if err := cluster.StopComponent(t.Context(), clustertest.APIServer); err != nil {
		t.Fatal(err)
	}

	second := boot(t, configuration(dir, onlyConfigMaps), cluster.Config(), nil)
	if got := verbs(second.events(t, query)); got != recorded {
		t.Errorf("during the outage: got %q, want %q", got, recorded)
	}
	second.eventually(t, "/readyz and the gap say why configmaps are missing", func() (bool, string) {
		status, body := second.get(t, v1.ReadyzPath)
		detail := second.open(t, history.GapDisconnected)["configmaps"]
		return status == http.StatusOK && strings.Contains(body, "configmaps: disconnected: ") &&
			strings.Contains(body, "connection refused") &&
			strings.Contains(detail, "connection refused"), body + detail
	})
	if err := cluster.StartComponent(t.Context(), clustertest.APIServer); err != nil {
		t.Fatal(err)
	}
	kubectl(t, "create", "configmap", "two", "-n", "outage")
	second.eventually(t, "the creation is recorded and no gap is open", func() (bool, string) {
		_, body := second.get(t, v1.ReadyzPath)
		got := verbs(second.events(t, query))
		return got != recorded && body == "ok\n" && len(second.open(t, history.GapDisconnected)) == 0, got + body
	})
}

// TestStop_DoesNotWaitForTheServer uses API servers that do not answer, that
// answer with errors, and that can't be reached.
func TestStop_DoesNotWaitForTheServer(t *testing.T) {
	silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer away.Close()
	for name, host := range map[string]string{
		"silent":        "http://" + silent.Addr().String(),
		"silent in TLS": "https://" + silent.Addr().String(),
		"away":          away.URL,
		"refused":       "https://127.0.0.1:1",
		"unknown name":  "https://nowhere.invalid",
	} {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			r := boot(t, configuration(t.TempDir(), nil), &rest.Config{Host: host}, nil)
			status, body := r.get(t, v1.ReadyzPath)
			if status != http.StatusOK || !strings.HasPrefix(body, "ok\n") {
				t.Errorf("got %s %d %q, want 200 and ok", v1.ReadyzPath, status, body)
			}
			r.stop(t)
		})
	}
}

// testRecordsNextToResourcesThatCannotBeListed has an object that can't be
// decoded, a conversion webhook that is down, and an extension API server that
// is down. The API server retries for half a minute before it reports the
// object.
func testRecordsNextToResourcesThatCannotBeListed(t *testing.T) {
	t.Helper()
	c := clustertest.New(t, clustertest.Options{})
	const key = "/registry/serviceaccounts/default/garbage"
	if err := c.PutEtcd(t.Context(), key, []byte("k8s\x00garbage")); err != nil {
		t.Fatal(err)
	}
	repair := func() {
		if err := c.DeleteEtcd(t.Context(), key); err != nil {
			t.Error(err)
		}
	}
	defer repair()
	unconvertible(t, c)
	extension(t, c)
	dir := t.TempDir()
	r := boot(t, configuration(dir, func(o *daemon.Config) {
		o.Resources = []history.Resource{
			{Version: "v1", Kind: "ConfigMap", Plural: "configmaps", Namespaced: true},
			{Version: "v1", Kind: "ServiceAccount", Plural: "serviceaccounts", Namespaced: true},
			{Group: "down.example.com", Version: "v1", Kind: "Thing", Plural: "things", Namespaced: true},
		}
	}), c.Config(), nil)
	r.reaches(t, "configmaps", "watching")
	causes := map[string]string{
		"serviceaccounts": "garbage", "carts": "conversion webhook", "things": "down.example.com",
	}
	r.eventually(t, "/readyz, the gaps and the catalogue have the server's errors", func() (bool, string) {
		_, body := r.get(t, v1.ReadyzPath)
		gaps := r.open(t, history.GapServerError)
		for resource, words := range causes {
			reason := r.resource(t, resource).Reason
			if !strings.Contains(body, resource) || !strings.Contains(gaps[resource], words) ||
				!strings.Contains(reason, words) {
				return false, fmt.Sprint(resource, ": ", reason, body, gaps)
			}
		}
		return true, ""
	})
	repair()
	r.reaches(t, "serviceaccounts", "watching")
}

// unconvertible defines carts that can't be listed. Their storage version
// changed after one was stored, and the conversion webhook does not answer.
func unconvertible(t *testing.T, c *clustertest.Cluster) {
	t.Helper()
	const crd = `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",` +
		`"metadata":{"name":"carts.convert.example.com"},"spec":{
		"group":"convert.example.com","scope":"Namespaced","names":{"plural":"carts","singular":"cart","kind":"Cart"},"conversion":%s,
		"versions":[{"name":"v1","served":true,"storage":%t,"schema":{"openAPIV3Schema":{"type":"object"}}},
		{"name":"v2","served":true,"storage":%t,"schema":{"openAPIV3Schema":{"type":"object"}}}]}}`
	none := fmt.Sprintf(crd, `{"strategy":"None"}`, true, false)
	applyTo(t, c, none)
	kubectlOf(t, c, "wait", "--for=condition=Established", "crd/carts.convert.example.com")
	applyTo(t, c, `{"apiVersion":"convert.example.com/v1","kind":"Cart","metadata":{"name":"c","namespace":"default"}}`)
	applyTo(t, c, fmt.Sprintf(crd, `{"strategy":"Webhook",`+
		`"webhook":{"conversionReviewVersions":["v1"],"clientConfig":{"url":"https://127.0.0.1:1"}}}`, false, true))
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		for _, args := range [][]string{
			{
				"patch", "crd", "carts.convert.example.com",
				"--type=merge", "-p", `{"spec":{"conversion":{"strategy":"None","webhook":null}}}`,
			},
			{"delete", "crd", "carts.convert.example.com"},
		} {
			if _, err := c.Kubectl(ctx, args...); err != nil {
				t.Error(err)
			}
		}
	})
}

// extension registers an extension API server that does not exist.
func extension(t *testing.T, c *clustertest.Cluster) {
	t.Helper()
	applyTo(t, c, `{"apiVersion":"apiregistration.k8s.io/v1","kind":"APIService",`+
		`"metadata":{"name":"v1.down.example.com"},"spec":{
		"group":"down.example.com","version":"v1","groupPriorityMinimum":1000,"versionPriority":10,"insecureSkipTLSVerify":true,
		"service":{"name":"nowhere","namespace":"default"}}}`)
	t.Cleanup(func() {
		_, err := c.Kubectl(context.WithoutCancel(t.Context()), "delete", "apiservice", "v1.down.example.com")
		if err != nil {
			t.Error(err)
		}
	})
}

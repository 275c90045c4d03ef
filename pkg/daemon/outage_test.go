package daemon_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

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

// TestGap_StartsAtDisconnect stops the API server long after the last bookmark
// of a quiet resource. The gap must not start at that bookmark.
func TestGap_StartsAtDisconnect(t *testing.T) {
	noLeaks(t)
	const quiet, margin = 25 * time.Second, 15 * time.Second
	kubectl(t, "create", "namespace", "dated")
	r := start(t, t.TempDir(), cluster.Config(), onlyConfigMaps)
	kubectl(t, "create", "configmap", "one", "-n", "dated")
	checkpoint := func() time.Time {
		_, body := r.get(t, v1.MetricsPath)
		_, rest, _ := strings.Cut(body, `watchhistory_checkpoint_timestamp_seconds{group="",resource="configmaps"} `)
		value, _, _ := strings.Cut(rest, "\n")
		seconds, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("got checkpoint time %q, want a number", value)
		}
		return time.UnixMilli(int64(seconds * 1000))
	}
	r.eventually(t, fmt.Sprint("no watch event for ", quiet), func() (bool, string) {
		at := checkpoint()
		return time.Since(at) > quiet, at.String()
	})
	if err := cluster.StopComponent(t.Context(), clustertest.APIServer); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	if _, err := cluster.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := cluster.StartComponent(t.Context(), clustertest.APIServer); err != nil {
		t.Fatal(err)
	}
	kubectl(t, "create", "configmap", "two", "-n", "dated")
	r.eventually(t, "one closed gap", func() (bool, string) {
		gaps := r.gaps(t, "")
		return len(gaps) == 1 && !gaps[0].End.IsZero() &&
			strings.HasSuffix(verbs(r.events(t, "namespace=dated&resourceName=two")), "create"), fmt.Sprint(gaps)
	})
	gap := r.gaps(t, "")[0]
	if gap.Start.Before(stopped.Add(-margin)) || gap.Start.After(stopped) ||
		gap.Reason != string(history.GapDisconnected) || gap.Detail == "" {
		t.Errorf("got gap %+v, want a start at most %v before %s, reason disconnected and a detail",
			gap, margin, stopped)
	}
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

// TestDaemon_RecordsNextToResourcesThatCannotBeListed has an object that can't
// be decoded, a conversion webhook that is down, and an extension API server
// that is down.
func TestDaemon_RecordsNextToResourcesThatCannotBeListed(t *testing.T) {
	noLeaks(t)
	const key = "/registry/serviceaccounts/default/garbage"
	if err := cluster.PutEtcd(t.Context(), key, []byte("k8s\x00garbage")); err != nil {
		t.Fatal(err)
	}
	repair := func() {
		if err := cluster.DeleteEtcd(t.Context(), key); err != nil {
			t.Error(err)
		}
	}
	defer repair()
	unconvertible(t)
	extension(t)
	dir := t.TempDir()
	r := boot(t, configuration(dir, func(c *daemon.Config) {
		c.Resources = []history.Resource{
			{Version: "v1", Kind: "ConfigMap", Plural: "configmaps", Namespaced: true},
			{Version: "v1", Kind: "ServiceAccount", Plural: "serviceaccounts", Namespaced: true},
			{Group: "down.example.com", Version: "v1", Kind: "Thing", Plural: "things", Namespaced: true},
		}
	}), cluster.Config(), nil)
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
func unconvertible(t *testing.T) {
	t.Helper()
	const crd = `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",` +
		`"metadata":{"name":"carts.convert.example.com"},"spec":{
		"group":"convert.example.com","scope":"Namespaced","names":{"plural":"carts","singular":"cart","kind":"Cart"},"conversion":%s,
		"versions":[{"name":"v1","served":true,"storage":%t,"schema":{"openAPIV3Schema":{"type":"object"}}},
		{"name":"v2","served":true,"storage":%t,"schema":{"openAPIV3Schema":{"type":"object"}}}]}}`
	none := fmt.Sprintf(crd, `{"strategy":"None"}`, true, false)
	apply(t, none)
	kubectl(t, "wait", "--for=condition=Established", "crd/carts.convert.example.com")
	apply(t, `{"apiVersion":"convert.example.com/v1","kind":"Cart","metadata":{"name":"c","namespace":"default"}}`)
	apply(t, fmt.Sprintf(crd, `{"strategy":"Webhook",`+
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
			if _, err := cluster.Kubectl(ctx, args...); err != nil {
				t.Error(err)
			}
		}
	})
}

// extension registers an extension API server that does not exist.
func extension(t *testing.T) {
	t.Helper()
	apply(t, `{"apiVersion":"apiregistration.k8s.io/v1","kind":"APIService",`+
		`"metadata":{"name":"v1.down.example.com"},"spec":{
		"group":"down.example.com","version":"v1","groupPriorityMinimum":1000,"versionPriority":10,"insecureSkipTLSVerify":true,
		"service":{"name":"nowhere","namespace":"default"}}}`)
	t.Cleanup(func() {
		_, err := cluster.Kubectl(context.WithoutCancel(t.Context()), "delete", "apiservice", "v1.down.example.com")
		if err != nil {
			t.Error(err)
		}
	})
}

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

// configuration is a daemon's, on a free port and over the database in dir.
func configuration(dir string, change func(*daemon.Config)) daemon.Config {
	c := daemon.DefaultConfig()
	c.ServerPort, c.StoragePath = 0, dir
	if change != nil {
		change(&c)
	}
	return c
}

// open returns the open gaps that have a reason, by resource, with their details.
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

// TestStart_AnswersWhileTheServerIsAway: an outage is when history is wanted most. Recording goes on when it is over.
func TestStart_AnswersWhileTheServerIsAway(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	kubectl(t, "create", "namespace", "outage")
	first := start(t, dir, cluster.Config(), onlyConfigMaps)
	kubectl(t, "create", "configmap", "one", "-n", "outage")
	const query = "namespace=outage&resourceType=configmaps"
	first.eventually(t, "it is recorded", func() (bool, string) {
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
		t.Errorf("it answers %q, want %q as before", got, recorded)
	}
	second.eventually(t, "it says what is missing, and why", func() (bool, string) {
		status, body := second.get(t, v1.ReadyzPath)
		detail := second.open(t, history.GapDisconnected)["configmaps"]
		return status == http.StatusOK && strings.Contains(body, "configmaps: disconnected: ") &&
			strings.Contains(body, "connection refused") && strings.Contains(detail, "connection refused"), body + detail
	})
	if err := cluster.StartComponent(t.Context(), clustertest.APIServer); err != nil {
		t.Fatal(err)
	}
	kubectl(t, "create", "configmap", "two", "-n", "outage")
	second.eventually(t, "recording goes on, and no gap is open", func() (bool, string) {
		_, body := second.get(t, v1.ReadyzPath)
		got := verbs(second.events(t, query))
		return got != recorded && body == "ok\n" && len(second.open(t, history.GapDisconnected)) == 0, got + body
	})
}

// TestGap_BeginsWhenTheServerWentAway: a quiet resource's last bookmark may be a minute old by then.
func TestGap_BeginsWhenTheServerWentAway(t *testing.T) {
	noLeaks(t)
	const quiet, margin = 25 * time.Second, 15 * time.Second
	kubectl(t, "create", "namespace", "dated")
	r := start(t, t.TempDir(), cluster.Config(), onlyConfigMaps)
	kubectl(t, "create", "configmap", "one", "-n", "dated")
	heard := func() time.Time {
		_, body := r.get(t, v1.MetricsPath)
		_, rest, _ := strings.Cut(body, `watchhistory_checkpoint_timestamp_seconds{group="",resource="configmaps"} `)
		value, _, _ := strings.Cut(rest, "\n")
		seconds, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("the checkpoint's time is %q", value)
		}
		return time.UnixMilli(int64(seconds * 1000))
	}
	r.eventually(t, "it was quiet for a while", func() (bool, string) {
		at := heard()
		return time.Since(at) > quiet, at.String()
	})
	if err := cluster.StopComponent(t.Context(), clustertest.APIServer); err != nil {
		t.Fatal(err)
	}
	went := time.Now()
	if _, err := cluster.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := cluster.StartComponent(t.Context(), clustertest.APIServer); err != nil {
		t.Fatal(err)
	}
	kubectl(t, "create", "configmap", "two", "-n", "dated")
	r.eventually(t, "the gap is closed", func() (bool, string) {
		gaps := r.gaps(t, "")
		return len(gaps) == 1 && !gaps[0].End.IsZero() && strings.HasSuffix(verbs(r.events(t, "namespace=dated&resourceName=two")), "create"), fmt.Sprint(gaps)
	})
	gap := r.gaps(t, "")[0]
	if gap.Start.Before(went.Add(-margin)) || gap.Start.After(went) || gap.Reason != string(history.GapDisconnected) || gap.Detail == "" {
		t.Errorf("%+v, want it from a few seconds before %s, and why", gap, went)
	}
}

// TestStop_DoesNotWaitForTheServer: neither for one that does not answer, nor for one that can't.
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
		"silent": "http://" + silent.Addr().String(), "silent in TLS": "https://" + silent.Addr().String(), "away": away.URL,
		"refused": "https://127.0.0.1:1", "unknown name": "https://nowhere.invalid",
	} {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			r := boot(t, configuration(t.TempDir(), nil), &rest.Config{Host: host}, nil)
			status, body := r.get(t, v1.ReadyzPath)
			if status != http.StatusOK || !strings.HasPrefix(body, "ok\n") {
				t.Errorf("%d %q, want that it is ready", status, body)
			}
			r.stop(t)
		})
	}
}

// TestUnlistableResource_KeepsNothingElseFromBeingRecorded: an object that can't be decoded, a conversion webhook and an extension API
// that are down.
func TestUnlistableResource_KeepsNothingElseFromBeingRecorded(t *testing.T) {
	noLeaks(t)
	const key = "/registry/serviceaccounts/default/garbage"
	if err := cluster.PutEtcd(t.Context(), key, []byte("k8s\x00garbage")); err != nil {
		t.Fatal(err)
	}
	mend := func() {
		if err := cluster.DeleteEtcd(t.Context(), key); err != nil {
			t.Error(err)
		}
	}
	defer mend()
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
	said := map[string]string{
		"serviceaccounts": "garbage", "carts": "conversion webhook", "things": "down.example.com",
	}
	r.eventually(t, "all that is missing is said, in the server's own words", func() (bool, string) {
		_, body := r.get(t, v1.ReadyzPath)
		gaps := r.open(t, history.GapServerError)
		for resource, words := range said {
			reason := r.resource(t, resource).Reason
			if !strings.Contains(body, resource) || !strings.Contains(gaps[resource], words) || !strings.Contains(reason, words) {
				return false, fmt.Sprint(resource, ": ", reason, body, gaps)
			}
		}
		return true, ""
	})
	mend()
	r.reaches(t, "serviceaccounts", "watching")
}

// unconvertible defines carts that can't be listed: they are stored in another version than they were, and the webhook that converts
// them does not answer.
func unconvertible(t *testing.T) {
	t.Helper()
	const crd = `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"carts.convert.example.com"},"spec":{
		"group":"convert.example.com","scope":"Namespaced","names":{"plural":"carts","singular":"cart","kind":"Cart"},"conversion":%s,
		"versions":[{"name":"v1","served":true,"storage":%t,"schema":{"openAPIV3Schema":{"type":"object"}}},
		{"name":"v2","served":true,"storage":%t,"schema":{"openAPIV3Schema":{"type":"object"}}}]}}`
	none := fmt.Sprintf(crd, `{"strategy":"None"}`, true, false)
	apply(t, none)
	kubectl(t, "wait", "--for=condition=Established", "crd/carts.convert.example.com")
	apply(t, `{"apiVersion":"convert.example.com/v1","kind":"Cart","metadata":{"name":"c","namespace":"default"}}`)
	apply(t, fmt.Sprintf(crd, `{"strategy":"Webhook","webhook":{"conversionReviewVersions":["v1"],"clientConfig":{"url":"https://127.0.0.1:1"}}}`, false, true))
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		for _, args := range [][]string{
			{"patch", "crd", "carts.convert.example.com", "--type=merge", "-p", `{"spec":{"conversion":{"strategy":"None","webhook":null}}}`},
			{"delete", "crd", "carts.convert.example.com"},
		} {
			if _, err := cluster.Kubectl(ctx, args...); err != nil {
				t.Error(err)
			}
		}
	})
}

// extension registers an API server that is not there.
func extension(t *testing.T) {
	t.Helper()
	apply(t, `{"apiVersion":"apiregistration.k8s.io/v1","kind":"APIService","metadata":{"name":"v1.down.example.com"},"spec":{
		"group":"down.example.com","version":"v1","groupPriorityMinimum":1000,"versionPriority":10,"insecureSkipTLSVerify":true,
		"service":{"name":"nowhere","namespace":"default"}}}`)
	t.Cleanup(func() {
		if _, err := cluster.Kubectl(context.WithoutCancel(t.Context()), "delete", "apiservice", "v1.down.example.com"); err != nil {
			t.Error(err)
		}
	})
}

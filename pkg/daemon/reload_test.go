package daemon_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

// following runs a daemon that follows the volume's file, with the database in
// dir.
func following(t *testing.T, dir string, v *volume, cfg *rest.Config) *running {
	t.Helper()
	env := map[string]string{"CONFIG_PATH": v.path(), "SERVER_PORT": "0", "BADGER_PATH": dir}
	source := daemon.NewSource(func(name string) string { return env[name] }, "")
	c, err := source.Load()
	if err != nil {
		t.Fatal(err)
	}
	return launch(t, c, cfg, source)
}

// only returns a configuration with these kinds of the core group, and no
// others.
func only(kinds ...string) string {
	var list []string
	for _, kind := range kinds {
		list = append(list,
			fmt.Sprintf("{version: v1, kind: %s, plural: %ss, namespaced: true}", kind, strings.ToLower(kind)))
	}
	return "discoverCRDs: false\nresources: [" + strings.Join(list, ", ") + "]\n"
}

// reload writes the configuration and waits until it is applied.
func (r *running) reload(t *testing.T, v *volume, content string) {
	t.Helper()
	before := r.log.Count("configuration applied")
	v.write(content)
	r.eventually(t, "the configuration is applied", func() (bool, string) {
		return r.log.Count("configuration applied") > before, ""
	})
}

// resource returns the catalogue's entry of a plural, or a zero one.
func (r *running) resource(t *testing.T, plural string) v1.Resource {
	t.Helper()
	_, body := r.get(t, v1.ResourcesPath)
	var list v1.ResourceList
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list.Resources, func(l v1.Resource) bool { return l.Plural == plural })
	if i < 0 {
		return v1.Resource{}
	}
	return list.Resources[i]
}

// reaches waits until a resource has this state.
func (r *running) reaches(t *testing.T, plural, state string) {
	t.Helper()
	r.eventually(t, plural+" are "+state, func() (bool, string) {
		got := r.resource(t, plural)
		return got.State == state, got.State + " " + got.Reason
	})
}

// records waits until a query returns records with these verbs, oldest first.
func (r *running) records(t *testing.T, query, want string) {
	t.Helper()
	r.eventually(t, query+" has "+want, func() (bool, string) {
		got := verbs(r.events(t, query))
		return got == want, got
	})
}

// metric waits until the metrics contain this line.
func (r *running) metric(t *testing.T, line string) {
	t.Helper()
	r.eventually(t, line, func() (bool, string) {
		_, body := r.get(t, v1.MetricsPath)
		return strings.Contains(body, line+"\n"), body
	})
}

// header returns a header of the answer to a GET.
func (r *running) header(t *testing.T, path, name string) string {
	t.Helper()
	response, err := http.Get(r.url + path) //nolint:noctx // loopback, and bounded by the server
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.Header.Get(name)
}

// TestReload_AppliesRules adds rules and removes them while objects change.
func TestReload_AppliesRules(t *testing.T) {
	noLeaks(t)
	for _, name := range []string{"rules", "rules-noisy"} {
		kubectl(t, "create", "namespace", name)
	}
	v := newVolume(t, only("ConfigMap"))
	r := following(t, t.TempDir(), v, cluster.Config())
	r.reaches(t, "configmaps", "watching")
	kubectl(t, "create", "configmap", "plain", "-n", "rules", "--from-literal=password=in-the-clear")
	r.records(t, "namespace=rules&resourceName=plain", "create")

	r.reload(t, v, only("ConfigMap")+`
redact: [{resource: configmaps, paths: ["data[*]"], names: [password]}]
ignore:
- namespaces: [rules-noisy]
- {resource: configmaps, changes: [data.beat]}
maxQueryLimit: 1
`)
	kubectl(t, "create", "configmap", "noise", "-n", "rules-noisy")
	kubectl(t, "create", "configmap", "hidden", "-n", "rules",
		"--from-literal=password=in-the-clear", "--from-literal=user=me")
	kubectl(t, "patch", "configmap", "hidden", "-n", "rules", "-p", `{"data":{"beat":"1"}}`) // a new field is a change
	kubectl(t, "patch", "configmap", "hidden", "-n", "rules", "-p", `{"data":{"beat":"2"}}`)
	kubectl(t, "patch", "configmap", "hidden", "-n", "rules", "-p", `{"data":{"beat":"3","user":"you"}}`)
	r.records(t, "namespace=rules&resourceName=hidden", "create update update")
	_, body := r.get(t, v1.EventsPath+"?namespace=rules&resourceName=hidden")
	if strings.Contains(body, "in-the-clear") ||
		!strings.Contains(body, `"password":"hmac-sha256:`) || !strings.Contains(body, `"user":"me"`) {
		t.Errorf("got %s, want only the password redacted", body)
	}
	if got := verbs(r.events(t, "namespace=rules-noisy&resourceType=configmaps")); strings.Contains(got, "create") {
		t.Errorf("ignored namespace: got %q, want no creation", got)
	}
	if got := r.header(t, v1.EventsPath+"?namespace=rules", v1.HasMoreHeader); got != "true" {
		t.Errorf("got %s %q, want true with the new limit", v1.HasMoreHeader, got)
	}
	const rules = "* namespaces=rules-noisy; configmaps changes=data.beat"
	if got := r.header(t, v1.EventsPath+"?resourceType=cm", v1.IgnoredHeader); got != rules {
		t.Errorf("got %s %q, want %q", v1.IgnoredHeader, got, rules)
	}
	got := r.resource(t, "configmaps").Ignored
	if got == nil || !slices.Equal(got.Namespaces, []string{"rules-noisy"}) ||
		!slices.Equal(got.Changes, []string{"data.beat"}) || got.Versions < 2 {
		t.Errorf("got ignored %+v, want namespaces [rules-noisy], changes [data.beat] and 2 or more versions", got)
	}
	r.metric(t, `watchhistory_versions_ignored_total{group="",resource="configmaps",rule="change"} 1`)

	r.reload(t, v, only("ConfigMap"))
	kubectl(t, "patch", "configmap", "hidden", "-n", "rules", "-p", `{"data":{"beat":"4"}}`)
	r.records(t, "namespace=rules&resourceName=hidden", "create update update update")
	if got := r.header(t, v1.EventsPath, v1.IgnoredHeader); got != "" {
		t.Errorf("without rules: got %s %q, want none", v1.IgnoredHeader, got)
	}
}

// TestReload_OpensGapWhileResourceIsNotConfigured also checks that the changes
// of this time are recorded later, if the API server still has them.
func TestReload_OpensGapWhileResourceIsNotConfigured(t *testing.T) {
	noLeaks(t)
	kubectl(t, "create", "namespace", "left")
	v := newVolume(t, only("ConfigMap"))
	r := following(t, t.TempDir(), v, cluster.Config())
	kubectl(t, "create", "configmap", "a", "-n", "left")
	const query = "namespace=left&resourceType=configmaps&resourceName=a"
	r.records(t, query, "create")

	left := time.Now()
	r.reload(t, v, only("Secret", "ServiceAccount"))
	open := func(reason history.GapReason) {
		t.Helper()
		r.eventually(t, "one open gap", func() (bool, string) {
			gaps := r.gaps(t, "resourceType=configmaps")
			return len(gaps) == 1 && gaps[0].Reason == string(reason) && gaps[0].End.IsZero() &&
				gaps[0].Start.Before(left.Add(time.Minute)), fmt.Sprint(gaps)
		})
	}
	r.reaches(t, "secrets", "watching")
	r.reaches(t, "configmaps", "stopped")
	open(history.GapNotConfigured)
	if got := r.header(t, v1.EventsPath+"?"+query, v1.GapListHeader); !strings.Contains(got, "configmaps ") ||
		!strings.HasSuffix(got, " not_configured") {
		t.Errorf("got %s %q, want configmaps … not_configured", v1.GapListHeader, got)
	}
	r.metric(t, `watchhistory_gaps_open{group="",reason="not_configured",resource="configmaps"} 1`)
	if gaps := r.gaps(t, "resourceType=secrets"); len(gaps) > 0 {
		t.Errorf("secrets: got gaps %+v, want none", gaps)
	}

	kubectl(t, "patch", "configmap", "a", "-n", "left", "-p", `{"data":{"a":"1"}}`)
	kubectl(t, "delete", "configmap", "a", "-n", "left")
	r.reload(t, v, only("Secret", "ConfigMap"))
	r.records(t, query, "create update delete")
	r.eventually(t, "no gaps", func() (bool, string) {
		gaps := r.gaps(t, "resourceType=configmaps")
		return len(gaps) == 0, fmt.Sprint(gaps)
	})
	for _, e := range r.events(t, query) {
		if e.Inferred != nil || e.Initial {
			t.Errorf("%s: got inferred %v, initial %t, want neither: %+v", e.Verb, e.Inferred, e.Initial, e)
		}
	}

	// Now a rule ignores the resource, until etcd is compacted.
	r.reload(t, v, only("Secret")+"ignore: [{resource: configmaps}]\n")
	r.reaches(t, "configmaps", "ignored")
	if got := r.resource(t, "configmaps"); got.Kind != "ConfigMap" ||
		!strings.Contains(got.Reason, "configuration ignores it") {
		t.Errorf("got %+v, want kind ConfigMap and the configuration as the reason", got)
	}
	open(history.GapNotConfigured)
	if got := r.header(t, v1.EventsPath+"?resourceType=configmaps", v1.IgnoredHeader); got != "configmaps" {
		t.Errorf("got %s %q, want configmaps", v1.IgnoredHeader, got)
	}
	kubectl(t, "create", "configmap", "unseen", "-n", "left")
	if _, err := cluster.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := cluster.RestartComponent(t.Context(), clustertest.APIServer); err != nil {
		t.Fatal(err)
	}
	r.reload(t, v, only("Secret", "ConfigMap"))
	r.eventually(t, "one closed gap", func() (bool, string) {
		gaps := r.gaps(t, "resourceType=configmaps")
		return len(gaps) == 1 && !gaps[0].End.IsZero() &&
			gaps[0].Reason == string(history.GapNotConfigured), fmt.Sprint(gaps)
	})
}

// TestStart_OpensGapForResourceNoLongerConfigured changes the configuration
// while the recorder is stopped.
func TestStart_OpensGapForResourceNoLongerConfigured(t *testing.T) {
	noLeaks(t)
	dir, v := t.TempDir(), newVolume(t, only("ConfigMap", "ServiceAccount"))
	first := following(t, dir, v, cluster.Config())
	first.reaches(t, "configmaps", "watching")
	first.stop(t)
	v.write(only("ServiceAccount"))
	second := following(t, dir, v, cluster.Config())
	second.eventually(t, "one open gap", func() (bool, string) {
		gaps := second.gaps(t, "")
		return len(gaps) == 1 && gaps[0].Resource == "configmaps" &&
			gaps[0].Reason == string(history.GapNotConfigured), fmt.Sprint(gaps)
	})
}

// TestStart_OpensGapsUntilDiscovery: before discovery, the recorder observes
// nothing.
func TestStart_OpensGapsUntilDiscovery(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	first := start(t, dir, cluster.Config(), onlyConfigMaps)
	first.reaches(t, "configmaps", "watching")
	first.stop(t)
	gate := &gate{}
	cfg := gate.config()
	open := gate.shut()
	c := daemon.DefaultConfig()
	onlyConfigMaps(&c)
	c.ServerPort, c.StoragePath = 0, dir
	second := boot(t, c, cfg, nil)
	t.Cleanup(open)
	gaps := second.gaps(t, "")
	if len(gaps) != 1 || gaps[0].Resource != "configmaps" || gaps[0].Reason != string(history.GapRestarted) ||
		!gaps[0].End.IsZero() {
		t.Errorf("got gaps %+v, want an open one of configmaps with reason restarted", gaps)
	}
	open()
	second.reaches(t, "configmaps", "watching")
	if gaps := second.gaps(t, ""); len(gaps) > 0 {
		t.Errorf("after the resume: got gaps %+v, want none", gaps)
	}
}

// TestReload_KeepsRedactionUntilWatcherStops: a watcher may run on after the
// configuration that started it was replaced, even twice.
func TestReload_KeepsRedactionUntilWatcherStops(t *testing.T) {
	noLeaks(t)
	kubectl(t, "create", "namespace", "parting")
	v := newVolume(t, only("ConfigMap", "ServiceAccount")+`redact: [{resource: configmaps, paths: ["data[*]"]}]`)
	gate := &gate{}
	r := following(t, t.TempDir(), v, gate.config())
	r.reaches(t, "configmaps", "watching")
	open := gate.shut()
	t.Cleanup(open)
	r.reload(t, v, only("ConfigMap", "ServiceAccount", "Secret")+`redact: [{resource: configmaps, paths: ["data[*]"]}]`)
	r.eventually(t, "discovery waits at the gate", func() (bool, string) { return gate.waiting.Load() > 0, "" })
	r.reload(t, v, only("ServiceAccount"))
	r.reload(t, v, only("ServiceAccount")+"maxQueryLimit: 7\n")
	kubectl(t, "create", "configmap", "a", "-n", "parting", "--from-literal=password=in-the-clear")
	r.records(t, "namespace=parting&resourceName=a", "create")
	open()
	if _, body := r.get(t, v1.EventsPath+"?namespace=parting&resourceName=a"); strings.Contains(body, "in-the-clear") {
		t.Errorf("got %s, want the password redacted", body)
	}
	r.reaches(t, "configmaps", "stopped")
}

// gate blocks discovery requests while it is shut.
type gate struct {
	mu      sync.RWMutex
	waiting atomic.Int32
}

// config returns a client configuration whose requests pass through the gate.
func (g *gate) config() *rest.Config {
	cfg := cluster.Config()
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return &gated{next, g} })
	return cfg
}

// shut shuts the gate. The returned function opens it.
func (g *gate) shut() (open func()) {
	g.mu.Lock()
	return sync.OnceFunc(g.mu.Unlock)
}

// gated sends requests through a gate.
type gated struct {
	http.RoundTripper

	gate *gate
}

// WrappedRoundTripper returns the transport, so that client-go can close its
// idle connections.
func (g *gated) WrappedRoundTripper() http.RoundTripper { return g.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (g *gated) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == "/api" || r.URL.Path == "/apis" {
		g.gate.waiting.Add(1)
		defer g.gate.waiting.Add(-1)
		g.gate.mu.RLock()
		defer g.gate.mu.RUnlock()
	}
	return g.RoundTripper.RoundTrip(r)
}

// TestReload_RejectsMistakes checks that the current configuration is kept, and
// that changed fields that require a restart are logged.
func TestReload_RejectsMistakes(t *testing.T) {
	noLeaks(t)
	kubectl(t, "create", "namespace", "mistake")
	v := newVolume(t, only("ConfigMap"))
	r := following(t, t.TempDir(), v, cluster.Config())
	r.metric(t, "watchhistory_config_last_reload_successful 1")
	v.write(only("Secret") + "redact:\n- resource: secrets\n  paths: [data.a]\n")
	r.metric(t, "watchhistory_config_last_reload_successful 0")
	if n := r.log.Count("level=ERROR", "line 5: redact[0].paths[0]", "redacted already"); n != 1 {
		t.Errorf("got the mistake logged %d times, want once", n)
	}
	kubectl(t, "create", "configmap", "a", "-n", "mistake")
	r.records(t, "namespace=mistake&resourceName=a", "create")
	v.remove()
	r.eventually(t, "the absent file is logged", func() (bool, string) {
		return r.log.Count("level=ERROR", "configuration rejected", "no such file") == 1, ""
	})

	r.reload(t, v, only("ConfigMap")+"serverPort: 9999\nretentionDays: 3\nsyncWrites: false\nmaxStorage: "+
		"1Gi\nstoragePath: /elsewhere\nbindAddress: 0.0.0.0\nmaxQueryLimit: 7\n")
	r.metric(t, "watchhistory_config_last_reload_successful 1")
	for field, want := range map[string]int{
		"retentionDays": 1, "syncWrites": 1, "maxStorage": 1, "bindAddress": 1,
		"maxQueryLimit": 0, "storagePath": 0, "serverPort": 0,
	} {
		// The environment overrides the path and the port.
		if n := r.log.Count("level=WARN", "requires a restart", "field="+field); n != want {
			t.Errorf("%s: got %d warnings, want %d", field, n, want)
		}
	}
	_, body := r.get(t, v1.MetricsPath)
	if !strings.Contains(body, "watchhistory_config_last_reload_timestamp_seconds 1.") {
		t.Errorf("got metrics %s, want the time of the reload", body)
	}
}

// testReloadIgnoresAndRecordsCRD ignores a CRD, records it, leaves it out of
// discovery, records it again, and deletes it.
func testReloadIgnoresAndRecordsCRD(t *testing.T) {
	t.Helper()
	apply(t, strings.NewReplacer("daemon.example.com", "reload.example.com", "widgets", "gears").Replace(widgets))
	kubectl(t, "wait", "--for=condition=Established", "crd/gears.reload.example.com")
	const config = "resources: [{version: v1, kind: ConfigMap, plural: configmaps}]\n"
	v := newVolume(t, config+"ignore: [{resource: gears.reload.example.com}]\n")
	r := following(t, t.TempDir(), v, cluster.Config())
	r.reaches(t, "gears", "ignored")
	if got := r.resource(t, "gears"); got.Kind != "Widget" || got.Group != "reload.example.com" || got.Reason == "" {
		t.Errorf("got %+v, want kind Widget of reload.example.com with a reason", got)
	}
	apply(t, `{"apiVersion":"reload.example.com/v1","kind":"Widget","metadata":{"name":"w","namespace":"default"}}`)
	if gaps := r.gaps(t, "resourceType=gears.reload.example.com"); len(gaps) > 0 {
		t.Errorf("never recorded: got gaps %+v, want none", gaps)
	}
	if events := r.events(t, "resourceType=gears"); len(events) > 0 {
		t.Errorf("got events %+v, want none", events)
	}
	r.reload(t, v, config)
	r.records(t, "resourceType=gears.reload.example.com", "initial")
	r.reaches(t, "gears", "watching")

	r.reload(t, v, "discoverCRDs: false\n"+config)
	r.eventually(t, "one open gap", func() (bool, string) {
		gaps := r.gaps(t, "resourceType=gears.reload.example.com")
		return len(gaps) == 1 && gaps[0].Resource == "gears" &&
			gaps[0].Reason == string(history.GapNotConfigured), fmt.Sprint(gaps)
	})
	r.reload(t, v, config)
	kubectl(t, "delete", "gears.reload.example.com", "w", "-n", "default")
	r.records(t, "resourceType=gears.reload.example.com", "initial delete")

	// After the CRD is deleted no gap is open: no changes can be missed.
	kubectl(t, "delete", "crd", "gears.reload.example.com")
	r.reaches(t, "gears", "stopped")
	r.eventually(t, "no gaps", func() (bool, string) {
		gaps := r.gaps(t, "resourceType=gears.reload.example.com")
		return len(gaps) == 0, fmt.Sprint(gaps)
	})
}

// TestReload_AppliesSymptoms adds a rule for a symptom of a custom resource
// whose status follows no convention, and lets an object have it.
func TestReload_AppliesSymptoms(t *testing.T) {
	noLeaks(t)
	const crd = "databases.symptoms.example.com"
	apply(t, strings.NewReplacer("daemon.example.com", "symptoms.example.com", "widget", "database",
		"Widget", "Database", "[wd]", "[]").Replace(widgets))
	t.Cleanup(func() { _, _ = cluster.Kubectl(context.WithoutCancel(t.Context()), "delete", "crd", crd) })
	kubectl(t, "wait", "--for=condition=Established", "crd/"+crd)
	kubectl(t, "create", "namespace", "symptoms")
	config := "discoverCRDs: false\nresources: [{group: symptoms.example.com, version: v1, kind: Database, " +
		"plural: databases, namespaced: true}]\n"
	v := newVolume(t, config)
	r := following(t, t.TempDir(), v, cluster.Config())
	r.reaches(t, "databases", "watching")
	mode := func(mode string) {
		kubectl(t, "patch", "databases", "db", "-n", "symptoms", "--type=merge", "-p", `{"status":{"mode":"`+mode+`"}}`)
	}
	apply(t, `{"apiVersion":"symptoms.example.com/v1","kind":"Database",`+
		`"metadata":{"name":"db","namespace":"symptoms"},"spec":{"size":1}}`)
	mode("ReadOnly")
	mode("ReadWrite")
	r.records(t, "namespace=symptoms", "create update update")

	r.reload(t, v, config+`
symptoms:
- code: ReadOnly
  resource: databases.symptoms.example.com
  expression: object.status.mode == "ReadOnly"
  text: the database is read-only
`)
	mode("ReadOnly")
	r.records(t, "namespace=symptoms", "create update update update")
	if got, want := verbs(r.events(t, "namespace=symptoms&class=onset")), "update"; got != want {
		t.Errorf("got onsets %q, want %q: only the version after the rule", got, want)
	}
	_, body := r.get(t, v1.EventsPath+"?namespace=symptoms&fold=true")
	var page v1.FoldedPage
	if err := json.Unmarshal([]byte(body), &page); err != nil || len(page.Rows) != 1 || page.Rows[0].Outcome == nil {
		t.Fatalf("got %s, error %v, want one row with an outcome", body, err)
	}
	const problem = "the database is read-only"
	if got := *page.Rows[0].Outcome; got.State != "failing" || !strings.Contains(got.Text, problem) {
		t.Errorf("got the outcome %+v, want %q", got, problem)
	}
	_, body = r.get(t, v1.WhyRoot+"/symptoms/databases/db")
	if !strings.Contains(body, `"code":"ReadOnly"`) || !strings.Contains(body, `"state":"failing"`) {
		t.Errorf("got the answer %s of why, want the symptom ReadOnly", body)
	}

	rejected := r.log.Count("configuration rejected")
	v.write(config + "symptoms: [{code: ReadOnly, resource: databases.symptoms.example.com, expression: object.}]\n")
	r.eventually(t, "the configuration is rejected", func() (bool, string) {
		return r.log.Count("configuration rejected") > rejected, ""
	})
	if got := r.log.Count("symptoms[0].expression: line 1, column"); got == 0 {
		t.Error("got no line in the log that names the rule and the position, want one")
	}
}

package daemon_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

// gaps returns the gaps that a query returns.
func (r *running) gaps(t *testing.T, query string) []v1.Gap {
	t.Helper()
	status, body := r.get(t, v1.GapsPath+"?"+query)
	var list v1.GapList
	if err := json.Unmarshal([]byte(body), &list); err != nil || status != http.StatusOK {
		t.Fatalf("GET %s: got %d %s, want 200 and a list", v1.GapsPath, status, body)
	}
	return list.Gaps
}

// onlyConfigMaps makes a configuration record ConfigMaps and nothing else.
func onlyConfigMaps(c *daemon.Config) {
	c.DiscoverCRDs, c.DiscoverAll, c.RecordCatalogue = false, false, false
	c.Resources = []history.Resource{{Version: "v1", Kind: "ConfigMap", Plural: "configmaps", Namespaced: true}}
}

// TestGap_ContainsLostChanges stops the recorder, changes objects, and compacts
// etcd, so that the watch can't resume.
func TestGap_ContainsLostChanges(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	kubectl(t, "create", "namespace", "lost")
	first := start(t, dir, cluster.Config(), onlyConfigMaps)
	kubectl(t, "create", "configmap", "gone", "-n", "lost")
	kubectl(t, "create", "configmap", "kept", "-n", "lost", "--from-literal=a=1")
	first.eventually(t, "both are recorded", func() (bool, string) {
		got := verbs(first.events(t, "namespace=lost&resourceType=configmaps"))
		return strings.HasSuffix(got, "create create"), got
	})
	first.stop(t)
	second := start(t, dir, cluster.Config(), onlyConfigMaps)
	if got := second.gaps(t, ""); len(got) > 0 {
		t.Errorf("after a restart without changes: got gaps %+v, want none", got)
	}
	second.stop(t)

	before := time.Now()
	kubectl(t, "create", "configmap", "unseen", "-n", "lost")
	kubectl(t, "delete", "configmap", "unseen", "gone", "-n", "lost")
	kubectl(t, "patch", "configmap", "kept", "-n", "lost", "-p", `{"data":{"a":"2"}}`)
	after := time.Now()
	if _, err := cluster.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := cluster.RestartComponent(t.Context(), clustertest.APIServer); err != nil {
		t.Fatal(err)
	}
	third := start(t, dir, cluster.Config(), onlyConfigMaps)
	third.eventually(t, "one closed gap", func() (bool, string) {
		gaps := third.gaps(t, "")
		return len(gaps) == 1 && !gaps[0].End.IsZero(), fmt.Sprint(gaps)
	})
	gap := third.gaps(t, "resourceType=cm")[0]
	if gap.Start.After(before) || gap.End.Before(after) || gap.Reason != string(history.GapRestarted) ||
		gap.Resource != "configmaps" {
		t.Errorf("got gap %+v, want it to contain %s to %s, with reason restarted", gap, before, after)
	}
	inferred := 0
	for _, e := range third.events(t, "namespace=lost&resourceType=configmaps") {
		if e.Inferred == nil {
			continue
		}
		inferred++
		if e.Inferred.Start.Before(gap.Start) || e.Timestamp.After(gap.End) {
			t.Errorf("%s %s: got inferred %+v, want it within %+v", e.Verb, e.ResourceName, e.Inferred, gap)
		}
	}
	if inferred != 2 {
		t.Errorf("got %d inferred records, want 2: a deletion and an update", inferred)
	}
	_, body := third.get(t, v1.MetricsPath)
	if !strings.Contains(body, `watchhistory_gaps_total{group="",reason="restarted",resource="configmaps"} 1`) {
		t.Errorf("got metrics %s, want watchhistory_gaps_total of configmaps 1", body)
	}
	checkMetrics(t, body, gapsTotal)
}

// TestGap_StaysOpenUntilCaughtUp restarts a recorder after many changes. It may
// be in sync without a gap only after it has recorded all of them.
func TestGap_StaysOpenUntilCaughtUp(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	kubectl(t, "create", "namespace", "catching-up")
	start(t, dir, cluster.Config(), onlyConfigMaps).stop(t)
	truth, err := cluster.Load(t.Context(),
		clustertest.Load{Namespace: "catching-up", Kinds: []string{"configmaps"}, Objects: 40, Updates: 20, Writers: 8})
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, dir, cluster.Config(), onlyConfigMaps)
	gaps := r.gaps(t, "")
	events := r.events(t, "namespace=catching-up&resourceType=configmaps")
	for _, finding := range clustertest.Compare(truth, events).Findings {
		t.Errorf("in sync with gaps %v: %s", gaps, finding)
	}
	if len(gaps) > 0 {
		t.Errorf("got gaps %v, want none", gaps)
	}
}

// TestGap_IsOpenWhileRightsAreMissing revokes the rights and grants them again.
// Then the watch resumes, nothing is missing, and the gap is gone.
func TestGap_IsOpenWhileRightsAreMissing(t *testing.T) {
	noLeaks(t)
	kubectl(t, "create", "namespace", "rights")
	kubectl(t, "create", "clusterrole", "sees-configmaps", "--verb=list,watch", "--resource=configmaps")
	grant := func() {
		kubectl(t, "create", "clusterrolebinding", "sees-configmaps",
			"--clusterrole=sees-configmaps", "--user=observer")
	}
	grant()
	cfg, connections := cluster.Config(), &clustertest.Connections{}
	cfg.Impersonate = rest.ImpersonationConfig{UserName: "observer", Groups: []string{"system:authenticated"}}
	cfg.Dial = connections.Dial
	r := start(t, t.TempDir(), cfg, onlyConfigMaps)
	kubectl(t, "create", "configmap", "one", "-n", "rights")
	const query = "namespace=rights&resourceName=one"
	r.eventually(t, "the creation is recorded", func() (bool, string) {
		got := verbs(r.events(t, query))
		return got == "create", got
	})

	kubectl(t, "delete", "clusterrolebinding", "sees-configmaps")
	r.eventually(t, "one open gap", func() (bool, string) {
		connections.Cut()
		gaps := r.gaps(t, "")
		return len(gaps) == 1 && gaps[0].End.IsZero() &&
			gaps[0].Reason == string(history.GapForbidden), fmt.Sprint(gaps)
	})
	_, body := r.get(t, v1.MetricsPath)
	for _, metric := range []string{"gaps_open", "watch_failures_total"} {
		if !strings.Contains(body, `watchhistory_`+metric+`{group="",reason="forbidden",resource="configmaps"} 1`) {
			t.Errorf("got metrics %s, want %s of configmaps 1", body, metric)
		}
	}
	checkMetrics(t, body, gapsOpen, watchFailures)
	kubectl(t, "patch", "configmap", "one", "-n", "rights", "-p", `{"data":{"a":"2"}}`)
	grant()
	r.eventually(t, "the update is recorded and no gap is left", func() (bool, string) {
		got, gaps := verbs(r.events(t, query)), r.gaps(t, "")
		return got == "create update" && len(gaps) == 0, fmt.Sprint(got, gaps)
	})
}

// TestGap_IsOpenForForbiddenResourceOfConfiguration: without the gap, an empty
// answer would mean that nothing happens.
func TestGap_IsOpenForForbiddenResourceOfConfiguration(t *testing.T) {
	noLeaks(t)
	cfg := cluster.Config()
	cfg.Impersonate = rest.ImpersonationConfig{UserName: "newcomer", Groups: []string{"system:authenticated"}}
	before := time.Now()
	r := start(t, t.TempDir(), cfg, onlyConfigMaps)
	const query = "resourceType=configmaps&namespace=default"
	gaps := r.gaps(t, "")
	if len(gaps) != 1 || gaps[0].Resource != "configmaps" || gaps[0].Reason != string(history.GapForbidden) ||
		!gaps[0].End.IsZero() ||
		gaps[0].Start.Before(before) || r.header(t, v1.EventsPath+"?"+query, v1.GapsHeader) != "1" {
		t.Errorf("got gaps %+v, want an open one of configmaps after %s, also in the header", gaps, before)
	}
	kubectl(t, "create", "clusterrole", "new-rights", "--verb=list,watch", "--resource=configmaps")
	kubectl(t, "create", "clusterrolebinding", "new-rights", "--clusterrole=new-rights", "--user=newcomer")
	r.eventually(t, "recording begins, and no gap is left", func() (bool, string) {
		gaps := r.gaps(t, "")
		return len(gaps) == 0 && r.resource(t, "configmaps").State == "watching", fmt.Sprint(gaps)
	})
}

// testGapIsOpenAfterUnobservedCRDDeletion deletes a CRD while the recorder is
// stopped. Its objects are deleted with it, but in the history they still
// exist.
func testGapIsOpenAfterUnobservedCRDDeletion(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	define := func() {
		rename := strings.NewReplacer("daemon.example.com", "unseen.example.com", "widgets", "trinkets")
		apply(t, rename.Replace(widgets))
		kubectl(t, "wait", "--for=condition=Established", "crd/trinkets.unseen.example.com")
	}
	undefine := func() { kubectl(t, "delete", "crd", "trinkets.unseen.example.com") }
	const query = "resourceType=trinkets.unseen.example.com"
	define()
	apply(t, `{"apiVersion":"unseen.example.com/v1","kind":"Widget","metadata":{"name":"w","namespace":"default"}}`)
	first := start(t, dir, cluster.Config(), nil)
	first.records(t, query, "initial")
	first.stop(t)
	undefine()

	second := start(t, dir, cluster.Config(), nil)
	open := func(n int) {
		t.Helper()
		second.eventually(t, fmt.Sprint(n, " open gaps"), func() (bool, string) {
			gaps := second.gaps(t, query)
			open := slices.DeleteFunc(slices.Clone(gaps), func(g v1.Gap) bool {
				return !g.End.IsZero() || g.Reason != string(history.GapNotServed)
			})
			return len(open) == n && (n > 0 || len(gaps) == 1), fmt.Sprint(gaps)
		})
	}
	open(1)
	define()
	second.records(t, query, "initial delete")
	open(0)
	undefine()
	second.reaches(t, "trinkets", "stopped")
	if gaps := second.gaps(t, query); len(gaps) != 1 || gaps[0].End.IsZero() {
		t.Errorf("after a CRD without objects was deleted: got gaps %+v, want one closed", gaps)
	}
}

package daemon_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

func (r *running) gaps(t *testing.T, query string) []v1.Gap {
	t.Helper()
	status, body := r.get(t, v1.GapsPath+"?"+query)
	var list v1.GapList
	if err := json.Unmarshal([]byte(body), &list); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	return list.Gaps
}

func onlyConfigMaps(c *daemon.Config) {
	c.DiscoverCRDs, c.DiscoverAll = false, false
	c.Resources = []history.Resource{{Version: "v1", Kind: "ConfigMap", Plural: "configmaps", Namespaced: true}}
}

// TestWhatIsLostLiesInAGap takes the recorder away, and with it everything that it could have caught up from.
func TestWhatIsLostLiesInAGap(t *testing.T) {
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
		t.Errorf("a restart that lost nothing left %+v", got)
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
	third.eventually(t, "the gap is closed", func() (bool, string) {
		gaps := third.gaps(t, "")
		return len(gaps) == 1 && !gaps[0].End.IsZero(), fmt.Sprint(gaps)
	})
	gap := third.gaps(t, "resourceType=cm")[0]
	if gap.Start.After(before) || gap.End.Before(after) || gap.Reason != string(history.GapRestarted) || gap.Resource != "configmaps" {
		t.Errorf("%+v, what was lost happened between %s and %s", gap, before, after)
	}
	inferred := 0
	for _, e := range third.events(t, "namespace=lost&resourceType=configmaps") {
		if e.Inferred == nil {
			continue
		}
		inferred++
		if e.Inferred.Start.Before(gap.Start) || e.Timestamp.After(gap.End) {
			t.Errorf("%s %s, inferred %+v, is not within %+v", e.Verb, e.ResourceName, e.Inferred, gap)
		}
	}
	if inferred != 2 {
		t.Errorf("%d inferred records, want a deletion and an update", inferred)
	}
	if _, body := third.get(t, v1.MetricsPath); !strings.Contains(body, `watchhistory_gaps_total{group="",resource="configmaps",reason="restarted"} 1`) &&
		!strings.Contains(body, `watchhistory_gaps_total{group="",reason="restarted",resource="configmaps"} 1`) {
		t.Error("the gap is not counted")
	}
}

// TestWhoeverSeesNoGapSeesEverything: a recorder that was away is ready, and shows no gap, only once it has caught up.
func TestWhoeverSeesNoGapSeesEverything(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	kubectl(t, "create", "namespace", "behind")
	start(t, dir, cluster.Config(), onlyConfigMaps).stop(t)
	truth, err := cluster.Load(t.Context(), clustertest.Load{Namespace: "behind", Kinds: []string{"configmaps"}, Objects: 40, Updates: 20, Writers: 8})
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, dir, cluster.Config(), onlyConfigMaps)
	gaps := r.gaps(t, "")
	for _, finding := range clustertest.Compare(truth, r.events(t, "namespace=behind&resourceType=configmaps")).Findings {
		t.Errorf("a ready recorder with the gaps %v: %s", gaps, finding)
	}
	if len(gaps) > 0 {
		t.Errorf("a recorder that lost nothing shows %v", gaps)
	}
}

// TestLostRightsAreAnOpenGapAndNoLossOnceTheyAreBack: nothing is missing in the end, so that no gap is left.
func TestLostRightsAreAnOpenGapAndNoLossOnceTheyAreBack(t *testing.T) {
	noLeaks(t)
	kubectl(t, "create", "namespace", "rights")
	kubectl(t, "create", "clusterrole", "sees-configmaps", "--verb=list,watch", "--resource=configmaps")
	grant := func() {
		kubectl(t, "create", "clusterrolebinding", "sees-configmaps", "--clusterrole=sees-configmaps", "--user=observer")
	}
	grant()
	cfg, lines := cluster.Config(), &lines{}
	cfg.Impersonate = rest.ImpersonationConfig{UserName: "observer", Groups: []string{"system:authenticated"}}
	cfg.Dial = lines.dial
	r := start(t, t.TempDir(), cfg, onlyConfigMaps)
	kubectl(t, "create", "configmap", "one", "-n", "rights")
	const query = "namespace=rights&resourceName=one"
	r.eventually(t, "the rights are there", func() (bool, string) {
		got := verbs(r.events(t, query))
		return got == "create", got
	})

	kubectl(t, "delete", "clusterrolebinding", "sees-configmaps")
	r.eventually(t, "a gap is open", func() (bool, string) {
		lines.cut()
		gaps := r.gaps(t, "")
		return len(gaps) == 1 && gaps[0].End.IsZero() && gaps[0].Reason == string(history.GapForbidden), fmt.Sprint(gaps)
	})
	_, body := r.get(t, v1.MetricsPath)
	for _, metric := range []string{"gaps_open", "watch_failures_total"} {
		if !strings.Contains(body, `watchhistory_`+metric+`{group="",reason="forbidden",resource="configmaps"} 1`) {
			t.Errorf("the metrics have no %s", metric)
		}
	}
	kubectl(t, "patch", "configmap", "one", "-n", "rights", "-p", `{"data":{"a":"2"}}`)
	grant()
	r.eventually(t, "what happened meanwhile is recorded, and no gap is left", func() (bool, string) {
		got, gaps := verbs(r.events(t, query)), r.gaps(t, "")
		return got == "create update" && len(gaps) == 0, fmt.Sprint(got, gaps)
	})
}

// TestWhatIsRefusedFromTheStartIsAnOpenGap: the configuration names it, so that an empty answer would say that nothing happens.
func TestWhatIsRefusedFromTheStartIsAnOpenGap(t *testing.T) {
	noLeaks(t)
	cfg := cluster.Config()
	cfg.Impersonate = rest.ImpersonationConfig{UserName: "newcomer", Groups: []string{"system:authenticated"}}
	before := time.Now()
	r := start(t, t.TempDir(), cfg, onlyConfigMaps)
	const query = "resourceType=configmaps&namespace=default"
	gaps := r.gaps(t, "")
	if len(gaps) != 1 || gaps[0].Resource != "configmaps" || gaps[0].Reason != string(history.GapForbidden) || !gaps[0].End.IsZero() ||
		gaps[0].Start.Before(before) || r.header(t, v1.EventsPath+"?"+query, v1.GapsHeader) != "1" {
		t.Errorf("gaps %+v since %s, want an open one of configmaps", gaps, before)
	}
	kubectl(t, "create", "clusterrole", "new-rights", "--verb=list,watch", "--resource=configmaps")
	kubectl(t, "create", "clusterrolebinding", "new-rights", "--clusterrole=new-rights", "--user=newcomer")
	r.eventually(t, "recording begins, and no gap is left", func() (bool, string) {
		gaps := r.gaps(t, "")
		return len(gaps) == 0 && r.resource(t, "configmaps").State == "watching", fmt.Sprint(gaps)
	})
}

// TestADefinitionThatGoesUnseenIsAGap: its objects went with it, and in the history they are alive.
func TestADefinitionThatGoesUnseenIsAGap(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	define := func() {
		apply(t, strings.ReplaceAll(widgets, "daemon.example.com", "unseen.example.com"))
		kubectl(t, "wait", "--for=condition=Established", "crd/widgets.unseen.example.com")
	}
	undefine := func() { kubectl(t, "delete", "crd", "widgets.unseen.example.com") }
	const query = "resourceType=widgets.unseen.example.com"
	define()
	apply(t, `{"apiVersion":"unseen.example.com/v1","kind":"Widget","metadata":{"name":"w","namespace":"default"}}`)
	first := start(t, dir, cluster.Config(), nil)
	first.records(t, query, "initial")
	first.stop(t)
	undefine()

	second := start(t, dir, cluster.Config(), nil)
	open := func(n int) {
		t.Helper()
		second.eventually(t, "gaps are open", func() (bool, string) {
			gaps := second.gaps(t, query)
			open := slices.DeleteFunc(slices.Clone(gaps), func(g v1.Gap) bool { return !g.End.IsZero() || g.Reason != string(history.GapNotServed) })
			return len(open) == n && (n > 0 || len(gaps) == 1), fmt.Sprint(gaps)
		})
	}
	open(1)
	define()
	second.records(t, query, "initial delete")
	open(0)
	undefine()
	second.reaches(t, "widgets", "stopped")
	if gaps := second.gaps(t, query); len(gaps) != 1 || gaps[0].End.IsZero() {
		t.Errorf("gaps %+v, though it ended without objects", gaps)
	}
}

// lines are connections that can be cut.
type lines struct {
	mu  sync.Mutex
	all []net.Conn
}

func (l *lines) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.all = append(l.all, conn)
	}
	return conn, err
}

func (l *lines) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range l.all {
		_ = conn.Close()
	}
	l.all = nil
}

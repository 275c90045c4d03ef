package daemon_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// TestDaemon_RecordsEveryKindByDefault uses kinds that change rarely.
func TestDaemon_RecordsEveryKindByDefault(t *testing.T) {
	noLeaks(t)
	kubectl(t, "create", "namespace", "quiet")
	kubectl(t, "create", "quota", "limit", "-n", "quiet", "--hard=pods=3")
	r := start(t, t.TempDir(), cluster.Config(), nil)
	r.observesAll(t)
	kubectl(t, "create", "rolebinding", "mallory", "-n", "quiet", "--clusterrole=admin", "--user=mallory")
	kubectl(t, "delete", "quota", "limit", "-n", "quiet")
	kubectl(t, "create", "serviceaccount", "robot", "-n", "quiet")
	kubectl(t, "create", "priorityclass", "urgent", "--value=7")
	apply(t, `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"lock","namespace":"quiet"}}`)

	r.records(t, "namespace=quiet&resourceType=rolebindings", "create")
	r.records(t, "namespace=quiet&resourceType=quota", "initial delete")
	r.records(t, "namespace=quiet&resourceType=sa&resourceName=robot", "create")
	r.records(t, "resourceType=pc&resourceName=urgent", "create")
	if got := verbs(r.events(t, "resourceType=leases")); got != "" {
		t.Errorf("leases: got %q, want no records", got)
	}
	for plural, want := range map[string]string{
		"leases":                    "excluded",
		"endpoints":                 "excluded",
		"endpointslices":            "excluded",
		"componentstatuses":         "not_watchable",
		"roles":                     "watching",
		"horizontalpodautoscalers":  "watching",
		"customresourcedefinitions": "watching",
		"events":                    "watching",
	} {
		if got := r.resource(t, plural); got.State != want || (want != "watching") != (got.Reason != "") {
			t.Errorf("%s: got state %q, reason %q, want %s, and a reason unless it is watching",
				plural, got.State, got.Reason, want)
		}
	}
}

// TestDaemon_ReloadsDiscovery includes a kind that is denied by default,
// discovers all kinds, and goes back to the kinds that the file names.
func TestDaemon_ReloadsDiscovery(t *testing.T) {
	noLeaks(t)
	kubectl(t, "create", "namespace", "taken-in")
	v := newVolume(t, only("ConfigMap")+"include: [leases.coordination.k8s.io]\n")
	r := following(t, t.TempDir(), v, cluster.Config())
	r.reaches(t, "leases", "watching")
	r.reaches(t, "roles", "not_configured")
	apply(t, `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"lock","namespace":"taken-in"}}`)
	r.records(t, "namespace=taken-in&resourceType=leases", "create")

	r.reload(t, v, "discover: all\n")
	r.reaches(t, "roles", "watching")
	r.reaches(t, "leases", "excluded")
	r.eventually(t, "one open gap of leases", func() (bool, string) {
		gaps := r.gaps(t, "resourceType=leases")
		return len(gaps) == 1 && gaps[0].End.IsZero() &&
			gaps[0].Reason == string(history.GapNotConfigured), fmt.Sprint(gaps)
	})
	r.reload(t, v, only("ConfigMap"))
	r.reaches(t, "roles", "stopped")
	r.reaches(t, "serviceaccounts", "stopped")
}

// TestDaemon_OpensNoGapForForbiddenKindsThatAreOnlyDiscovered: the
// configuration does not name these kinds, so users don't expect their history.
func TestDaemon_OpensNoGapForForbiddenKindsThatAreOnlyDiscovered(t *testing.T) {
	noLeaks(t)
	cfg := cluster.Config()
	cfg.Impersonate = rest.ImpersonationConfig{UserName: "narrow", Groups: []string{"system:authenticated"}}
	kubectl(t, "create", "clusterrole", "narrow", "--verb=list,watch", "--resource=configmaps,limitranges")
	kubectl(t, "create", "clusterrolebinding", "narrow", "--clusterrole=narrow", "--user=narrow")
	r := start(t, t.TempDir(), cfg, func(c *daemon.Config) {
		onlyConfigMaps(c)
		c.DiscoverAll = true
	})
	r.reaches(t, "limitranges", "watching")
	r.eventually(t, "roles are forbidden", func() (bool, string) {
		got := r.resource(t, "roles")
		return got.State == "waiting" && strings.Contains(got.Reason, "does not permit it"), got.Reason
	})
	if gaps := r.gaps(t, ""); len(gaps) > 0 {
		t.Errorf("got gaps %+v, want none", gaps)
	}
	r.eventually(t, "one log line lists the forbidden kinds", func() (bool, string) {
		return r.log.Count("level=WARN", "not permitted", "roles.rbac.authorization.k8s.io") == 1, ""
	})
	if n := r.log.Count("level=WARN", "watch failed"); n > 0 {
		t.Errorf("got %d log lines about single resources, want none", n)
	}
}

// TestParseConfig_AcceptsRulesForAllCoreKinds compares the kinds of the core
// group that are recorded with those of a real API server.
func TestParseConfig_AcceptsRulesForAllCoreKinds(t *testing.T) {
	client, err := discovery.NewDiscoveryClientForConfig(cluster.Config())
	if err != nil {
		t.Fatal(err)
	}
	core, err := client.ServerResourcesForGroupVersionWithContext(t.Context(), "v1")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range core.APIResources {
		watchable := !strings.Contains(r.Name, "/") && slices.Contains(r.Verbs, "list") &&
			slices.Contains(r.Verbs, "watch")
		want := watchable && r.Name != "endpoints"
		if strings.Contains(r.Name, "/") {
			continue
		}
		_, err := daemon.ParseConfig([]byte("ignore: [{resource: " + r.Name + ", namespaces: [a]}]\n"))
		if got := err == nil; got != want {
			t.Errorf("rule about %s: got accepted %t (%v), want %t", r.Name, got, err, want)
		}
	}
}

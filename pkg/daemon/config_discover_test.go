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

// The kinds that change rarely, and matter when they do.
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
		t.Errorf("leases have %q, want nothing", got)
	}
	for plural, want := range map[string]string{
		"leases": "excluded", "endpoints": "excluded", "endpointslices": "excluded", "componentstatuses": "not_watchable",
		"roles": "watching", "horizontalpodautoscalers": "watching", "customresourcedefinitions": "watching", "events": "watching",
	} {
		if got := r.resource(t, plural); got.State != want || (want != "watching") != (got.Reason != "") {
			t.Errorf("%s are %q, %q, want %s and a reason unless they are watched", plural, got.State, got.Reason, want)
		}
	}
}

// A kind that is left out by default can be taken in, and a file can go back to
// what it names.
func TestDaemon_FollowsWhatIsDiscovered(t *testing.T) {
	noLeaks(t)
	kubectl(t, "create", "namespace", "taken-in")
	v := newVolume(t, only("ConfigMap")+"include: [leases.coordination.k8s.io]\n")
	r := following(t, t.TempDir(), v, cluster.Config())
	r.reaches(t, "leases", "watching")
	r.reaches(t, "roles", "not_configured")
	apply(t, `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"lock","namespace":"taken-in"}}`)
	r.records(t, "namespace=taken-in&resourceType=leases", "create")

	r.takes(t, v, "discover: all\n")
	r.reaches(t, "roles", "watching")
	r.reaches(t, "leases", "excluded")
	r.eventually(t, "a gap of leases is open", func() (bool, string) {
		gaps := r.gaps(t, "resourceType=leases")
		return len(gaps) == 1 && gaps[0].End.IsZero() && gaps[0].Reason == string(history.GapNotConfigured), fmt.Sprint(gaps)
	})
	r.takes(t, v, only("ConfigMap"))
	r.reaches(t, "roles", "stopped")
	r.reaches(t, "serviceaccounts", "stopped")
}

// Nobody has asked for what is only discovered.
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
	r.eventually(t, "roles are refused", func() (bool, string) {
		got := r.resource(t, "roles")
		return got.State == "waiting" && strings.Contains(got.Reason, "does not permit it"), got.Reason
	})
	if gaps := r.gaps(t, ""); len(gaps) > 0 {
		t.Errorf("gaps %+v, want none", gaps)
	}
	r.eventually(t, "one line names what is refused", func() (bool, string) {
		return r.log.count("level=WARN", "not permitted", "roles.rbac.authorization.k8s.io") == 1, ""
	})
	if n := r.log.count("level=WARN", "watch failed"); n > 0 {
		t.Errorf("%d lines are about one resource each, want none", n)
	}
}

// A rule may be about every kind of the core group that is recorded.
func TestParseConfig_KnowsTheKindsOfTheCoreGroup(t *testing.T) {
	client, err := discovery.NewDiscoveryClientForConfig(cluster.Config())
	if err != nil {
		t.Fatal(err)
	}
	core, err := client.ServerResourcesForGroupVersionWithContext(t.Context(), "v1")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range core.APIResources {
		watchable := !strings.Contains(r.Name, "/") && slices.Contains(r.Verbs, "list") && slices.Contains(r.Verbs, "watch")
		want := watchable && r.Name != "endpoints"
		if strings.Contains(r.Name, "/") {
			continue
		}
		_, err := daemon.ParseConfig([]byte("ignore: [{resource: " + r.Name + ", namespaces: [a]}]\n"))
		if got := err == nil; got != want {
			t.Errorf("a rule about %s is accepted: %t (%v), want %t", r.Name, got, err, want)
		}
	}
}

package daemon_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// TestAnonymous_LimitsEveryEndpoint changes the limits of a running recorder.
func TestAnonymous_LimitsEveryEndpoint(t *testing.T) {
	noLeaks(t)
	for _, namespace := range []string{"anon-shop", "anon-bank"} {
		kubectl(t, "create", "namespace", namespace)
		kubectl(t, "create", "configmap", "settings", "-n", namespace, "--from-literal=in="+namespace)
		kubectl(t, "create", "secret", "generic", "pin", "-n", namespace, "--from-literal=pin=123456")
		apply(t, `{"apiVersion":"v1","kind":"Node","metadata":{"name":"`+namespace+`"}}`)
		warn(t, "about-"+namespace, namespace,
			`"apiVersion":"v1","kind":"ConfigMap","namespace":"`+namespace+`","name":"settings"`)
	}
	const kinds = "discover: none\nresources:\n" +
		"- {version: v1, kind: ConfigMap, plural: configmaps, namespaced: true}\n" +
		"- {version: v1, kind: Secret, plural: secrets, namespaced: true}\n" +
		"- {version: v1, kind: Event, plural: events, namespaced: true}\n" +
		"- {version: v1, kind: Node, plural: nodes}\n"
	v := newVolume(t, kinds)
	r := following(t, t.TempDir(), v, cluster.Config())
	everything := "anon-bank/configmaps anon-bank/events anon-bank/secrets " +
		"anon-shop/configmaps anon-shop/events anon-shop/secrets"
	r.eventually(t, "everything is recorded", func() (bool, string) {
		got := places(r.events(t, "namespace=anon-shop,anon-bank"))
		return got == everything && len(r.events(t, "resourceType=nodes")) >= 2, got
	})
	for _, c := range []struct {
		limits         string
		events, nodes  string // of the two namespaces, and of cluster-scoped objects
		resources      string
		shop, bank     int // statuses of an object's history
		secret         int // of a Secret
		related, state int // Events of a configmap, and objects of the state in the two namespaces
	}{
		{
			"", everything, "/nodes", "configmaps customresourcedefinitions events nodes secrets", 200, 200, 200, 1, 6,
		},
		{
			"anonymous: {namespaces: [anon-shop]}", "anon-shop/configmaps anon-shop/events anon-shop/secrets", "",
			"configmaps events secrets", 200, 404, 200, 1, 3,
		},
		{
			"anonymous: {resources: [configmaps, nodes]}", "anon-bank/configmaps anon-shop/configmaps", "/nodes",
			"configmaps nodes", 200, 200, 404, 0, 2,
		},
		{
			`anonymous: {namespaces: [anon-shop, "-"], resources: [configmaps, nodes]}`,
			"anon-shop/configmaps", "/nodes", "configmaps nodes", 200, 404, 404, 0, 1,
		},
		{
			`anonymous: {namespaces: ["-"]}`, "", "/nodes", "customresourcedefinitions nodes", 404, 404, 404, 0, 0,
		},
		{
			"anonymous: {namespaces: [nosuch]}", "", "", "", 404, 404, 404, 0, 0,
		},
	} {
		if c.limits != "" {
			r.reload(t, v, kinds+c.limits+"\n")
		}
		checkLimits := func(what string, got, want any) {
			t.Helper()
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%q: %s (-want +got):\n%s", c.limits, what, diff)
			}
		}
		events := r.events(t, "namespace=anon-shop,anon-bank")
		checkLimits("events", places(events), c.events)
		checkLimits("cluster-scoped objects", places(r.events(t, "namespace=-")), c.nodes)
		one := v1.EventsPath + "?empty=200&limit=1&namespace=anon-shop,anon-bank"
		checkLimits("total", r.header(t, one, v1.TotalCountHeader), fmt.Sprint(len(events)))
		var list v1.ResourceList
		if err := json.Unmarshal([]byte(r.answerTo(t, v1.ResourcesPath).body), &list); err != nil {
			t.Fatal(err)
		}
		var resources []string
		for _, resource := range list.Resources {
			if resource.State == "watching" {
				resources = append(resources, resource.Plural)
			}
		}
		slices.Sort(resources)
		checkLimits("catalogue", strings.Join(resources, " "), c.resources)
		shop := r.answerTo(t, v1.EventsPath+"/anon-shop/configmaps/settings")
		checkLimits("object", shop.StatusCode, c.shop)
		checkLimits("other object", r.answerTo(t, v1.EventsPath+"/anon-bank/configmaps/settings").StatusCode, c.bank)
		checkLimits("related Events", len(r.relatedTo(t, "anon-shop/configmaps/settings")), c.related)
		secret := r.answerTo(t, v1.EventsPath+"/anon-shop/secrets/pin")
		checkLimits("Secret", secret.StatusCode, c.secret)
		checkLimits("hashes", strings.Contains(secret.body, "hmac-sha256:"), c.secret == http.StatusOK)
		objects := 0
		for _, namespace := range []string{"anon-shop", "anon-bank"} {
			objects += strings.Count(r.answerTo(t, v1.StatePath+"?namespace="+namespace).body, `"uid":`)
		}
		checkLimits("objects of the state", objects, c.state)
		metrics := r.answerTo(t, v1.MetricsPath).StatusCode
		checkLimits("metrics", metrics == http.StatusOK, c.limits == "")
		if covered := r.header(t, v1.EventsPath+"?empty=200", v1.SinceHeader); (covered != "") != (c.resources != "") {
			t.Errorf("%q: coverage: got %q, want one: %t", c.limits, covered, c.resources != "")
		}
	}
	r.reload(t, v, kinds)
	if got := places(r.events(t, "namespace=anon-shop,anon-bank")); got != everything {
		t.Errorf("without limits again: got %s, want %s", got, everything)
	}
	r.stop(t)
}

// TestAnonymous_HidesEarlierNamespaces deletes a namespace and creates it
// again.
func TestAnonymous_HidesEarlierNamespaces(t *testing.T) {
	noLeaks(t)
	const kinds = "discover: none\nresources: [{version: v1, kind: ConfigMap, plural: configmaps, namespaced: true}]\n"
	create := func() {
		kubectl(t, "create", "namespace", "anon-again")
		kubectl(t, "create", "configmap", "settings", "-n", "anon-again")
	}
	create()
	v := newVolume(t, kinds)
	dir := t.TempDir()
	r := following(t, dir, v, cluster.Config())
	r.records(t, "namespace=anon-again", "initial")
	first := kubectl(t, "get", "configmap", "settings", "-n", "anon-again",
		"-o", "jsonpath={.metadata.creationTimestamp}")
	cluster.DeleteNamespace(t, "anon-again")
	waitForNextSecond(t, first)
	create()
	r.eventually(t, "both are recorded", func() (bool, string) {
		got := incarnations(r.events(t, "namespace=anon-again"))
		return got == 2, fmt.Sprint(got)
	})
	for limits, want := range map[string]int{
		"anonymous: {namespaces: [anon-again]}": 1, "anonymous: {resources: [configmaps]}": 2,
	} {
		r.reload(t, v, kinds+limits+"\n")
		if got := incarnations(r.events(t, "namespace=anon-again")); got != want {
			t.Errorf("%s: got %d incarnations, want %d", limits, got, want)
		}
	}
	r.stop(t)
	v.write(kinds + "anonymous: {namespaces: [anon-again]}\nearlierNamespaces: true\n")
	r = following(t, dir, v, cluster.Config())
	if got := incarnations(r.events(t, "namespace=anon-again")); got != 2 {
		t.Errorf("with earlierNamespaces: got %d incarnations, want 2", got)
	}
	r.stop(t)
}

// incarnations counts the UIDs of events.
func incarnations(events []v1.Event) int {
	all := map[string]bool{}
	for _, e := range events {
		all[e.UID] = true
	}
	return len(all)
}

// waitForNextSecond waits until the second of a creation time is over: creation
// times have whole seconds.
func waitForNextSecond(t *testing.T, created string) {
	t.Helper()
	at, err := time.Parse(time.RFC3339, created)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(at.Add(time.Second)))
}

func TestParseConfig_AcceptsAnonymousLimits(t *testing.T) {
	for text, want := range map[string]daemon.Anonymous{
		"retentionDays: 3": {},
		"anonymous: {namespaces: [shop, '-']}": {
			Scopes: []history.NamespaceScope{"shop", history.ClusterScoped},
		},
		"anonymous:\n  resources: [pods, deployments.apps, widgets.example.com]": {Resources: []schema.GroupResource{
			{Resource: "pods"}, {Group: "apps", Resource: "deployments"}, {Group: "example.com", Resource: "widgets"},
		}},
		"anonymous:\n  namespaces: [shop]\n  resources: [leases.coordination.k8s.io]\n" +
			"include: [leases.coordination.k8s.io]": {
			Scopes:    []history.NamespaceScope{"shop"},
			Resources: []schema.GroupResource{{Group: "coordination.k8s.io", Resource: "leases"}},
		},
	} {
		c, err := daemon.ParseConfig([]byte(text))
		if diff := cmp.Diff(want, c.Anonymous); diff != "" || err != nil {
			t.Errorf("%q: error %v, limits (-want +got):\n%s", text, err, diff)
		}
	}
}

func TestParseConfig_RejectsAnonymousLimits(t *testing.T) {
	for _, tt := range []struct {
		text string // after "anonymous:"
		line int
		want string // after the line and "anonymous"
	}{
		{"", 1, ": is empty"},
		{" {}", 1, ": is empty: want namespaces, resources or both"},
		{" [shop]", 1, ": want a mapping of fields"},
		{" shop", 1, ": want a mapping of fields"},
		{"\n  namespaces:", 2, ".namespaces: is empty"},
		{"\n  namespaces: []", 2, ".namespaces: is empty"},
		{"\n  namespaces: shop", 2, ".namespaces: want a list"},
		{"\n  resources: []\n  namespaces: [shop]", 2, ".resources: is empty"},
		{"\n  resources: pods", 2, ".resources: want a list"},
		{"\n  names: [shop]", 2, ".names: unknown field, want one of namespaces, resources"},
		{"\n  namespaces:\n  - shop\n  - Bank", 4, `.namespaces[1]: "Bank": `},
		{"\n  namespaces: [shop,\n    shop]", 3, `.namespaces[1]: "shop" is already listed on line 2`},
		{"\n  namespaces: [5]", 2, `.namespaces[0]: want text, got "5"`},
		{"\n  resources: [Pod]", 2, `.resources[0]: want a plural, or plural.group, got "Pod"`},
		{"\n  resources:\n  - pods\n  - pods", 4, `.resources[1]: "pods" is already listed on line 3`},
		{"\n  resources: [pods,\n    deployments]", 3, ".resources[1]: deployments is not recorded"},
		{"\n  resources: [tokens.ext.cattle.io]", 2, ".resources[0]: tokens.ext.cattle.io is not recorded"},
		{
			"\n  resources: [events.events.k8s.io]", 2,
			".resources[0]: events.events.k8s.io are recorded as events: name that",
		},
		{"\n  resources: [pods]\nignore: [{resource: pods}]", 2, ".resources[0]: pods is not recorded"},
	} {
		_, err := daemon.ParseConfig([]byte("anonymous:" + tt.text))
		want := fmt.Sprintf("line %d: anonymous%s", tt.line, tt.want)
		if err == nil || !strings.HasPrefix(err.Error(), want) || history.CodeOf(err) != history.Invalid {
			t.Errorf("%q: got error %v, want %s", tt.text, err, want)
		}
	}
}

// TestAnonymous_NeedsNoClusterForResources asks a recorder whose API server is
// away. Only limits to namespaces depend on their creation.
func TestAnonymous_NeedsNoClusterForResources(t *testing.T) {
	kubectl(t, "create", "namespace", "anon-away")
	kubectl(t, "create", "configmap", "settings", "-n", "anon-away")
	const kinds = "discover: none\nresources: [{version: v1, kind: ConfigMap, plural: configmaps, namespaced: true}]\n"
	v, dir := newVolume(t, kinds), t.TempDir()
	r := following(t, dir, v, cluster.Config())
	r.records(t, "namespace=anon-away", "initial")
	r.stop(t)
	away := cluster.Config()
	away.Host = "https://127.0.0.1:1"
	for _, c := range []struct {
		limits string
		want   int
	}{
		{"", http.StatusOK},
		{"anonymous: {resources: [configmaps]}", http.StatusOK},
		{"anonymous: {namespaces: [anon-away]}", http.StatusServiceUnavailable},
		{"anonymous: {namespaces: [anon-away]}\nearlierNamespaces: true", http.StatusOK},
	} {
		v.write(kinds + c.limits + "\n")
		env := map[string]string{"CONFIG_PATH": v.path(), "SERVER_PORT": "0", "BADGER_PATH": dir}
		config, err := daemon.NewSource(func(name string) string { return env[name] }, "").Load()
		if err != nil {
			t.Fatal(err)
		}
		r := boot(t, config, away, nil)
		got := r.answerTo(t, v1.EventsPath+"?namespace=anon-away")
		if got.StatusCode != c.want {
			t.Errorf("%q: got %s %s, want %d", c.limits, got.Status, got.body, c.want)
		}
		r.stop(t)
	}
}

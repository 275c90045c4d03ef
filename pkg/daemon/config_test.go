package daemon_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
	"github.com/watchhistory/watchhistory/pkg/symptom"
)

func TestDefaultConfig_MatchesTheContract(t *testing.T) {
	c := daemon.DefaultConfig()
	var plurals []string
	for _, r := range c.Resources {
		plurals = append(plurals, r.GroupResource().String())
	}
	names := "pods nodes services configmaps secrets persistentvolumeclaims persistentvolumes events namespaces " +
		"deployments.apps replicasets.apps statefulsets.apps daemonsets.apps jobs.batch cronjobs.batch " +
		"ingresses.networking.k8s.io networkpolicies.networking.k8s.io"
	if diff := cmp.Diff(strings.Fields(names), plurals); diff != "" {
		t.Errorf("default resources (-want +got):\n%s", diff)
	}
	c.Resources = nil
	want := daemon.Config{
		DiscoverCRDs: true, DiscoverAll: true, RecordCatalogue: true,
		StoragePath: "/data/watch-events", RetentionDays: 14, SyncWrites: true,
		BindAddress: "127.0.0.1", ServerPort: 8080, SecurePort: daemon.NoPort, DebugPort: daemon.NoPort,
		MaxQueryLimit:       1000,
		QueryTimeoutSeconds: 30, MaxQueryRate: 100, MaxConnections: 512, MaxStreams: 128,
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	if got, want := c.Retention(), 14*24*time.Hour; got != want {
		t.Errorf("got retention %v, want %v", got, want)
	}
	if got, want := c.Address(), "127.0.0.1:8080"; got != want {
		t.Errorf("got address %q, want %q", got, want)
	}
}

func TestParseConfig_OverridesOnlyFieldsOfTheFile(t *testing.T) {
	got, err := daemon.ParseConfig([]byte(`
discoverCRDs: false
recordCatalogue: false
syncWrites: false
serverPort: 9000
maxConcurrentQueries: 4
queryTimeoutSeconds: 5
maxQueryRate: 0
maxConnections: 100
maxStreams: 7
earlierNamespaces: true
allowedHosts: [history.example.com]
resources:
  - {group: apps, version: v1, kind: Deployment, plural: deployments, namespaced: true}
  - {group: "", version: v1, kind: Node, plural: nodes}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := daemon.DefaultConfig()
	want.DiscoverCRDs, want.DiscoverAll, want.SyncWrites, want.ServerPort = false, false, false, 9000
	want.MaxConcurrentQueries, want.QueryTimeoutSeconds, want.MaxQueryRate, want.MaxConnections = 4, 5, 0, 100
	want.MaxStreams = 7
	want.RecordCatalogue, want.EarlierNamespaces, want.AllowedHosts = false, true, []string{"history.example.com"}
	want.Resources = []history.Resource{
		{Group: "apps", Version: "v1", Kind: "Deployment", Plural: "deployments", Namespaced: true},
		{Version: "v1", Kind: "Node", Plural: "nodes"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	for _, empty := range []string{"", "# nothing\n", "---\n"} {
		if got, err := daemon.ParseConfig([]byte(empty)); err != nil || !cmp.Equal(daemon.DefaultConfig(), got) {
			t.Errorf("%q: got %+v, %v, want the defaults", empty, got, err)
		}
	}
}

// TestParseConfig_SetsDiscovery includes files from before the field discover
// existed: they keep their meaning.
func TestParseConfig_SetsDiscovery(t *testing.T) {
	const pods = "resources: [{version: v1, kind: Pod, plural: pods}]\n"
	for text, want := range map[string]string{
		"":                                    "17 all",
		"retentionDays: 7\n":                  "17 all",
		"discoverCRDs: true\n":                "17 all",
		"discoverCRDs: false\n":               "17 none",
		pods:                                  "1 crds",
		pods + "discoverCRDs: true\n":         "1 crds",
		pods + "discoverCRDs: false\n":        "1 none",
		pods + "discover: all\n":              "1 all",
		"discover: crds\n":                    "17 crds",
		"discover: none\n" + pods:             "1 none",
		"discover: all\ndiscoverCRDs: true\n": "17 all",
		"include: [leases.coordination.k8s.io, pods]\n":                   "18 all",
		pods + "include: [leases.coordination.k8s.io, serviceaccounts]\n": "3 crds",
	} {
		c, err := daemon.ParseConfig([]byte(text))
		got := fmt.Sprint(len(c.Resources), " none")
		switch {
		case c.DiscoverAll && c.DiscoverCRDs:
			got = fmt.Sprint(len(c.Resources), " all")
		case c.DiscoverCRDs:
			got = fmt.Sprint(len(c.Resources), " crds")
		}
		if got != want || err != nil {
			t.Errorf("%q: got %s, %v, want %s", text, got, err, want)
		}
	}
}

func TestParseConfig_AcceptsRulesForDiscoveredKinds(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"ignore: [{resource: resourcequotas, changes: [status]}]\n", ""},
		{"ignore: [{resource: horizontalpodautoscalers.autoscaling, namespaces: [a]}]\n", ""},
		{"redact: [{resource: networkpolicies.projectcalico.org, paths: [spec]}]\n", ""},
		{"ignore: [{resource: leases.coordination.k8s.io}]\n", ""},
		{"include: [endpoints]\nignore: [{resource: endpoints, namespaces: [a]}]\n", ""},
		{
			"ignore: [{resource: endpoints, namespaces: [a]}]\n",
			"line 1: ignore[0].resource: endpoints is not recorded",
		},
		{
			"ignore: [{resource: authcodes.dex.coreos.com, namespaces: [a]}]\n",
			"line 1: ignore[0].resource: authcodes.dex.coreos.com is not recorded",
		},
		{
			"discover: crds\nignore: [{resource: resourcequotas, changes: [status]}]\n",
			"line 2: ignore[0].resource: resourcequotas is not recorded",
		},
		{
			"include: [leases.coordination.k8s.io]\nignore: [{resource: leases.coordination.k8s.io}]\n",
			"line 2: ignore[0].resource: leases.coordination.k8s.io is listed in include and completely ignored",
		},
	} {
		_, err := daemon.ParseConfig([]byte(tt.text))
		if got := fmt.Sprint(err); (err == nil) != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%q: got error %s, want %q", tt.text, got, tt.want)
		}
	}
}

func TestParseConfig_AcceptsQuantities(t *testing.T) {
	for text, want := range map[string]int64{
		"maxStorage: 40Gi": 40 << 30, "maxStorage: 1G": 1e9, `maxStorage: "0.5Gi"`: 1 << 29,
		"maxStorage: 1000000000": 1e9, "maxStorage: 0": 0, "": 0,
	} {
		if c, err := daemon.ParseConfig([]byte(text)); err != nil || c.MaxStorage != want {
			t.Errorf("%q: got %d bytes, %v, want %d", text, c.MaxStorage, err, want)
		}
	}
}

func TestParseConfig_AcceptsRules(t *testing.T) {
	got, err := daemon.ParseConfig([]byte(`
redact:
  - resource: pods
    paths: ["spec.containers[*].env[*].value"]
    names: ["(?i)password|token", secret]
  - paths: [data]
    resource: configmaps
  - {resource: widgets.example.com, paths: ["spec.key", "metadata.annotations[\"a/b\"]"]}
ignore:
  - resource: leases.coordination.k8s.io
  - resource: jobs.batch
  - namespaces: [noisy, "2nd"]
  - {resource: pods, namespaces: [quiet]}
  - resource: nodes
    changes: ["status.conditions[*].lastHeartbeatTime"]
symptoms:
  - code: Degraded
    resource: widgets.example.com
    expression: object.status.phase == "Degraded"
    text: the widget is degraded
  - {code: Large, resource: configmaps, expression: size(object.data) > 100}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := daemon.DefaultConfig()
	want.Resources = slices.DeleteFunc(want.Resources, func(r history.Resource) bool { return r.Plural == "jobs" })
	want.Rules = recorder.Rules{
		Redact: []recorder.Redaction{
			{
				Resource: schema.GroupResource{Resource: "pods"},
				Paths:    []string{"spec.containers[*].env[*].value"}, Names: []string{"(?i)password|token", "secret"},
			},
			{Resource: schema.GroupResource{Resource: "configmaps"}, Paths: []string{"data"}},
			{
				Resource: schema.GroupResource{Group: "example.com", Resource: "widgets"},
				Paths:    []string{"spec.key", `metadata.annotations["a/b"]`},
			},
		},
		Ignore: []history.IgnoreRule{
			{Resource: schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}},
			{Resource: schema.GroupResource{Group: "batch", Resource: "jobs"}},
			{Namespaces: []string{"noisy", "2nd"}},
			{Resource: schema.GroupResource{Resource: "pods"}, Namespaces: []string{"quiet"}},
			{
				Resource: schema.GroupResource{Resource: "nodes"},
				Changes:  []string{"status.conditions[*].lastHeartbeatTime"},
			},
		},
		Symptoms: []symptom.Rule{
			{
				Code: "Degraded", Resource: schema.GroupResource{Group: "example.com", Resource: "widgets"},
				Expression: `object.status.phase == "Degraded"`, Text: "the widget is degraded",
			},
			{
				Code: "Large", Resource: schema.GroupResource{Resource: "configmaps"},
				Expression: "size(object.data) > 100",
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	checkEveryFieldSet(t, "this test", got.Rules.Redact)
	checkEveryFieldSet(t, "this test", got.Rules.Ignore)
	checkEveryFieldSet(t, "this test", got.Rules.Symptoms)
}

// checkEveryFieldSet fails if a field is zero in all rules of an example.
func checkEveryFieldSet[R any](t *testing.T, example string, rules []R) {
	t.Helper()
	for field := range reflect.TypeFor[R]().Fields() {
		isSet := func(rule R) bool { return !reflect.ValueOf(rule).FieldByIndex(field.Index).IsZero() }
		if !slices.ContainsFunc(rules, isSet) {
			t.Errorf("rules in %s: got %T.%s in none of them, want an example of it", example, *new(R), field.Name)
		}
	}
}

func TestParseConfig_AcceptsSecretAnnotations(t *testing.T) {
	for in, want := range map[string][]string{
		"": nil, "secretAnnotations: []\n": {},
		"secretAnnotations: [example.com/team, owner]\n": {"example.com/team", "owner"},
	} {
		c, err := daemon.ParseConfig([]byte(in))
		if diff := cmp.Diff(want, c.Rules.SecretAnnotations); err != nil || diff != "" {
			t.Errorf("%q: got error %v, annotations (-want +got):\n%s", in, err, diff)
		}
	}
	for in, want := range map[string]string{
		"secretAnnotations: team\n":      "line 1: secretAnnotations: want a list",
		"secretAnnotations: [a, a]\n":    `line 1: secretAnnotations[1]: "a" is already listed on line 1`,
		"secretAnnotations: [\"a b\"]\n": `line 1: secretAnnotations[0]: "a b": name part must consist of`,
		"secretAnnotations:\n- {a: b}\n": "line 2: secretAnnotations[0]: want text",
		"\nsecretAnnotations:\n- kubectl.kubernetes.io/last-applied-configuration\n": "line 3: secretAnnotations[0]: " +
			`"kubectl.kubernetes.io/last-applied-configuration": contains the values of the Secret`,
		"ignore: [{resource: secrets}]\nsecretAnnotations: [a]\n": "line 2: secretAnnotations: " +
			"secrets is completely ignored by line 1",
	} {
		if _, err := daemon.ParseConfig([]byte(in)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got error %v, want prefix %q", in, err, want)
		}
	}
}

// TestDefaultSecretAnnotations_MatchDocs compares them with docs/secrets.md.
func TestDefaultSecretAnnotations_MatchDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/secrets.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\nsecretAnnotations:")
	list, _, _ := strings.Cut(rest, "```")
	c, err := daemon.ParseConfig([]byte("secretAnnotations:" + list))
	if diff := cmp.Diff(recorder.DefaultSecretAnnotations(), c.Rules.SecretAnnotations); err != nil || diff != "" {
		t.Errorf("got error %v, annotations of docs/secrets.md (-want +got):\n%s", err, diff)
	}
}

func TestParseConfig_AcceptsRulesOfDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\nredact:")
	rules, _, found := strings.Cut(rest, "```")
	c, err := daemon.ParseConfig([]byte("redact:" + rules))
	if err != nil || !found || len(c.Rules.Redact) != 3 || len(c.Rules.Ignore) != 4 || len(c.Rules.Symptoms) != 2 {
		t.Errorf("got error %v, rules %+v, want 3 redactions, 4 ignore rules and 2 symptoms", err, c.Rules)
	}
	checkEveryFieldSet(t, "docs/configuration.md", c.Rules.Symptoms)
	checkEveryFieldSet(t, "docs/configuration.md", c.Rules.Redact)
	checkEveryFieldSet(t, "docs/configuration.md", c.Rules.Ignore)
}

func TestParseConfig_RejectsMistakesWithLineAndField(t *testing.T) {
	const configMaps = "resources: [{version: v1, kind: ConfigMap, plural: configmaps}]\n"
	tests := []struct{ name, in, want string }{
		{
			"unknown field", "serverPort: 1\nretentionHours: 3\n",
			"line 2: retentionHours: unknown field, want one of allowedHosts, anonymous, bindAddress, debugPort, ",
		},
		{"null as a field", "serverPort: 1\n~: 1\n", "line 2: ~: unknown field"},
		{
			"null as a field of an item", "redact:\n- {resource: pods, paths: [spec.x], ~: [a]}\n",
			"line 2: redact[0].~: unknown field",
		},
		{"merge key", "serverPort: 1\n<<: {retentionDays: 3}\n", "line 2: <<: unknown field"},
		{"binary field", "!!binary c2VydmVyUG9ydA==: 7\n", "line 1: c2VydmVyUG9ydA==: unknown field"},
		{"alias as a field", "storagePath: &k serverPort\n*k : 5\n", "line 2: k: unknown field"},
		{
			"wrong type", "\nretentionDays: two weeks\n",
			`line 2: retentionDays: want a whole number from 1 to 3650, got "two weeks"`,
		},
		{"not a quantity", "serverPort: 1\nmaxStorage: plenty\n", `line 2: maxStorage: want a quantity ` +
			`of bytes such as 40Gi, at least 256Mi, or 0 for no limit, got "plenty"`},
		{"too small", "maxStorage: 100Mi\n", "line 1: maxStorage: want a quantity of bytes"},
		{"negative", "maxStorage: -1\n", "line 1: maxStorage: want a quantity of bytes"},
		{"list of quantities", "maxStorage: [1Gi]\n", "line 1: maxStorage: want a quantity of bytes"},
		{"out of range", "serverPort: 70000\n", "line 1: serverPort: want a whole number from -1 to 65535"},
		{
			"one query at a time", "maxConcurrentQueries: 1\n",
			"line 1: maxConcurrentQueries: want a whole number from 2 to 256",
		},
		{"no time", "queryTimeoutSeconds: 0\n", "line 1: queryTimeoutSeconds: want a whole number from 1 to 3600"},
		{"negative rate", "maxQueryRate: -1\n", "line 1: maxQueryRate: want a whole number from 0 to 100000"},
		{"no streams", "maxStreams: 0\n", "line 1: maxStreams: want a whole number from 1 to 65536"},
		{"too few connections", "maxConnections: 1\n", "line 1: maxConnections: want a whole number from 16 to 65536"},
		{"quoted number", "serverPort: \"80\"\n", "line 1: serverPort: want a whole number"},
		{"not a boolean", "discoverCRDs: perhaps\n", `line 1: discoverCRDs: want true or false, got "perhaps"`},
		{"unknown mode of discovery", "discover: some\n", `line 1: discover: want all, crds or none, got "some"`},
		{
			"all without CRDs", "discover: all\ndiscoverCRDs: false\n",
			"line 1: discover: all contradicts discoverCRDs on line 2",
		},
		{
			"none with CRDs", "discoverCRDs: true\ndiscover: none\n",
			"line 2: discover: none contradicts discoverCRDs on line 1",
		},
		{"bad include", "include: [Lease]\n", `line 1: include[0]: want a plural, or plural.group, got "Lease"`},
		{
			"include listed twice", "include:\n- endpoints\n- endpoints\n",
			"line 3: include[1]: \"endpoints\" is already listed on line 2",
		},
		{"unknown field without a value", "retentionHours:\n", "line 1: retentionHours: unknown field"},
		{"field without a value", "redact:\nserverPort: 1\n", "line 1: redact: is empty"},
		{"text in a list of rules in one line", "{storagePath: pods, redact: pods}\n", "line 1: redact: want a list"},
		{"mapping instead of a list", "redact: {resource: pods}\n", "line 1: redact: want a list"},
		{"text instead of a rule", "redact: [pods]\n", "line 1: redact[0]: want a mapping"},
		{"number instead of text", "storagePath: 7\n", `line 1: storagePath: want text, got "7"`},
		{
			"mistake in an anchor", "include: &a [endpoints, Lease]\nsecretAnnotations: *a\n",
			`line 1: include[1]: want a plural, or plural.group, got "Lease"`,
		},
		{
			"repeated in a rule", "redact:\n- resource: pods\n  paths: [a]\n  paths: [b]\n",
			"line 4: redact[0].paths: is already set on line 3",
		},
		{"key that is a list", "? [a]\n: b\n", "line 1: want text"},
		{"key of two lines", "{\"a\\nb\": 1}\n", "line 1: a b: unknown field"},
		{"repeated", "serverPort: 1\nserverPort: 2\n", "line 2: serverPort: is already set on line 1"},
		{"not an address", "bindAddress: everywhere\n", "line 1: bindAddress: want an IP address"},
		{"empty path", "storagePath: \"\"\n", "line 1: storagePath: is empty"},
		{"list expected", "resources: pods\n", "line 1: resources: want a list"},
		{
			"field of a resource", "resources:\n- {version: v1, kind: Pod, plural: pods, scoped: true}\n",
			"line 2: resources[0].scoped: unknown field",
		},
		{"missing plural", "resources:\n- version: v1\n  kind: Pod\n", "line 2: resources[0].plural: missing"},
		{
			"bad plural", "resources:\n- {version: v1, kind: Pod, plural: Pods}\n",
			"line 2: resources[0].plural: \"Pods\"",
		},
		{
			"resource listed twice",
			"resources:\n- {version: v1, kind: Pod, plural: pods}\n- {version: v2, kind: Pod, plural: pods}\n",
			"line 3: resources[1]: pods is already listed on line 2",
		},
		{"list instead of a mapping", "- a\n", "line 1: want a mapping"},
		{"second document", "serverPort: 1\n---\nserverPort: 2\n", "line 2: a second document"},
		{"not YAML", "a: [\n", "line 1: "},

		{"rules not a list", "redact: pods\n", "line 1: redact: want a list"},
		{
			"unknown field of a rule", "redact:\n- {resource: pods, path: a}\n",
			"line 2: redact[0].path: unknown field, want one of names, paths, resource",
		},
		{"missing paths", "redact:\n- resource: pods\n", "line 2: redact[0].paths: missing"},
		{"no paths", "redact:\n- {resource: pods, paths: []}\n", "line 2: redact[0].paths: is empty"},
		{"missing resource", "redact:\n- paths: [spec]\n", "line 2: redact[0].resource: missing"},
		{
			"bad resource", "redact:\n- resource: Pod\n  paths: [spec]\n",
			`line 2: redact[0].resource: want a plural, or plural.group, got "Pod"`,
		},
		{
			"bad group", "ignore:\n- resource: pods.\n",
			`line 2: ignore[0].resource: want a plural, or plural.group, got "pods."`,
		},
		{
			"bad path", "redact:\n- resource: pods\n  paths:\n  - spec\n  - a..b\n",
			`line 5: redact[0].paths[1]: "a..b": want a field`,
		},
		{
			"path of an identity", "redact:\n- {resource: pods, paths: [metadata.name]}\n",
			"line 2: redact[0].paths[0]: \"metadata.name\": objects are identified by this field",
		},
		{
			"bad expression", "redact:\n- {resource: pods, paths: [\"a[*]\"], names: [\"(\"]}\n",
			"line 2: redact[0].names[0]: error parsing regexp: missing closing )",
		},
		{
			"empty expression", "redact:\n- {resource: pods, paths: [\"a[*]\"], names: [\"\"]}\n",
			"line 2: redact[0].names[0]: is empty",
		},
		{
			"names without [*]",
			"redact:\n- resource: pods\n  paths: [\"a[*].b\", 'metadata.labels[\"[*]\"]']\n  names: [x]\n",
			"line 3: redact[0].paths[1]: \"metadata.labels[\\\"[*]\\\"]\" has no [*]",
		},
		{
			"path listed twice", "redact:\n- resource: pods\n  paths:\n  - spec\n  - spec\n",
			`line 5: redact[0].paths[1]: "spec" is already listed on line 4`,
		},
		{
			"path in two rules",
			"redact:\n- {resource: pods, paths: [spec]}\n- {resource: nodes, paths: [spec]}\n" +
				"- {resource: pods, paths: [spec]}\n",
			`line 4: redact[2].paths[0]: "spec" is already listed on line 2`,
		},
		{
			"plural without its group", "redact:\n- {resource: deployments, paths: [spec]}\n",
			"line 2: redact[0].resource: deployments is not recorded",
		},
		{
			"not recorded", "discoverCRDs: false\nredact:\n- {resource: a.example.com, paths: [spec]}\n",
			"line 3: redact[0].resource: a.example.com is not recorded",
		},
		{
			"not listed", configMaps + "ignore:\n- {resource: pods, namespaces: [a]}\n",
			"line 3: ignore[0].resource: pods is not recorded",
		},
		{
			"Events of the other group", "redact:\n- {resource: events.events.k8s.io, paths: [note]}\n",
			"line 2: redact[0].resource: events.events.k8s.io are recorded as events: name that",
		},
		{
			"Events of the second group",
			"resources:\n- {group: events.k8s.io, version: v1, kind: Event, plural: events}\n" +
				"- {version: v1, kind: Event, plural: events}\n" +
				"ignore:\n- {resource: events, changes: [count]}\n",
			"line 5: ignore[0].resource: events are recorded as events.events.k8s.io: name that",
		},

		{
			"symptom without code", "symptoms:\n- {resource: pods, expression: \"true\"}\n",
			"line 2: symptoms[0].code: missing",
		},
		{
			"symptom without resource", "symptoms:\n- {code: A, expression: \"true\"}\n",
			"line 2: symptoms[0].resource: missing",
		},
		{
			"symptom without expression", "symptoms:\n- {code: A, resource: pods}\n",
			"line 2: symptoms[0].expression: missing",
		},
		{
			"code of a symptom", "symptoms:\n- code: not-ready\n",
			`line 2: symptoms[0].code: "not-ready": want letters and digits after a capital letter`,
		},
		{
			"text of a symptom", "symptoms:\n- {code: A, resource: pods, expression: \"true\",\n  text: \"a\\nb\"}\n",
			"line 3: symptoms[0].text: want a text in one line",
		},
		{
			"expression of a symptom", "symptoms:\n- code: A\n  resource: pods\n  expression: object.status.phase ==\n",
			"line 4: symptoms[0].expression: line 1, column 23: Syntax error",
		},
		{
			"expression that is not a condition", "symptoms:\n- {code: A, resource: pods, expression: verb}\n",
			"line 2: symptoms[0].expression: line 1, column 1: ",
		},
		{
			"expression that is too expensive",
			"symptoms:\n- code: A\n  resource: pods\n  expression: object.a.all(b, object.a.all(c, object.a.all(d, " +
				"object.a.all(e, object.a.all(f, true)))))\n",
			"line 4: symptoms[0].expression: line 1, column 1: the expression may cost ",
		},
		{
			"symptom twice",
			"symptoms:\n- {code: A, resource: pods, expression: \"true\"}\n" +
				"- {code: A, resource: nodes, expression: \"true\"}\n" +
				"- {code: A, resource: pods, expression: \"false\"}\n",
			`line 4: symptoms[2].code: "A" is already listed on line 2`,
		},
		{
			"symptom of what is not recorded", "symptoms:\n- {code: A, resource: deployments, expression: \"true\"}\n",
			"line 2: symptoms[0].resource: deployments is not recorded",
		},
		{
			"unknown field of a symptom", "symptoms:\n- {code: A, when: \"true\"}\n",
			"line 2: symptoms[0].when: unknown field, want one of code, expression, resource, text",
		},
		{"empty mapping", "ignore:\n- {}\n", "line 2: ignore[0]: is empty"},
		{"empty entry", "ignore:\n-\n", "line 2: ignore[0]: is empty"},
		{"empty resource", "ignore:\n- resource: \"\"\n", "line 2: ignore[0].resource: is empty"},
		{"changes without resource", "ignore:\n- changes: [status]\n", "line 2: ignore[0].resource: missing"},
		{
			"namespaces and changes", "ignore:\n- {resource: pods, changes: [status], namespaces: [a]}\n",
			"line 2: ignore[0]: has namespaces and changes",
		},
		{"bad namespace", "ignore:\n- namespaces: [kube_system]\n", "line 2: ignore[0].namespaces[0]: \"kube_system\""},
		{"no namespaces", "ignore:\n- namespaces: []\n", "line 2: ignore[0].namespaces: is empty"},
		{
			"bad changes", "ignore:\n- {resource: nodes, changes: [\"a[\"]}\n",
			"line 2: ignore[0].changes[0]: \"a[\": want [*]",
		},
		{
			"changes listed twice",
			"ignore:\n- {resource: nodes, changes: [status]}\n- {resource: nodes, changes: [status]}\n",
			`line 3: ignore[1].changes[0]: "status" is already listed on line 2`,
		},
		{
			"namespace of one resource, then of all",
			"ignore:\n- {resource: pods, namespaces: [a]}\n- {resource: events, namespaces: [a]}\n- namespaces: [a]\n",
			`line 4: ignore[2].namespaces[0]: "a" is already ignored by line 2`,
		},
		{
			"namespace of all resources, then of one",
			"ignore:\n- namespaces: [a]\n- {resource: pods, namespaces: [a]}\n",
			`line 3: ignore[1].namespaces[0]: "a" is already ignored by line 2`,
		},
		{
			"resource ignored twice", "ignore:\n- resource: pods\n- resource: pods\n",
			"line 3: ignore[1].resource: pods is already ignored by line 2",
		},
		{
			"recorded and ignored", "ignore:\n- resource: configmaps\n" + configMaps,
			"line 2: ignore[0].resource: configmaps is listed in resources and completely ignored",
		},
		{
			"ignored completely and in part", "ignore:\n- {resource: pods, namespaces: [a]}\n- resource: pods\n",
			"line 2: ignore[0].resource: pods is completely ignored by line 3",
		},
		{
			"redacted and ignored",
			"ignore:\n- resource: a.example.com\nredact:\n- {resource: a.example.com, paths: [spec]}\n",
			"line 4: redact[0].resource: a.example.com is completely ignored by line 2",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := daemon.ParseConfig([]byte(tt.in))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got error %v, want %q in it", err, tt.want)
			}
			if history.CodeOf(err) != history.Invalid || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q with code %s, want one line with code %s", err, history.CodeOf(err), history.Invalid)
			}
		})
	}
}

func TestSource_EnvironmentOverridesFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resources.yaml")
	const text = "serverPort: 9000\nstoragePath: /from/file\nretentionDays: 3\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		"CONFIG_PATH": path, "SERVER_PORT": "9001", "BADGER_PATH": "/from/env", "BIND_ADDRESS": "0.0.0.0",
	}
	c, err := daemon.NewSource(func(k string) string { return env[k] }, daemon.DefaultConfigPath).Load()
	if err != nil {
		t.Fatal(err)
	}
	if c.Address() != "0.0.0.0:9001" || c.StoragePath != "/from/env" || c.RetentionDays != 3 {
		t.Errorf("got address %q, storage path %q, %d days, want 0.0.0.0:9001, /from/env, 3",
			c.Address(), c.StoragePath, c.RetentionDays)
	}
}

func TestSource_LoadRejectsMistakes(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("serverport: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"CONFIG_PATH": bad}, "bad.yaml: line 1: serverport: unknown field"},
		{map[string]string{"CONFIG_PATH": bad + ".absent"}, "file of CONFIG_PATH: open "},
		{map[string]string{"SERVER_PORT": "http"}, `SERVER_PORT: want a port`},
		{map[string]string{"BIND_ADDRESS": "localhost"}, `BIND_ADDRESS: want an IP address`},
	}
	for _, tt := range tests {
		_, err := daemon.NewSource(func(k string) string { return tt.env[k] }, daemon.DefaultConfigPath).Load()
		if err == nil || !strings.Contains(err.Error(), tt.want) || history.CodeOf(err) != history.Invalid {
			t.Errorf("%v: got %v with code %s, want %q in it and code %s",
				tt.env, err, history.CodeOf(err), tt.want, history.Invalid)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte("resources: [{version: v1, kind: Pod, plural: pods}]"))
	f.Add([]byte("a: &a {<<: *a}"))
	f.Add([]byte("serverPort: *x"))
	f.Add([]byte("redact: [{resource: pods, paths: ['a[*].b', metadata.labels.x], names: [a]}]\n" +
		"ignore: [{namespaces: [a]}, {resource: a.b.c}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := daemon.ParseConfig(data)
		if err != nil {
			return
		}
		if c.RetentionDays < 1 || c.MaxQueryLimit < 1 || c.StoragePath == "" || c.ServerPort < 0 {
			t.Errorf("%q: got %+v, want an error", data, c)
		}
		if err := recorder.New(nil, recorder.Options{RedactionKey: []byte("k")}).SetRules(c.Rules); err != nil {
			t.Errorf("%q: got an error of the recorder %v, want one of ParseConfig", data, err)
		}
	})
}

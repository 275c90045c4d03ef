package relation_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/relation"
)

type groupResource = schema.GroupResource

func TestOf_StopsAtLimit(t *testing.T) {
	var volumes []string
	for i := range 5000 {
		volumes = append(volumes, fmt.Sprintf(`{"name":"v%d","configMap":{"name":"c%d"}}`, i, i))
	}
	o := relation.Object{Resource: "pods", Namespace: "shop", Name: "web", JSON: []byte(
		`{"spec":{"volumes":[` + strings.Join(volumes, ",") + `],"nodeName":"n"}}`,
	)}
	for most, complete := range map[int]bool{100: false, 5000: false, 5001: true} {
		found := relation.All().Of(o, most)
		if got := len(found.References); got != most || found.Complete != complete {
			t.Errorf("got %d references, complete %t, want %d and %t", got, found.Complete, most, complete)
		}
	}
}

func TestOf_RefusesImpossibleNames(t *testing.T) {
	for _, name := range []string{
		"", ".", "..", "a/b", "a%2f", "a b", "a\nb", "\x00", "\u202e", strings.Repeat("x", history.MaxText+1),
		"hmac-sha256:0123456789abcdef0123456789abcdef",
	} {
		spec, err := json.Marshal(map[string]any{"spec": map[string]any{"nodeName": name, "priorityClassName": "ok"}})
		if err != nil {
			t.Fatal(err)
		}
		found := relation.All().Of(relation.Object{Resource: "pods", Namespace: "shop", JSON: spec}, 10)
		if got := texts(found); len(got) != 1 || !strings.HasPrefix(got[0], "priorityClass ") {
			t.Errorf("%q: got %v, want only the priority class", name, got)
		}
	}
}

// hostileValues replace every value of an object, one at a time.
func hostileValues() []any {
	return []any{
		nil, true, 7.5, "", "x", "\u202e",
		[]any{},
		map[string]any{},
		[]any{nil, 7.0, "x", []any{}, map[string]any{}},
		map[string]any{"name": []any{}},
		map[string]any{"name": map[string]any{"name": nil}},
	}
}

// variants yields the document with each of its values replaced by each of the
// hostile ones.
func variants(doc any, yield func()) {
	switch at := doc.(type) {
	case map[string]any:
		for key, old := range at {
			for _, with := range hostileValues() {
				at[key] = with
				yield()
			}
			at[key] = old
			variants(old, yield)
		}
	case []any:
		for i, old := range at {
			for _, with := range hostileValues() {
				at[i] = with
				yield()
			}
			at[i] = old
			variants(old, yield)
		}
	}
}

func TestOf_AcceptsWrongTypes(t *testing.T) {
	rules := relation.All()
	for _, c := range ruleCases() {
		if strings.HasPrefix(c.name, "template of ") {
			continue // has the fields of a pod
		}
		o, all := c.object(), map[string]bool{}
		doc := map[string]any{}
		if err := json.Unmarshal(o.JSON, &doc); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		doc["other"] = true
		variants(doc, func() {
			var err error
			if o.JSON, err = json.Marshal(doc); err != nil {
				t.Fatal(err)
			}
			found := rules.Of(o, 1000)
			if !found.Complete {
				t.Fatalf("%s: got an incomplete result for %s", c.name, o.JSON)
			}
			for _, text := range texts(found) {
				all[text] = true
			}
		})
		for _, text := range c.want {
			if !all[text] {
				t.Errorf("%s: got no variant with %q, want it to be independent of other values", c.name, text)
			}
		}
	}
}

func TestOwnerPath_IsThatOfTheRule(t *testing.T) {
	o := relation.Object{Resource: "pods", Namespace: "shop", JSON: []byte(
		`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"node-1.example","uid":"u"}]}}`,
	)}
	found := relation.All().Of(o, 10)
	if got, want := found.References[0].Path, relation.OwnerPath("node-1.example"); got != want {
		t.Errorf("got path %s, want %s", got, want)
	}
}

func TestTo_FindsEverySource(t *testing.T) {
	rules := relation.All()
	for _, c := range ruleCases() {
		o := c.object()
		for _, r := range rules.Of(o, 1000).References {
			if r.Resource == "" {
				continue // the kind may be of any resource
			}
			to := rules.To(schema.GroupResource{Group: r.Group, Resource: r.Resource})
			if !slices.ContainsFunc(to, func(rule relation.Rule) bool {
				return rule.Name == r.Rule && rule.Applies(o.Group, o.Resource)
			}) {
				t.Errorf("%s: got no rule %q to %s.%s, want one", c.name, r.Rule, r.Resource, r.Group)
			}
		}
	}
}

func TestIsCustom(t *testing.T) {
	for group, want := range map[string]bool{
		"": false, "apps": false, "batch": false, "rbac.authorization.k8s.io": false, "storage.k8s.io": false,
		"metrics.k8s.io": false, "example.com": true, "argoproj.io": true, "gateway.networking.k8s.io": true,
		"snapshot.storage.k8s.io": true, "jobset.x-k8s.io": true,
	} {
		if got := relation.IsCustom(group); got != want {
			t.Errorf("%q: got %t, want %t", group, got, want)
		}
	}
}

func TestTo_KnowsWhatRulesLeadTo(t *testing.T) {
	rules := relation.All()
	for resource, want := range map[groupResource]string{
		{Resource: "configmaps"}: "owner env envFrom volume projected parameters admission reference",
		{Resource: "nodes"}:      "owner node node admission",
		{Resource: "pods"}:       "owner scaleTarget selector disruption networkPolicy quota limitRange admission",
		{Group: "example.com", Resource: "widgets"}: "owner scaleTarget dataSource backend backend parent parameters " +
			"tls admission definition reference",
	} {
		var got []string
		for _, rule := range rules.To(resource) {
			got = append(got, rule.Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got rules %v, want %s", resource, got, want)
		}
	}
}

func TestReference_Names(t *testing.T) {
	pod := relation.Target{Resource: "pods", Kinds: []string{"Pod"}, Namespace: "shop", Name: "web", UID: "u1"}
	node := relation.Target{Resource: "nodes", Kinds: []string{"Node", "Host"}, Name: "web", UID: "u1"}
	for _, tc := range []struct {
		reference relation.Reference
		target    relation.Target
		want      bool
	}{
		{relation.Reference{Resource: "pods", Namespace: "shop", Name: "web"}, pod, true},
		{relation.Reference{Kind: "Pod", Namespace: "shop", Name: "web"}, pod, true},
		{relation.Reference{Kind: "Pod", Namespace: "shop", Name: "web", UID: "u1"}, pod, true},
		{relation.Reference{Kind: "Pod", Namespace: "shop", Name: "web", UID: "u2"}, pod, false},
		{relation.Reference{Kind: "Pod", Group: "apps", Namespace: "shop", Name: "web"}, pod, false},
		{relation.Reference{Kind: "Node", Namespace: "shop", Name: "web"}, pod, false},
		{relation.Reference{Resource: "pods", Namespace: "other", Name: "web"}, pod, false},
		{relation.Reference{Resource: "pods", Namespace: "shop", Name: "api"}, pod, false},
		{relation.Reference{Resource: "pods", Name: "web"}, pod, false},
		{relation.Reference{Resource: "nodes", Name: "web"}, node, true},
		{relation.Reference{Kind: "Host", Name: "web"}, node, true},
		// A namespaced object names a cluster-scoped one by its kind.
		{relation.Reference{Kind: "Node", Namespace: "shop", Name: "web"}, node, true},
		{relation.Reference{Resource: "nodes", Namespace: "shop", Name: "web"}, node, false},
	} {
		if got := tc.reference.Names(&tc.target); got != tc.want {
			t.Errorf("%+v names %+v: got %t, want %t", tc.reference, tc.target, got, tc.want)
		}
	}
}

func TestSelection_Selects(t *testing.T) {
	by := func(text string) labels.Selector {
		s, err := labels.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	pod := relation.Target{
		Resource: "pods", Namespace: "shop", Name: "web", Labels: labels.Set{"app": "web"},
		NamespaceLabels: labels.Set{"inject": "on"},
	}
	node := relation.Target{Resource: "nodes", Name: "n", Labels: labels.Set{"app": "web"}}
	namespace := relation.Target{Resource: "namespaces", Name: "shop", Labels: labels.Set{"inject": "on"}}
	for _, tc := range []struct {
		selection relation.Selection
		target    relation.Target
		want      bool
	}{
		{relation.Selection{Resource: "pods", Namespace: "shop", Labels: by("app=web")}, pod, true},
		{relation.Selection{Resource: "pods", Namespace: "shop", Labels: by("")}, pod, true},
		{relation.Selection{Resource: "pods", Namespace: "shop", Labels: by("app=api")}, pod, false},
		{relation.Selection{Resource: "pods", Namespace: "other", Labels: by("app=web")}, pod, false},
		{relation.Selection{Resource: "jobs", Namespace: "shop", Labels: by("app=web")}, pod, false},
		{relation.Selection{Group: "apps", Resource: "pods", Labels: by("")}, pod, false},
		{relation.Selection{Group: "*", Resource: "*", Labels: by("")}, pod, true},
		{relation.Selection{Group: "*", Resource: "*", Labels: by(""), Namespaces: by("inject=on")}, pod, true},
		{relation.Selection{Group: "*", Resource: "*", Labels: by(""), Namespaces: by("inject=off")}, pod, false},
		{relation.Selection{Group: "*", Resource: "*", Labels: by(""), Namespaces: by("inject=off")}, node, true},
		{relation.Selection{Group: "*", Resource: "*", Labels: by(""), Namespaced: true}, node, false},
		{relation.Selection{Group: "*", Resource: "*", Labels: by(""), Namespaces: by("inject=on")}, namespace, true},
		{relation.Selection{Group: "*", Resource: "*", Labels: by(""), Namespaces: by("inject=off")}, namespace, false},
		{relation.Selection{Group: "*", Resource: "*", Namespace: "-", Labels: by("")}, pod, false},
	} {
		if got := tc.selection.Selects(&tc.target); got != tc.want {
			t.Errorf("%+v selects %+v: got %t, want %t", tc.selection, tc.target, got, tc.want)
		}
	}
}

func TestLabels(t *testing.T) {
	for object, want := range map[string]string{
		`{"metadata":{"name":"a","labels":{"app":"web","b":"c"}}}`:      "app=web,b=c",
		`{"spec":{"labels":{"x":"y"}},"metadata":{"labels":{"n":7}}}`:   "",
		`{"metadata":{"labels":{"a":null,"b":["x"],"c":{},"app":"w"}}}`: "app=w",
		`{"metadata":{"labels":null}}`:                                  "",
		`{"metadata":{"labels":["a"]}}`:                                 "",
		`{"metadata":[{"labels":{"a":"b"}}]}`:                           "",
		`[]`:                                                            "",
		`{"metadata":{"labels":{"a":`:                                   "",
		``:                                                              "",
		`{"metadata":{"labels":{"a":"1"}},"metadata":{"labels":{"b":"2"}}}`: "a=1,b=2",
	} {
		if got := relation.Labels([]byte(object)).String(); got != want {
			t.Errorf("%s: got %q, want %q", object, got, want)
		}
	}
}

func TestOf_BoundsConventions(t *testing.T) {
	values := strings.Repeat(`{"secretName":7},`, 20_000)
	o := relation.Object{
		Group: "example.com", Resource: "databases", Namespace: "shop",
		JSON: []byte(`{"spec":{"a":{"secretName":"a"},"list":[` + values + `{}],"z":{"secretName":"z"}}}`),
	}
	found := relation.All().Of(o, 10)
	if got, want := texts(found), []string{"reference secrets shop/a spec.a.secretName optional"}; found.Complete ||
		!slices.Equal(got, want) {
		t.Errorf("got %v, complete %t, want %v, not complete", got, found.Complete, want)
	}
}

// FuzzOf checks that no object makes the rules panic, and that the result is
// bounded and possible.
func FuzzOf(f *testing.F) {
	for _, c := range ruleCases() {
		o := c.object()
		f.Add(o.Group, o.Resource, o.Namespace, o.JSON)
	}
	f.Add("", "pods", "", []byte(`{"spec":{"containers":[{"env":[{"valueFrom":{"configMapKeyRef":{"name":"a"}}}]}]}}`))
	rules := relation.All()
	const most = 8
	f.Fuzz(func(t *testing.T, group, resource, namespace string, object []byte) {
		found := rules.Of(relation.Object{Group: group, Resource: resource, Namespace: namespace, JSON: object}, most)
		if n := len(found.References) + len(found.Selections); n > most {
			t.Fatalf("got %d relations, want at most %d", n, most)
		}
		if !json.Valid(object) && found.Complete {
			t.Fatal("got a complete result, want none of an invalid object")
		}
		target := relation.Target{Group: group, Resource: resource, Namespace: namespace}
		target.Labels = relation.Labels(object)
		for _, r := range found.References {
			if r.Name == "" || len(r.Name) > history.MaxText || strings.ContainsAny(r.Name, "/\n\x00") || r.Rule == "" {
				t.Fatalf("got reference %+v, want a possible name", r)
			}
			r.Names(&target)
		}
		for _, s := range found.Selections {
			s.Selects(&target)
		}
	})
}

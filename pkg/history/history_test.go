package history_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

func TestVerb_RoundTrips(t *testing.T) {
	for v, s := range map[history.Verb]string{
		history.Create: "create", history.Update: "update", history.Delete: "delete",
	} {
		if got, err := history.ParseVerb(s); v.String() != s || got != v || err != nil {
			t.Errorf("%s: got String %q, ParseVerb %v, error %v, want the same verb", s, v, got, err)
		}
	}
	for _, s := range []string{"", "patch", "Create"} {
		if _, err := history.ParseVerb(s); history.CodeOf(err) != history.Invalid {
			t.Errorf("ParseVerb(%q): got error %v, want code invalid", s, err)
		}
	}
}

func TestCursor_RoundTrips(t *testing.T) {
	roundTrip := func(nanos int64) bool {
		c := history.Cursor{Time: time.Unix(0, nanos).UTC()}
		got, err := history.ParseCursor(c.String())
		return err == nil && got.Equal(c.Time)
	}
	if err := quick.Check(roundTrip, nil); err != nil {
		t.Errorf("round trip: got %v, want equal times", err)
	}
	if c, err := history.ParseCursor(""); err != nil || !c.IsZero() || c.String() != "" {
		t.Errorf("empty cursor: got %v (%q), error %v, want the zero Cursor", c, c, err)
	}
}

func FuzzParseCursor(f *testing.F) {
	f.Add("AAAAAAAAAAA")
	f.Add("not a cursor")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := history.ParseCursor(s)
		if err != nil && history.CodeOf(err) != history.Invalid {
			t.Errorf("%q: error %v: got code %s, want invalid", s, err, history.CodeOf(err))
		}
		if again, err2 := history.ParseCursor(c.String()); err == nil && (err2 != nil || !again.Equal(c.Time)) {
			t.Errorf("%q: got %v, and %v after another round trip, error %v, want equal cursors", s, c, again, err2)
		}
	})
}

func TestResource_MatchesFormsOfKubectl(t *testing.T) {
	deployment := history.Resource{
		Group: "apps", Version: "v1", Plural: "deployments", Singular: "deployment", Kind: "Deployment",
		ShortNames: []string{"deploy"}, Namespaced: true,
	}
	pod := history.Resource{Version: "v1", Plural: "pods", Singular: "pod", Kind: "Pod", ShortNames: []string{"po"}}
	for _, arg := range []string{
		"deployments", "deployment", "deploy", "Deployment", "deployments.apps", "deploy.apps", "deployments.v1.apps",
	} {
		if !deployment.Matches(arg) || pod.Matches(arg) {
			t.Errorf("%q: got match of deployment %v, of pod %v, want true, false",
				arg, deployment.Matches(arg), pod.Matches(arg))
		}
	}
	if nameless := (history.Resource{Version: "v1", Plural: "pods", Kind: "Pod"}); nameless.Matches("") {
		t.Error("empty text, resource without a singular: got a match, want none")
	}
	for _, arg := range []string{
		"", "deployments.extensions", "deployments.v2.apps", "deploym", "deployments.", ".apps",
	} {
		if deployment.Matches(arg) {
			t.Errorf("%q: got a match of deployment, want none", arg)
		}
	}
	for _, arg := range []string{"po", "pods.v1", "pods."} {
		if !pod.Matches(arg) {
			t.Errorf("%q: got no match of pod, want one", arg)
		}
	}
}

func TestResource_Path(t *testing.T) {
	deployments := history.Resource{Group: "apps", Version: "v1", Plural: "deployments", Namespaced: true}
	nodes := history.Resource{Version: "v1", Plural: "nodes"}
	for want, got := range map[string]string{
		"/apis/apps/v1/namespaces/shop/deployments/web": deployments.Path("shop", "web"),
		"/apis/apps/v1/namespaces/shop/deployments":     deployments.Path("shop", ""),
		"/apis/apps/v1/deployments":                     deployments.Path("", ""),
		"/api/v1/nodes/n1":                              nodes.Path("", "n1"),
	} {
		if got != want {
			t.Errorf("path: got %s, want %s", got, want)
		}
	}
}

// TestFilter_RequiresEveryField fails if Matches ignores a field, or if a field
// has no case.
func TestFilter_RequiresEveryField(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	event := &history.Record{
		Ref:      history.ObjectRef{Resource: "events", Namespace: "shop", Name: "web.1", UID: "e1"},
		Verb:     history.Create,
		Time:     at,
		Revision: 3,
		Managers: []history.Manager{{Name: "kubelet"}},
		Owners:   []types.UID{"o1"},
		Regarding: &history.Target{
			Kind: "Pod", Namespace: "shop", Name: "web", UID: "p1",
		},
	}
	node := &history.Record{
		Ref: history.ObjectRef{Resource: "nodes", Name: "n1", UID: "n1"}, Verb: history.Update, Time: at.Add(1),
		Class: history.Consequence,
	}
	gr := func(s string) []schema.GroupResource { return []schema.GroupResource{schema.ParseGroupResource(s)} }
	target := func(name string, uid types.UID) *history.Target {
		return &history.Target{Kind: "Pod", Namespace: "shop", Name: name, UID: uid}
	}
	tests := []struct {
		name   string
		filter history.Filter
		event  bool
		node   bool
	}{
		{"all", history.Filter{}, true, true},
		{"from its time", history.Filter{Start: at}, true, true},
		{"from later", history.Filter{Start: at.Add(1)}, false, true},
		{"from after both", history.Filter{Start: at.Add(2)}, false, false},
		{"up to its time", history.Filter{End: at}, false, false},
		{"up to later", history.Filter{End: at.Add(1)}, true, false},
		{"up to after both", history.Filter{End: at.Add(2)}, true, true},
		{"resource", history.Filter{Resources: gr("events")}, true, false},
		{"same plural, other group", history.Filter{Resources: gr("events.events.k8s.io")}, false, false},
		{"namespace", history.Filter{Namespace: "shop"}, true, false},
		{"cluster-scoped", history.Filter{Namespace: history.ClusterScoped}, false, true},
		{"name", history.Filter{Name: "n1"}, false, true},
		{"uid", history.Filter{UID: "e1"}, true, false},
		{"verb", history.Filter{Verbs: []history.Verb{history.Update, history.Delete}}, false, true},
		{"revision", history.Filter{Revisions: []uint64{2, 3}}, true, false},
		{"manager", history.Filter{Managers: []string{"kubelet"}}, true, false},
		{"any manager", history.Filter{Managers: []string{"kubectl", "kubelet"}}, true, false},
		{"another manager", history.Filter{Managers: []string{"kubectl"}}, false, false},
		{"class", history.Filter{Classes: []history.Class{history.Onset, history.Root}}, true, false},
		{"owner", history.Filter{Owner: "o1"}, true, false},
		{"regarding", history.Filter{Regarding: target("web", "p1")}, true, false},
		{"regarding any incarnation", history.Filter{Regarding: target("web", "")}, true, false},
		{"regarding another incarnation", history.Filter{Regarding: target("web", "p2")}, false, false},
		{"regarding another name", history.Filter{Regarding: target("db", "")}, false, false},
		{"view", history.Filter{View: history.View{gr("events")[0]: {All: true}}}, true, false},
		{"two fields, one of them wrong", history.Filter{Name: "web.1", Namespace: "db"}, false, false},
	}
	tested := map[string]bool{}
	for _, tt := range tests {
		if got := tt.filter.Matches(event); got != tt.event {
			t.Errorf("%s: match of the event: got %v, want %v", tt.name, got, tt.event)
		}
		if got := tt.filter.Matches(node); got != tt.node {
			t.Errorf("%s: match of the node: got %v, want %v", tt.name, got, tt.node)
		}
		if tt.event != tt.node {
			tested[setFields(tt.filter)] = true
		}
	}
	for field := range reflect.TypeFor[history.Filter]().Fields() {
		if !tested[field.Name] {
			t.Errorf("history.Filter.%s: got no case that only sets this field and matches one record, want one",
				field.Name)
		}
	}
}

// setFields returns the names of the fields that a filter sets.
func setFields(f history.Filter) string {
	var names []string
	for field, value := range reflect.ValueOf(f).Fields() {
		if !value.IsZero() {
			names = append(names, field.Name)
		}
	}
	return strings.Join(names, " ")
}

// A kubelet's Events about its node have the node's name instead of its UID.
func TestFilter_MatchesTargetWithNameAsUID(t *testing.T) {
	r := &history.Record{Regarding: &history.Target{Kind: "Node", Name: "n1", UID: "n1"}}
	f := history.Filter{Regarding: &history.Target{Kind: "Node", Name: "n1", UID: "0d4c"}}
	if !f.Matches(r) {
		t.Error("target whose UID is its name: got no match, want one")
	}
}

func TestCodeOf_FindsCodeInChain(t *testing.T) {
	wrapped := fmt.Errorf("scan: %w", history.Errorf(history.NotFound, "no pod %s", "web"))
	for want, err := range map[history.Code]error{
		"":               nil,
		history.NotFound: wrapped,
		history.Internal: errors.New("disk"),
	} {
		if got := history.CodeOf(err); got != want {
			t.Errorf("code of %v: got %q, want %q", err, got, want)
		}
	}
	if got, want := wrapped.Error(), "scan: no pod web"; got != want {
		t.Errorf("text: got %q, want %q", got, want)
	}
}

func TestErrorf_WrapsCause(t *testing.T) {
	cause := errors.New("disk full")
	err := history.Errorf(history.Unavailable, "append: %w", cause)
	if !errors.Is(err, cause) || err.Error() != "append: disk full" {
		t.Errorf("got %q, is the cause: %t, want append: disk full, true", err, errors.Is(err, cause))
	}
}

func TestWithHint_KeepsErrorAsCause(t *testing.T) {
	cause := history.Errorf(history.Invalid, "no")
	wrapped := fmt.Errorf("ask: %w", cause)
	hinted := history.WithHint(wrapped, "try yes")
	if got, want := history.HintOf(fmt.Errorf("again: %w", hinted)), "try yes"; got != want {
		t.Errorf("hint: got %q, want %q", got, want)
	}
	if got, want := hinted.Error(), wrapped.Error(); got != want {
		t.Errorf("text: got %q, want %q", got, want)
	}
	if got, want := history.CodeOf(hinted), history.Invalid; got != want {
		t.Errorf("code: got %q, want %q", got, want)
	}
	if !errors.Is(hinted, cause) {
		t.Errorf("got an error without the cause %v, want one with it", cause)
	}
	outer := history.Errorf(history.Internal, "open: %w", hinted)
	if got, want := history.HintOf(outer), "try yes"; got != want {
		t.Errorf("hint of the cause: got %q, want %q", got, want)
	}
	if got := history.HintOf(wrapped); got != "" {
		t.Errorf("hint of another error: got %q, want none", got)
	}
}

func TestNamespaceScope_ContainsNamespaces(t *testing.T) {
	for _, tt := range []struct {
		text          string
		cluster, shop bool
		namespace     string
		narrowed      bool
	}{
		{"", true, true, "", false},
		{"-", true, false, "", true},
		{"shop", false, true, "shop", true},
		{"bank", false, false, "bank", true},
	} {
		scope := history.ParseNamespaceScope(tt.text)
		if got := scope.String(); got != tt.text {
			t.Errorf("%q: got text %q, want the same", tt.text, got)
		}
		if got := scope.Contains(""); got != tt.cluster {
			t.Errorf("%q contains cluster-scoped objects: got %t, want %t", tt.text, got, tt.cluster)
		}
		if got := scope.Contains("shop"); got != tt.shop {
			t.Errorf("%q contains shop: got %t, want %t", tt.text, got, tt.shop)
		}
		if namespace, narrowed := scope.Namespace(); namespace != tt.namespace || narrowed != tt.narrowed {
			t.Errorf("namespace of %q: got %q, %t, want %q, %t",
				tt.text, namespace, narrowed, tt.namespace, tt.narrowed)
		}
	}
	for namespace, want := range map[string]history.NamespaceScope{"": history.ClusterScoped, "shop": "shop"} {
		if got := (history.ObjectRef{Namespace: namespace}).Scope(); got != want {
			t.Errorf("scope of an object in namespace %q: got %q, want %q", namespace, got, want)
		}
	}
}

func TestFilter_SelectsReservedResourcesByNameOnly(t *testing.T) {
	document := &history.Record{Ref: history.ObjectRef{
		Group: history.Documents().Group, Resource: history.Documents().Resource, Name: "version", UID: "version",
	}, Time: time.Unix(1, 0)}
	for _, tt := range []struct {
		filter history.Filter
		want   bool
	}{
		{history.Filter{}, false},
		{history.Filter{Name: "version", UID: "version", Namespace: history.ClusterScoped}, false},
		{history.Filter{Resources: []schema.GroupResource{{Resource: "pods"}}}, false},
		{history.Filter{Resources: []schema.GroupResource{history.UnreadDocuments()}}, false},
		{history.Filter{Resources: history.ReservedResources()}, true},
		{history.Filter{Resources: history.ReservedResources(), View: history.View{}}, false},
	} {
		if got := tt.filter.Matches(document); got != tt.want {
			t.Errorf("%+v: got %t, want %t", tt.filter, got, tt.want)
		}
	}
}

func TestDocument_ContentIsKept(t *testing.T) {
	for _, content := range []string{`{}`, `{"a":{"content":{}}}`, ` [1, "}"] `, `"text"`} {
		for _, name := range []string{"version", "openapi/v3/apis/apps/v1", `odd"name<`} {
			object := history.EncodeDocument(name, []byte(content))
			var metadata struct{ Metadata struct{ Name, UID string } }
			if err := json.Unmarshal(object, &metadata); err != nil || metadata.Metadata.Name != name ||
				metadata.Metadata.UID != name {
				t.Errorf("%s: got object %s (%v), want JSON with the name", name, object, err)
			}
			if got, err := history.DecodeDocument(name, object); err != nil || string(got) != content {
				t.Errorf("%s: got content %s, error %v, want %s", name, got, err, content)
			}
			if _, err := history.DecodeDocument("another", object); err == nil {
				t.Errorf("%s read as another document: got no error, want one", name)
			}
		}
	}
}

func TestDocumentVersion_ParsesItsText(t *testing.T) {
	for _, want := range []history.DocumentVersion{
		history.VersionOfDocument([]byte("{}"), ""), history.VersionOfDocument([]byte("{}"), "ABC.DEF"),
	} {
		got, err := history.ParseDocumentVersion(want.String())
		if err != nil || got != want || got.Size != 2 || len(got.Hash) != 64 {
			t.Errorf("%s: got %+v, error %v, want %+v", want, got, err, want)
		}
	}
	if long := history.VersionOfDocument(nil, strings.Repeat("x", 257)); long.ServerHash != "" {
		t.Errorf("long hash of a server: got %q, want none", long.ServerHash)
	}
	for _, text := range []string{"", "1", "a.b", "a.b.c", "7.7"} {
		if got, err := history.ParseDocumentVersion(text); err == nil {
			t.Errorf("%q: got %+v, want an error", text, got)
		}
	}
}

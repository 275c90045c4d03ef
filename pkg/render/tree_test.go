package render_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// treeOf returns the tree of a graph of n objects, with relations as "from rule
// to".
func treeOf(t *testing.T, n int, relations ...string) string {
	t.Helper()
	graph := v1.RelationGraph{}
	for i := range n {
		graph.Objects = append(graph.Objects, v1.RelatedObject{
			State: "exists", Namespace: "shop", ResourceType: "pods", Kind: "Pod",
			ResourceName: fmt.Sprintf("p%03d", i),
		})
	}
	for _, text := range relations {
		var r v1.Relation
		if _, err := fmt.Sscanf(text, "%d %s %d", &r.From, &r.Rule, &r.To); err != nil {
			t.Fatal(err)
		}
		graph.Relations = append(graph.Relations, r)
	}
	var out bytes.Buffer
	if err := render.New(&out, render.Options{}).Tree(&graph); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTree_EndsWithCycles(t *testing.T) {
	for _, relations := range [][]string{
		{"0 owner 0", "0 env 0"},
		{"0 owner 1", "1 owner 0"},
		{"1 owner 0", "2 owner 1", "1 owner 2"},
		{"0 env 1", "1 env 2", "2 env 0"},
		{"1 env 0", "2 env 1", "0 env 2", "1 owner 2", "2 owner 1"},
	} {
		got := treeOf(t, 3, relations...)
		if !strings.Contains(got, "pod/p000\n") || strings.Count(got, "\n") > 12 {
			t.Errorf("%v: got\n%swant a short tree of the first object", relations, got)
		}
	}
}

func TestTree_HasAllOwnersAbove(t *testing.T) {
	got := treeOf(t, 4, "0 owner 1", "0 owner 2", "2 owner 3")
	want := "pod/p003\n├── pod/p001\n└── pod/p002\n    └── pod/p000\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestTree_DepthIsBounded(t *testing.T) {
	var relations []string
	for i := range 999 {
		relations = append(relations, fmt.Sprintf("%d env %d", i, i+1))
	}
	got := treeOf(t, 1000, relations...)
	if n := strings.Count(got, "\n"); n > 40 || n < 20 {
		t.Errorf("got %d lines, want those of the maximum depth", n)
	}
}

func TestTree_Widths(t *testing.T) {
	object := func(state, kind, plural, name string) v1.RelatedObject {
		return v1.RelatedObject{
			State: state, Namespace: "shop", Kind: kind, ResourceType: plural, ResourceName: name, Revision: 3,
			Timestamp: ago(time.Hour),
		}
	}
	graph := v1.RelationGraph{
		Objects: []v1.RelatedObject{
			object("exists", "Deployment", "deployments", "web"),
			object("exists", "ReplicaSet", "replicasets", "web-7d9f"),
			object("exists", "Pod", "pods", "web-7d9f-x2k1p"),
			object("missing", "ConfigMap", "configmaps", "web-config"),
			object("unrecorded", "Secret", "secrets", "db-credentials\x1b[31m"),
			object("exists", "Service", "services", "web"),
		},
		Relations: []v1.Relation{
			{From: 1, To: 0, Rule: "owner"},
			{From: 2, To: 1, Rule: "owner"},
			{From: 0, To: 3, Rule: "envFrom", Path: "spec.template.spec.containers[name=app].envFrom[0]"},
			{From: 0, To: 4, Rule: "volume", Optional: true},
			{From: 5, To: 2, Rule: "selector", Path: "spec.selector"},
		},
	}
	testWidths(t, func(p *render.Printer) error { return p.Tree(&graph) })
}

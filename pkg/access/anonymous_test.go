package access_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/access"
	"github.com/watchhistory/watchhistory/pkg/history"
)

func TestAnonymous_ReadsScopesAndResources(t *testing.T) {
	secrets, nodes := schema.GroupResource{Resource: "secrets"}, schema.GroupResource{Resource: "nodes"}
	all, shop := history.AllNamespaces, history.NamespaceScope("shop")
	for _, tt := range []struct {
		name   string
		limits access.Anonymous
		want   map[string]bool
	}{
		{"scopes", access.Anonymous{Scopes: []history.NamespaceScope{"shop"}}, map[string]bool{
			"list pods ": false, "list pods shop": true, "list pods bank": false, "list pods -": false,
			"list nodes -": false, "list secrets shop": true,
			"get pods /": false, "get pods shop/": true, "get pods shop/a": true, "get pods bank/a": false,
			"get nodes /a": false,
		}},
		{"cluster-scoped", access.Anonymous{Scopes: []history.NamespaceScope{history.ClusterScoped}}, map[string]bool{
			"list pods ": false, "list pods shop": false, "list nodes -": true,
			"get nodes /a": true, "get nodes /": false,
		}},
		{"resources", access.Anonymous{Resources: []schema.GroupResource{pods}}, map[string]bool{
			"list pods ": true, "list pods shop": true, "list secrets shop": false, "list nodes -": false,
			"get pods /": true, "get pods shop/a": true, "get secrets shop/a": false,
		}},
		{
			"both",
			access.Anonymous{Scopes: []history.NamespaceScope{"shop"}, Resources: []schema.GroupResource{pods}},
			map[string]bool{
				"list pods ": false, "list pods shop": true, "list pods bank": false, "list secrets shop": false,
				"get pods /": false, "get pods shop/a": true, "get secrets shop/a": false,
			},
		},
	} {
		got := map[string]bool{}
		for _, r := range []schema.GroupResource{pods, secrets, nodes} {
			for _, scope := range []history.NamespaceScope{all, shop, "bank", history.ClusterScoped} {
				allowed, err := tt.limits.List(t.Context(), r, scope)
				if err != nil {
					t.Fatal(err)
				}
				got[fmt.Sprintf("list %s %s", r, scope)] = allowed
			}
			for _, of := range [][2]string{{"", ""}, {"shop", ""}, {"shop", "a"}, {"bank", "a"}, {"", "a"}} {
				allowed, err := tt.limits.Get(t.Context(), r, of[0], of[1])
				if err != nil {
					t.Fatal(err)
				}
				got[fmt.Sprintf("get %s %s/%s", r, of[0], of[1])] = allowed
			}
		}
		for right, want := range tt.want {
			if got[right] != want {
				t.Errorf("%s: %s: got %t, want %t", tt.name, right, got[right], want)
			}
		}
	}
}

func TestAnonymous_ReadsPresentNamespaces(t *testing.T) {
	newNamespaces := func(config *rest.Config) *access.Namespaces {
		t.Helper()
		client, err := rest.HTTPClientFor(config)
		if err != nil {
			t.Fatal(err)
		}
		n, err := access.NewNamespaces(config, client, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	config := recorder(t)
	existing := newNamespaces(config)
	a := access.Anonymous{
		Scopes: []history.NamespaceScope{"anonymous", "nosuch", history.ClusterScoped}, Existing: existing,
	}
	check := func(what string, want map[string]time.Time) {
		t.Helper()
		got, err := a.Namespaces(t.Context(), history.Activity{})
		same := len(got) == len(want)
		for name, at := range want {
			same = same && got[name].Equal(at)
		}
		if err != nil || !same {
			t.Errorf("%s: got %v, error %v, want %v", what, got, err, want)
		}
	}
	check("before", nil)
	first := namespace(t, "anonymous")
	check("within the life of the list", nil)
	existing.Granted()
	check("after a new right", map[string]time.Time{"anonymous": first.CreationTimestamp.Time})

	broken := rest.CopyConfig(config)
	broken.Host = "https://127.0.0.1:1"
	a.Existing = newNamespaces(broken)
	if _, err := a.Namespaces(t.Context(), history.Activity{}); history.CodeOf(err) != history.Unavailable {
		t.Errorf("without the API server: got error %v, want one that is unavailable", err)
	}
	a.Scopes = []history.NamespaceScope{history.ClusterScoped}
	check("without a namespace", nil) // the API server is not asked
	a.Scopes, a.Existing = []history.NamespaceScope{"nosuch"}, nil
	check("with earlier namespaces", map[string]time.Time{"nosuch": {}})
}

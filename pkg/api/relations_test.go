package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// relatedOf records a Deployment that uses a ConfigMap, its ReplicaSet and its
// pod. The ConfigMap is deleted at last. It returns the times of the records.
func relatedOf(s *server) (times []time.Time) {
	const spec = `"spec":{"containers":[{"name":"app","envFrom":[{"configMapRef":{"name":"web"}},` +
		`{"secretRef":{"name":"token","optional":true}}]}],"nodeName":"node-1"}`
	owner := func(group, kind, name string) string {
		return fmt.Sprintf(`{"metadata":{"name":"x","ownerReferences":[{"apiVersion":%q,"kind":%q,"name":%q,`+
			`"uid":"uid-of-%s"}]},`, group, kind, name, name)
	}
	set := change(history.Create, "replicasets", "shop", "web-1",
		owner("apps/v1", "Deployment", "web-deployment")+`"spec":{"template":{`+spec+`}}}`)
	set.Owners = []types.UID{"uid-of-web-deployment"}
	pod := change(history.Create, "pods", "shop", "web-1-a", owner("apps/v1", "ReplicaSet", "web-1")+spec+`}`)
	pod.Owners = []types.UID{set.Ref.UID}
	deployment := change(history.Create, "deployments", "shop", "web-deployment", `{"spec":{"template":{`+spec+`}}}`)
	deployment.Ref.UID = "uid-of-web-deployment"
	set.Ref.UID, pod.Owners = "uid-of-web-1", []types.UID{"uid-of-web-1"}
	records := []*history.Record{
		change(history.Create, "configmaps", "shop", "web", `{"data":{}}`), deployment, set, pod,
		change(history.Create, "nodes", "", "node-1", `{}`),
		change(history.Delete, "configmaps", "shop", "web", `{"data":{}}`),
	}
	s.put(records...)
	for _, r := range records {
		times = append(times, r.Time)
	}
	return times
}

func TestRelations_MatchGolden(t *testing.T) {
	s := newServer(t, api.Options{})
	at := relatedOf(s)
	var answers strings.Builder
	for _, path := range []string{
		"/shop/deploy/web-deployment?at=" + at[4].Format(time.RFC3339Nano),
		"/shop/cm/web?at=" + at[4].Format(time.RFC3339Nano),
		"/shop/cm/web?at=" + at[5].Format(time.RFC3339Nano),
		"/-/nodes/node-1?depth=2&at=" + at[4].Format(time.RFC3339Nano),
		"/shop/cm/none?at=" + at[4].Format(time.RFC3339Nano),
		"/shop/cm/web?at=2000-01-01T00:00:00Z",
		"/shop/unicorns/web",
		"/shop/cm",
		"/shop/cm/web?depth=0",
		"/shop/cm/web?depth=6",
		"/shop/cm/web?at=yesterday",
	} {
		code, header, body := s.get(v1.RelationsRoot + path)
		fmt.Fprintf(&answers, "GET %s\n%d\n", path, code)
		for _, name := range []string{
			"Content-Type", "X-Total-Count", "X-Total-Count-Relation", "X-Has-More", "X-History-Gaps", "Etag",
			"Cache-Control",
		} {
			if value := header.Get(name); value != "" {
				fmt.Fprintf(&answers, "%s: %s\n", name, value)
			}
		}
		answers.WriteString(body + "\n")
	}
	golden(t, "relations.golden", answers.String())
}

func TestRelations_PositionsAreOfObjects(t *testing.T) {
	s := newServer(t, api.Options{})
	at := relatedOf(s)
	for depth := 1; depth <= v1.MaxDepth; depth++ {
		_, _, body := s.get(fmt.Sprintf("%s/shop/pods/web-1-a?depth=%d&at=%s",
			v1.RelationsRoot, depth, at[4].Format(time.RFC3339Nano)))
		var graph v1.RelationGraph
		if err := json.Unmarshal([]byte(body), &graph); err != nil {
			t.Fatal(err)
		}
		linked := map[int]bool{0: true}
		for _, r := range graph.Relations {
			if r.From < 0 || r.From >= len(graph.Objects) || r.To < 0 || r.To >= len(graph.Objects) {
				t.Fatalf("depth %d: got %+v with %d objects", depth, r, len(graph.Objects))
			}
			linked[r.From], linked[r.To] = true, true
		}
		if len(linked) != len(graph.Objects) {
			t.Errorf("depth %d: got relations of %d objects, want all %d", depth, len(linked), len(graph.Objects))
		}
	}
}

func TestRelations_AnswerOfThePastHasTag(t *testing.T) {
	s := newServer(t, api.Options{})
	at := relatedOf(s)
	target := v1.RelationsRoot + "/shop/deploy/web-deployment?at="
	_, header, _ := s.get(target + at[3].Format(time.RFC3339Nano))
	if header.Get("Etag") == "" {
		t.Error("got no ETag of an answer about the past, want one")
	}
	now := s.now.Add(time.Second)
	s.Handler = api.New(query.New(s.log, query.Options{Now: func() time.Time { return now }}), api.Options{})
	if _, header, _ = s.get(target + "now"); header.Get("Etag") != "" {
		t.Errorf("got ETag %s of an answer about the present, want none", header.Get("Etag"))
	}
}

// A caller reads the names in what they may read, and nothing else.
func TestRelations_ShowRestrictedCallerNamesOnly(t *testing.T) {
	const secret = "hidden"
	s := newServer(t, api.Options{})
	caller := tenant{recreated: s.now.Truncate(time.Second)}
	tenancy(s, true)
	now := s.now.Add(time.Second)
	s.Handler = api.New(query.New(s.log, query.Options{Now: func() time.Time { return now }}), api.Options{
		Caller: func(context.Context) query.Authorizer { return caller },
	})
	code, header, body := s.get(v1.RelationsRoot + "/shop/deployments/web")
	var graph v1.RelationGraph
	if err := json.Unmarshal([]byte(body), &graph); err != nil || code != http.StatusOK {
		t.Fatalf("got %d %s, error %v", code, body, err)
	}
	var got []string
	for _, o := range graph.Objects {
		got = append(got, fmt.Sprintf("%s/%s %s %d", o.ResourceType, o.ResourceName, o.State, o.Revision))
	}
	want := []string{"deployments/web exists 4", "configmaps/web exists 4", "secrets/" + secret + " missing 0"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if header.Get(v1.RestrictedHeader) != "true" {
		t.Error("got an answer that is not restricted, want one that is")
	}
	// The ReplicaSet that the caller may not read uses the ConfigMap, too.
	_, _, body = s.get(v1.RelationsRoot + "/shop/configmaps/web?depth=5")
	if strings.Contains(body, foreign) || strings.Contains(body, "web-1") || strings.Contains(body, "vault") {
		t.Errorf("got %s, want nothing of others", body)
	}
	// Nodes are hidden, so that nothing is known of the pod's node.
	_, _, body = s.get(v1.RelationsRoot + "/shop/pods/web")
	if !strings.Contains(body, `{"state":"unrecorded","namespace":"","resourceType":"nodes","resourceName":"own"`) {
		t.Errorf("got %s, want a node of which only the name is known", body)
	}
}

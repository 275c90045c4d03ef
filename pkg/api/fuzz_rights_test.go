package api_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/api"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// tenant is a caller who may list some resources of the namespace shop, and get
// one object and one Secret of another one. The namespace was created again.
type tenant struct{ recreated time.Time }

func (tenant) List(_ context.Context, r schema.GroupResource, scope history.NamespaceScope) (bool, error) {
	listed := []string{"pods", "configmaps", "events", "deployments", "secrets"}
	return scope == "shop" && slices.Contains(listed, r.Resource), nil
}

func (tenant) Get(_ context.Context, r schema.GroupResource, namespace, name string) (bool, error) {
	return namespace == "vault" && r.Resource == "configmaps" && name == "public" ||
		namespace == "shop" && r.Resource == "secrets" && name == "mine", nil
}

func (tenant) Path(context.Context, string) (bool, error) { return false, nil }

func (c tenant) Namespaces(context.Context, history.Activity) (map[string]time.Time, error) {
	return map[string]time.Time{"shop": c.recreated, "vault": {}}, nil
}

// foreign is in everything that the tenant may not read.
const foreign = "f0re1gn"

// tenancy records versions of the tenant and of others. Without others, only
// the time passes.
func tenancy(s *server, others bool) {
	s.tb.Helper()
	if err := s.log.Register(s.tb.Context(), history.Resource{
		Version: "v1", Plural: "secrets", Kind: "Secret", Namespaced: true,
	}); err != nil {
		s.tb.Fatal(err)
	}
	body := func(namespace, name, rest string, created time.Time) string {
		return fmt.Sprintf(`{"metadata":{"name":%q,"namespace":%q,"creationTimestamp":%q,"labels":{"app":%q}},`+
			`"data":{"a":%q},"spec":{"nodeName":%q,"selector":{"app":%q},"volumes":[{"configMap":{"name":"web"}},`+
			`{"secret":{"secretName":"mine"}}],"template":{"spec":{"containers":[{"envFrom":[{"configMapRef":`+
			`{"name":"web"}},{"secretRef":{"name":"hidden"}}]}]}}}}`,
			name, namespace, created.Format(time.RFC3339), rest, rest, rest, rest)
	}
	before, after := s.now.Add(-time.Hour), s.now
	put := func(
		own bool, verb history.Verb, resource, namespace, name, rest string, created time.Time,
	) *history.Record {
		r := change(verb, resource, namespace, name, body(namespace, name, rest, created))
		r.Ref.UID = types.UID("uid-of-" + resource + namespace + name + rest)
		if own || others {
			s.put(r)
		} else {
			s.now = s.now.Add(time.Second)
		}
		return r
	}
	const hash = "hmac-sha256:0123456789abcdef0123456789abcdef"
	for _, verb := range []history.Verb{history.Create, history.Update, history.Delete, history.Create} {
		web := put(true, verb, "pods", "shop", "web", "own", after)
		put(false, verb, "pods", "vault", "web", foreign, after)
		put(false, verb, "pods", "shop", "old", foreign, before)
		put(false, verb, "pods", "vault", foreign, foreign, after)
		put(true, verb, "configmaps", "shop", "web", "own", after)
		put(false, verb, "nodes", "", foreign, foreign, after)
		put(true, verb, "deployments", "shop", "web", "own", after)
		put(false, verb, "replicasets", "shop", "web-1", foreign, after)
		put(true, verb, "secrets", "shop", "mine", hash, after)
		put(false, verb, "secrets", "vault", "mine", hash+foreign, after)
		event := regarding("e-"+verb.String(), web, `{"metadata":{"creationTimestamp":"`+after.Format(time.RFC3339)+
			`"},"reason":"BackOff","type":"Warning","message":"own"}`)
		s.put(event)
		other := regarding("e-"+foreign+verb.String(), web, `{"reason":"BackOff","message":"`+foreign+`"}`)
		if other.Ref.Namespace = "vault"; others {
			s.put(other)
		} else {
			s.now = s.now.Add(time.Second)
		}
	}
	put(false, history.Create, "persistentvolumes", "", foreign, foreign, after)
}

// FuzzHandler_HidesOthers sends arbitrary requests as a restricted caller, to
// two logs of which only one contains objects of others. The answers are the
// same, byte for byte. So they contain nothing of others, unless it is in the
// request.
func FuzzHandler_HidesOthers(f *testing.F) {
	var servers [2]*server
	stopping := make(chan struct{})
	close(stopping) // streams end at once
	// The cursors of a stream are encrypted, each with another nonce.
	cursor := regexp.MustCompile(`"cursor":"[^"]*"`)
	for i := range servers {
		servers[i] = newServer(f, api.Options{})
		s := servers[i]
		// Objects have their creation in whole seconds.
		caller := tenant{recreated: s.now.Truncate(time.Second)}
		tenancy(s, i == 1)
		now := s.now.Add(time.Second)
		s.Handler = api.New(query.New(s.log, query.Options{
			Now: func() time.Time { return now }, Feed: s.log,
		}), api.Options{
			MaxLimit: func() int { return 3 }, Rate: api.NoRate, Stopping: stopping,
			Caller: func(context.Context) query.Authorizer { return caller },
		})
	}
	if _, header, _ := servers[0].get("/api/v1/events?namespace=shop&empty=200"); header.Get("X-Total-Count") != "20" {
		f.Fatalf("got %s records of the tenant, want 20", header.Get("X-Total-Count"))
	}
	for _, seed := range [][2]string{
		{"/api/v1/events", "order=desc&empty=200"},
		{"/api/v1/events", "namespace=vault,shop&resourceType=pods,nodes&empty=200"},
		{"/api/v1/events", "resourceName=" + foreign},
		{"/api/v1/events", "resourceName=mine&cursor=OO8ob_zTbuA"},
		{"/api/v1/events", "uid=uid-of-podsvaultweb" + foreign + "&summary=true"},
		{"/api/v1/events", "q=object.data.a!%3Dold.data.a%7C%7Cverb%3D%3D%22delete%22"},
		{"/api/v1/events", "labelSelector=app!%3Down&fieldSelector=metadata.namespace=vault&manager=x"},
		{"/api/v1/events", "reason=BackOff&start=2100-01-02T03:04:05Z&end=2100-01-02T03:04:40Z"},
		{"/api/v1/events", "watch=true&start=2100-01-02T03:04:05Z&q=verb%3D%3D%22delete%22"},
		{"/api/v1/events", "watch=1&start=2100-01-01T00:00:00Z&namespace=vault,shop&summary=true"},
		{"/api/v1/events/shop/pods/web", "limit=1&type=Warning"},
		{"/api/v1/events/shop/deployments/web", "descendants=true"},
		{"/api/v1/events/shop/pods/old", "revision=1,2"},
		{"/api/v1/events/vault/configmaps/public", ""},
		{"/api/v1/events/-/nodes/" + foreign, ""},
		{"/api/v1/resources", ""},
		{"/api/v1/gaps", "resourceType=nodes"},
		{"/api/v1/state", "at=2100-01-02T03:04:40Z&limit=2"},
		{"/api/v1/state", "namespace=vault&strip=true"},
		{"/api/v1/state", "resourceType=nodes"},
		{"/api/v1/compare", "from=2100-01-02T03:04:06Z&to=2100-01-02T03:04:50Z&noise=true"},
		{"/api/v1/compare", "from=2100-01-02T03:04:06Z&resourceName=" + foreign},
		{"/api/v1/compare", "from=2100-01-02T03:04:06Z&count=true&noise=true"},
		{"/api/v1/compare", "from=2100-01-02T03:04:20Z&count=true&namespace=vault"},
		{"/api/v1/events", "outcome=true"},
		{"/api/v1/events", "outcome=true&order=desc&resourceType=deployments,pods&summary=true"},
		{"/api/v1/events", "outcome=true&namespace=vault,shop&q=verb%3D%3D%22update%22"},
		{"/api/v1/events", "outcome=true&watch=true&start=2100-01-01T00:00:00Z"},
		{"/api/v1/relations/shop/configmaps/web", "depth=3"},
		{"/api/v1/relations/shop/deployments/web", "at=2100-01-02T03:04:40Z"},
		{"/api/v1/relations/shop/pods/web", "at=2100-01-02T03:04:50Z&depth=2"},
		{"/api/v1/relations/shop/pods/old", ""},
		{"/api/v1/events", "fold=true"},
		{"/api/v1/events", "fold=true&order=desc&limit=2&namespace=shop"},
		{"/api/v1/events", "fold=true&namespace=vault,shop&q=verb%3D%3D%22delete%22"},
		{"/api/v1/events", "fold=true&consequences=9&text=e"},
		{"/api/v1/events", "text=hmac&summary=true&writer=!helm"},
		{"/api/v1/events", "class=onset,root&summary=true"},
		{"/api/v1/why/shop/pods/web", "at=2100-01-02T03:04:50Z"},
		{"/api/v1/why/shop/deployments/web", ""},
		{"/api/v1/why/shop/pods/old", ""},
		{"/api/v1/why/vault/configmaps/public", ""},
		{"/api/v1/why/shop/secrets/mine", "limit=9"},
		{"/api/v1/relations/shop/secrets/mine", "depth=5"},
		{"/api/v1/relations/shop/secrets/hidden", ""},
		{"/api/v1/relations/shop/replicasets/web-1", ""},
		{"/api/v1/relations/vault/configmaps/web", "depth=2"},
		{"/api/v1/relations/vault/configmaps/public", ""},
		{"/api/v1/relations/-/nodes/own", ""},
		{"/api/v1/relations/-/nodes/" + foreign, "depth=4"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, path, rawQuery string) {
		if strings.Contains(path, "?") {
			return
		}
		var want string
		for i := range servers {
			one := &server{Handler: servers[i].Handler, tb: t}
			code, header, body := one.get(path + "?" + rawQuery)
			header.Del("Server-Timing")
			header.Del("X-Request-Id")
			got := fmt.Sprint(code, header, cursor.ReplaceAllString(body, ""))
			if code >= http.StatusInternalServerError {
				t.Fatalf("%q %q: got %d %q, want no server error", path, rawQuery, code, body)
			}
			if i == 0 {
				want = got
			} else if got != want {
				t.Fatalf("%q %q: got %q, want %q as without others", path, rawQuery, got, want)
			}
		}
	})
}

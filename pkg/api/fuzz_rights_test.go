package api_test

import (
	"cmp"
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

// outage records an incident of the tenant that objects of others surround:
// they own the tenant's pods, too, use the tenant's ConfigMap, and have the
// host that the message of the pods names. Without others, only the time
// passes.
func outage(s *server, others bool) {
	s.tb.Helper()
	for _, r := range []history.Resource{
		{Plural: "services", Kind: "Service", Namespaced: true},
		{Plural: "namespaces", Kind: "Namespace"},
		{Group: "apps", Plural: "statefulsets", Kind: "StatefulSet", Namespaced: true},
		{Group: "example.com", Plural: "widgets", Kind: "Widget", Namespaced: true},
	} {
		r.Version = "v1"
		if err := s.log.Register(s.tb.Context(), r); err != nil {
			s.tb.Fatal(err)
		}
	}
	created := s.now.Format(time.RFC3339)
	put := func(own bool, r *history.Record, group string, class history.Class, owners ...types.UID) *history.Record {
		rest, _ := strings.CutPrefix(string(r.Object), "{")
		r.Object = []byte(fmt.Sprintf(`{"metadata":{"name":%q,"namespace":%q,"creationTimestamp":%q,"generation":1},`,
			r.Ref.Name, r.Ref.Namespace, created) + rest)
		r.Ref.UID = types.UID("uid-of-" + r.Ref.Resource + r.Ref.Namespace + r.Ref.Name)
		r.Ref.Group, r.Class, r.Owners = cmp.Or(group, r.Ref.Group), class, owners
		r.Managers = []history.Manager{{Name: "kubectl-edit"}}
		if !own {
			r.Managers[0].Name = foreign
		}
		if own || others {
			s.put(r)
		} else {
			s.now = s.now.Add(time.Second)
		}
		return r
	}
	const (
		template = `{"spec":{"replicas":2,"n":%d,"selector":{"matchLabels":{"app":"api"}},"template":{"spec":{` +
			`"containers":[{"name":"app","envFrom":[{"configMapRef":{"name":"settings"}}]}]}}},` +
			`"status":{"observedGeneration":1,"replicas":2,"updatedReplicas":2,"readyReplicas":%[2]d,` +
			`"availableReplicas":%[2]d}}`
		pod = `{"labels":{"app":"api"},"spec":{"nodeName":"` + foreign + `","containers":[{"name":"app",` +
			`"envFrom":[{"configMapRef":{"name":"settings"}}]}]},"status":{"phase":"Running",` +
			`"containerStatuses":[{"name":"app","ready":%s}]}}`
		runs  = `true,"state":{"running":{"startedAt":"2026-11-25T09:00:00Z"}}`
		fails = `false,"state":{"waiting":{"reason":"CrashLoopBackOff"}},"lastState":{"terminated":{"exitCode":1,` +
			`"reason":"Error","message":"dial tcp: payments.vault.svc.cluster.local:80: connection refused"}}`
		uses = `{"spec":{"template":{"spec":{"containers":[{"envFrom":[{"configMapRef":{"name":"settings"}},` +
			`{"secretRef":{"name":"mine"}}]}]}}},"keysRef":{"kind":"ConfigMap","name":"settings"}}`
	)
	config := put(true, change(history.Create, "configmaps", "shop", "settings", `{"data":{"a":"1"}}`), "",
		history.Root)
	api := put(true, change(history.Create, "deployments", "shop", "api", fmt.Sprintf(template, 1, 2)), "",
		history.Root)
	set := put(false, change(history.Create, "replicasets", "shop", "api-"+foreign, `{"spec":{}}`), "",
		history.Consequence, api.Ref.UID)
	for _, name := range []string{"api-1", "api-2"} {
		put(true, change(history.Create, "pods", "shop", name, fmt.Sprintf(pod, runs)), "", history.Consequence,
			set.Ref.UID, api.Ref.UID)
	}
	for _, group := range [][2]string{{"apps", "statefulsets"}, {"example.com", "widgets"}} {
		put(false, change(history.Create, group[1], "shop", foreign, uses), group[0], history.Root)
		put(false, change(history.Create, group[1], "vault", "payments", uses), group[0], history.Root)
	}
	for _, of := range [][3]string{{"vault", "payments", "b"}, {"shop", "api", "api"}} {
		put(false, change(history.Create, "services", of[0], of[1], `{"spec":{"selector":{"app":"`+of[2]+`"}}}`), "",
			history.Root)
	}
	for n := range 2 {
		put(true, change(history.Update, "configmaps", "shop", config.Ref.Name,
			fmt.Sprintf(`{"data":{"a":"%d"}}`, n+2)), "", history.Root)
		put(false, change(history.Update, "services", "vault", "payments", `{"spec":{"selector":{"a":"c"}}}`), "",
			history.Root)
		put(false, change(history.Update, "replicasets", "shop", set.Ref.Name, `{"spec":{}}`), "", history.Root,
			api.Ref.UID)
		put(false, change(history.Update, "nodes", "", foreign, `{"spec":{"unschedulable":true}}`), "", history.Root)
		put(true, change(history.Update, "deployments", "shop", "api", fmt.Sprintf(template, n+2, 2)), "", history.Root)
		put(true, change(history.Update, "deployments", "shop", "api", fmt.Sprintf(template, n+2, 0)), "",
			history.Consequence)
		for _, name := range []string{"api-1", "api-2"} {
			r := put(true, change(history.Update, "pods", "shop", name, fmt.Sprintf(pod, fails)), "", history.Onset,
				set.Ref.UID, api.Ref.UID)
			event := regarding(fmt.Sprint(name, "-", n), r, `{"reason":"BackOff","type":"Warning","message":"own"}`)
			put(true, event, "", history.Onset)
			event = regarding(fmt.Sprint(name, "-", foreign, n), r, `{"reason":"Failed","message":"`+foreign+`"}`)
			event.Ref.Namespace = "vault"
			put(false, event, "", history.Onset)
			put(false, change(history.Update, "pods", "vault", name, fmt.Sprintf(pod, fails)), "", history.Onset,
				set.Ref.UID, api.Ref.UID)
		}
	}
	put(false, change(history.Delete, "services", "vault", "payments", `{}`), "", history.Root)
	put(false, change(history.Delete, "namespaces", "", "shop", `{"metadata":{"deletionTimestamp":"`+created+`"}}`), "",
		history.Root)
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
		outage(s, i == 1)
		now := s.now.Add(time.Second)
		s.Handler = api.New(query.New(s.log, query.Options{
			Now: func() time.Time { return now }, Feed: s.log,
		}), api.Options{
			MaxLimit: func() int { return 3 }, Rate: api.NoRate, Stopping: stopping,
			Caller: func(context.Context) query.Authorizer { return caller },
		})
	}
	const total = "38"
	if _, header, _ := servers[0].get("/api/v1/events?namespace=shop&empty=200"); header.Get("X-Total-Count") != total {
		f.Fatalf("got %s records of the tenant, want %s", header.Get("X-Total-Count"), total)
	}
	// Empty answers would be equal, too.
	for target, want := range map[string]string{
		"events?fold=true&order=desc&consequences=9": `"problems":[{ "outcome":{"state":"failing" "followed":[{` +
			` "usedBy":[{ "consequences":5`,
		"events?fold=true&order=desc&text=crashloop":                       `"name":"api"`,
		"events?fold=true&writer=kubectl&resourceType=deploy":              `"kubectl-edit"`,
		"events?outcome=true&order=desc&resourceType=deploy":               `"state":"failing" "consequences":5`,
		"compare?from=2100-01-02T03:05:02Z&count=true&resourceType=deploy": `"existed":{"objects":2 "changed"`,
		"why/shop/deployments/api":                                         `"CrashLoop" "score": payments.vault.svc`,
		"relations/shop/configmaps/settings?depth=3":                       `"api-1"`,
	} {
		code, _, body := servers[0].get("/api/v1/" + target)
		for part := range strings.FieldsSeq(want) {
			if code != http.StatusOK || !strings.Contains(body, part) {
				f.Errorf("%s: got %d %s, want it with %s", target, code, body, part)
			}
		}
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
		{"/api/v1/state", "problem=true&limit=1"},
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
		{"/api/v1/events", "fold=true&order=desc&consequences=9"},
		{"/api/v1/events", "fold=true&order=desc&consequences=1&limit=1&writer=!helm"},
		{"/api/v1/events", "fold=true&writer=" + foreign},
		{"/api/v1/events", "fold=true&text=" + foreign},
		{"/api/v1/events", "fold=true&text=crashloop&consequences=2&end=2100-01-02T03:05:50Z"},
		{"/api/v1/events", "fold=true&start=2100-01-02T03:05:20Z&resourceType=pods,nodes,services"},
		{"/api/v1/events", "outcome=true&order=desc&resourceType=deploy"},
		{"/api/v1/events", "outcome=true&text=payments&writer=kubectl"},
		{"/api/v1/compare", "from=2100-01-02T03:05:00Z&to=2100-01-02T03:05:40Z&count=true"},
		{"/api/v1/why/shop/deployments/api", ""},
		{"/api/v1/why/shop/deployments/api", "limit=20&at=2100-01-02T03:05:40Z"},
		{"/api/v1/why/shop/pods/api-1", "limit=20"},
		{"/api/v1/why/shop/services/api", ""},
		{"/api/v1/why/vault/services/payments", ""},
		{"/api/v1/relations/shop/deployments/api", "depth=4"},
		{"/api/v1/relations/shop/configmaps/settings", "depth=3"},
		{"/api/v1/events/shop/deployments/api", "descendants=true"},
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

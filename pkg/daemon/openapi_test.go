package daemon_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/rig/openapi"
)

// checker compares answers of these tests with the OpenAPI document.
var checker = sync.OnceValue(func() *openapi.Checker {
	c, err := openapi.NewChecker("../api/openapi.json")
	if err != nil {
		panic(err)
	}
	return c
})

// checkDescribed compares a response to a GET with the OpenAPI document.
func checkDescribed(t *testing.T, response *http.Response, body []byte) {
	t.Helper()
	if err := checker().Check(openapi.Answer{
		Method: http.MethodGet, Path: response.Request.URL.Path, Status: response.StatusCode,
		Header: response.Header, Body: body,
	}); err != nil {
		t.Error(err)
	}
}

// places returns the namespaces and the resources of events, each once, sorted.
func places(events []v1.Event) string {
	all := map[string]bool{}
	for _, e := range events {
		all[e.Namespace+"/"+e.ResourceType] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(all)), " ")
}

// answerTo returns the answer of the listener without TLS to a GET.
func (r *running) answerTo(t *testing.T, path string) answer {
	t.Helper()
	return fetch(t, http.DefaultClient, r.url+path, "")
}

// TestOpenAPI_DescribesRealAnswers asks a recorder of a real API server for
// every endpoint. fetch compares each answer with the document.
func TestOpenAPI_DescribesRealAnswers(t *testing.T) {
	noLeaks(t)
	kubectl(t, "create", "namespace", "described")
	kubectl(t, "create", "clusterrolebinding", "described", "--clusterrole=cluster-admin",
		"--serviceaccount=described:admin")
	admin, err := cluster.Token(t.Context(), "described", "admin")
	if err != nil {
		t.Fatal(err)
	}
	reader, err := cluster.Token(t.Context(), "described", "reader")
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, t.TempDir(), cluster.Config(), func(c *daemon.Config) { c.SecurePort = 0 })
	begin := time.Now()
	apply(t, `{"apiVersion":"v1","kind":"Node","metadata":{"name":"described"}}`)
	kubectl(t, "create", "deployment", "web", "-n", "described", "--image=web:1")
	kubectl(t, "scale", "deployment", "web", "-n", "described", "--replicas=3")
	kubectl(t, "create", "configmap", "settings", "-n", "described", "--from-literal=a=1")
	kubectl(t, "annotate", "configmap", "settings", "-n", "described", "note=1")
	kubectl(t, "delete", "configmap", "settings", "-n", "described")
	kubectl(t, "create", "secret", "generic", "pin", "-n", "described", "--from-literal=pin=123456")
	warn(t, "web.1", "described", `"apiVersion":"apps/v1","kind":"Deployment","namespace":"described","name":"web"`)
	r.records(t, "namespace=described&resourceName=settings", "create update delete")
	r.eventually(t, "the deployment, the Secret and the Event are recorded", func() (bool, string) {
		got := places(r.events(t, "namespace=described&resourceType=deploy,secrets,events"))
		return got == "described/deployments described/events described/secrets", got
	})
	end := time.Now()
	from, to := url.QueryEscape(begin.Format(time.RFC3339Nano)), url.QueryEscape(end.Format(time.RFC3339Nano))
	object, state := v1.EventsPath+"/described/deploy/web", v1.StatePath+"?namespace=described"
	compare := v1.ComparePath + "?namespace=described&from=" + from + "&to=" + to
	related := v1.RelationsRoot + "/described/deploy/web"
	client := secureClient(t, r.authorities())
	for request, want := range map[string]int{
		v1.EventsPath:              200,
		v1.EventsPath + "?limit=5": 200,
		v1.EventsPath + "?namespace=described,-&order=desc&summary=true":             200,
		v1.EventsPath + "?resourceType=deploy,cm,Secret&verb=create,update":          200,
		v1.EventsPath + "?group=apps&manager=kubectl-create&manager=x&empty=200":     200,
		v1.EventsPath + "?q=" + url.QueryEscape(`verb == "delete"`) + "&empty=200":   200,
		v1.EventsPath + "?labelSelector=app%3Dweb&fieldSelector=metadata.name%3Dweb": 200,
		v1.EventsPath + "?reason=Probed&type=Warning":                                200,
		v1.EventsPath + "?start=" + from + "&end=" + to:                              200,
		v1.EventsPath + "?user=alice":                                                404,
		v1.EventsPath + "?end=2001-01-01T00:00:00Z":                                  404,
		v1.EventsPath + "?start=yesterday":                                           400,
		v1.EventsPath + "?type=Warning&q=1":                                          400,
		object:                                                                       200,
		object + "?limit=1&descendants=true":                                         200,
		object + "?revision=1":                                                       200,
		object + "?empty=200&uid=none":                                               200,
		object + "?uid=none&end=" + from:                                             404,
		object + "?revision=x":                                                       400,
		v1.EventsPath + "/-/nodes/described":                                         200,
		v1.EventsPath + "/described/secrets/pin":                                     200,
		v1.EventsPath + "/described":                                                 400,
		state:                                                                        200,
		state + "&resourceType=deploy&strip=true":                                    200,
		state + "&limit=1&at=" + to:                                                  200,
		state + "&resourceType=nosuch":                                               404,
		state + "&at=2001-01-01T00:00:00Z":                                           404,
		state + "&at=x":                                                              400,
		compare:                                                                      200,
		compare + "&noise=true&summary=true":                                         200,
		compare + "&resourceType=nosuch":                                             404,
		v1.ComparePath + "?from=" + to + "&to=" + from:                               400,
		related:                       200,
		related + "?depth=2&at=" + to: 200,
		related + "?at=x":             400,
		related + "x":                 404,
		v1.ResourcesPath:              200,
		v1.GapsPath:                   200,
		v1.GapsPath + "?end=x":        400,
		v1.OpenAPIPath:                200,
		v1.HealthPath:                 200,
		v1.LivezPath:                  200,
		v1.ReadyzPath:                 200,
		v1.MetricsPath:                200,
		"/nowhere":                    404,
	} {
		if got := r.answerTo(t, request); got.StatusCode != want {
			t.Errorf("%s: got %s %.300s, want %d", request, got.Status, got.body, want)
		}
		for _, c := range []struct {
			caller, token string
			want          int
		}{{"admin", admin, want}, {"anonymous", "", http.StatusUnauthorized}, {"reader", reader, 0}} {
			got := fetch(t, client, "https://"+r.secure+request, c.token)
			open := strings.Contains(v1.HealthPath+v1.LivezPath+v1.ReadyzPath+v1.OpenAPIPath, request)
			if c.token == "" && open {
				c.want = want
			}
			if c.want != 0 && got.StatusCode != c.want {
				t.Errorf("%s as %s: got %s %.300s, want %d", request, c.caller, got.Status, got.body, c.want)
			}
		}
	}
	if got := fetch(t, client, "https://"+r.secure+v1.MetricsPath, reader); got.StatusCode != http.StatusForbidden {
		t.Errorf("%s as reader: got %s, want 403", v1.MetricsPath, got.Status)
	}
	r.stop(t)
}

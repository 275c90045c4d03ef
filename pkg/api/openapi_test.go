package api_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/rig/openapi"
)

// rollout is the API of a log with a Deployment that was changed twice, and
// with everything that the parameters distinguish.
type rollout struct {
	*server

	from, to string // the time of the first record, and of the last one
}

// The objects of a rollout.
const (
	webName = "web"
	podName = "web-6d4-x7k2p"
	target  = v1.EventsPath + "/shop/deployments/" + webName
	appsV1  = v1.CataloguePath + "/" + schemaName
	related = v1.RelationsRoot + "/shop/deployments/" + webName
	asked   = v1.WhyRoot + "/shop/deployments/" + webName
)

// newRollout returns a rollout at a fixed time.
func newRollout(t *testing.T) *rollout {
	t.Helper()
	s := newServerAt(t, api.Options{}, time.Date(2026, 3, 1, 10, 0, 0, 6007008, time.UTC))
	r := &rollout{server: s}
	s.Handler = api.New(query.New(s.log, query.Options{Now: func() time.Time { return s.now }}), api.Options{
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") }),
		States: func() []v1.Resource {
			return []v1.Resource{{
				Version: "v1", Plural: "pods", Singular: "pod", Kind: "Pod", ShortNames: []string{"po"},
				Namespaced: true, State: "watching",
				Ignored: &v1.Ignored{Namespaces: []string{"load-test"}, Versions: 4711},
			}, {
				Group: "example.com", Version: "v1", Plural: "gadgets", Kind: "Gadget", Namespaced: true,
				State: "waiting", Reason: "not served",
			}}
		},
	})
	object := func(version, kind, name, rest string) string {
		return fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":%q,"namespace":"shop",`+
			`"uid":"uid-of-%s","resourceVersion":"4711","creationTimestamp":"2026-03-01T09:59:59Z",`+
			`"labels":{"app":"web"}}%s}`, version, kind, name, name, rest)
	}
	deployment := func(verb history.Verb, replicas int) *history.Record {
		d := change(verb, "deployments", "shop", webName, object("apps/v1", "Deployment", webName,
			fmt.Sprintf(`,"spec":{"replicas":%d},"status":{"observedGeneration":%d}`, replicas, replicas)))
		d.Managers = []history.Manager{{
			Name: "kubectl-edit", Operation: "Update",
			Time: s.now.Truncate(time.Second), Fields: []string{"spec.replicas"},
		}}
		return d
	}
	first := deployment(history.Create, 1)
	first.Initial, first.Managers = true, nil
	set := change(history.Create, "replicasets", "shop", "web-6d4", object("apps/v1", "ReplicaSet", "web-6d4", ""))
	set.Owners, set.Class = []types.UID{first.Ref.UID}, history.Consequence
	pod := change(history.Create, "pods", "shop", podName, object("v1", "Pod", podName,
		`,"status":{"phase":"Running","containerStatuses":[{"name":"app","restartCount":4,`+
			`"state":{"waiting":{"reason":"CrashLoopBackOff"}}}]}`))
	pod.Owners = []types.UID{set.Ref.UID}
	pod.Managers = []history.Manager{{Name: "default-scheduler", Subresource: "binding"}}
	scaled := regarding("web.1", first, object("v1", "Event", "web.1",
		`,"type":"Normal","reason":"ScalingReplicaSet","message":"Scaled up replica set web-6d4 to 2"`))
	failing := regarding("pod.1", pod, object("v1", "Event", "pod.1",
		`,"type":"Warning","reason":"BackOff","message":"Back-off restarting failed container"`))
	node := func(beat string) *history.Record {
		return change(history.Update, "nodes", "", "node-1", `{"apiVersion":"v1","kind":"Node",`+
			`"metadata":{"name":"node-1"},"status":{"conditions":[{"type":"Ready","status":"True",`+
			`"lastHeartbeatTime":"`+beat+`"}]}}`)
	}
	gone := change(history.Delete, "configmaps", "shop", "settings", object("v1", "ConfigMap", "settings", ``))
	gone.InferredSince = s.now
	start := s.now
	s.addGaps(history.Gap{
		Resource: "pods", Start: start.Add(-time.Hour), End: start.Add(-50 * time.Minute),
		Reason: history.GapRestarted, Detail: "the API server no longer had the changes",
	})
	s.put(document("version", history.Create, `{"gitVersion":"v1.36.0"}`, time.Time{}),
		document(schemaName, history.Create, `{"openapi":"3.0.0"}`, time.Time{}),
		change(history.Create, "configmaps", "shop", "settings", object("v1", "ConfigMap", "settings", ``)),
		first, set, pod, node("2026-03-01T10:00:00Z"), deployment(history.Update, 2), scaled, failing, gone,
		node("2026-03-01T10:00:10Z"), deployment(history.Update, 3),
		document(schemaName, history.Update, `{"openapi":"3.0.1"}`, start))
	r.from, r.to = first.Time.Add(5*time.Second).Format(time.RFC3339Nano), s.now.Format(time.RFC3339Nano)
	return r
}

// TestOpenAPI_MatchesGolden fails if the document does not match the comments
// of package v1, the endpoints of package openapi or the real answers that are
// its examples.
func TestOpenAPI_MatchesGolden(t *testing.T) {
	r := newRollout(t)
	var examples []openapi.Example
	for _, of := range []struct{ path, request string }{
		{v1.EventsPath, v1.EventsPath + "?resourceType=deploy&order=desc&limit=1"},
		{v1.EventsPath, v1.EventsPath + "?namespace=nowhere"},
		{v1.EventsPath, v1.EventsPath + "?order=sideways"},
		{v1.EventsPath, v1.EventsPath + "?start=yesterday"},
		{v1.ObjectPath, target + "?limit=1&summary=true"},
		{v1.ObjectPath, v1.EventsPath + "/shop/deployments/missing"},
		{v1.ObjectPath, target + "?revision=first"},
		{v1.ObjectPath, v1.EventsPath + "/shop/deployments"},
		{v1.StatePath, v1.StatePath + "?namespace=shop&resourceType=deploy&strip=true&at=" + r.to},
		{v1.StatePath, v1.StatePath + "?at=2026-02-01T00:00:00Z"},
		{v1.StatePath, v1.StatePath + "?at=yesterday"},
		{v1.ComparePath, v1.ComparePath + "?namespace=shop&resourceType=deploy&from=" + r.from + "&to=" + r.to},
		{v1.ComparePath, v1.ComparePath + "?resourceType=nosuch&from=" + r.from},
		{v1.ComparePath, v1.ComparePath},
		{v1.RelationsPath, related + "?at=" + r.to},
		{v1.WhyPath, asked + "?at=" + r.to},
		{v1.WhyPath, asked + "x?at=" + r.to},
		{v1.WhyPath, asked + "?limit=many"},
		{v1.RelationsPath, related + "x?at=" + r.to},
		{v1.RelationsPath, related + "?depth=far"},
		{v1.CataloguePath, v1.CataloguePath + "?at=" + r.to},
		{v1.CataloguePath, v1.CataloguePath + "?at=2026-02-01T00:00:00Z"},
		{v1.CataloguePath, v1.CataloguePath + "?at=yesterday"},
		{v1.DocumentPath, appsV1 + "?versions=true&limit=1"},
		{v1.DocumentPath, v1.CataloguePath + "/missing"},
		{v1.DocumentPath, appsV1 + "?versions=maybe"},
		{v1.ResourcesPath, v1.ResourcesPath},
		{v1.GapsPath, v1.GapsPath},
		{v1.GapsPath, v1.GapsPath + "?end=tomorrow"},
		{v1.HealthPath, v1.HealthPath},
		{v1.LivezPath, v1.LivezPath},
		{v1.ReadyzPath, v1.ReadyzPath},
	} {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, of.request, http.NoBody))
		media, _, err := mime.ParseMediaType(w.Header().Get("Content-Type"))
		if err != nil {
			t.Fatalf("%s: %v", of.request, err)
		}
		examples = append(examples, openapi.Example{Path: of.path, Status: w.Code, Type: media, Body: w.Body.String()})
	}
	got, err := openapi.Build("v1", examples)
	if err != nil {
		t.Fatal(err)
	}
	const file = "openapi.json"
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if line := firstDifference(got, want); line != "" {
		t.Errorf("%s: got %s; want no difference: run make docs", file, line)
	}
}

// firstDifference describes the first line that differs between two files.
func firstDifference(got, want []byte) string {
	g, w := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range max(len(g), len(w)) {
		a, b := "the end", "the end"
		if i < len(g) {
			a = string(g[i])
		}
		if i < len(w) {
			b = string(w[i])
		}
		if a != b {
			return fmt.Sprintf("line %d: %s instead of %s", i+1, a, b)
		}
	}
	return ""
}

// TestOpenAPI_HasEveryPath compares the document with the paths of package v1,
// which are those that the API routes.
func TestOpenAPI_HasEveryPath(t *testing.T) {
	documented := openapi.Paths()
	named := 0
	for name, path := range constants(t, "v1/api.go") {
		if !strings.HasSuffix(name, "Path") {
			continue
		}
		named++
		if !slices.Contains(documented, path) {
			t.Errorf("v1.%s: got no endpoint %s in package openapi, want one", name, path)
		}
	}
	if named != len(documented) {
		t.Errorf("paths of package v1: got %d, want the %d of package openapi", named, len(documented))
	}
	r := newRollout(t)
	for _, path := range documented {
		path = example(path)
		if _, _, body := r.get(path); strings.Contains(body, "path "+path+" not found") {
			t.Errorf("%s: got %s, want the endpoint that package openapi has", path, body)
		}
	}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	others := []string{`"/api/"`, `"/var/run/secrets/kubernetes.io/serviceaccount"`} // of the access log, and in pods
	literal := regexp.MustCompile(`"/[a-z]+[^"]*"`)
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		src, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range literal.FindAllString(string(src), -1) {
			if !slices.Contains(others, path) {
				t.Errorf("%s: got the path %s, want a constant of package v1", file.Name(), path)
			}
		}
	}
}

// example returns a path of the rollout that the template selects.
func example(template string) string {
	switch template {
	case v1.ObjectPath:
		return target
	case v1.WhyPath:
		return asked
	case v1.RelationsPath:
		return related
	case v1.DocumentPath:
		return appsV1
	default:
		return template
	}
}

// probe is a value of a parameter, and further parameters with which it makes a
// difference.
type probe struct{ value, with string }

// TestOpenAPI_HasEveryParameter sends every parameter of package v1 to every
// endpoint. The answer must change if the document has the parameter there, and
// must stay the same otherwise.
func TestOpenAPI_HasEveryParameter(t *testing.T) {
	r := newRollout(t)
	probes := map[string]probe{
		v1.ParamStart: {value: "2026-03-02T00:00:00Z"}, v1.ParamEnd: {value: "2026-02-01T00:00:00Z"},
		v1.ParamNamespace: {value: "bank"}, v1.ParamResourceType: {value: "nodes"},
		v1.ParamResourceName: {value: "missing"}, v1.ParamGroup: {value: "batch"}, v1.ParamUID: {value: "none"},
		v1.ParamVerb: {value: "delete"}, v1.ParamUser: {value: "alice"}, v1.ParamManager: {value: "missing"},
		v1.ParamClass:         {value: "onset"},
		v1.ParamLabelSelector: {value: "app=none"}, v1.ParamFieldSelector: {value: "metadata.name=none"},
		v1.ParamReason: {value: "None"}, v1.ParamType: {value: "None"}, v1.ParamQuery: {value: "false"},
		v1.ParamWriter: {value: "missing"}, v1.ParamText: {value: "missing"},
		v1.ParamConsequences: {value: "9", with: "fold=true"},
		v1.ParamLimit:        {value: "1"}, v1.ParamCursor: {}, v1.ParamOrder: {value: "desc"},
		v1.ParamSummary:  {value: "true"},
		v1.ParamEmpty:    {value: "200", with: "start=2026-03-02T00:00:00Z"},
		v1.ParamRevision: {value: "1"}, v1.ParamDescendants: {value: "true"},
		v1.ParamAt: {value: r.from}, v1.ParamStrip: {value: "true"}, v1.ParamProblem: {value: "true"},
		v1.ParamFrom: {value: r.to},
		v1.ParamTo:   {value: r.from}, v1.ParamNoise: {value: "true"},
		v1.ParamFold: {value: "true"}, v1.ParamOutcome: {value: "true"}, v1.ParamCount: {value: "true"},
		v1.ParamPrevious: {value: "true"},
		v1.ParamWatch:    {value: "true", with: "limit=1"}, // a stream has no limit, so it is refused
		v1.ParamHash:     {value: "none"}, v1.ParamVersions: {value: "true"},
		v1.ParamDepth: {value: "9"}, // too far, so it is refused
	}
	bases := map[string]string{
		v1.StatePath: "at=" + r.to, v1.RelationsPath: "at=" + r.to, v1.WhyPath: "at=" + r.to,
		v1.ComparePath: "from=" + r.from + "&to=" + r.to,
	}
	ofVersions := []string{v1.ParamStart, v1.ParamEnd, v1.ParamLimit}
	for name, parameter := range constants(t, "v1/api.go") {
		p, known := probes[parameter]
		if !strings.HasPrefix(name, "Param") {
			continue
		}
		if !known {
			t.Errorf("v1.%s: got no probe in this test, want one", name)
			continue
		}
		for _, path := range openapi.Paths() {
			request := example(path)
			base := values(t, bases[path]+"&"+p.with)
			if path == v1.WhyPath && parameter == v1.ParamLimit {
				p = probe{value: "none"} // refused; there are too few causes for a limit
			} else {
				p = probes[parameter]
			}
			if path == v1.DocumentPath && slices.Contains(ofVersions, parameter) {
				base.Set(v1.ParamVersions, "true")
			}
			with := maps.Clone(base)
			if with.Set(parameter, p.value); parameter == v1.ParamCursor {
				with.Set(parameter, r.cursor(request, base))
			}
			changes := r.answer(request, with) != r.answer(request, base)
			if documented := slices.Contains(openapi.Parameters(path), parameter); changes != documented {
				t.Errorf("%s?%s: parameter %s changes the answer: got %t, want %t as in package openapi",
					request, with.Encode(), parameter, changes, documented)
			}
		}
	}
}

// values parses a query.
func values(t *testing.T, query string) url.Values {
	t.Helper()
	v, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// cursor returns the cursor after the first record of an endpoint, or one of
// the timeline if the endpoint has no pages.
func (r *rollout) cursor(path string, base url.Values) string {
	first := maps.Clone(base)
	first.Set(v1.ParamLimit, "1")
	_, header, _ := r.get(path + "?" + first.Encode())
	if cursor := header.Get(v1.NextCursorHeader); cursor != "" {
		return cursor
	}
	_, header, _ = r.get(v1.EventsPath + "?limit=1")
	return header.Get(v1.NextCursorHeader)
}

// answer returns an answer as a text, without what differs between two answers
// to the same request, and without the request in the link.
func (r *rollout) answer(path string, query url.Values) string {
	code, header, body := r.get(path + "?" + query.Encode())
	for _, name := range []string{"X-Request-Id", "Server-Timing", "Link"} {
		header.Del(name)
	}
	return fmt.Sprint(code, header, body)
}

// TestOpenAPI_DescribesAnswers requests answers with every status that the API
// itself gives. server.do compares them with the document.
func TestOpenAPI_DescribesAnswers(t *testing.T) {
	r := newRollout(t)
	state, compare := v1.StatePath+"?at="+r.to, v1.ComparePath+"?from="+r.from+"&to="+r.to
	for request, want := range map[string]int{
		v1.EventsPath:              200,
		v1.EventsPath + "?limit=2": 200,
		v1.EventsPath + "?summary=true&order=desc&limit=3":            200,
		v1.EventsPath + "?empty=200&namespace=nowhere":                200,
		v1.EventsPath + "?namespace=shop,-&verb=create,update&q=true": 200,
		v1.EventsPath + "?resourceType=nosuch":                        404,
		v1.EventsPath + "?end=2026-02-01T00:00:00Z":                   404,
		v1.EventsPath + "?start=x":                                    400,
		v1.EventsPath + "?limit=x":                                    400,
		v1.EventsPath + "?cursor=x":                                   400,
		v1.EventsPath + "?q=)":                                        400,
		v1.EventsPath + "?summary=maybe":                              400,
		target:                                                        200,
		target + "?descendants=true&order=desc":                       200,
		target + "?revision=1,2":                                      200,
		target + "?limit=1":                                           200,
		target + "x":                                                  404,
		target + "x?empty=200":                                        200,
		target + "?revision=0":                                        400,
		target + "?end=x":                                             400,
		v1.EventsPath + "/shop":                                       400,
		v1.EventsPath + "/-/nodes/node-1":                             200,
		state:                                                         200,
		state + "&strip=true":                                         200,
		state + "&limit=1":                                            200,
		state + "&resourceName=missing":                               200,
		state + "&resourceType=nosuch":                                404,
		v1.StatePath + "?at=x":                                        400,
		v1.StatePath + "?at=2030-01-01T00:00:00Z":                     400,
		v1.StatePath + "?cursor=x":                                    400,
		compare:                                                       200,
		compare + "&noise=true&summary=true":                          200,
		compare + "&limit=1":                                          200,
		v1.ComparePath:                                                400,
		v1.ComparePath + "?from=2026-02-01T00:00:00Z":                 404,
		related:                                       200,
		related + "?depth=3&at=" + r.from:             200,
		related + "x":                                 404,
		related + "?at=2026-02-01T00:00:00Z":          404,
		related + "?at=x":                             400,
		related + "?depth=0":                          400,
		related + "/more":                             400,
		v1.RelationsRoot + "/shop/nosuch/web":         404,
		v1.CataloguePath:                              200,
		v1.CataloguePath + "?at=x":                    400,
		v1.CataloguePath + "?at=2026-02-01T00:00:00Z": 404,
		appsV1:                               200,
		appsV1 + "?at=" + r.from:             200,
		appsV1 + "?versions=true":            200,
		appsV1 + "?versions=x":               400,
		appsV1 + "x":                         404,
		v1.ResourcesPath:                     200,
		v1.GapsPath:                          200,
		v1.GapsPath + "?resourceType=nosuch": 200,
		v1.GapsPath + "?start=x":             400,
		v1.RecorderPath:                      200,
		v1.OpenAPIPath:                       200,
		v1.HealthPath:                        200,
		v1.LivezPath:                         200,
		v1.ReadyzPath:                        200,
		v1.MetricsPath:                       200,
		"/nowhere":                           404,
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			if code, _, body := r.do(method, request); code != want {
				t.Errorf("%s %s: got %d %s, want %d", method, request, code, body, want)
			}
		}
		if code, _, _ := r.do(http.MethodPost, request); code != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: got %d, want 405", request, code)
		}
	}
	if err := r.log.Close(); err != nil {
		t.Fatal(err)
	}
	for request, want := range map[string]int{
		v1.EventsPath: 500, target: 500, state: 503, compare: 503, v1.ResourcesPath: 503, v1.GapsPath: 503,
		v1.CataloguePath: 503, appsV1: 503, related: 503,
	} {
		if code, _, body := r.get(request); code != want {
			t.Errorf("%s of a closed log: got %d %s, want %d", request, code, body, want)
		}
	}
}

// TestOpenAPI_DescribesRefusals requests the answers of the middleware, the
// limits and the server.
func TestOpenAPI_DescribesRefusals(t *testing.T) {
	refusing := newServer(t, api.Options{Host: func(string) bool { return false }})
	address := listen(t, refusing, api.ServerOptions{})
	for _, path := range openapi.Paths() {
		path = example(path)
		for _, c := range []struct {
			header, value string
			want          int
		}{
			{"Accept", "*/*", http.StatusMisdirectedRequest}, // begin sends the name recorder
			{"Content-Length", strconv.Itoa(64<<10 + 1), http.StatusRequestEntityTooLarge},
			{"X-Large", strings.Repeat("x", 80<<10), http.StatusRequestHeaderFieldsTooLarge},
		} {
			response := begin(t, address, path, c.header+": "+c.value)
			var body bytes.Buffer
			if _, err := body.ReadFrom(response.body); err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != c.want {
				t.Errorf("%s with %s: got %s, want %d", path, c.header, response.Status, c.want)
			}
			if err := checker().Check(openapi.Answer{
				Method: http.MethodGet, Path: path, Status: response.StatusCode,
				Header: response.Header, Body: body.Bytes(),
			}); err != nil {
				t.Error(err)
			}
		}
	}
	limited := newServer(t, api.Options{Rate: 0.001})
	for range 2 {
		limited.get(v1.GapsPath)
	}
	if code, _, body := limited.get(v1.GapsPath); code != http.StatusTooManyRequests {
		t.Errorf("queries above the rate: got %d %s, want 429", code, body)
	}
}

// TestOpenAPI_IsServed compares the answer with the file, and asks again with
// its ETag.
func TestOpenAPI_IsServed(t *testing.T) {
	s := newServer(t, api.Options{})
	want, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	code, header, body := s.get("/" + v1.OpenAPIPath)
	if code != http.StatusOK || body != string(want) || header.Get("Content-Type") != "application/json" {
		t.Fatalf("got %d, %v and %d bytes, want 200 with the %d bytes of the file", code, header, len(body), len(want))
	}
	var d struct{ OpenAPI string }
	if err := json.Unmarshal([]byte(body), &d); err != nil || d.OpenAPI != "3.1.0" {
		t.Errorf("got version %q, error %v, want 3.1.0", d.OpenAPI, err)
	}
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, v1.OpenAPIPath, http.NoBody)
	request.Header.Set("If-None-Match", header.Get("ETag"))
	w := httptest.NewRecorder()
	s.ServeHTTP(w, request)
	if w.Code != http.StatusNotModified || w.Body.Len() > 0 {
		t.Errorf("again with ETag %s: got %d and %d bytes, want 304 without a body",
			header.Get("ETag"), w.Code, w.Body.Len())
	}
}

package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

const podBody = `{"kind":"Pod","apiVersion":"v1",` +
	`"metadata":{"name":"web","namespace":"shop","uid":"uid-of-web","resourceVersion":"4711",` +
	`"generation":3,"selfLink":"/x","managedFields":[{"manager":"kubelet"}],` +
	`"creationTimestamp":"2100-01-01T00:00:00Z",` +
	`"annotations":{"note":"<b> & \"quoted\""}},` +
	`"spec":{"replicas":12345678901234567890,"ratio":1.50,"template":{"metadata":{"uid":"kept","generation":1}}}}`

// sample appends one record of each kind.
func sample(s *server) {
	pod := change(history.Create, "pods", "shop", "web", podBody)
	pod.Initial = true
	update := change(history.Update, "pods", "shop", "web", strings.Replace(podBody, "1.50", "2.50", 1))
	update.RV = "4712"
	update.Managers = []history.Manager{{
		Name: "kubelet", Operation: "Update", Subresource: "status", Time: time.Date(2100, 1, 2, 3, 4, 0, 0, time.UTC),
	}}
	gone := change(history.Delete, "deployments", "shop", "old", `{"kind":"Deployment","metadata":{"name":"old"}}`)
	gone.InferredSince = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	node := change(history.Create, "nodes", "", "node-1",
		`{"kind":"Node","metadata":{"name":"node-1"},"status":{"conditions":[{"type":"Ready","status":"Unknown",`+
			`"reason":"NodeStatusUnknown","message":"Kubelet stopped posting node status."}]}}`)
	s.put(pod, update, gone, node)
}

func TestEvents_AnswerIsFixedByteForByte(t *testing.T) {
	s := newServer(t, api.Options{})
	sample(s)
	code, header, body := s.get("/api/v1/events?limit=4")
	var text strings.Builder
	fmt.Fprintln(&text, code)
	header.Del("X-Request-Id") // random
	checkTiming(t, header, "query")
	if err := header.Write(&text); err != nil {
		t.Fatal(err)
	}
	golden(t, "events.golden", text.String()+"\n"+body)

	code, header, body = s.get("/api/v1/events?limit=1&order=desc&summary=true&resourceType=po")
	text.Reset()
	fmt.Fprintln(&text, code)
	header.Del("X-Request-Id") // random
	checkTiming(t, header, "query")
	if err := header.Write(&text); err != nil {
		t.Fatal(err)
	}
	golden(t, "summary.golden", text.String()+"\n"+body)
}

// checkTiming requires the steps of a Server-Timing header, and removes it.
func checkTiming(t *testing.T, header http.Header, steps ...string) {
	t.Helper()
	pattern := `^wait;dur=\d+\.\d`
	for _, step := range steps {
		pattern += ", " + step + `;dur=\d+\.\d`
	}
	if got := header.Get("Server-Timing"); !regexp.MustCompile(pattern + "$").MatchString(got) {
		t.Errorf("Server-Timing: got %q, want %s", got, pattern)
	}
	header.Del("Server-Timing")
}

// list requests events, and returns "verb name" of each.
func list(tb testing.TB, s *server, rawQuery string) []string {
	tb.Helper()
	code, _, body := s.get("/api/v1/events?" + rawQuery)
	if code == http.StatusNotFound {
		if body != "no audit data available for the specified time range\n" {
			tb.Errorf("%s: text of 404: got %q, want the fixed one", rawQuery, body)
		}
		return nil
	}
	var events []v1.Event
	if err := json.Unmarshal([]byte(body), &events); code != http.StatusOK || err != nil {
		tb.Fatalf("%s: got %d %s, error %v, want 200 with events", rawQuery, code, body, err)
	}
	var got []string
	for _, e := range events {
		got = append(got, e.Verb+" "+e.ResourceName)
	}
	return got
}

func TestEvents_ParametersSelect(t *testing.T) {
	s := newServer(t, api.Options{})
	sample(s)
	all := []string{"create web", "update web", "delete old", "create node-1"}
	for rawQuery, want := range map[string][]string{
		"":                                    all,
		"limit=":                              all,
		"limit=0":                             all,
		"limit=-3":                            all,
		"limit=2":                             all[:2],
		"limit=99999":                         all,
		"limit=99999999999999999999":          all,
		"limit=-99999999999999999999":         all,
		"verb=create":                         {"create web", "create node-1"},
		"verb=patch":                          nil,
		"verb=Update":                         nil,
		"verb=get":                            nil,
		"user=system:k8s-watcher":             all,
		"user=alice":                          nil,
		"namespace=shop":                      all[:3],
		"namespace=-":                         all[3:],
		"namespace=bank":                      nil,
		"namespace=shop&namespace=-":          all,
		"namespace=shop,-":                    all,
		"namespace=bank,shop&namespace=":      all[:3],
		"namespace=bank&namespace=-":          all[3:],
		"namespace=,":                         all,
		"labelSelector=app":                   nil,
		"labelSelector=!app":                  all,
		"fieldSelector=metadata.name%3Dweb":   all[:2],
		"fieldSelector=metadata.namespace%3D": all[3:],
		"fieldSelector=metadata.name!%3Dweb&fieldSelector=metadata.uid!%3Duid-of-old": all[3:],
		"reason=BackOff&type=Warning":          nil,
		"q=verb%3D%3D'delete'":                 all[2:3],
		"q=%22spec.ratio%22+in+changed":        all[1:2],
		"q=object.spec.ratio+%3E+2":            all[1:2],
		"q=object.spec.nosuch+!%3D+2":          nil,
		"resourceType=nodes":                   all[3:],
		"resourceType=deploy,no":               all[2:3],
		"resourceType=deploy,Node":             all[2:],
		"resourceType=gadgets":                 nil,
		"resourceName=web":                     all[:2],
		"group=apps":                           all[2:3],
		"uid=uid-of-node-1":                    all[3:],
		"manager=kubelet":                      all[1:2],
		"manager=kubectl&manager=kubelet":      all[1:2],
		"manager=kubectl,kubelet":              nil, // a name may have a comma
		"manager=&manager=kubectl":             nil,
		"verb=create&verb=delete":              {"create web", "delete old", "create node-1"},
		"verb=update,delete":                   all[1:3],
		"verb=patch,delete":                    all[2:3],
		"verb=patch&verb=get":                  nil,
		"verb=,":                               all,
		"order=asc":                            all,
		"order=desc&limit=2":                   {"create node-1", "delete old"},
		"unknown=x":                            all,
		"start=2100-01-02T03:04:07.006007008Z": all[1:], // the second one's time: inclusive
		"start=2100-01-02T03:04:07.006007009Z": all[2:],
		"end=2100-01-02T03:04:07.006007008Z":   all[:1], // exclusive
		"start=2100-01-02T05:04:08%2B02:00":    all[2:],
		"start=2100-01-02T05:04:08+02:00":      all[2:], // the plus sign is a space
		"start=2100-01-01T22:04:08-05:00&end=2100-01-02T03:04:09Z":   all[2:3],
		"start=0001-01-01T00:00:00Z&end=9999-12-31T23:59:59Z":        all,
		"end=0001-01-01T00:00:00Z":                                   nil,
		"start=9999-01-01T00:00:00Z":                                 nil,
		"start=2100-01-02T03:04:09.5Z&end=2100-01-02T03:04:06Z":      nil,
		"start=2100-01-02T03:04:06Z&end=2100-01-02T03:04:07Z&verb=x": nil,
	} {
		if got := list(t, s, rawQuery); !slices.Equal(got, want) {
			t.Errorf("%q: got %v, want %v", rawQuery, got, want)
		}
	}
}

func TestEvents_LimitIsBounded(t *testing.T) {
	s := newServer(t, api.Options{MaxLimit: func() int { return 3 }})
	sample(s)
	for _, rawQuery := range []string{"", "limit=0", "limit=4", "limit=1000"} {
		_, header, _ := s.get("/api/v1/events?" + rawQuery)
		if got := list(t, s, rawQuery); len(got) != 3 || header.Get("X-Has-More") != "true" ||
			header.Get("X-Total-Count") != "4" {
			t.Errorf("%q: got %v, %v, want 3 of 4 events and more", rawQuery, got, header)
		}
	}
}

func TestEvents_MistakeInFixedParameterHasFixedText(t *testing.T) {
	s := newServer(t, api.Options{})
	sample(s)
	for target, want := range map[string]string{
		"/api/v1/events?start=yesterday":               "Invalid start time format: ",
		"/api/v1/events?start=2100-01-02":              "Invalid start time format: ",
		"/api/v1/events?end=5":                         "Invalid end time format: ",
		"/api/v1/events?limit=ten":                     "Invalid limit: ",
		"/api/v1/events?limit=1.5&order=sideways":      "Invalid limit: ",
		"/api/v1/events/shop/pods/web?start=yesterday": "Invalid start time format: ",
		"/api/v1/events/":                              "namespace, resourceType, and name are required\n",
		"/api/v1/events/shop":                          "namespace, resourceType, and name are required\n",
		"/api/v1/events/shop/pods":                     "namespace, resourceType, and name are required\n",
		"/api/v1/events/shop/pods/":                    "namespace, resourceType, and name are required\n",
		"/api/v1/events//pods/web":                     "namespace, resourceType, and name are required\n",
	} {
		code, header, body := s.get(target)
		if code != http.StatusBadRequest || !strings.HasPrefix(body, want) ||
			!strings.HasPrefix(header.Get("Content-Type"), "text/plain") {
			t.Errorf("%s: got %d %q %q, want 400 with text %q", target, code, header.Get("Content-Type"), body, want)
		}
	}
}

func TestEvents_MistakeInOtherParameterIsJSON(t *testing.T) {
	s := newServer(t, api.Options{})
	sample(s)
	for target, parameter := range map[string]string{
		"/api/v1/events?order=sideways":                     "order",
		"/api/v1/events?cursor=x":                           "cursor",
		"/api/v1/events?cursor=__________8":                 "cursor",
		"/api/v1/events?summary=perhaps":                    "summary",
		"/api/v1/events?empty=204":                          "empty",
		"/api/v1/events?labelSelector=app+web":              "labelSelector",
		"/api/v1/events?fieldSelector=metadata.name":        "fieldSelector",
		"/api/v1/events?fieldSelector=a&fold=true":          "fieldSelector",
		"/api/v1/events?writer=helm,!":                      "writer",
		"/api/v1/events?fold=true&consequences=1001":        "consequences",
		"/api/v1/events?fold=true&consequences=-1":          "consequences",
		"/api/v1/events?fieldSelector=spec.replicas%3D1":    "fieldSelector",
		"/api/v1/events?q=1":                                "q",
		"/api/v1/events?q=true&q=false":                     "q",
		"/api/v1/events/shop/pods/web?q=%28":                "q",
		"/api/v1/events/shop/pods/web?labelSelector=(":      "labelSelector",
		"/api/v1/events/shop/pods/web?revision=0":           "revision",
		"/api/v1/events/shop/pods/web?revision=1,x":         "revision",
		"/api/v1/events/shop/pods/web?descendants=x":        "descendants",
		"/api/v1/events/shop/pods/web?cursor=F7Tk5Z0AAAA":   "cursor",
		"/api/v1/events/shop/pods/web?cursor=F7Tk5Z0AAAA.x": "cursor",
	} {
		code, header, body := s.get(target)
		var e v1.ErrorBody
		err := json.Unmarshal([]byte(body), &e)
		if code != http.StatusBadRequest || err != nil || header.Get("Content-Type") != "application/json" ||
			e.Error.Code != "invalid" || e.Error.Parameter != parameter ||
			!strings.HasPrefix(e.Error.Message, "parameter "+parameter+": ") {
			t.Errorf("%s: got %d %q, want 400 with JSON that names %s", target, code, body, parameter)
		}
	}
}

// Every mistake in a selector is described with what is right.
func TestEvents_MistakeInSelectorIsExplained(t *testing.T) {
	s := newServer(t, api.Options{})
	for _, c := range []struct{ parameter, value, want string }{
		{"labelSelector", "app in web", "want labels, as in app=web,"},
		{"labelSelector", strings.Repeat("a", 5000), "want at most 4096"},
		{"fieldSelector", "spec.replicas=1", "want metadata.name, metadata.namespace, metadata.uid, " +
			"reason, type, spec.nodeName, status.phase, involvedObject.kind"},
		{"fieldSelector", "a", "want fields, as in status.phase=Failed"},
		{"text", strings.Repeat("a", 5000), "want at most 4096"},
		{"writer", "!", "want names, as in kubectl,!argocd"},
		{"q", "verb == missing", "parameter q: line 1, column 9: undeclared reference to 'missing'"},
		{"q", "changed", "want true or false"},
	} {
		code, _, body := s.get("/api/v1/events?" + url.Values{c.parameter: {c.value}}.Encode())
		var e v1.ErrorBody
		if err := json.Unmarshal([]byte(body), &e); err != nil || code != http.StatusBadRequest ||
			!strings.Contains(e.Error.Message, c.want) {
			t.Errorf("%s=%.30s: got %d %s, want 400 with %q", c.parameter, c.value, code, body, c.want)
		}
	}
}

func TestEvents_ExpensiveQueryIs400(t *testing.T) {
	s := newServer(t, api.Options{})
	s.put(change(history.Create, "pods", "shop", "large", `{"a":[`+strings.Repeat("1,", 3000)+`1]}`))
	for _, path := range []string{"/api/v1/events", "/api/v1/events/shop/pods/large"} {
		code, _, body := s.get(path + "?" +
			url.Values{"q": {"object.a.all(x, object.a.all(y, x == 1 && y == 1))"}}.Encode())
		if code != http.StatusBadRequest ||
			!strings.Contains(body, "parameter q: the expression costs more than 1000000 steps") {
			t.Errorf("%s: got %d %s, want 400 with the limit", path, code, body)
		}
	}
}

func TestEvents_NoMatchIs404OrEmpty(t *testing.T) {
	s := newServer(t, api.Options{})
	code, header, body := s.get("/api/v1/events")
	if code != http.StatusNotFound || body != "no audit data available for the specified time range\n" ||
		!strings.HasPrefix(header.Get("Content-Type"), "text/plain") {
		t.Errorf("by default: got %d %q %q, want 404 with the fixed text", code, header.Get("Content-Type"), body)
	}
	code, header, body = s.get("/api/v1/events?empty=200")
	if code != http.StatusOK || body != "[]\n" || header.Get("X-Total-Count") != "0" ||
		header.Get("X-Has-More") != "false" {
		t.Errorf("empty=200: got %d %v %q, want 200 with []", code, header, body)
	}
	code, _, body = s.get("/api/v1/events?empty=200&verb=patch")
	if code != http.StatusOK || body != "[]\n" {
		t.Errorf("empty=200&verb=patch: got %d %q, want 200 with []", code, body)
	}
}

func TestEvents_CursorsAndLinksAgree(t *testing.T) {
	s := newServer(t, api.Options{})
	sample(s)
	var got []string
	next := "limit=1&order=desc&summary=true"
	for next != "" {
		got = append(got, list(t, s, next)...)
		_, header, _ := s.get("/api/v1/events?" + next)
		link, cursor := header.Get("Link"), header.Get("X-Next-Cursor")
		if (link == "") != (cursor == "") || (cursor != "") != (header.Get("X-Has-More") == "true") ||
			!strings.Contains(link, cursor) {
			t.Errorf("got link %q, cursor %q, more %q, want all three or none", link, cursor, header.Get("X-Has-More"))
		}
		next = strings.TrimSuffix(strings.TrimPrefix(link, "<?"), `>; rel="next"`)
	}
	if want := []string{"create node-1", "delete old", "update web", "create web"}; !slices.Equal(got, want) {
		t.Errorf("all pages: got %v, want %v", got, want)
	}
}

// Strings are recorded as the API server sent them. Answers are valid JSON.
func TestEvents_AnswerIsValidUTF8(t *testing.T) {
	s := newServer(t, api.Options{})
	s.put(change(history.Create, "pods", "sh\x00op", "a\xff\x00\n\x1b[31m",
		"{\"metadata\":{\"name\":\"a\xff\",\"annotations\":{\"k\xfe\":\"v\xff\\u0000\"}},"+
			"\"spec\":{\"\xc3\":[\"\\ud800\"]}}"))
	for _, target := range []string{"/api/v1/events", "/api/v1/events?summary=true"} {
		status, _, body := s.get(target)
		var events []v1.Event
		if err := json.Unmarshal([]byte(body), &events); status != http.StatusOK || err != nil ||
			len(events) != 1 || !utf8.ValidString(body) {
			t.Errorf("%s: got %d, error %v, %d events in %q, want 200 with one event in UTF-8",
				target, status, err, len(events), body)
		}
	}
}

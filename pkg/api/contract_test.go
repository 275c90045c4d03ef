package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/api"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// auditEvent has the fixed fields of an event.
type auditEvent struct {
	Timestamp      string            `json:"timestamp"`
	Verb           string            `json:"verb"`
	User           string            `json:"user"`
	Namespace      *string           `json:"namespace"`
	ResourceType   string            `json:"resourceType"`
	ResourceName   string            `json:"resourceName"`
	ResponseStatus int               `json:"responseStatus"`
	Message        string            `json:"message"`
	ObjectChanges  map[string]any    `json:"objectChanges"`
	Annotations    map[string]string `json:"annotations"`
	Stage          string            `json:"stage"`
	RequestURI     string            `json:"requestURI"`
	SourceIPs      []string          `json:"sourceIPs"`

	raw string
}

// oldClient uses only the fixed part of the API. It appends paths to a base URL
// that ends in a slash, follows no redirect, and expects 404 if nothing
// matches.
type oldClient struct {
	base string
	http http.Client
}

func newOldClient(base string) *oldClient {
	c := &oldClient{base: base + "/"}
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return errors.New("redirected") }
	return c
}

func (c *oldClient) events(ctx context.Context, values url.Values) ([]auditEvent, error) {
	body, err := c.get(ctx, c.base+"/api/v1/events?"+values.Encode())
	if body == nil || err != nil {
		return nil, err
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil {
		return nil, err
	}
	events := make([]auditEvent, len(raw))
	for i := range raw {
		events[i].raw = strings.ToLower(string(raw[i]))
		if err := json.Unmarshal(raw[i], &events[i]); err != nil {
			return nil, err
		}
	}
	return events, nil
}

func (c *oldClient) get(ctx context.Context, target string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		return nil, err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	switch {
	case err != nil:
		return nil, err
	case answer.StatusCode == http.StatusNotFound &&
		strings.TrimSpace(string(body)) == "no audit data available for the specified time range":
		return nil, nil
	case answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "application/json":
		return nil, fmt.Errorf("%s: %s", answer.Status, body)
	}
	if _, err := strconv.ParseBool(answer.Header.Get("X-Has-More")); err != nil {
		return nil, err
	}
	_, err = strconv.Atoi(answer.Header.Get("X-Total-Count"))
	return body, err
}

// addProblems appends objects with the problems that clients look for, and
// objects without one.
func addProblems(s *server) {
	for _, o := range []struct{ resource, namespace, name, status string }{
		{"nodes", "", "down", `{"conditions":[{"type":"Ready","status":"Unknown","reason":"NodeStatusUnknown",` +
			`"message":"Kubelet stopped posting node status."}]}`},
		{"nodes", "", "full", `{"conditions":[{"type":"MemoryPressure","status":"True",` +
			`"reason":"KubeletHasInsufficientMemory"},{"type":"Ready","status":"True"}]}`},
		{"nodes", "", "well", `{"conditions":[{"type":"MemoryPressure","status":"False",` +
			`"reason":"KubeletHasSufficientMemory"},{"type":"Ready","status":"True"}]}`},
		{"pods", "shop", "loop", `{"phase":"Running","containerStatuses":[{"name":"app","restartCount":4,` +
			`"state":{"waiting":{"reason":"CrashLoopBackOff"}},` +
			`"lastState":{"terminated":{"reason":"OOMKilled","exitCode":137}}}]}`},
		{"pods", "shop", "stuck", `{"phase":"Pending","conditions":[{"type":"PodScheduled","status":"False",` +
			`"reason":"Unschedulable","message":"0/3 nodes are available: 3 Insufficient cpu."}]}`},
		{"pods", "shop", "fine", `{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}`},
		{"persistentvolumeclaims", "shop", "data", `{"phase":"Pending"}`},
		{"persistentvolumes", "", "pv-1", `{"phase":"Failed","message":"recycler failed"}`},
		{"deployments", "shop", "web", `{"conditions":[{"type":"Progressing","status":"False",` +
			`"reason":"ProgressDeadlineExceeded"}]}`},
	} {
		s.put(change(history.Create, o.resource, o.namespace, o.name,
			`{"metadata":{"name":"`+o.name+`","annotations":{"a":"b"}},"status":`+o.status+`}`))
	}
	s.put(change(history.Update, "configmaps", "shop", "settings", `{"data":{"a":"1"}}`),
		change(history.Delete, "configmaps", "shop", "settings", `{"data":{"a":"1"}}`))
}

// withProblems returns a client of a server with the objects of addProblems.
func withProblems(t *testing.T) *oldClient {
	t.Helper()
	s := newServer(t, api.Options{})
	addProblems(s)
	listener := httptest.NewServer(s)
	t.Cleanup(listener.Close)
	client := newOldClient(listener.URL)
	t.Cleanup(client.http.CloseIdleConnections)
	return client
}

func TestContract_MessagesHaveWordsOfProblems(t *testing.T) {
	client := withProblems(t)

	window := url.Values{"start": {"2100-01-02T00:00:00+00:00"}, "end": {"2100-01-03T02:00:00.5+02:00"}}
	for _, c := range []struct{ resource, name, namespace, word string }{
		{"nodes", "down", "", "notready"},
		{"nodes", "down", "", "kubelet"},
		{"nodes", "full", "", "memorypressure"},
		{"pods", "loop", "shop", "crashloopbackoff"},
		{"pods", "loop", "shop", "oomkilled"},
		{"pods", "stuck", "shop", "insufficient cpu"},
		{"persistentvolumeclaims", "data", "shop", "not bound"},
		{"persistentvolumes", "pv-1", "", "failed"},
		{"deployments", "web", "shop", "progress deadline exceeded"},
	} {
		values := url.Values{
			"resourceType": {c.resource}, "resourceName": {c.name}, "start": window["start"], "end": window["end"],
		}
		if c.namespace != "" {
			values.Set("namespace", c.namespace)
		}
		events, err := client.events(t.Context(), values)
		if err != nil || len(events) != 1 {
			t.Fatalf("%v: got %d events, error %v, want 1", values, len(events), err)
		}
		if message := strings.ToLower(events[0].Message); !strings.Contains(message, c.word) {
			t.Errorf("%s %s: got message %q, want one with %q", c.resource, c.name, message, c.word)
		}
	}
	for resource, name := range map[string]string{"nodes": "well", "pods": "fine"} {
		events, err := client.events(t.Context(), url.Values{"resourceType": {resource}, "resourceName": {name}})
		if err != nil || len(events) != 1 || strings.Contains(events[0].Message, ":") {
			t.Errorf("%s %s: got %+v, error %v, want one event without a problem", resource, name, events, err)
		}
	}
	events, err := client.events(t.Context(), url.Values{"resourceType": {"pods"}, "end": {"2001-01-01T00:00:00Z"}})
	if err != nil || len(events) != 0 {
		t.Errorf("before all records: got %d events, error %v, want 0", len(events), err)
	}
}

func TestContract_VerbQueriesHaveFixedFields(t *testing.T) {
	client := withProblems(t)

	var seen []string
	for _, verb := range []string{"create", "update", "patch", "delete"} {
		events, err := client.events(t.Context(), url.Values{"verb": {verb}, "limit": {"1000"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			checkFixedFields(t, &e, verb)
			seen = append(seen, verb+" "+strings.ToLower(e.ResourceType))
		}
	}
	want := []string{
		"create nodes", "create nodes", "create nodes", "create pods", "create pods",
		"create pods", "create persistentvolumeclaims",
		"create persistentvolumes", "create deployments", "update configmaps", "delete configmaps",
	}
	if !slices.Equal(seen, want) {
		t.Errorf("events: got %q, want %q", seen, want)
	}
}

func checkFixedFields(t *testing.T, e *auditEvent, verb string) {
	t.Helper()
	subject := e.ResourceName
	if e.Namespace == nil {
		t.Fatalf("got %s, want a namespace", e.raw)
	}
	if *e.Namespace != "" {
		subject = *e.Namespace + "/" + subject
	}
	wantMessage := strings.ToUpper(verb[:1]) + verb[1:] + " " + e.ResourceType + " " + subject
	if e.Verb != verb || e.User != "system:k8s-watcher" || e.ResponseStatus != 200 || e.Stage != "ResponseComplete" ||
		e.SourceIPs != nil || e.ObjectChanges == nil || !strings.HasPrefix(e.Message, wantMessage) ||
		!strings.HasSuffix(e.Timestamp, "Z") || !strings.Contains(e.Timestamp, ".") {
		t.Errorf("got %s, want the fixed values for %s", e.raw, verb)
	}
	if strings.Contains(e.raw, `"sourceips"`) || strings.Contains(e.raw, "null") {
		t.Errorf("got %s, want neither sourceIPs nor null", e.raw)
	}
	if (e.ResourceType == "configmaps") != (e.Annotations == nil) {
		t.Errorf("annotations of %s: got %v, want them on all but configmaps", e.ResourceType, e.Annotations)
	}
}

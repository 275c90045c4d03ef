package client_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// fixedAnswer is an answer of a recorder that implements only the fixed part of
// the API.
const fixedAnswer = `[{"timestamp":"2026-01-02T03:04:05.678901234Z","verb":"update",` +
	`"user":"system:k8s-watcher","namespace":"shop","resourceType":"pods","resourceName":"web-1",` +
	`"responseStatus":200,"message":"Update pods shop/web-1",` +
	`"objectChanges":{"kind":"Pod"},"stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/pods/web-1"}]`

func TestEvents_SendsEveryField(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))
	for name, tc := range map[string]struct {
		query client.EventsQuery
		want  string
	}{
		"zero": {client.EventsQuery{}, "empty=200"},
		"all fields": {
			client.EventsQuery{
				Start: start, End: start.Add(time.Hour), Namespace: "shop",
				Resources: []string{"deploy", "po"}, Group: "apps",
				Name: "web", UID: "u-1", Verbs: []history.Verb{history.Delete},
				Managers: []string{"kubectl-edit"}, Classes: []history.Class{history.Root}, Order: history.NewestFirst,
				Limit: 7, Cursor: "abc", Summary: true,
				Namespaces:    []history.NamespaceScope{"bank", history.ClusterScoped},
				LabelSelector: "app=web", FieldSelector: "type!=x", Reasons: []string{"BackOff", "b"},
				EventTypes: []string{"Warning"}, Expression: `verb == "update"`,
			},
			"class=root&cursor=abc&empty=200&end=2026-01-02T03%3A04%3A05.000000006Z&fieldSelector=type%21%3Dx&" +
				"group=apps&labelSelector=app%3Dweb&limit=7&manager=kubectl-edit&" +
				"namespace=shop&namespace=bank&namespace=-&order=desc&q=verb+%3D%3D+%22update%22&" +
				"reason=BackOff&reason=b&resourceName=web&" +
				"resourceType=deploy%2Cpo&start=2026-01-02T02%3A04%3A05.000000006Z&" +
				"summary=true&type=Warning&uid=u-1&verb=delete",
		},
		"cluster-scoped": {client.EventsQuery{Namespace: history.ClusterScoped}, "empty=200&namespace=-"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStub(t, 200, "application/json", "[]")
			if _, err := newClient(t, s.URL, client.Options{}).Events(t.Context(), tc.query); err != nil {
				t.Fatal(err)
			}
			if got, want := s.request.URL.Path, "/api/v1/events"; got != want {
				t.Errorf("path: got %q, want %q", got, want)
			}
			if diff := cmp.Diff(tc.want, s.request.URL.RawQuery); diff != "" {
				t.Errorf("query (-want +got):\n%s", diff)
			}
		})
	}
}

func TestObject_SendsEveryField(t *testing.T) {
	s := newStub(t, 200, "application/json", `{"watchEvents":`+fixedAnswer+`,"relatedEvents":[]}`,
		"X-Total-Count", "3", "X-Has-More", "true", "X-Next-Cursor", "next")
	page, err := newClient(t, s.URL+"/prefix/", client.Options{}).Object(t.Context(), client.ObjectQuery{
		Namespace: history.ClusterScoped, Resource: "clusterroles", Name: "system:node",
		Group:     "rbac.authorization.k8s.io",
		Revisions: []uint64{4, 9}, Descendants: true, UID: "u", Summary: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.request.URL.Path, "/prefix/api/v1/events/-/clusterroles/system:node"; got != want {
		t.Errorf("path: got %q, want %q", got, want)
	}
	want := "descendants=true&empty=200&group=rbac.authorization.k8s.io&revision=4%2C9&summary=true&uid=u"
	if diff := cmp.Diff(want, s.request.URL.RawQuery); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(client.Page{Total: 3, TotalExact: true, HasMore: true, Next: "next"}, page.Page); diff != "" {
		t.Errorf("page (-want +got):\n%s", diff)
	}
	if len(page.WatchEvents) != 1 || page.WatchEvents[0].ResourceName != "web-1" {
		t.Errorf("records: got %+v, want one of web-1", page.WatchEvents)
	}
}

func TestObject_RequiresOneObject(t *testing.T) {
	c := newClient(t, "http://127.0.0.1:1", client.Options{})
	for _, q := range []client.ObjectQuery{
		{},
		{Namespace: "shop", Resource: "pods"},
		{Namespace: "shop", Name: "web"},
		{Namespace: "shop", Resource: "pods", Name: "a/b"},
		{Namespace: history.AllNamespaces, Resource: "pods", Name: "web"},
	} {
		_, err := c.Object(t.Context(), q)
		wantError(t, err, history.Invalid, "query object")
	}
}

func TestGaps_SendsEveryField(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))
	for name, tc := range map[string]struct {
		query client.GapsQuery
		want  string
	}{
		"zero": {client.GapsQuery{}, ""},
		"all fields": {
			client.GapsQuery{
				Start: start, End: start.Add(time.Hour), Resources: []string{"deploy", "po"}, Group: "apps",
			},
			"end=2026-01-02T03%3A04%3A05.000000006Z&group=apps&resourceType=deploy%2Cpo&" +
				"start=2026-01-02T02%3A04%3A05.000000006Z",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStub(t, 200, "application/json", `{"gaps":[]}`)
			gaps, err := newClient(t, s.URL, client.Options{}).Gaps(t.Context(), tc.query)
			if err != nil || len(gaps) > 0 {
				t.Errorf("got %+v, error %v, want no gaps", gaps, err)
			}
			if got, want := s.request.URL.Path, "/api/v1/gaps"; got != want {
				t.Errorf("path: got %q, want %q", got, want)
			}
			if diff := cmp.Diff(tc.want, s.request.URL.RawQuery); diff != "" {
				t.Errorf("query (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGaps_OldRecorderIsError(t *testing.T) {
	s := newStub(t, 404, "application/json", `{"error":{"code":"not_found","message":"no such path"}}`)
	_, err := newClient(t, s.URL, client.Options{}).Gaps(t.Context(), client.GapsQuery{})
	wantError(t, err, history.NotFound, "no such path")
}

// TestQueries_CoverEveryParameter fails if a parameter of the API has no field
// in the client's queries, or if a field is not sent.
func TestQueries_CoverEveryParameter(t *testing.T) {
	sent := map[string]bool{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name := range r.URL.Query() {
			sent[name] = true
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set(v1.AtHeader, "2026-01-02T03:04:05Z")
		body := "[]"
		if r.URL.Path != v1.EventsPath {
			body = "{}"
		}
		if strings.HasPrefix(r.URL.Path, v1.RelationsRoot) {
			body = `{"objects":[{}]}`
		}
		_, _ = fmt.Fprint(w, body)
	}))
	defer s.Close()
	c := newClient(t, s.URL, client.Options{})

	object := client.ObjectQuery{Namespace: "shop", Resource: "pods", Name: "web"}
	checkFields(t, client.EventsQuery{}, sent,
		func(q client.EventsQuery) error { _, err := c.Events(t.Context(), q); return err })
	checkFields(t, object, sent, func(q client.ObjectQuery) error { _, err := c.Object(t.Context(), q); return err })
	checkFields(t, client.GapsQuery{}, sent,
		func(q client.GapsQuery) error { _, err := c.Gaps(t.Context(), q); return err })
	checkFields(t, client.StateQuery{}, sent,
		func(q client.StateQuery) error { _, err := c.State(t.Context(), q); return err })
	checkFields(t, client.CompareQuery{}, sent,
		func(q client.CompareQuery) error { _, err := c.Compare(t.Context(), q); return err })
	relations := client.RelationsQuery{Namespace: "shop", Resource: "pods", Name: "web"}
	checkFields(t, relations, sent,
		func(q client.RelationsQuery) error { _, err := c.Relations(t.Context(), q); return err })
	checkFields(t, client.DocumentQuery{Name: "version"}, sent,
		func(q client.DocumentQuery) error { _, err := c.Document(t.Context(), q); return err })
	checkFields(t, client.DocumentHistoryQuery{Name: "version"}, sent,
		func(q client.DocumentHistoryQuery) error { _, _, err := c.DocumentHistory(t.Context(), q); return err })

	asked := client.WhyQuery{Namespace: "shop", Resource: "pods", Name: "web"}
	checkFields(t, asked, sent, func(q client.WhyQuery) error { _, err := c.Why(t.Context(), q); return err })
	if _, err := c.Folded(t.Context(), client.EventsQuery{}); !errors.Is(err, client.ErrNoFolding) {
		t.Errorf("folded: got error %v, want that the recorder does not fold", err)
	}

	all := maps.Clone(sent)
	for _, err := range c.Watch(t.Context(), client.EventsQuery{}) {
		if !errors.Is(err, client.ErrNoStreams) {
			t.Errorf("watch: got error %v, want that there are no streams", err)
		}
	}
	maps.Copy(sent, all)

	notSent := map[string]string{
		"ParamUser": "only one value matches anything",
	}
	for name, value := range parameterConstants(t) {
		if _, excluded := notSent[name]; sent[value] == excluded {
			t.Errorf("v1.%s: sent %t, want %t (%s)", name, sent[value], !excluded, notSent[name])
		}
	}
}

// checkFields sends one query per field, with only this field changed. It fails
// if the field changes neither a parameter nor the path.
func checkFields[Q any](t *testing.T, base Q, sent map[string]bool, send func(Q) error) {
	t.Helper()
	all := maps.Clone(sent)
	defer func() { maps.Copy(sent, all) }()
	for i := range reflect.TypeFor[Q]().NumField() {
		q := base
		field := reflect.ValueOf(&q).Elem().Field(i)
		inPath := !field.IsZero()
		setSample(t, field)
		clear(sent)
		if err := send(q); err != nil {
			t.Errorf("%T.%s: got error %v", q, reflect.TypeFor[Q]().Field(i).Name, err)
		}
		names := slices.Sorted(maps.Keys(sent))
		maps.Copy(all, sent)
		always := []string{v1.ParamEmpty, v1.ParamVersions}
		own := slices.DeleteFunc(names, func(name string) bool { return slices.Contains(always, name) })
		if len(own) != 1 && !inPath {
			t.Errorf("%T.%s: sent parameters %v, want one", q, reflect.TypeFor[Q]().Field(i).Name, own)
		}
	}
}

// setSample sets a field to a valid value that is not zero.
func setSample(t *testing.T, field reflect.Value) {
	t.Helper()
	switch value := field.Addr().Interface().(type) {
	case *time.Time:
		*value = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	case *history.NamespaceScope:
		*value = "shop"
	case *[]history.NamespaceScope:
		*value = []history.NamespaceScope{"shop"}
	case *[]history.Verb:
		*value = []history.Verb{history.Delete}
	case *history.Order:
		*value = history.NewestFirst
	case *string:
		*value = "text"
	case *[]string:
		*value = []string{"pods"}
	case *[]uint64:
		*value = []uint64{3}
	case *int:
		*value = 7
	case *[]history.Class:
		*value = []history.Class{history.Onset}
	case *bool:
		*value = true
	default:
		t.Fatalf("no sample value for a field of type %s", field.Type())
	}
}

// parameterConstants returns the names and values of the constants Param* of
// package v1, from its source.
func parameterConstants(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../api/v1/api.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	constants := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Param") {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		constants[spec.Names[0].Name] = value
		return false
	})
	if len(constants) < 10 {
		t.Fatalf("found %d parameters in the source, want at least 10", len(constants))
	}
	return constants
}

func TestPages_NothingRecordedIsEmptyPage(t *testing.T) {
	for _, body := range []string{v1.NoMatchText + "\n", v1.NoObjectText + "\n"} {
		c := newClient(t, newStub(t, 404, "text/plain; charset=utf-8", body).URL, client.Options{})
		events, err := c.Events(t.Context(), client.EventsQuery{})
		if err != nil || events.Events == nil || len(events.Events) != 0 || !events.TotalExact {
			t.Errorf("Events: got %+v, error %v, want an empty page", events, err)
		}
		object, err := c.Object(t.Context(), client.ObjectQuery{Namespace: "shop", Resource: "pods", Name: "web"})
		if err != nil || object.WatchEvents == nil || object.RelatedEvents == nil || object.ResourceName != "web" {
			t.Errorf("Object: got %+v, error %v, want an empty page of web", object, err)
		}
	}
}

func TestPage_IsReadFromHeaders(t *testing.T) {
	from := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	gaps := []v1.Gap{
		{Group: "apps", Resource: "deployments", Start: from, Reason: "forbidden"},
		{Resource: "pods", Start: from, End: from.Add(time.Hour + time.Second/2), Reason: "expired"},
	}
	rules := []history.IgnoreRule{{Resource: schema.GroupResource{Resource: "pods"}, Namespaces: []string{"noisy"}}}
	for name, tc := range map[string]struct {
		header []string
		want   client.Page
		err    string
	}{
		"none":      {nil, client.Page{Total: 1, TotalExact: true}, ""},
		"exact":     {[]string{"X-Total-Count", "12"}, client.Page{Total: 12, TotalExact: true}, ""},
		"at least":  {[]string{"X-Total-Count", "12", "X-Total-Count-Relation", "gte"}, client.Page{Total: 12}, ""},
		"no number": {[]string{"X-Total-Count", "many"}, client.Page{}, "not a watchhistory recorder"},
		"gaps":      {[]string{"X-History-Gaps", "3"}, client.Page{Total: 1, TotalExact: true, Gaps: 3}, ""},
		"no gaps":   {[]string{"X-History-Gaps", "0"}, client.Page{Total: 1, TotalExact: true}, ""},
		"gap list": {
			[]string{"X-History-Gaps", "2", "X-History-Gap-List", "deployments.apps 2026-01-02T03:00:00Z/.. " +
				"forbidden, pods 2026-01-02T03:00:00Z/2026-01-02T04:00:00.5Z expired, ?"},
			client.Page{Total: 1, TotalExact: true, Gaps: 2, NewestGaps: gaps},
			"",
		},
		"ignored": {
			[]string{"X-History-Ignored", "pods namespaces=noisy"},
			client.Page{Total: 1, TotalExact: true, Ignored: "pods namespaces=noisy", IgnoreRules: rules},
			"",
		},
		"bad gaps":  {[]string{"X-History-Gaps", "-1"}, client.Page{}, "X-History-Gaps is -1"},
		"no cursor": {[]string{"X-Has-More", "true"}, client.Page{}, "older than this client"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStub(t, 200, "application/json", fixedAnswer, tc.header...)
			page, err := newClient(t, s.URL, client.Options{}).Events(t.Context(), client.EventsQuery{})
			if tc.err != "" {
				wantError(t, err, history.CodeOf(err), tc.err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, page.Page); diff != "" {
				t.Errorf("page (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPage_IgnoreRulesAreParsed(t *testing.T) {
	all := history.IgnoreRule{Namespaces: []string{"a", "b"}}
	nodes := history.IgnoreRule{
		Resource: schema.GroupResource{Resource: "nodes"},
		Changes:  []string{"status.conditions[*].lastHeartbeatTime", `metadata.labels["a, b; c"]`},
	}
	leases := history.IgnoreRule{Resource: schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}}
	const nodesText = `nodes changes=status.conditions[*].lastHeartbeatTime,metadata.labels["a, b; c"]`
	for text, want := range map[string][]history.IgnoreRule{
		"":                               nil,
		"leases.coordination.k8s.io":     {leases},
		nodesText:                        {nodes},
		"* namespaces=a,b":               {all},
		"* namespaces=a,b,hal...":        {all},
		"* namespaces=a,b; nodes ages=3": {all},
		"* namespaces=a,b; nodes c...":   {all},
		"* namespaces=a,b; leas...":      {all},
		"* namespaces=a,b; " + nodesText + "; leases.coordination.k8s.io": {all, nodes, leases},
	} {
		s := newStub(t, 200, "application/json", "[]", v1.IgnoredHeader, text)
		page, err := newClient(t, s.URL, client.Options{}).Events(t.Context(), client.EventsQuery{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, page.IgnoreRules); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

// newPaged returns a client of a server with pages of two of n records. next
// returns the cursor after a page.
func newPaged(t *testing.T, n int, next func(at int) string) *client.Client {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := 0
		_, _ = fmt.Sscan(r.URL.Query().Get("cursor"), &at)
		var events []string
		for i := at; i < min(at+2, n); i++ {
			events = append(events, fmt.Sprintf(`{"timestamp":"2026-01-02T03:04:05Z","resourceName":"o%d"}`, i))
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Has-More", fmt.Sprint(at+2 < n))
		w.Header().Set("X-Next-Cursor", next(at))
		fmt.Fprintf(w, "[%s]", strings.Join(events, ","))
	}))
	t.Cleanup(s.Close)
	return newClient(t, s.URL, client.Options{})
}

func TestAll_IteratesOverPages(t *testing.T) {
	c := newPaged(t, 5, func(at int) string { return fmt.Sprint(at + 2) })
	var got []string
	for event, err := range c.All(t.Context(), client.EventsQuery{Limit: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, event.ResourceName)
	}
	if diff := cmp.Diff([]string{"o0", "o1", "o2", "o3", "o4"}, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	for event, err := range c.All(t.Context(), client.EventsQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, event.ResourceName)
		break
	}
	if len(got) != 6 {
		t.Errorf("after break: got %d records in %q, want 6", len(got), got)
	}
}

func TestAll_EndsIfPagesDoNotAdvance(t *testing.T) {
	c := newPaged(t, 5, func(int) string { return "2" })
	records, last := 0, error(nil)
	for _, err := range c.All(t.Context(), client.EventsQuery{}) {
		if last = err; err == nil {
			records++
		}
	}
	if records != 2 {
		t.Errorf("records before the error: got %d, want 2", records)
	}
	wantError(t, last, history.Internal, "do not advance")
}

// Names with characters that have a meaning in paths and queries arrive
// unchanged.
func TestObject_EscapesNames(t *testing.T) {
	s := newStub(t, 200, "application/json", `{}`)
	_, err := newClient(t, s.URL, client.Options{}).Object(t.Context(),
		client.ObjectQuery{Namespace: "a b", Resource: "pods", Name: "x%2Fy?z"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.request.URL.Path, "/api/v1/events/a b/pods/x%2Fy?z"; got != want {
		t.Errorf("path: got %q, want %q", got, want)
	}
	if _, err := url.ParseQuery(s.request.URL.RawQuery); err != nil {
		t.Errorf("query %q: got error %v", s.request.URL.RawQuery, err)
	}
}

package client_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// fixed is an answer of a recorder that knows the fixed contract only.
const fixed = `[{"timestamp":"2026-01-02T03:04:05.678901234Z","verb":"update","user":"system:k8s-watcher","namespace":"shop",` +
	`"resourceType":"pods","resourceName":"web-1","responseStatus":200,"message":"Update pods shop/web-1",` +
	`"objectChanges":{"kind":"Pod"},"stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/pods/web-1"}]`

func TestEventsQuery(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))
	for name, tc := range map[string]struct {
		query client.EventsQuery
		want  string
	}{
		"all": {client.EventsQuery{}, "empty=200"},
		"every parameter": {
			client.EventsQuery{
				Start: start, End: start.Add(time.Hour), Namespace: "shop", Resources: []string{"deploy", "po"}, Group: "apps",
				Name: "web", UID: "u-1", Verb: history.Delete, Manager: "kubectl-edit", Order: history.NewestFirst,
				Limit: 7, Cursor: "abc", Summary: true,
			},
			"cursor=abc&empty=200&end=2026-01-02T03%3A04%3A05.000000006Z&group=apps&limit=7&manager=kubectl-edit&" +
				"namespace=shop&order=desc&resourceName=web&resourceType=deploy%2Cpo&start=2026-01-02T02%3A04%3A05.000000006Z&" +
				"summary=true&uid=u-1&verb=delete",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := answering(t, 200, "application/json", "[]")
			if _, err := dial(t, s.URL, client.Options{}).Events(t.Context(), tc.query); err != nil {
				t.Fatal(err)
			}
			if got := s.request.URL.Path; got != "/api/v1/events" {
				t.Errorf("path is %q", got)
			}
			if diff := cmp.Diff(tc.want, s.request.URL.RawQuery); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestObjectQuery(t *testing.T) {
	s := answering(t, 200, "application/json", `{"watchEvents":`+fixed+`,"relatedEvents":[]}`,
		"X-Total-Count", "3", "X-Has-More", "true", "X-Next-Cursor", "next")
	page, err := dial(t, s.URL+"/prefix/", client.Options{}).Object(t.Context(), client.ObjectQuery{
		Resource: "clusterroles", Name: "system:node", Group: "rbac.authorization.k8s.io",
		Revisions: []uint64{4, 9}, Descendants: true, UID: "u", Summary: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.request.URL.Path, "/prefix/api/v1/events/-/clusterroles/system:node"; got != want {
		t.Errorf("path is %q, want %q", got, want)
	}
	want := "descendants=true&empty=200&group=rbac.authorization.k8s.io&revision=4%2C9&summary=true&uid=u"
	if diff := cmp.Diff(want, s.request.URL.RawQuery); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(client.Page{Total: 3, TotalExact: true, HasMore: true, Next: "next"}, page.Page); diff != "" {
		t.Error(diff)
	}
	if len(page.WatchEvents) != 1 || page.WatchEvents[0].ResourceName != "web-1" {
		t.Errorf("got %+v", page.WatchEvents)
	}
}

func TestObjectQueryNeedsAnObject(t *testing.T) {
	c := dial(t, "http://127.0.0.1:1", client.Options{})
	for _, q := range []client.ObjectQuery{{}, {Resource: "pods"}, {Name: "web"}, {Resource: "pods", Name: "a/b"}} {
		_, err := c.Object(t.Context(), q)
		wantCode(t, err, history.Invalid)
	}
}

func TestNothingRecordedIsAnEmptyPage(t *testing.T) {
	for _, body := range []string{"no audit data available for the specified time range\n", "no events found for this object\n"} {
		c := dial(t, answering(t, 404, "text/plain; charset=utf-8", body).URL, client.Options{})
		events, err := c.Events(t.Context(), client.EventsQuery{})
		if err != nil || events.Events == nil || len(events.Events) != 0 || !events.TotalExact {
			t.Errorf("Events: got %+v, %v", events, err)
		}
		object, err := c.Object(t.Context(), client.ObjectQuery{Namespace: "shop", Resource: "pods", Name: "web"})
		if err != nil || object.WatchEvents == nil || object.RelatedEvents == nil || object.ResourceName != "web" {
			t.Errorf("Object: got %+v, %v", object, err)
		}
	}
}

func TestPageHeader(t *testing.T) {
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
		"ignored":   {[]string{"X-History-Ignored", "pods namespaces=noisy"}, client.Page{Total: 1, TotalExact: true, Ignored: "pods namespaces=noisy"}, ""},
		"bad gaps":  {[]string{"X-History-Gaps", "-1"}, client.Page{}, "X-History-Gaps is -1"},
		"no cursor": {[]string{"X-Has-More", "true"}, client.Page{}, "older than this client"},
	} {
		t.Run(name, func(t *testing.T) {
			s := answering(t, 200, "application/json", fixed, tc.header...)
			page, err := dial(t, s.URL, client.Options{}).Events(t.Context(), client.EventsQuery{})
			if tc.err != "" {
				wantCode(t, err, history.CodeOf(err), tc.err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, page.Page); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// paged answers pages of two of n records, until the cursor says stop.
func paged(t *testing.T, n int, next func(at int) string) *client.Client {
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
	return dial(t, s.URL, client.Options{})
}

func TestAll(t *testing.T) {
	c := paged(t, 5, func(at int) string { return fmt.Sprint(at + 2) })
	var got []string
	for event, err := range c.All(t.Context(), client.EventsQuery{Limit: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, event.ResourceName)
	}
	if diff := cmp.Diff([]string{"o0", "o1", "o2", "o3", "o4"}, got); diff != "" {
		t.Error(diff)
	}
	for event, err := range c.All(t.Context(), client.EventsQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, event.ResourceName)
		break
	}
	if len(got) != 6 {
		t.Errorf("breaking off: got %q", got)
	}
}

func TestAllEndsWhenPagesDoNotAdvance(t *testing.T) {
	c := paged(t, 5, func(int) string { return "2" })
	records, last := 0, error(nil)
	for _, err := range c.All(t.Context(), client.EventsQuery{}) {
		if last = err; err == nil {
			records++
		}
	}
	if records != 2 {
		t.Errorf("got %d records before the error, want 2", records)
	}
	wantCode(t, last, history.Internal, "do not advance")
}

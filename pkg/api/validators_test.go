package api_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// conditional sends a request with If-None-Match and Accept-Encoding.
func (s *server) conditional(target, tag, encoding string) *httptest.ResponseRecorder {
	s.tb.Helper()
	r := httptest.NewRequestWithContext(s.tb.Context(), http.MethodGet, target, http.NoBody)
	r.Header.Set("If-None-Match", tag)
	r.Header.Set("Accept-Encoding", encoding)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	s.check(http.MethodGet, r.URL.Path, w)
	return w
}

// until returns a query for the time before a moment.
func until(t time.Time) string { return "?end=" + url.QueryEscape(t.Format(time.RFC3339Nano)) }

func TestValidators_FinalAnswersAreNotSentAgain(t *testing.T) {
	s := newServer(t, api.Options{})
	sample(s)
	s.put(change(history.Update, "pods", "shop", "web", podBody))
	end := until(s.now)
	for _, target := range []string{
		v1.EventsPath + end, v1.EventsPath + end + "&limit=2", v1.EventsPath + end + "&empty=200&namespace=nowhere",
		v1.EventsPath + end + "&q=true", v1.EventsPath + "/shop/pods/web" + end,
		v1.EventsPath + "/shop/pods/web?revision=1", v1.EventsPath + "/shop/pods/web?revision=2,1,2",
	} {
		first := s.conditional(target, "", "")
		tag := first.Header().Get("ETag")
		if first.Code != http.StatusOK || tag == "" || first.Header().Get("Cache-Control") != "private, no-cache" {
			t.Fatalf("%s: got %d with %v, want 200 with an ETag", target, first.Code, first.Header())
		}
		s.put(change(history.Update, "nodes", "", "node-1", `{"metadata":{"name":"node-1"}}`)) // after the end
		for _, given := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
			w := s.conditional(target, given, "")
			if w.Code != http.StatusNotModified || w.Body.Len() > 0 || w.Header().Get("ETag") != tag ||
				w.Header().Get("X-Total-Count") != first.Header().Get("X-Total-Count") ||
				w.Header().Get("Content-Type") != "" {
				t.Errorf("%s with %s: got %d with %v and %d bytes, want 304 with ETag %s and no body",
					target, given, w.Code, w.Header(), w.Body.Len(), tag)
			}
		}
		if w := s.conditional(target, `"x"`, ""); w.Code != http.StatusOK || w.Body.String() != first.Body.String() {
			t.Errorf("%s with another ETag: got %d %s, want 200 %s", target, w.Code, w.Body, first.Body)
		}
	}
}

// Compressed bytes are another representation, so they have another ETag. Each
// of them is known.
func TestValidators_DifferByEncoding(t *testing.T) {
	s := newServer(t, api.Options{})
	sample(s)
	for range 10 {
		s.put(change(history.Update, "pods", "shop", "web", podBody))
	}
	for _, target := range []string{v1.EventsPath + until(s.now), v1.EventsPath + "/shop/pods/web" + until(s.now)} {
		plain := s.conditional(target, "", "").Header().Get("ETag")
		zipped := s.conditional(target, "", "gzip")
		if tag := zipped.Header().Get("ETag"); tag == plain || tag == "" ||
			zipped.Header().Get("Content-Encoding") != "gzip" {
			t.Fatalf("%s: got ETags %s, and %s with gzip, want different ones", target, plain, tag)
		}
		for _, encoding := range []string{"", "gzip"} {
			want := s.conditional(target, "", encoding).Header().Get("ETag")
			for _, given := range []string{plain, zipped.Header().Get("ETag")} {
				if w := s.conditional(target, given, encoding); w.Code != http.StatusNotModified ||
					w.Header().Get("ETag") != want || w.Header().Get("Content-Encoding") != "" {
					t.Errorf("%s with %s and encoding %q: got %d with %v, want 304 with ETag %s",
						target, given, encoding, w.Code, w.Header(), want)
				}
			}
		}
	}
}

func TestValidators_ChangeableAnswersHaveNone(t *testing.T) {
	s := newServer(t, api.Options{})
	sample(s)
	object := v1.EventsPath + "/shop/pods/web"
	for _, target := range []string{
		v1.EventsPath, v1.EventsPath + "?start=2000-01-01T00:00:00Z", v1.EventsPath + until(s.now.Add(time.Nanosecond)),
		object, object + until(s.now.Add(time.Hour)), object + "?revision=1,9",
		object + until(s.now) + "&descendants=true",
		v1.ResourcesPath, v1.GapsPath, v1.GapsPath + until(s.now),
	} {
		if w := s.conditional(target, "*", ""); w.Code != http.StatusOK || w.Header().Get("ETag") != "" {
			t.Errorf("%s: got %d with ETag %q, want 200 without one", target, w.Code, w.Header().Get("ETag"))
		}
	}
	final := []string{v1.EventsPath + until(s.now), object + until(s.now), object + "?revision=1"}
	for _, target := range final {
		if w := s.conditional(target, "", ""); w.Header().Get("ETag") == "" {
			t.Errorf("%s: got no ETag, want one", target)
		}
	}
	s.addGaps(history.Gap{Resource: "pods", Start: s.now.Add(-2 * time.Second), Reason: history.GapDisconnected})
	for _, target := range final {
		if w := s.conditional(target, "*", ""); w.Code != http.StatusOK || w.Header().Get("ETag") != "" {
			t.Errorf("%s with an open gap: got %d with ETag %q, want 200 without one",
				target, w.Code, w.Header().Get("ETag"))
		}
	}
}

// The headers of an answer in several segments are sent before its body is
// known.
func TestValidators_SegmentedAnswersHaveNone(t *testing.T) {
	s := newServer(t, api.Options{})
	random := rand.NewChaCha8([32]byte{})
	for i := range 40 {
		data := make([]byte, 50_000)
		_, _ = random.Read(data) // never fails
		s.put(change(history.Create, "configmaps", "shop", fmt.Sprint("large-", i),
			`{"data":{"a":"`+hex.EncodeToString(data)+`"}}`))
	}
	s.put(change(history.Create, "configmaps", "shop", "last", `{}`))
	for _, c := range []struct {
		target string
		want   bool
	}{
		{v1.EventsPath + until(s.now), false},
		{v1.EventsPath + until(s.now) + "&limit=2", true},
		{v1.EventsPath + until(s.now) + "&summary=true", true},
	} {
		w := s.conditional(c.target, "", "gzip")
		if got := w.Header().Get("ETag"); w.Code != http.StatusOK || (got != "") != c.want {
			t.Errorf("%s: got %d with ETag %q and %d bytes, want 200 and an ETag: %t",
				c.target, w.Code, got, w.Body.Len(), c.want)
		}
	}
}

// listOnly is a caller who may list everything and, unless get is set, get
// nothing.
type listOnly struct{ get bool }

func (listOnly) List(context.Context, schema.GroupResource, history.NamespaceScope) (bool, error) {
	return true, nil
}

func (l listOnly) Get(context.Context, schema.GroupResource, string, string) (bool, error) {
	return l.get, nil
}

func (listOnly) Path(context.Context, string) (bool, error) { return false, nil }

func (listOnly) Namespaces(context.Context, history.Activity) (map[string]time.Time, error) {
	return nil, nil
}

// A client that has the body which another caller may read must not learn that
// the body is the same for it.
func TestValidators_DependOnRights(t *testing.T) {
	caller := listOnly{get: true}
	s := newServer(t, api.Options{Caller: func(context.Context) query.Authorizer { return caller }})
	secrets := history.Resource{Version: "v1", Plural: "secrets", Kind: "Secret", Namespaced: true}
	if err := s.log.Register(t.Context(), secrets); err != nil {
		t.Fatal(err)
	}
	s.put(change(history.Create, "secrets", "shop", "pin",
		`{"data":{"a":"hmac-sha256:0123456789abcdef0123456789abcdef"}}`),
		change(history.Create, "nodes", "", "node-1", `{}`))
	target := v1.EventsPath + until(s.now)
	tag := s.conditional(target, "", "").Header().Get("ETag")
	if w := s.conditional(target, tag, ""); w.Code != http.StatusNotModified {
		t.Errorf("the same caller: got %d, want 304", w.Code)
	}
	caller.get = false
	if w := s.conditional(target, tag, ""); w.Code != http.StatusOK || w.Header().Get("ETag") == tag {
		t.Errorf("a caller without the hashes: got %d with ETag %s, want 200 with another one",
			w.Code, w.Header().Get("ETag"))
	}
}

// Retention drops records, which changes a final answer.
func TestValidators_ChangeWithRetention(t *testing.T) {
	s := newServer(t, api.Options{})
	sample(s)
	s.now = s.now.Add(10 * 24 * time.Hour)
	s.put(change(history.Update, "pods", "shop", "web", podBody), change(history.Create, "nodes", "", "node-2", `{}`))
	target := v1.EventsPath + until(s.now) + "&empty=200"
	tag := s.conditional(target, "", "").Header().Get("ETag")
	s.now = s.now.Add(10 * 24 * time.Hour)
	if err := s.log.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w := s.conditional(target, tag, ""); w.Code != http.StatusOK || w.Header().Get("ETag") == tag {
		t.Errorf("after records were dropped: got %d with ETag %s, want 200 with another one than %s",
			w.Code, w.Header().Get("ETag"), tag)
	}
}

func TestServerTiming_IsInEveryAnswer(t *testing.T) {
	s := newServer(t, api.Options{})
	sample(s)
	for _, path := range []string{
		v1.EventsPath, v1.EventsPath + "?start=x", v1.EventsPath + "?namespace=nowhere", v1.EventsPath + "?order=x",
		v1.EventsPath + "/shop/pods/web", v1.EventsPath + "/shop/pods/missing", v1.EventsPath + "/shop",
		v1.ResourcesPath, v1.GapsPath, v1.GapsPath + "?end=x", v1.StatePath + "?at=x",
	} {
		_, header, _ := s.get(path)
		checkTiming(t, header, "query")
	}
	limited := newServer(t, api.Options{Rate: 0.001})
	for range 2 {
		limited.get(v1.GapsPath)
	}
	code, header, _ := limited.get(v1.GapsPath)
	if code != http.StatusTooManyRequests {
		t.Errorf("queries above the rate: got %d, want 429", code)
	}
	checkTiming(t, header)
}

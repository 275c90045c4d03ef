package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// served returns the JSON of an object with metadata that an API server sets.
func served(kind, namespace, name, rest string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":%q,`+
		`"metadata":{"name":%q,"namespace":%q,"uid":"uid-of-%s","resourceVersion":"7",`+
		`"creationTimestamp":"2100-01-02T03:04:05Z"}%s}`, kind, name, namespace, name, rest)
}

// statesOf records configmaps that are created, changed, deleted and created
// again, and returns the times of the records.
func statesOf(s *server) (times []time.Time) {
	recreated := change(history.Create, "configmaps", "shop", "web",
		served("ConfigMap", "shop", "web", `,"data":{"a":"3"}`))
	recreated.Ref.UID = "another"
	records := []*history.Record{
		change(history.Create, "configmaps", "shop", "web",
			served("ConfigMap", "shop", "web", `,"data":{"a":"1","n":"<1.50>"}`)),
		change(history.Create, "configmaps", "shop", "gone", served("ConfigMap", "shop", "gone", `,"data":{}`)),
		change(history.Create, "configmaps", "db", "db", served("ConfigMap", "db", "db", ``)),
		change(history.Update, "configmaps", "shop", "web",
			served("ConfigMap", "shop", "web", `,"data":{"a":"2","n":"<1.50>"}`)),
		change(history.Delete, "configmaps", "shop", "gone", served("ConfigMap", "shop", "gone", `,"data":{}`)),
		change(history.Update, "configmaps", "db", "db",
			strings.Replace(served("ConfigMap", "db", "db", ``), `"7"`, `"8"`, 1)),
		change(history.Create, "nodes", "", "node-1",
			strings.Replace(served("Node", "", "node-1", ``), `"namespace":"",`, ``, 1)),
		change(history.Delete, "configmaps", "shop", "web", served("ConfigMap", "shop", "web", `,"data":{"a":"2"}`)),
		recreated,
	}
	s.put(records...)
	for _, r := range records {
		times = append(times, r.Time)
	}
	return times
}

func TestState_MatchesGolden(t *testing.T) {
	s := newServer(t, api.Options{})
	at := statesOf(s)
	var answers strings.Builder
	ask := func(path string, pairs ...string) http.Header {
		values := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			values.Set(pairs[i], pairs[i+1])
		}
		code, header, body := s.get(path + "?" + values.Encode())
		fmt.Fprintf(&answers, "GET %s %s\n%d\n", path, strings.Join(pairs, " "), code)
		for _, name := range []string{
			"Content-Type", "X-Total-Count", "X-Total-Count-Relation", "X-Has-More", "X-Next-Cursor",
			"Link", "X-History-At", "X-History-Gaps", "Etag", "Cache-Control",
		} {
			if value := header.Get(name); value != "" {
				fmt.Fprintf(&answers, "%s: %s\n", name, value)
			}
		}
		if code == http.StatusOK && !regexp.MustCompile(
			`^wait;dur=\d+\.\d, (scan|compare);dur=\d+\.\d, encode;dur=\d+\.\d$`,
		).MatchString(header.Get("Server-Timing")) {
			t.Errorf("%s %v: got Server-Timing %q, want three steps", path, pairs, header.Get("Server-Timing"))
		}
		answers.WriteString(body + "\n")
		return header
	}
	text := func(i int) string { return at[i].Format(time.RFC3339Nano) }
	ask(v1.StatePath, "at", text(0))
	ask(v1.StatePath, "at", text(3), "namespace", "shop")
	ask(v1.StatePath, "at", text(5), "strip", "true", "resourceType", "cm")
	ask(v1.StatePath, "at", "now", "namespace", "-")
	ask(v1.StatePath, "at", text(7), "resourceType", "configmaps", "resourceName", "web")
	next := ask(v1.StatePath, "at", text(6), "limit", "2").Get("X-Next-Cursor")
	ask(v1.StatePath, "cursor", next, "limit", "2")
	ask(v1.ComparePath, "from", text(2), "to", text(6))
	ask(v1.ComparePath, "from", text(2), "to", text(6), "noise", "true", "summary", "true")
	ask(v1.ComparePath, "from", text(4), "resourceType", "cm", "resourceName", "web")
	next = ask(v1.ComparePath, "from", text(2), "to", text(8), "limit", "1").Get("X-Next-Cursor")
	ask(v1.ComparePath, "cursor", next, "limit", "1")
	golden(t, "state.golden", answers.String())
}

func TestState_InvalidParametersAreNamed(t *testing.T) {
	s := newServer(t, api.Options{})
	at := statesOf(s)
	first := at[0].Format(time.RFC3339Nano)
	_, header, _ := s.get("/api/v1/compare?limit=1&from=" + first)
	compareCursor := header.Get("X-Next-Cursor")
	for target, want := range map[string]string{
		"/api/v1/state?at=yesterday":                                 "400 parameter at: ",
		"/api/v1/state?at=2222-01-01T00:00:00Z":                      "400 parameter at: ",
		"/api/v1/state?limit=x":                                      "400 parameter limit: ",
		"/api/v1/state?strip=perhaps":                                "400 parameter strip: ",
		"/api/v1/state?cursor=x":                                     "400 parameter cursor: ",
		"/api/v1/state?cursor=" + compareCursor:                      "400 parameter cursor: ",
		"/api/v1/state?resourceType=unheard":                         "404 parameters resourceType and group: ",
		"/api/v1/compare":                                            "400 parameter from: ",
		"/api/v1/compare?from=now":                                   "400 parameter from: ",
		"/api/v1/compare?from=soon":                                  "400 parameter from: ",
		"/api/v1/compare?to=soon&from=" + first:                      "400 parameter to: ",
		"/api/v1/compare?to=2222-01-01T00:00:00Z&from=" + first:      "400 parameter to: ",
		"/api/v1/compare?from=2222-01-01T00:00:00Z":                  "400 parameter from: ",
		"/api/v1/compare?to=2001-01-01T00:00:00Z&from=" + first:      "400 parameter from: ",
		"/api/v1/compare?noise=x&from=" + first:                      "400 parameter noise: ",
		"/api/v1/compare?summary=x&from=" + first:                    "400 parameter summary: ",
		"/api/v1/compare?limit=x&from=" + first:                      "400 parameter limit: ",
		"/api/v1/compare?cursor=x&from=" + first:                     "400 parameter cursor: ",
		"/api/v1/compare?group=unheard.example.com&from=" + first:    "404 parameters resourceType and group: ",
		"/api/v1/state?at=2001-01-01T00:00:00Z&resourceType=cm":      "404 parameter at: ",
		"/api/v1/compare?from=2001-01-01T00:00:00Z&resourceType=cm":  "404 parameter from: ",
		"/api/v1/state?resourceType=nodes&namespace=shop":            "404 parameters resourceType and group: ",
		"/api/v1/state?resourceType=cm&namespace=unheard":            "200 ",
		"/api/v1/state?resourceType=cm&resourceName=unheard&limit=0": "200 ",
	} {
		code, header, body := s.get(target)
		var e v1.ErrorBody
		_ = json.Unmarshal([]byte(body), &e)
		if got := fmt.Sprintf("%d %s", code, e.Error.Message); !strings.HasPrefix(got, want) ||
			header.Get("Content-Type") != v1.ContentType {
			t.Errorf("%s: got %q, %s, want %q in JSON", target, got, header.Get("Content-Type"), want)
		}
	}
}

// A resource whose recording began later is not shown as empty.
func TestState_OutsideOfRecordingIsNotEmpty(t *testing.T) {
	s := newServer(t, api.Options{})
	s.put(change(history.Create, "pods", "shop", "web", served("Pod", "shop", "web", "")))
	checkpoint := func(resource string) time.Time {
		s.now = s.now.Add(time.Hour)
		b := &history.Batch{Checkpoints: []history.Checkpoint{{Resource: resource, RV: "1"}}}
		if err := s.log.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		return b.Checkpoints[0].Time
	}
	pods := checkpoint("pods")
	maps := checkpoint("configmaps")
	s.put(change(history.Create, "configmaps", "shop", "web", served("ConfigMap", "shop", "web", "")))
	s.setUnrecorded(excluded("leases"))
	gap := history.Gap{
		Resource: "pods", Start: pods.Add(time.Minute), End: pods.Add(2 * time.Minute), Reason: history.GapRestarted,
	}
	if err := s.log.Append(t.Context(), &history.Batch{
		Gaps: []history.Gap{{Resource: "pods", Start: gap.Start, Reason: gap.Reason}},
	}); err != nil {
		t.Fatal(err)
	}
	rounded := func(t time.Time) string { return t.Add(time.Second - 1).Truncate(time.Second).Format(time.RFC3339) }
	for _, c := range []struct {
		query, want string
	}{
		{"resourceType=pods&at=" + pods.Add(-1).Format(time.RFC3339Nano), "404 " + rounded(pods) + "  0 "},
		{"resourceType=pods&at=" + pods.Format(time.RFC3339Nano), "200 " + rounded(pods) + "  0 1"},
		{"resourceType=pods,cm&at=" + pods.Format(time.RFC3339Nano), "200 " + rounded(pods) +
			" configmaps before=" + rounded(maps) + " 0 1"},
		{"resourceType=pods,cm&at=" + maps.Format(time.RFC3339Nano), "200 " + rounded(pods) + "  1 1"},
		{"resourceType=cm&at=" + pods.Format(time.RFC3339Nano), "404 " + rounded(maps) + "  0 "},
		{"resourceType=pods", "200 " + rounded(pods) + "  1 1"},
		{"resourceType=leases", "404  leases.coordination.k8s.io excluded 0 "},
		{"resourceType=leases,pods", "200 " + rounded(pods) + " leases.coordination.k8s.io excluded 1 1"},
	} {
		code, header, _ := s.get(v1.StatePath + "?" + c.query)
		got := fmt.Sprintf("%d %s %s %s %s", code, header.Get(v1.SinceHeader), header.Get(v1.NotRecordedHeader),
			header.Get(v1.GapsHeader), header.Get(v1.TotalCountHeader))
		if got != c.want {
			t.Errorf("%s:\ngot  %q\nwant %q", c.query, got, c.want)
		}
		if header.Get("ETag") != "" && strings.Contains(c.want, " 1 ") {
			t.Errorf("%s: got an ETag with an open gap, want none", c.query)
		}
	}
	code, header, body := s.get(v1.ComparePath + "?from=" + pods.Format(time.RFC3339Nano))
	if code != http.StatusOK || strings.Contains(body, "configmaps") ||
		!strings.Contains(header.Get(v1.NotRecordedHeader), "configmaps before=") {
		t.Errorf("compare: got %d %v %s, want no configmaps: they were not recorded at the earlier time",
			code, header, body)
	}
}

// Pages of now stay at the time of the first one.
func TestState_CursorPinsNow(t *testing.T) {
	s := newServer(t, api.Options{})
	for i := range 5 {
		s.put(change(history.Create, "configmaps", "shop", fmt.Sprint("cm-", i),
			served("ConfigMap", "shop", fmt.Sprint("cm-", i), "")))
	}
	cursor, first, names := "", "", []string{}
	for page := range 3 {
		_, header, body := s.get(v1.StatePath + "?resourceType=cm&limit=2&cursor=" + cursor)
		var list struct {
			Items []struct{ Metadata struct{ Name string } }
		}
		if err := json.Unmarshal([]byte(body), &list); err != nil {
			t.Fatal(err)
		}
		for _, item := range list.Items {
			names = append(names, item.Metadata.Name)
		}
		if at := header.Get(v1.AtHeader); page == 0 {
			first = at
		} else if at != first {
			t.Errorf("page %d: got time %s, want %s", page, at, first)
		}
		cursor = header.Get("X-Next-Cursor")
		s.put(change(history.Delete, "configmaps", "shop", fmt.Sprint("cm-", 4-page), `{}`),
			change(history.Create, "configmaps", "shop", "cm-9", `{}`))
		if got, want := header.Get("X-Total-Count"), []string{"3", "5", "5"}[page]; got != want {
			t.Errorf("page %d: got a total of %s, want %s", page, got, want)
		}
	}
	if got := strings.Join(names, " "); got != "cm-0 cm-1 cm-2 cm-3 cm-4" || cursor != "" {
		t.Errorf("got %s, cursor %q, want cm-0 to cm-4, and no more", got, cursor)
	}
}

func TestState_FinalAnswersHaveETags(t *testing.T) {
	s := newServer(t, api.Options{})
	at := statesOf(s)
	large := change(history.Create, "configmaps", "shop", "large",
		served("ConfigMap", "shop", "large", `,"data":{"a":"`+strings.Repeat("x", 10_000)+`"}`))
	s.put(large)
	ask := func(target, tag, encoding string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, http.NoBody)
		r.Header.Set("If-None-Match", tag)
		r.Header.Set("Accept-Encoding", encoding)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w
	}
	for _, target := range []string{
		v1.StatePath + "?at=" + large.Time.Format(time.RFC3339Nano),
		v1.ComparePath + "?from=" + at[0].Format(time.RFC3339Nano) + "&to=" + large.Time.Format(time.RFC3339Nano),
	} {
		plain, zipped := ask(target, "", "").Header().Get("ETag"), ask(target, "", "gzip").Header().Get("ETag")
		if plain == "" || zipped == "" {
			t.Fatalf("%s: got ETags %q and %q, want some", target, plain, zipped)
		}
		for _, tag := range []string{plain, zipped, `"x", W/` + plain, "*"} {
			if w := ask(target, tag, ""); w.Code != http.StatusNotModified || w.Body.Len() > 0 ||
				w.Header().Get("ETag") == "" {
				t.Errorf("%s with %s: got %d and %d bytes, want 304 with an ETag", target, tag, w.Code, w.Body.Len())
			}
		}
		for _, tag := range []string{"", `"x"`} {
			if w := ask(target, tag, ""); w.Code != http.StatusOK || w.Body.Len() == 0 {
				t.Errorf("%s with %q: got %d and %d bytes, want 200 with a body", target, tag, w.Code, w.Body.Len())
			}
		}
	}
	if a, b := ask(v1.StatePath+"?at="+at[0].Format(time.RFC3339Nano), "", ""), ask(
		v1.StatePath+"?at="+at[1].Format(time.RFC3339Nano), "", "",
	); a.Header().Get("ETag") == b.Header().Get("ETag") {
		t.Errorf("two times: got the same ETag %s, want different ones", a.Header().Get("ETag"))
	}
	s.Handler = api.New(query.New(s.log, query.Options{Now: func() time.Time { return s.now.Add(time.Second) }}),
		api.Options{})
	if w := ask(v1.StatePath, "", ""); w.Code != http.StatusOK || w.Header().Get("ETag") != "" {
		t.Errorf("now: got %d with ETag %q, want 200 without one", w.Code, w.Header().Get("ETag"))
	}
}

// An object whose contents were lost is part of the state, but is never
// applied.
func TestState_LostContentsAreMarked(t *testing.T) {
	s := newServer(t, api.Options{})
	s.put(change(history.Create, "configmaps", "shop", "web", `{"kind":`),
		change(history.Create, "configmaps", "shop", "db", ``))
	_, _, body := s.get(v1.StatePath)
	if !json.Valid([]byte(body)) || strings.Count(body, v1.LostAnnotation) != 2 {
		t.Errorf("got %s, want two marked objects", body)
	}
	if code, _, body := s.get(v1.StatePath + "?strip=true"); code != http.StatusInternalServerError ||
		!strings.Contains(body, "configmaps shop/db") {
		t.Errorf("strip: got %d %s, want 500 with the object", code, body)
	}
}

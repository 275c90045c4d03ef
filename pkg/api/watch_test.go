package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/rig/openapi"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// openStream is a stream that a test reads line by line.
type openStream struct {
	t    *testing.T
	resp *http.Response
	in   *bufio.Reader
	stop func()
}

// watch opens a stream. It is closed when the test ends.
func watch(t *testing.T, address, rawQuery string) *openStream {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+v1.EventsPath+"?watch=true&"+rawQuery,
		http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); _ = resp.Body.Close() })
	return &openStream{t, resp, bufio.NewReader(resp.Body), stop}
}

// item returns the next line.
func (s *openStream) item() v1.StreamItem {
	s.t.Helper()
	line, err := s.in.ReadBytes('\n')
	if err != nil {
		s.t.Fatalf("got line %q, error %v, want a complete line", line, err)
	}
	var item v1.StreamItem
	if err := json.Unmarshal(line, &item); err != nil || item.Cursor == "" {
		s.t.Fatalf("got line %q, error %v, want an item with a cursor", line, err)
	}
	if err := checker().Check(openapi.Answer{
		Method: http.MethodGet, Path: v1.EventsPath, Status: s.resp.StatusCode, Header: s.resp.Header, Body: line,
	}); err != nil {
		s.t.Error(err)
	}
	return item
}

// want reads the next line, and checks its type.
func (s *openStream) want(kind v1.StreamType) v1.StreamItem {
	s.t.Helper()
	item := s.item()
	if item.Type != kind {
		s.t.Fatalf("got %+v, want a line of type %s", item, kind)
	}
	return item
}

// news returns the next line that is not a heartbeat.
func (s *openStream) news() v1.StreamItem {
	s.t.Helper()
	for {
		if item := s.item(); item.Type != v1.StreamHeartbeat {
			return item
		}
	}
}

// events reads n events, and returns their names and the last cursor.
func (s *openStream) events(n int) (names []string, cursor string) {
	s.t.Helper()
	for range n {
		item := s.want(v1.StreamEvent)
		names, cursor = append(names, item.Event.ResourceName), item.Cursor
	}
	return names, cursor
}

// ended checks that the stream has no further line.
func (s *openStream) ended(wantErr error) {
	s.t.Helper()
	if rest, err := io.ReadAll(s.in); !errors.Is(err, wantErr) || len(rest) > 0 {
		s.t.Errorf("after the last line: got %q, error %v, want nothing, error %v", rest, err, wantErr)
	}
}

func pod(name string) *history.Record {
	return change(history.Create, "pods", "shop", name, `{"kind":"Pod","metadata":{"name":"`+name+`"}}`)
}

func TestWatch_ContinuesWithNewRecords(t *testing.T) {
	s := newServer(t, api.Options{})
	s.put(pod("before"))
	address := listen(t, s, api.ServerOptions{})
	stream := watch(t, address, "")
	if got, want := stream.resp.Header.Get("Content-Type"), "application/x-ndjson"; got != want {
		t.Errorf("content type: got %q, want %q", got, want)
	}
	start := stream.want(v1.StreamStart)
	s.put(pod("a"), change(history.Create, "configmaps", "bank", "b", `{}`))
	s.put(pod("c"))
	names, _ := stream.events(3)
	if want := []string{"a", "b", "c"}; !slices.Equal(names, want) {
		t.Errorf("got events %v, want %v", names, want)
	}
	_, _, page := s.get("/api/v1/events?resourceName=a")
	again := watch(t, address, "cursor="+start.Cursor)
	again.want(v1.StreamStart)
	event, err := json.Marshal(again.want(v1.StreamEvent).Event)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := "["+string(event)+"]\n", page; got != want {
		t.Errorf("event of a stream: got %s, want that of a page: %s", got, want)
	}
}

// The stream is cut after each number of events. Each part continues after the
// one before.
func TestWatch_ResumesAfterEveryEvent(t *testing.T) {
	s := newServer(t, api.Options{})
	const n = 7
	s.put(pod("before"))
	address := listen(t, s, api.ServerOptions{})
	first := watch(t, address, "")
	cursor := first.want(v1.StreamStart).Cursor
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint("pod-", i))
		s.put(pod(want[i]))
	}
	for length := 1; length <= n; length++ {
		var got []string
		for at := cursor; len(got) < n; {
			stream := watch(t, address, "cursor="+at)
			stream.want(v1.StreamStart)
			var part []string
			part, at = stream.events(min(length, n-len(got)))
			got = append(got, part...)
			stream.stop()
		}
		if !slices.Equal(got, want) {
			t.Errorf("in parts of %d: got %v, want %v", length, got, want)
		}
	}
}

func TestWatch_BeginsAtStart(t *testing.T) {
	s := newServer(t, api.Options{})
	first, second, third := pod("a"), pod("b"), pod("c")
	s.put(first, second, third)
	address := listen(t, s, api.ServerOptions{})
	for _, tt := range []struct {
		start time.Time
		want  []string
	}{
		{time.Unix(0, 0), []string{"a", "b", "c", "new"}},
		{second.Time, []string{"b", "c", "new"}},
		{second.Time.Add(1), []string{"c", "new"}},
		{third.Time.Add(1), []string{"new"}},
	} {
		t.Run(tt.start.String(), func(t *testing.T) {
			stream := watch(t, address, "summary=true&start="+tt.start.Format(time.RFC3339Nano))
			stream.want(v1.StreamStart)
			if tt.want[0] == "a" {
				s.put(pod("new"))
			}
			if names, _ := stream.events(len(tt.want)); !slices.Equal(names, tt.want) {
				t.Errorf("got %v, want %v", names, tt.want)
			}
		})
	}
	// The retention has passed some records, and will pass another one soon.
	s.advance(14*24*time.Hour - time.Second)
	s.put(pod("newest"))
	old := watch(t, address, "summary=true&start=2000-01-01T00:00:00Z")
	old.want(v1.StreamStart)
	if names, _ := old.events(1); names[0] != "newest" {
		t.Errorf("start before the retention: got %v, want newest", names)
	}
	future := watch(t, address, "start="+s.now.Add(time.Hour).Format(time.RFC3339Nano))
	future.want(v1.StreamStart)
	s.put(pod("early"))
	s.advance(2 * time.Hour)
	s.put(pod("late"))
	if names, _ := future.events(1); names[0] != "late" {
		t.Errorf("start in the future: got %v, want late", names)
	}
}

// Each filter of a page selects the same records of a stream.
func TestWatch_FiltersAsPages(t *testing.T) {
	s := newServer(t, api.Options{})
	story(s)
	sample(s)
	address := listen(t, s, api.ServerOptions{})
	for _, filter := range []string{
		"resourceType=po", "namespace=shop&namespace=-", "resourceName=web", "verb=update,delete", "manager=kubelet",
		"group=apps", "group=core", "uid=uid-of-web", "labelSelector=app%3Dweb", "fieldSelector=metadata.name%3Dweb",
		"q=verb%3D%3D%22update%22", "reason=BackOff", "type=Warning", "verb=patch", "user=jane", "resourceType=never",
	} {
		_, _, body := s.get("/api/v1/events?empty=200&summary=true&" + filter)
		var want []v1.Event
		if err := json.Unmarshal([]byte(body), &want); err != nil {
			t.Fatal(err)
		}
		stream := watch(t, address, "summary=true&start=2000-01-01T00:00:00Z&"+filter)
		stream.want(v1.StreamStart)
		for i := range want {
			item := stream.want(v1.StreamEvent)
			if !item.Event.Timestamp.Equal(want[i].Timestamp) || item.Event.ObjectChanges != nil {
				t.Errorf("%s: got %+v, want %+v", filter, item.Event, want[i])
			}
		}
		stream.stop()
	}
}

func TestWatch_RefusesParametersOfPages(t *testing.T) {
	s := newServer(t, api.Options{})
	s.put(pod("a"))
	for query, want := range map[string]string{
		"watch=true&order=desc":                        "parameter order: invalid value \"desc\"",
		"watch=true&limit=5":                           "parameter limit: invalid value \"5\"",
		"watch=1&end=2100-01-01T00:00:00Z":             "parameter end: invalid value",
		"watch=true&empty=200":                         "parameter empty: invalid value",
		"watch=true&cursor=x":                          "parameter cursor: invalid value",
		"watch=true&cursor=" + strings.Repeat("A", 48): "parameter cursor: invalid value",
		"watch=true&q=(":                               "parameter q",
		"watch=true&summary=maybe":                     "parameter summary",
		"watch=maybe":                                  "parameter watch: invalid value \"maybe\": want true or false",
		"watch=true&start=yesterday":                   "Invalid start time format: ",
		"watch=true&limit=x":                           "Invalid limit: ",
	} {
		code, _, body := s.get("/api/v1/events?" + query)
		if code != http.StatusBadRequest || !strings.Contains(strings.ReplaceAll(body, `\"`, `"`), want) {
			t.Errorf("%s: got %d %q, want 400 with %q", query, code, body, want)
		}
	}
	if code, header, body := s.do(http.MethodHead, "/api/v1/events?watch=true"); code != http.StatusOK || body != "" ||
		header.Get("Content-Type") != v1.StreamContentType {
		t.Errorf("HEAD: got %d %v %q, want 200 without a body", code, header, body)
	}
}

func TestWatch_HeartbeatsMoveCursor(t *testing.T) {
	s := newServer(t, api.Options{Heartbeat: 20 * time.Millisecond})
	s.put(pod("a"))
	address := listen(t, s, api.ServerOptions{})
	stream := watch(t, address, "resourceType=nodes")
	cursor := stream.want(v1.StreamStart).Cursor
	s.put(pod("b"))
	moved := false
	for range 100 {
		if item := stream.want(v1.StreamHeartbeat); item.Cursor != cursor {
			cursor, moved = item.Cursor, true
			break
		}
	}
	if !moved {
		t.Fatalf("got cursor %s after 100 heartbeats, want another one", cursor)
	}
	again := watch(t, address, "cursor="+cursor)
	again.want(v1.StreamStart)
	s.put(pod("c"))
	if item := again.news(); item.Type != v1.StreamEvent || item.Event.ResourceName != "c" {
		t.Errorf("after a heartbeat: got %+v, want the event of c", item)
	}
}

// A position that can't be continued is an answer before the stream begins, and
// a last line later.
func TestWatch_LossIsReported(t *testing.T) {
	s := newServer(t, api.Options{Heartbeat: 20 * time.Millisecond})
	first, second := pod("a"), pod("b")
	s.put(first, second)
	address := listen(t, s, api.ServerOptions{})
	old := history.Cursor{Time: first.Time.Add(-1)}.String()
	ahead := history.Cursor{Time: second.Time.Add(1)}.String()
	code, body, err := fetch(t, address, "/api/v1/events?watch=true&cursor="+ahead, false)
	if code != http.StatusGone || err != nil || !strings.Contains(body, `"code":"gone"`) {
		t.Errorf("cursor after the newest record: got %d %q, error %v, want 410", code, body, err)
	}
	s.advance(15 * 24 * time.Hour)
	code, body, err = fetch(t, address, "/api/v1/events?watch=true&cursor="+old, false)
	if code != http.StatusGone || err != nil || !strings.Contains(body, "were dropped") {
		t.Errorf("cursor before the retention: got %d %q, error %v, want 410", code, body, err)
	}
	// Nothing follows this cursor, so nothing was lost.
	quiet := watch(t, address, "cursor="+history.Cursor{Time: second.Time}.String())
	quiet.want(v1.StreamStart)
	third := pod("c")
	s.put(third)
	if item := quiet.news(); item.Type != v1.StreamEvent || item.Event.ResourceName != "c" {
		t.Errorf("cursor of the newest record, much later: got %+v, want the event of c", item)
	}
	quiet.want(v1.StreamHeartbeat)
}

// A reader that blocks is overtaken by the retention.
func TestWatch_RetentionOvertakesReader(t *testing.T) {
	feed := &laggingFeed{}
	s := newServer(t, api.Options{})
	feed.Store = s.log
	s.Handler = api.New(query.New(s.log, query.Options{Feed: feed}), api.Options{Heartbeat: 20 * time.Millisecond})
	s.put(pod("a"))
	address := listen(t, s, api.ServerOptions{})
	stream := watch(t, address, "")
	stream.want(v1.StreamStart)
	feed.lost.Store(true)
	item := stream.news()
	if item.Type != v1.StreamError || item.Error.Code != string(history.Gone) {
		t.Errorf("got %+v, want an error with the code gone", item)
	}
	stream.ended(nil)
}

// laggingFeed is a feed whose records are dropped at once.
type laggingFeed struct {
	*store.Store

	lost atomic.Bool
}

func (f *laggingFeed) Kept(ctx context.Context, after history.Cursor) (history.Cursor, error) {
	from, err := f.Store.Kept(ctx, after)
	if f.lost.Load() {
		from.Time = from.Add(1)
	}
	return from, err
}

// The gaps of the start are those that are open or that ended after the
// position. Later ones follow as they change.
func TestWatch_HasGaps(t *testing.T) {
	s := newServer(t, api.Options{})
	s.put(pod("a"))
	gap := func(resource string, minute int, end time.Time, reason history.GapReason) history.Gap {
		return history.Gap{
			Resource: resource, Start: s.now.Truncate(time.Hour).Add(time.Duration(minute) * time.Minute),
			End: end, Reason: reason,
		}
	}
	commit := func(gaps ...history.Gap) {
		t.Helper()
		if err := s.log.Append(t.Context(), &history.Batch{Gaps: gaps}); err != nil {
			t.Fatal(err)
		}
	}
	commit(gap("pods", 0, time.Time{}, history.GapExpired), gap("nodes", 0, time.Time{}, history.GapForbidden))
	address := listen(t, s, api.ServerOptions{})
	stream := watch(t, address, "resourceType=pods")
	start := stream.want(v1.StreamStart)
	if len(start.Gaps) != 1 || start.Gaps[0].Resource != "pods" || !start.Gaps[0].End.IsZero() {
		t.Errorf("start: got gaps %+v, want the open one of pods", start.Gaps)
	}
	s.advance(time.Minute)
	commit(gap("pods", 0, s.now, history.GapExpired))
	closed := stream.want(v1.StreamGap)
	if closed.Gap.End.IsZero() || !closed.Gap.Start.Equal(start.Gaps[0].Start) {
		t.Errorf("got gap %+v, want that of the start with its end", closed.Gap)
	}
	// This one is opened and closed while no stream is open.
	stream.stop()
	s.put(pod("b"))
	commit(gap("pods", 1, time.Time{}, history.GapDisconnected))
	s.put(pod("c"))
	commit(gap("pods", 1, s.now, history.GapDisconnected))
	s.put(pod("d"))
	for _, cursor := range []string{start.Cursor, closed.Cursor} {
		again := watch(t, address, "resourceType=pods&cursor="+cursor)
		gaps := again.want(v1.StreamStart).Gaps
		if !slices.ContainsFunc(gaps, func(g v1.Gap) bool { return g.Reason == "disconnected" && !g.End.IsZero() }) {
			t.Errorf("resumed: got gaps %+v, want the one that was opened and closed meanwhile", gaps)
		}
		if names, _ := again.events(3); !slices.Equal(names, []string{"b", "c", "d"}) {
			t.Errorf("resumed: got %v, want b, c, d", names)
		}
	}
}

// liveGaps is a log with a gap that is not in the log.
type liveGaps struct {
	query.Reader

	open atomic.Bool
}

func (l *liveGaps) Gaps(
	ctx context.Context, of []schema.GroupResource, start, end time.Time,
) ([]history.Gap, error) {
	gaps, err := l.Reader.Gaps(ctx, of, start, end)
	if l.open.Load() {
		gaps = append(gaps, history.Gap{Resource: "pods", Start: time.Unix(1000, 0), Reason: history.GapStorage})
	}
	return gaps, err
}

func TestWatch_OpenGapCanDisappear(t *testing.T) {
	s := newServer(t, api.Options{})
	s.put(pod("a"))
	live := &liveGaps{Reader: s.log}
	s.Handler = api.New(query.New(live, query.Options{Feed: s.log}), api.Options{Heartbeat: 20 * time.Millisecond})
	stream := watch(t, listen(t, s, api.ServerOptions{}), "")
	stream.want(v1.StreamStart)
	live.open.Store(true)
	if got := stream.news(); got.Type != v1.StreamGap || got.Gap.Reason != "storage" || !got.Gap.End.IsZero() {
		t.Errorf("got %+v, want an open gap", got)
	}
	live.open.Store(false)
	if got := stream.news(); got.Type != v1.StreamNoGap || got.Gap.Reason != "storage" {
		t.Errorf("got %+v, want that the gap does not exist", got)
	}
}

// Gaps close while the caller may not read their resource. The stream reports
// them closed once the caller may.
func TestWatch_GapClosesWhileHidden(t *testing.T) {
	for _, tt := range []struct {
		what string
		live bool
		want v1.StreamType
	}{{"with a loss", false, v1.StreamGap}, {"without a loss", true, v1.StreamNoGap}} {
		t.Run(tt.what, func(t *testing.T) {
			s := newServer(t, api.Options{})
			s.put(pod("a"))
			caller := &grants{in: map[string]bool{"": true}}
			live := &liveGaps{Reader: s.log}
			s.Handler = api.New(query.New(live, query.Options{Feed: s.log}), api.Options{
				Heartbeat: 20 * time.Millisecond,
				Caller:    func(context.Context) query.Authorizer { return caller },
			})
			gap := history.Gap{Resource: "pods", Start: s.now.Add(-time.Minute), Reason: history.GapExpired}
			set := func() {
				t.Helper()
				if tt.live {
					live.open.Store(gap.Open())
				} else if err := s.log.Append(t.Context(), &history.Batch{Gaps: []history.Gap{gap}}); err != nil {
					t.Fatal(err)
				}
			}
			set()
			stream := watch(t, listen(t, s, api.ServerOptions{}), "")
			if start := stream.want(v1.StreamStart); len(start.Gaps) != 1 || !start.Gaps[0].End.IsZero() {
				t.Fatalf("got gaps %+v, want an open one", start.Gaps)
			}
			caller.set("", false)
			caller.renewed(t)
			hidden := pod("hidden")
			s.put(hidden)
			gap.End = hidden.Time
			set()
			s.put(pod("later"))
			caller.renewed(t) // the stream's position is after the end
			caller.renewed(t)
			caller.set("", true)
			caller.renewed(t)
			s.put(pod("shown"))
			if got := stream.news(); got.Type != tt.want || got.Gap.End.Equal(hidden.Time) == tt.live {
				t.Errorf("got %+v, want a line of type %s", got, tt.want)
			}
		})
	}
}

func TestWatch_StoppingEndsStream(t *testing.T) {
	stopping := make(chan struct{})
	s := newServer(t, api.Options{Stopping: stopping})
	s.put(pod("a"))
	address := listen(t, s, api.ServerOptions{})
	stream := watch(t, address, "")
	stream.want(v1.StreamStart)
	close(stopping)
	end := stream.want(v1.StreamEnd)
	stream.ended(nil)
	if want := (history.Cursor{Time: s.now}).String(); end.Cursor != want {
		t.Errorf("cursor of the end: got %s, want %s", end.Cursor, want)
	}
}

// The client reads nothing. Its stream is cut off, and others continue.
func TestWatch_CutsOffSlowReader(t *testing.T) {
	t.Parallel() // reading the rest with a small buffer takes seconds of waiting
	var log logBuffer
	registry := prometheus.NewRegistry()
	s := newServer(t, api.Options{Registerer: registry, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	s.put(pod("a"))
	address := listen(t, s, api.ServerOptions{WriteIdle: 100 * time.Millisecond})
	slow := begin(t, address, "/api/v1/events?watch=true")
	body := `{"kind":"Pod","spec":"` + strings.Repeat("x", 1<<20) + `"}`
	for i := range 20 { // more than all buffers of the connection
		s.put(change(history.Create, "pods", "shop", fmt.Sprint("large-", i), body))
	}
	eventually(t, "the stream ends", func() bool { return gauge(t, registry, "watchhistory_streams_open") == 0 })
	if held := gauge(t, registry, "watchhistory_answers_held_bytes"); held != 0 {
		t.Errorf("memory of answers: got %v bytes, want none", held)
	}
	b, err := io.ReadAll(slow.body)
	if !errors.Is(err, io.ErrUnexpectedEOF) && !strings.Contains(fmt.Sprint(err), "reset") {
		t.Errorf("got %d bytes, error %v, want a connection that was cut", len(b), err)
	}
	sent := regexp.MustCompile(`msg=request .* bytes=(\d+)`)
	eventually(t, "the access log has the stream", func() bool { return sent.MatchString(log.String()) })
	// The buffers of this client hold a few KiB.
	const most = 512 << 10
	if n, err := strconv.Atoi(sent.FindStringSubmatch(log.String())[1]); err != nil || n > most {
		t.Errorf("got %d bytes in the recorder's buffers, error %v, want at most %d", n, err, most)
	}
}

// logBuffer is a buffer for concurrent writers.
type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestWatch_BoundsStreams(t *testing.T) {
	registry := prometheus.NewRegistry()
	client := func(r *http.Request) string { return r.URL.Query().Get("client") }
	s := newServer(t, api.Options{Streams: 4, Registerer: registry, Client: client})
	address := listen(t, s, api.ServerOptions{})
	var open []*openStream
	for i := range 4 {
		open = append(open, watch(t, address, fmt.Sprint("client=", i)))
		open[i].want(v1.StreamStart)
	}
	if got := gauge(t, registry, "watchhistory_streams_open"); got != 4 {
		t.Errorf("open streams: got %v, want 4", got)
	}
	for client, status := range map[string]int{"0": http.StatusTooManyRequests, "4": http.StatusServiceUnavailable} {
		refused := watch(t, address, "client="+client)
		if refused.resp.StatusCode != status || refused.resp.Header.Get("Retry-After") == "" {
			t.Errorf("client %s: got %s %v, want %d with Retry-After", client, refused.resp.Status,
				refused.resp.Header, status)
		}
	}
	open[0].stop()
	eventually(t, "the stream ends", func() bool { return gauge(t, registry, "watchhistory_streams_open") == 3 })
	watch(t, address, "client=0").want(v1.StreamStart)
}

// grants is a caller who may list pods in some namespaces.
type grants struct {
	mu    sync.Mutex
	in    map[string]bool
	asked int // for the right in the whole cluster
}

func (g *grants) set(namespace string, allowed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.in[namespace] = allowed
}

func (g *grants) List(_ context.Context, r schema.GroupResource, scope history.NamespaceScope) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	namespace, one := scope.Namespace()
	if r.Resource == "pods" && !one {
		g.asked++
	}
	return r.Resource == "pods" && g.in[namespace], nil
}

// renewed waits until the rights of the open stream are decided on again.
func (g *grants) renewed(t *testing.T) {
	t.Helper()
	asked := func() int {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.asked
	}
	before := asked()
	eventually(t, "the rights are renewed", func() bool { return asked() > before })
}

func (g *grants) Get(context.Context, schema.GroupResource, string, string) (bool, error) {
	return false, nil
}

func (g *grants) Path(context.Context, string) (bool, error) { return false, nil }

func (g *grants) Namespaces(context.Context, history.Activity) (map[string]time.Time, error) {
	return map[string]time.Time{"shop": {}, "bank": {}}, nil
}

// A caller without an identity may read everything until the configuration
// limits what such callers may read.
func TestWatch_HidesCursorsOnceRestricted(t *testing.T) {
	var limited atomic.Bool
	s := newServer(t, api.Options{
		Heartbeat: 20 * time.Millisecond,
		Caller: func(context.Context) query.Authorizer {
			if limited.Load() {
				return &grants{}
			}
			return nil
		},
	})
	s.put(pod("a"))
	stream := watch(t, listen(t, s, api.ServerOptions{}), "")
	if start := stream.want(v1.StreamStart); len(start.Cursor) >= 30 {
		t.Fatalf("got cursor %s, want one in clear", start.Cursor)
	}
	limited.Store(true)
	stream.want(v1.StreamHeartbeat) // may be of a batch from before
	s.put(pod("b"))
	stream.want(v1.StreamHeartbeat)
	if beat := stream.want(v1.StreamHeartbeat); len(beat.Cursor) < 30 {
		t.Errorf("got cursor %s in clear, want a hidden position", beat.Cursor)
	}
}

func TestWatch_FollowsRights(t *testing.T) {
	caller := &grants{in: map[string]bool{"shop": true}}
	var admitted atomic.Pointer[error]
	o := api.Options{
		Heartbeat: 20 * time.Millisecond,
		Caller:    func(context.Context) query.Authorizer { return caller },
		Recheck: func(context.Context) error {
			if err := admitted.Load(); err != nil {
				return *err
			}
			return nil
		},
	}
	s := newServer(t, o)
	in := func(namespace, name string) *history.Record {
		r := change(history.Create, "pods", namespace, name,
			`{"metadata":{"creationTimestamp":"2100-01-01T00:00:00Z"}}`)
		r.Created = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
		return r
	}
	node := history.Gap{Resource: "nodes", Start: s.now, Reason: history.GapForbidden}
	if err := s.log.Append(t.Context(), &history.Batch{Gaps: []history.Gap{node}}); err != nil {
		t.Fatal(err)
	}
	s.put(in("shop", "first"))
	address := listen(t, s, api.ServerOptions{})
	stream := watch(t, address, "")
	start := stream.want(v1.StreamStart)
	if len(start.Gaps) > 0 {
		t.Errorf("got gaps %+v of a resource that the caller can't see, want none", start.Gaps)
	}
	cursors := map[string]bool{start.Cursor: true}
	next := func(what, want string) {
		t.Helper()
		for {
			item := stream.item()
			switch item.Type {
			case v1.StreamHeartbeat:
				if cursors[item.Cursor] || len(item.Cursor) < 30 {
					t.Fatalf("%s: got cursor %s twice or in clear, want a hidden position", what, item.Cursor)
				}
				cursors[item.Cursor] = true
			case v1.StreamEvent:
				if item.Event.ResourceName != want || len(item.Cursor) < 30 {
					t.Fatalf("%s: got event of %s, want %s", what, item.Event.ResourceName, want)
				}
				return
			default:
				t.Fatalf("%s: got %+v, want an event of %s", what, item, want)
			}
		}
	}
	s.put(in("bank", "hidden"), in("shop", "a"))
	next("one namespace", "a")
	caller.set("bank", true)
	caller.renewed(t)
	s.put(in("bank", "gained"))
	next("a right that was granted", "gained")
	caller.set("shop", false)
	caller.renewed(t)
	s.put(in("shop", "withdrawn"), in("bank", "b"))
	next("a right that was withdrawn", "b")
	resumed := watch(t, address, "cursor="+start.Cursor)
	resumed.want(v1.StreamStart)
	for _, want := range []string{"hidden", "gained", "b"} {
		item := resumed.news()
		if item.Type != v1.StreamEvent || item.Event.ResourceName != want {
			t.Errorf("resumed by a hidden cursor: got %+v, want an event of %s", item, want)
		}
	}
	for _, at := range []time.Time{s.now, s.now.Add(time.Hour)} {
		plain := history.Cursor{Time: at}.String()
		if code, body, err := fetch(t, address, v1.EventsPath+"?watch=true&cursor="+plain, false); err != nil ||
			code != http.StatusBadRequest {
			t.Errorf("cursor in clear: got %d %s, error %v, want 400 for each time", code, body, err)
		}
	}
	denied := history.Errorf(history.Unauthorized, "not authenticated: the bearer token is invalid or expired")
	admitted.Store(&denied)
	item := stream.news()
	if item.Type != v1.StreamError || item.Error.Code != string(history.Unauthorized) {
		t.Errorf("token that is not valid any more: got %+v, want an error with the code unauthorized", item)
	}
	stream.ended(nil)
}

// part reads n lines of a stream from a cursor on, and closes it. It returns
// the times of the events, and the last cursor.
func part(ctx context.Context, address, cursor string, n int) (times []time.Time, last string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet,
		"http://"+address+v1.EventsPath+"?watch=true&summary=true&cursor="+cursor, http.NoBody)
	if err != nil {
		return nil, cursor, err
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		return nil, cursor, err
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); n > 0 && lines.Scan(); n-- {
		var item v1.StreamItem
		if err := json.Unmarshal(lines.Bytes(), &item); err != nil {
			return times, cursor, err
		}
		if cursor = item.Cursor; item.Type == v1.StreamEvent {
			times = append(times, item.Event.Timestamp)
		}
	}
	return times, cursor, nil
}

// Concurrent writers append while streams are closed again and again. Each
// reader gets what a page has afterwards, in its order.
func TestWatch_InterruptedReadersMissNothing(t *testing.T) {
	s := newServer(t, api.Options{Rate: api.NoRate, Heartbeat: 30 * time.Millisecond})
	s.put(pod("before"))
	first := history.Cursor{Time: s.now}.String()
	address := listen(t, s, api.ServerOptions{})
	const writers, each, readers = 3, 60, 3
	got := make([][]time.Time, readers)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for n := range each {
				batch := &history.Batch{Versions: []history.NewVersion{{Record: pod(fmt.Sprintf("w%d-%d", w, n))}}}
				if err := s.log.Append(t.Context(), batch); err != nil {
					t.Errorf("append: got error %v, want none", err)
				}
			}
		})
	}
	for i := range readers {
		all.Go(func() {
			cursor := first
			for round := 0; len(got[i]) < writers*each; round++ {
				times, last, err := part(t.Context(), address, cursor, 1+(i+round)%9)
				if err != nil {
					t.Errorf("reader %d: got error %v, want none", i, err)
					return
				}
				got[i], cursor = append(got[i], times...), last
			}
		})
	}
	all.Wait()
	_, _, body := s.get("/api/v1/events?summary=true")
	var page []v1.Event
	if err := json.Unmarshal([]byte(body), &page); err != nil {
		t.Fatal(err)
	}
	var want []time.Time
	for _, e := range page[1:] {
		want = append(want, e.Timestamp)
	}
	for i := range readers {
		if !slices.EqualFunc(got[i], want, time.Time.Equal) {
			t.Errorf("reader %d: got %d events, want the %d of the page", i, len(got[i]), len(want))
		}
	}
}

// A stream may be silent for longer than a client may need to read a part of an
// answer.
func TestWatch_SurvivesSilence(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			s := newServer(t, api.Options{Heartbeat: 300 * time.Millisecond})
			s.put(pod("before"))
			o := api.ServerOptions{WriteIdle: 50 * time.Millisecond}
			server := httptest.NewUnstartedServer(nil)
			server.Config = api.NewServer(s, o, slog.New(slog.DiscardHandler))
			server.EnableHTTP2 = protocol == "HTTP/2.0"
			server.StartTLS()
			t.Cleanup(server.Close)
			ctx, cancel := context.WithCancel(t.Context())
			t.Cleanup(cancel)
			target := server.URL + v1.EventsPath + "?watch=true"
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = resp.Body.Close() })
			if resp.Proto != protocol {
				t.Fatalf("got protocol %s, want %s", resp.Proto, protocol)
			}
			stream := &openStream{t, resp, bufio.NewReader(resp.Body), cancel}
			stream.want(v1.StreamStart)
			for range 3 {
				stream.want(v1.StreamHeartbeat)
			}
			s.put(pod("a"))
			if names, _ := stream.events(1); names[0] != "a" {
				t.Errorf("after silence: got %v, want a", names)
			}
		})
	}
}

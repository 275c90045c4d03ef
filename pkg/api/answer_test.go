package api_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// listen serves a handler on a real connection until the test ends, and returns
// the address.
func listen(t *testing.T, handler http.Handler, o api.ServerOptions) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, served := api.NewServer(handler, o, slog.New(slog.DiscardHandler)), make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), <-served); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// begin sends a request on a connection of its own, and reads the headers of
// the answer. The rest of the answer is not read. The connection is closed when
// the test ends.
func begin(t *testing.T, address, target string, headers ...string) begun {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	ask(t, c, "GET "+target+" HTTP/1.1\r\nHost: recorder\r\n"+strings.Join(headers, "\r\n")+
		strings.Repeat("\r\n", min(len(headers), 1))+"\r\n")
	response, err := http.ReadResponse(bufio.NewReader(c), nil) //nolint:bodyclose // the connection is closed instead
	if err != nil {
		t.Fatal(err)
	}
	return begun{
		Status: response.Status, StatusCode: response.StatusCode, Header: response.Header, Close: response.Close,
		body: response.Body, connection: c,
	}
}

// begun is an answer whose headers were read. Unlike [http.Response], it does
// not read the body when it is closed.
type begun struct {
	Status     string
	StatusCode int
	Header     http.Header
	Close      bool // the server closes the connection

	body       io.Reader
	connection net.Conn
}

// fetch returns the status and the body of an answer. A transport decompresses
// the body if the client accepts gzip.
func fetch(t *testing.T, address, target string, gzip bool) (int, string, error) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableCompression: !gzip, DisableKeepAlives: true}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+target, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if got := response.Uncompressed; got != gzip && len(b) > 2048 {
		t.Errorf("%s: answer is compressed: got %t, want %t", target, got, gzip)
	}
	return response.StatusCode, string(b), err
}

// gauge returns the value of a gauge or counter, summed over all labels.
func gauge(t *testing.T, registry *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
		return sum
	}
	t.Fatalf("metric %s: got none, want one", name)
	return 0
}

// Answers that are computed in several parts are the same as the concatenation
// of small ones.
func TestAnswer_PartsMakeTheWhole(t *testing.T) {
	s := newServer(t, api.Options{Rate: api.NoRate})
	large(s) // 9 MiB after compression
	pod := change(history.Create, "configmaps", "shop", "large", `{}`)
	for i := range 30 {
		s.put(regarding(fmt.Sprint("e", i), pod, `{"message":"`+strings.Repeat(fmt.Sprint(i), 50_000)+`"}`))
	}
	address := listen(t, s, api.ServerOptions{})
	for _, order := range []string{"asc", "desc"} {
		var single []string
		for cursor := ""; ; {
			_, header, body := s.get("/api/v1/events?limit=1&order=" + order + "&cursor=" + cursor)
			single = append(single, strings.TrimSuffix(strings.TrimPrefix(body, "["), "]\n"))
			if cursor = header.Get("X-Next-Cursor"); cursor == "" {
				break
			}
		}
		if len(single) != 42 {
			t.Fatalf("order %s: got %d records, want 42", order, len(single))
		}
		for _, gzip := range []bool{true, false} {
			if testing.Short() && gzip == (order == "asc") {
				continue
			}
			code, body, err := fetch(t, address, "/api/v1/events?order="+order, gzip)
			if want := "[" + strings.Join(single, ",\n") + "]\n"; err != nil || code != http.StatusOK || body != want {
				t.Errorf("order %s, gzip %t: got %d, %d bytes, error %v, want the %d bytes of the records",
					order, gzip, code, len(body), err, len(want))
			}
			code, body, err = fetch(t, address, "/api/v1/events/shop/cm/large?order="+order, gzip)
			own, events := single[:12], single[12:]
			if order == "desc" {
				own, events = single[30:], single[:30]
			}
			want := `{"namespace":"shop","resourceType":"configmaps","resourceName":"large","watchEvents":[` +
				strings.Join(own, ",\n") + `],"relatedEvents":[` + strings.Join(events, ",\n") + "]}\n"
			if err != nil || code != http.StatusOK || body != want {
				t.Errorf("object, order %s, gzip %t: got %d, %d bytes, error %v, want the %d bytes of the records",
					order, gzip, code, len(body), err, len(want))
			}
		}
	}
}

// labeled appends 90 versions with 48 KiB of random bytes each, of three
// objects. Two of three versions have the label app=web.
func labeled(s *server) {
	s.tb.Helper()
	random := rand.NewChaCha8([32]byte{})
	for i := range 90 {
		b := make([]byte, 48<<10)
		_, _ = random.Read(b)
		labels := `{"app":"web"}`
		if i%3 == 2 {
			labels = `{"app":"db"}`
		}
		s.put(change(history.Update, "configmaps", "shop", fmt.Sprint("c", i/2%3), fmt.Sprintf(
			`{"metadata":{"labels":%s},"n":%d,"data":{"a":"%s"}}`, labels, i/4, base64.StdEncoding.EncodeToString(b))))
	}
}

// versionsIn returns the times of an answer's events and of its related ones.
func versionsIn(t *testing.T, body string) (times []time.Time) {
	t.Helper()
	var events []v1.Event
	var object v1.ObjectHistory
	var err error
	if strings.HasPrefix(body, "{") {
		err = json.Unmarshal([]byte(body), &object)
		events = slices.Concat(object.WatchEvents, object.RelatedEvents)
	} else {
		err = json.Unmarshal([]byte(body), &events)
	}
	if err != nil {
		t.Fatalf("got error %v in %d bytes, want events", err, len(body))
	}
	for i := range events {
		times = append(times, events[i].Timestamp)
	}
	return times
}

// Filtered pages that are computed in several parts, from many scans, have the
// versions of small pages without objects. That holds for pages that end early,
// too: they end after their last version.
func TestAnswer_PartsOfFilteredPageMakeTheWhole(t *testing.T) {
	s := newServer(t, api.Options{Rate: api.NoRate})
	labeled(s)
	for i, path := range []string{"/api/v1/events", "/api/v1/events/shop/cm/c1"} {
		for j, filter := range []string{
			"labelSelector=app%3Dweb", "q=object.n+!%3D+old.n", "labelSelector=app&q=old%3D%3Dnull||object.n>old.n",
		} {
			for k, order := range []string{"asc", "desc"} {
				if testing.Short() && (i+j+k)%2 == 1 {
					continue
				}
				target := path + "?empty=200&order=" + order + "&" + filter
				var want []time.Time
				for cursor, more := "", true; more; more = cursor != "" {
					_, header, body := s.get(target + "&summary=true&limit=4&cursor=" + cursor)
					want = append(want, versionsIn(t, body)...)
					cursor = header.Get("X-Next-Cursor")
				}
				if len(want) < 10 || path == "/api/v1/events" && len(want) < 40 {
					t.Fatalf("%s: got %d versions, want more", target, len(want))
				}
				for _, effort := range []int{0, 1100} { // a version costs 17, and more if it is compared
					address := listen(t, api.New(query.New(s.log, query.Options{Effort: effort}),
						api.Options{Rate: api.NoRate}), api.ServerOptions{})
					var got []time.Time
					pages := 0
					for cursor, more := "", true; more; more = cursor != "" {
						header, body := fetchPage(t, address, target+"&cursor="+cursor)
						got = append(got, versionsIn(t, body)...)
						cursor = header.Get("X-Next-Cursor")
						pages++
					}
					if !slices.EqualFunc(got, want, time.Time.Equal) ||
						(pages == 1) != (effort == 0) && path == "/api/v1/events" {
						t.Errorf("%s, effort %d: got %d versions on %d pages, want %d",
							target, effort, len(got), pages, len(want))
					}
				}
			}
		}
	}
}

// fetchPage returns the headers and the body of an answer.
func fetchPage(t *testing.T, address, target string) (http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+target, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: got %s, %d bytes, error %v, want 200", target, response.Status, len(b), err)
	}
	return response.Header, string(b)
}

// shrinking is a log that loses a record after the first page was read, as if
// retention had dropped it: the first one that is scanned then.
type shrinking struct {
	*store.Store

	read *atomic.Bool  // the first page was read: its gaps were
	lost *atomic.Int64 // the record's time; 0 before
}

func (l shrinking) Gaps(
	ctx context.Context, resources []schema.GroupResource, start, end time.Time,
) ([]history.Gap, error) {
	l.read.Store(true)
	return l.Store.Gaps(ctx, resources, start, end)
}

func (l shrinking) Scan(ctx context.Context, scan history.Scan) iter.Seq2[*history.Record, error] {
	return func(yield func(*history.Record, error) bool) {
		n, limit := 0, scan.Limit
		scan.Limit++
		for r, err := range l.Store.Scan(ctx, scan) {
			if err == nil && l.read.Load() &&
				(l.lost.CompareAndSwap(0, r.Time.UnixNano()) || l.lost.Load() == r.Time.UnixNano()) {
				continue
			}
			if n++; !yield(r, err) || n == limit {
				return
			}
		}
	}
}

// The first segment has been sent when the record is missed.
func TestAnswer_DroppedRecordCutsAnswer(t *testing.T) {
	s := newServer(t, api.Options{})
	large(s)
	for i, target := range []string{
		"/api/v1/events", "/api/v1/events?order=desc",
		"/api/v1/events?labelSelector=!app", "/api/v1/events?q=verb%3D%3D'create'&order=desc",
		"/api/v1/events/shop/cm/large?revision=1,2,3,4,5,6,7,8,9,10,11,12",
	} {
		for _, gzip := range []bool{true, false} {
			if testing.Short() && gzip == (i%2 == 0) {
				continue
			}
			log := shrinking{s.log, new(atomic.Bool), new(atomic.Int64)}
			address := listen(t, api.New(query.New(log, query.Options{}), api.Options{}), api.ServerOptions{})
			code, body, err := fetch(t, address, target, gzip)
			if code != http.StatusOK || err == nil || json.Valid([]byte(body)) {
				t.Errorf("%s, gzip %t: got %d, %d bytes, error %v, want 200 and an answer that is cut",
					target, gzip, code, len(body), err)
			}
			if log.lost.Load() == 0 {
				t.Errorf("%s: got no lost record, want one", target)
			}
		}
	}
}

// Clients that read nothing hold memory within the bound, and no slot.
func TestAnswer_BlockedReadersDontBlockOthers(t *testing.T) {
	const readers, bound = 24, 8 << 20
	registry := prometheus.NewRegistry()
	s := newServer(t, api.Options{
		Concurrency: 2, AnswerBytes: bound, Registerer: registry, Client: func(r *http.Request) string {
			return r.Header.Get("From")
		},
	})
	large(s)
	address := listen(t, s, api.ServerOptions{WriteIdle: time.Hour})
	for i := range readers {
		response := begin(t, address, "/api/v1/events", fmt.Sprintf("From: reader-%d", i%8), "Accept-Encoding: gzip")
		if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("reader %d: got %s, want 200 or 503", i, response.Status)
		}
	}
	const slack = 2 << 20 // a record's bytes, and those of a compressor's buffer
	if held := gauge(t, registry, "watchhistory_answers_held_bytes"); held > bound+slack || held < bound/4 {
		t.Errorf("memory of %d answers: got %.0f bytes, want at most %d, and at least a quarter of it",
			readers, held, bound+slack)
	}
	for _, target := range []string{
		"/api/v1/events?limit=1", "/api/v1/events/shop/cm/other?empty=200", "/api/v1/resources", "/api/v1/gaps",
	} {
		if code, body, err := fetch(t, address, target, true); err != nil || code != http.StatusOK {
			t.Errorf("%s: got %d %.100q, error %v, want 200", target, code, body, err)
		}
	}
}

// One blocked reader for each slot. Large queries of others are answered.
func TestAnswer_SlotsAreFreeWhileSending(t *testing.T) {
	s := newServer(t, api.Options{Concurrency: 8})
	large(s)
	address := listen(t, s, api.ServerOptions{WriteIdle: time.Hour})
	for range 8 {
		if response := begin(t, address, "/api/v1/events"); response.StatusCode != http.StatusOK {
			t.Errorf("blocked reader: got %s, want 200", response.Status)
		}
	}
	for _, gzip := range []bool{true, false} {
		if code, body, err := fetch(t, address, "/api/v1/events", gzip); err != nil ||
			code != http.StatusOK || !json.Valid([]byte(body)) {
			t.Errorf("gzip %t: got %d, %d bytes, error %v, want a complete answer", gzip, code, len(body), err)
		}
	}
}

// The memory of a client's answers is returned when they end.
func TestAnswer_MemoryIsReturned(t *testing.T) {
	registry := prometheus.NewRegistry()
	s := newServer(t, api.Options{Registerer: registry})
	large(s)
	address := listen(t, s, api.ServerOptions{})
	for _, gzip := range []bool{true, false} {
		for _, target := range []string{
			"/api/v1/events", "/api/v1/events?limit=2", "/api/v1/events/shop/cm/large", "/api/v1/events?verb=delete",
		} {
			if _, _, err := fetch(t, address, target, gzip); err != nil {
				t.Errorf("%s: got error %v, want none", target, err)
			}
		}
	}
	if err := begin(t, address, "/api/v1/events").connection.Close(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"answers_held_bytes", "queries_in_flight", "queries_running", "queries_waiting"} {
		eventually(t, name+" is 0", func() bool { return gauge(t, registry, "watchhistory_"+name) == 0 })
	}
}

// eventually waits until check returns true.
func eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !check(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got no state within a minute in which %s, want it", what)
		}
	}
}

func TestAnswer_CompressionIsNegotiated(t *testing.T) {
	s := newServer(t, api.Options{})
	s.put(change(history.Create, "configmaps", "shop", "large", `{"data":{"a":"`+strings.Repeat("x", 10_000)+`"}}`))
	address := listen(t, s, api.ServerOptions{})
	for accepted, want := range map[string]string{
		"gzip":                   "gzip",
		"deflate, GZIP;q=0.5":    "gzip",
		"*":                      "gzip",
		"gzip;q=0":               "",
		"gzip; q=0.0, *":         "",
		"deflate, br":            "",
		"identity;q=1, *;q=0":    "",
		"x-gzip":                 "gzip",
		"gzip;q=nonsense":        "",
		"br;q=1.0, gzip;q=0.001": "gzip",
	} {
		response := begin(t, address, "/api/v1/events", "Accept-Encoding: "+accepted)
		if got := response.Header.Get("Content-Encoding"); got != want ||
			response.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: got %q, %v, want %q", accepted, got, response.Header, want)
		}
	}
	response := begin(t, address, "/api/v1/events?summary=true", "Accept-Encoding: gzip")
	if response.Header.Get("Content-Encoding") != "" {
		t.Errorf("short answer: got %v, want no compression", response.Header)
	}
}

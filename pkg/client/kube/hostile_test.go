package kube_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/client/kube"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// maxRead is more than a client reads of an endless answer, and small enough
// for a test.
const maxRead = 32 << 20

// hostile is an API server with one recorder. A test replaces some of its
// answers.
type hostile struct {
	*httptest.Server
	sent atomic.Int64                // bytes of replaced answers
	odd  map[string]http.HandlerFunc // the replaced answers, by the last segment of the path
}

const oneService = `{"kind":"ServiceList","apiVersion":"v1","items":[` +
	`{"metadata":{"name":"recorder","namespace":"watchhistory"},
	"spec":{"selector":{"app":"recorder"},"ports":[{"name":"http","port":8080}]}}]}`

const onePod = `{"kind":"PodList","apiVersion":"v1","items":[` +
	`{"metadata":{"name":"recorder-0","namespace":"watchhistory","uid":"1"},
	"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}]}`

func newHostile(t *testing.T, odd map[string]http.HandlerFunc) *hostile {
	t.Helper()
	h := &hostile{odd: odd}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *hostile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	last := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	w.Header().Set("Content-Type", "application/json")
	if odd := h.odd[last]; odd != nil {
		odd(&counted{w, &h.sent}, r)
		return
	}
	switch last {
	case "services":
		_, _ = io.WriteString(w, oneService)
	case "pods":
		_, _ = io.WriteString(w, onePod)
	default:
		http.Error(w, `{"kind":"Status","message":"not here"}`, http.StatusNotFound)
	}
}

func (h *hostile) config() *rest.Config { return &rest.Config{Host: h.URL} }

type counted struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// repeat writes a text until the client stops reading, or until it has read far
// too much.
func repeat(w io.Writer, text string) {
	chunk := []byte(strings.Repeat(text, 1+(64<<10)/len(text)))
	for sent := 0; sent < 4*maxRead; {
		n, err := w.Write(chunk)
		if err != nil {
			return
		}
		sent += n
	}
}

// endlessly answers with a status, a beginning, and an endless repetition.
func endlessly(status int, begin, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, begin)
		repeat(w, text)
	}
}

func TestConnect_BoundsEveryAnswer(t *testing.T) {
	for name, tc := range map[string]struct {
		path string
		odd  http.HandlerFunc
		want string
	}{
		"one endless line": {"services", endlessly(200, "", " "), "larger than 2 MiB"},
		"an endless list": {
			"services", endlessly(200, `{"kind":"ServiceList","items":[{}`, ",{}"), "larger than 2 MiB",
		},
		"an endless string": {"services", endlessly(200, `{"kind":"`, "x"), "larger than 2 MiB"},
		"endless pods": {
			"pods", endlessly(200, `{"kind":"PodList","items":[{}`, ",{}"), "larger than 2 MiB",
		},
		"an endless error": {
			"services", endlessly(500, `{"kind":"Status","message":"`, "x"), "look for the recorder's Service",
		},
		"an endless page": {
			"services", endlessly(503, "<html>", "<p>no</p>"), "look for the recorder's Service",
		},
		"an endless redirection": {"services", endlessly(302, "", " "), "look for the recorder's Service"},
		"a refusal without an end": {
			"portforward", endlessly(403, `{"kind":"Status","message":"`, "x"), "forward a port",
		},
		"an upgrade that is none": {"portforward", endlessly(200, "", "x"), "forward a port"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t, map[string]http.HandlerFunc{tc.path: tc.odd})
			_, err := connect(t, kube.Options{RESTConfig: h.config(), Mode: kube.PortForward})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got error %v, want one with %q", err, tc.want)
			}
			if n := h.sent.Load(); n > maxRead {
				t.Errorf("read %d bytes of the answer, want at most %d", n, maxRead)
			}
		})
	}
}

func TestConnect_BoundsDecompressedAnswer(t *testing.T) {
	bomb := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		packed := gzip.NewWriter(w)
		repeat(packed, " ")
		_ = packed.Close()
	}
	h := newHostile(t, map[string]http.HandlerFunc{"services": bomb})
	_, err := connect(t, kube.Options{RESTConfig: h.config()})
	wantError(t, err, history.Unavailable, "larger than 2 MiB")
}

func TestConnect_BoundsHeaders(t *testing.T) {
	h := newHostile(t, map[string]http.HandlerFunc{"services": func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(*counted).ResponseWriter.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
		repeat(&counted{hijacked{w, conn}, w.(*counted).n}, "X-Header: "+strings.Repeat("x", 1000)+"\r\n")
	}})
	_, err := connect(t, kube.Options{RESTConfig: h.config()})
	wantError(t, err, history.Unavailable, "look for the recorder's Service")
	if n := h.sent.Load(); n > maxRead {
		t.Errorf("read %d bytes of the headers, want at most %d", n, maxRead)
	}
}

// hijacked writes to the connection, below HTTP.
type hijacked struct {
	http.ResponseWriter
	io.Writer
}

func (h hijacked) Write(p []byte) (int, error) { return h.Writer.Write(p) }

func TestConnect_BoundsTimeOfTricklingAnswer(t *testing.T) {
	for _, path := range []string{"services", "pods", "portforward"} {
		for _, status := range []int{200, 500} {
			t.Run(fmt.Sprint(path, " ", status), func(t *testing.T) {
				trickle := func(w http.ResponseWriter, r *http.Request) {
					w.WriteHeader(status)
					for r.Context().Err() == nil {
						_, _ = io.WriteString(w, " ")
						_ = http.NewResponseController(w.(*counted).ResponseWriter).Flush()
						time.Sleep(time.Millisecond)
					}
				}
				h := newHostile(t, map[string]http.HandlerFunc{path: trickle})
				_, err := connect(t, kube.Options{
					RESTConfig: h.config(), Options: client.Options{Timeout: 100 * time.Millisecond},
					Mode: kube.PortForward,
				})
				want := "within 100ms"
				if path == "portforward" && status == 200 { // the rest of the answer is ignored
					want = "forward a port"
				}
				wantError(t, err, history.Unavailable, want)
			})
		}
	}
}

func TestConnect_IgnoresLongRetryAfter(t *testing.T) {
	h := newHostile(t, map[string]http.HandlerFunc{"services": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "86400")
		http.Error(w, `{"kind":"Status","code":429,"reason":"TooManyRequests","message":"busy"}`,
			http.StatusTooManyRequests)
	}})
	_, err := connect(t, kube.Options{RESTConfig: h.config()})
	wantError(t, err, history.Unavailable, "too many requests")
}

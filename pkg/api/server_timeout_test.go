package api_test

import (
	"bufio"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchhistory/watchhistory/pkg/api"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// timeouts are those of the servers under test, whose time is that of a
// synctest bubble.
var timeouts = api.ServerOptions{Request: 10 * time.Second, Idle: time.Minute, WriteIdle: 30 * time.Second}

// pipes is a listener for connections within the process.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p pipes) Close() error { close(p); return nil }

func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// dial returns a connection to a real server in a synctest bubble, whose time
// passes when all goroutines wait. The connection has no buffer: a write waits
// for a read.
func dial(t *testing.T, handler http.HandlerFunc) net.Conn {
	t.Helper()
	listener, served := make(pipes), make(chan error, 1)
	server := api.NewServer(handler, timeouts, slog.New(slog.DiscardHandler))
	go func() { served <- server.Serve(listener) }()
	client, conn := net.Pipe()
	listener <- conn
	t.Cleanup(func() {
		if err := errors.Join(client.Close(), server.Close(), <-served); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return client
}

// ask sends a request.
func ask(t *testing.T, c net.Conn, request string) {
	t.Helper()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
}

const get = "GET / HTTP/1.1\r\nHost: recorder\r\n\r\n"

// answer writes n bytes with one call.
func answer(n int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, n)) }
}

// slowConn is a connection that pauses before each read.
type slowConn struct {
	net.Conn

	pause time.Duration
}

func (s slowConn) Read(b []byte) (int, error) {
	time.Sleep(s.pause)
	return s.Conn.Read(b)
}

// The answer takes many times as long as WriteIdle. The connection can be used
// again afterwards.
func TestServer_WaitsForSlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 1 << 20
		c := dial(t, answer(size))
		for range 2 {
			ask(t, c, get)
			start := time.Now()
			response, err := http.ReadResponse(bufio.NewReader(slowConn{c, timeouts.WriteIdle / 10}), nil)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(response.Body)
			took := time.Since(start)
			if err := errors.Join(err, response.Body.Close()); err != nil || len(b) != size ||
				took < 10*timeouts.WriteIdle {
				t.Errorf("got %d bytes after %s, error %v, want %d bytes after at least %s",
					len(b), took, err, size, 10*timeouts.WriteIdle)
			}
		}
	})
}

// The client reads only the headers, and the rest when it is too late.
func TestServer_CutsOffClientThatStopsReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan time.Duration, 1)
		c := dial(t, func(w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			answer(1<<20)(w, r)
			ended <- time.Since(start)
		})
		ask(t, c, get)
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if took := <-ended; took != timeouts.WriteIdle {
			t.Errorf("time until the cut: got %s, want %s", took, timeouts.WriteIdle)
		}
		if b, err := io.ReadAll(response.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %d bytes and error %v, want unexpected EOF", len(b), err)
		}
		_ = response.Body.Close() // fails: the body is incomplete
	})
}

// The answer is still in the server's buffers when its handler returns.
func TestServer_CutsOffShortAnswerThatIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
		ask(t, c, get)
		time.Sleep(timeouts.WriteIdle + 1)
		if b, err := io.ReadAll(c); len(b) > 0 || err != nil {
			t.Errorf("got %q, error %v, want nothing", b, err)
		}
	})
}

// A client that sends nothing while it waits has not disconnected.
func TestServer_DoesNotBoundTimeOfHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Hour)
			if err := r.Context().Err(); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		})
		ask(t, c, get)
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("got %s: %q, error %v, want 200", response.Status, b, err)
		}
	})
}

// The request stops at each possible place. No handler waits for a body.
func TestServer_CutsOffClientThatStopsSending(t *testing.T) {
	const never = time.Duration(-1)
	for _, of := range []struct {
		sent             string
		answered, within time.Duration
	}{
		{"", never, timeouts.Request},
		{"GET / HTTP/1.1\r\nHost: rec", never, timeouts.Request},
		{get, 0, timeouts.Idle},
		{"GET / HTTP/1.1\r\nHost: recorder\r\nContent-Length: 10\r\n\r\nhalf", 0, timeouts.Request},
		{"POST / HTTP/1.1\r\nHost: recorder\r\nTransfer-Encoding: chunked\r\n\r\n", 0, timeouts.Request},
	} {
		synctest.Test(t, func(t *testing.T) {
			start, answered := time.Now(), never
			c := dial(t, func(w http.ResponseWriter, r *http.Request) {
				answer(3<<10)(w, r) // enough for the answer to begin
				answered = time.Since(start)
			})
			ask(t, c, of.sent)
			b, err := io.ReadAll(c)
			if within := time.Since(start); err != nil || answered != of.answered || within != of.within {
				t.Errorf("%q: got an answer of %d bytes after %s and the end after %s, "+
					"error %v, want them after %s and %s",
					of.sent, len(b), answered, within, err, of.answered, of.within)
			}
		})
	}
}

// Answers are cut off on a real connection, and the rest is read. Other queries
// run meanwhile.
func TestServer_CutAnswerIsNotComplete(t *testing.T) {
	s := newServer(t, api.Options{Concurrency: 2})
	large(s)
	for _, request := range []string{
		"GET /api/v1/events HTTP/1.1\r\nHost: recorder\r\n\r\n",
		"GET /api/v1/events HTTP/1.1\r\nHost: recorder\r\nAccept-Encoding: gzip\r\n\r\n",
		"GET /api/v1/events HTTP/1.0\r\n\r\n", // without chunks
		"GET /api/v1/events/shop/configmaps/large HTTP/1.0\r\n\r\n",
	} {
		t.Run(request[:strings.Index(request, "\r\n")], func(t *testing.T) { s.cutOff(t, request) })
	}
}

func (s *server) cutOff(t *testing.T, request string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		s.ServeHTTP(w, r)
	})
	server := api.NewServer(handler, api.ServerOptions{WriteIdle: 250 * time.Millisecond},
		slog.New(slog.DiscardHandler))
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), <-served); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ask(t, c, request)
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if code, _, body := s.get("/api/v1/events?summary=true"); code != http.StatusOK {
		t.Errorf("during an answer that is not read: got %d %q, want 200", code, body)
	}
	<-ended
	body := io.Reader(response.Body)
	if response.Header.Get("Content-Encoding") == "gzip" {
		if body, err = gzip.NewReader(body); err != nil {
			t.Fatal(err)
		}
	}
	b, err := io.ReadAll(body)
	if whole := err == nil && response.ProtoMinor > 0; whole || len(b) == 0 || json.Valid(b) {
		t.Errorf("got %d bytes and error %v, want an incomplete answer", len(b), err)
	}
}

// large appends more data than all buffers hold, which does not compress.
func large(s *server) {
	s.tb.Helper()
	random := rand.NewChaCha8([32]byte{})
	for range 12 {
		b := make([]byte, 768<<10)
		_, _ = random.Read(b)
		s.put(change(history.Create, "configmaps", "shop", "large",
			`{"data":{"a":"`+base64.StdEncoding.EncodeToString(b)+`"}}`))
	}
}

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

// patience is that of the servers under test, which have a clock of their own.
var patience = api.Timeouts{Request: 10 * time.Second, Idle: time.Minute, WriteIdle: 30 * time.Second}

// pipes is a listener for connections within a process.
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

// dial returns a connection to a real server of a handler, in a bubble of [synctest], whose time passes when nothing else happens.
// Nothing is buffered between the two: what one writes, the other has to read.
func dial(t *testing.T, handler http.HandlerFunc) net.Conn {
	t.Helper()
	listener, served := make(pipes), make(chan error, 1)
	server := api.NewServer(handler, patience, slog.New(slog.DiscardHandler))
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

// ask writes a request.
func ask(t *testing.T, c net.Conn, request string) {
	t.Helper()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
}

const get = "GET / HTTP/1.1\r\nHost: recorder\r\n\r\n"

// answer writes so many bytes at once.
func answer(n int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, n)) }
}

// slowly is a connection of a client that takes a little at a time, and then rests.
type slowly struct {
	net.Conn

	rest time.Duration
}

func (s slowly) Read(b []byte) (int, error) {
	time.Sleep(s.rest)
	return s.Conn.Read(b)
}

// TestAClientThatTakesItsTimeIsWaitedFor takes many times as long for an answer as it may take nothing, and asks once more.
func TestAClientThatTakesItsTimeIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 1 << 20
		c := dial(t, answer(size))
		for range 2 {
			ask(t, c, get)
			start := time.Now()
			response, err := http.ReadResponse(bufio.NewReader(slowly{c, patience.WriteIdle / 10}), nil)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(response.Body)
			took := time.Since(start)
			if err := errors.Join(err, response.Body.Close()); err != nil || len(b) != size || took < 10*patience.WriteIdle {
				t.Errorf("%d bytes of %d after %s, %v", len(b), size, took, err)
			}
		}
	})
}

// TestAClientThatTakesNothingIsCutOff stops reading after the header, and reads on when it is too late.
func TestAClientThatTakesNothingIsCutOff(t *testing.T) {
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
		if took := <-ended; took != patience.WriteIdle {
			t.Errorf("waited for it for %s", took)
		}
		if b, err := io.ReadAll(response.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes, and then %v", len(b), err)
		}
		_ = response.Body.Close() // which is torn
	})
}

// TestAShortAnswerThatNobodyTakesIsCutOff leaves one behind that is in the server's buffers when its handler has ended.
func TestAShortAnswerThatNobodyTakesIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
		ask(t, c, get)
		time.Sleep(patience.WriteIdle + 1)
		if b, err := io.ReadAll(c); len(b) > 0 || err != nil {
			t.Errorf("%q, %v", b, err)
		}
	})
}

// TestAnAnswerMayTakeItsTime answers late: the client has nothing more to say, and is not gone.
func TestAnAnswerMayTakeItsTime(t *testing.T) {
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
			t.Errorf("%s: %q, %v", response.Status, b, err)
		}
	})
}

// TestAClientThatSendsNothingIsNotWaitedFor checks each place where a request may stop. No handler waits for a body.
func TestAClientThatSendsNothingIsNotWaitedFor(t *testing.T) {
	const never = time.Duration(-1)
	for _, of := range []struct {
		sent             string
		answered, within time.Duration
	}{
		{"", never, patience.Request},
		{"GET / HTTP/1.1\r\nHost: rec", never, patience.Request},
		{get, 0, patience.Idle},
		{"GET / HTTP/1.1\r\nHost: recorder\r\nContent-Length: 10\r\n\r\nhalf", 0, patience.Request},
		{"POST / HTTP/1.1\r\nHost: recorder\r\nTransfer-Encoding: chunked\r\n\r\n", 0, patience.Request},
	} {
		synctest.Test(t, func(t *testing.T) {
			start, answered := time.Now(), never
			c := dial(t, func(w http.ResponseWriter, r *http.Request) {
				answer(3<<10)(w, r) // so much that it begins to be sent
				answered = time.Since(start)
			})
			ask(t, c, of.sent)
			b, err := io.ReadAll(c)
			if within := time.Since(start); err != nil || answered != of.answered || within != of.within {
				t.Errorf("%q is answered after %s, by %d bytes, and cut off after %s, %v", of.sent, answered, len(b), within, err)
			}
		})
	}
}

// TestACutAnswerIsNoWholeOne cuts real answers off, on a real connection, and reads what is left of them. Whoever waits for room
// meanwhile gets it.
func TestACutAnswerIsNoWholeOne(t *testing.T) {
	s := newServer(t, api.Options{Concurrency: 1})
	large(s)
	for _, request := range []string{
		"GET /api/v1/events HTTP/1.1\r\nHost: recorder\r\n\r\n",
		"GET /api/v1/events HTTP/1.1\r\nHost: recorder\r\nAccept-Encoding: gzip\r\n\r\n",
		"GET /api/v1/events HTTP/1.0\r\n\r\n", // which knows no chunks
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
	server, served := api.NewServer(s, api.Timeouts{WriteIdle: 250 * time.Millisecond}, slog.New(slog.DiscardHandler)), make(chan error, 1)
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
	if code, _, body := s.get("/api/v1/events?limit=1&summary=true"); code != http.StatusOK { // it waits until there is room for it
		t.Errorf("beside an answer that nobody takes: %d %q", code, body)
	}
	body := io.Reader(response.Body)
	if response.Header.Get("Content-Encoding") == "gzip" {
		if body, err = gzip.NewReader(body); err != nil {
			t.Fatal(err)
		}
	}
	b, err := io.ReadAll(body)
	if whole := err == nil && response.ProtoMinor > 0; whole || len(b) == 0 || json.Valid(b) {
		t.Errorf("%d bytes, and then %v", len(b), err)
	}
}

// large records more than any buffers hold, and what does not compress.
func large(s *server) {
	s.tb.Helper()
	random := rand.NewChaCha8([32]byte{})
	for range 12 {
		b := make([]byte, 768<<10)
		_, _ = random.Read(b)
		s.put(change(history.Create, "configmaps", "shop", "large", `{"data":{"a":"`+base64.StdEncoding.EncodeToString(b)+`"}}`))
	}
}

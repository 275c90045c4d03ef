package client_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stub is a server that stores the last request and always gives one answer.
type stub struct {
	*httptest.Server
	request *http.Request
}

func newStub(t *testing.T, status int, contentType, body string, header ...string) *stub {
	t.Helper()
	s := &stub{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.request = r
		w.Header().Set("Content-Type", contentType)
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s
}

func newClient(t *testing.T, url string, o client.Options) *client.Client {
	t.Helper()
	c, err := client.New(url, o)
	if err != nil {
		t.Fatalf("New(%q): got error %v", url, err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: got error %v", err)
		}
	})
	return c
}

// wantError checks the code of an error, and that its text contains all parts.
func wantError(t *testing.T, err error, code history.Code, parts ...string) {
	t.Helper()
	if got := history.CodeOf(err); got != code {
		t.Errorf("code of error %v: got %q, want %q", err, got, code)
	}
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got error %v, want one with %q", err, part)
		}
	}
}

func TestHealth_ChecksStatus(t *testing.T) {
	s := newStub(t, 200, "application/json", `{"status":"healthy"}`)
	c := newClient(t, s.URL+"/", client.Options{UserAgent: "kubectl-watchhistory/v9"})
	if err := c.Health(t.Context()); err != nil {
		t.Fatalf("got error %v, want none", err)
	}
	if got, want := s.request.URL.Path, "/health"; got != want {
		t.Errorf("path: got %q, want %q", got, want)
	}
	if got, want := s.request.UserAgent(), "kubectl-watchhistory/v9"; got != want {
		t.Errorf("user agent: got %q, want %q", got, want)
	}
	sick := newStub(t, 200, "application/json", `{"status":"ill"}`)
	wantError(t, newClient(t, sick.URL, client.Options{}).Health(t.Context()), history.Internal,
		"not a watchhistory recorder", "ill")
}

func TestResources_AreDecoded(t *testing.T) {
	s := newStub(t, 200, "application/json",
		`{"resources":[{"group":"apps","version":"v1","plural":"deployments","kind":"Deployment",`+
			`"namespaced":true,"state":"watching"}]}`)
	list, err := newClient(t, s.URL, client.Options{}).Resources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Resources) != 1 || list.Resources[0].Plural != "deployments" || list.Resources[0].State != "watching" {
		t.Errorf("got %+v, want deployments, watching", list)
	}
}

func TestNew_RejectsInvalidURL(t *testing.T) {
	for _, url := range []string{"", "localhost:8080", "/tmp/socket", "ftp://host", "http://", "http://h\x7f"} {
		_, err := client.New(url, client.Options{})
		wantError(t, err, history.Invalid, "invalid recorder URL")
		if !errors.Is(err, client.ErrInvalidURL) {
			t.Errorf("New(%q): got error %v, want ErrInvalidURL", url, err)
		}
	}
}

func TestNew_UsesNameInErrors(t *testing.T) {
	s := newStub(t, 500, "text/plain", "Query failed: disk")
	c := newClient(t, s.URL, client.Options{Name: "recorder a/b"})
	if got, want := c.Target(), "recorder a/b"; got != want {
		t.Errorf("target: got %q, want %q", got, want)
	}
	wantError(t, c.Health(t.Context()), history.Internal, "recorder a/b answered: Query failed: disk")
}

func TestErrors_HaveCodeTextAndCause(t *testing.T) {
	for name, tc := range map[string]struct {
		status     int
		kind, body string
		code       history.Code
		want       string
		cause      error
	}{
		"bad start": {
			400, "text/plain; charset=utf-8", "Invalid start time format: x\n",
			history.Invalid, "answered: Invalid start time format: x", nil,
		},
		"query failed": {500, "text/plain", "Query failed: disk", history.Internal, "Query failed: disk", nil},
		"busy":         {503, "text/plain", "", history.Unavailable, "503 Service Unavailable", nil},
		"additive": {
			400, "application/json", `{"error":{"code":"invalid","message":"cursor is none"}}`,
			history.Invalid, "cursor is none", nil,
		},
		"forbidden": {
			403, "application/json", `{"error":{"code":"forbidden","message":"not yours"}}`,
			history.Forbidden, "answered: not yours", client.ErrAnswered,
		},
		"no identity": {
			401, "application/json", `{"error":{"code":"unauthorized","message":"not authenticated"}}`,
			history.Unauthorized, "answered: not authenticated", client.ErrAnswered,
		},
		"unknown code": {
			404, "application/json", `{"error":{"code":"vanished","message":"no such type"}}`,
			history.NotFound, "no such type", nil,
		},
		"another 404": {
			404, "text/plain", "404 page not found", history.Internal,
			"not a watchhistory recorder", client.ErrNotRecorder,
		},
		"html": {
			200, "text/html", "<html>hello</html>", history.Internal,
			"not a watchhistory recorder: it answered with text/html", client.ErrNotRecorder,
		},
		"html error": {
			500, "text/html", "<html>oops</html>", history.Internal,
			"not a watchhistory recorder", client.ErrNotRecorder,
		},
		"a gateway": {
			502, "text/html", "<html>bad gateway</html>", history.Unavailable,
			"can't be reached: a proxy or load balancer answered 502 Bad Gateway", client.ErrGateway,
		},
		"a slow one": {
			504, "", "", history.Unavailable,
			"can't be reached: a proxy or load balancer answered 504 Gateway Timeout", client.ErrGateway,
		},
		"a login": {
			401, "text/html", "<html>who?</html>", history.Unauthorized,
			"a proxy or load balancer answered 401 Unauthorized", client.ErrGateway,
		},
		"a wall": {
			403, "text/html", "<html>no</html>", history.Forbidden,
			"a proxy or load balancer answered 403 Forbidden", client.ErrGateway,
		},
		"unavailable": {
			503, "application/json", `{"error":{"code":"unavailable","message":"closing"}}`,
			history.Unavailable, "answered: closing", client.ErrAnswered,
		},
		"too long": {
			500, "text/plain", "Query failed: scan: context deadline exceeded",
			history.Internal, "deadline exceeded", client.ErrQueryTimeout,
		},
		"redirect": {302, "text/html", "", history.Internal, "not a watchhistory recorder", client.ErrNotRecorder},
		"other json": {
			200, "application/json", `{"items":[]}`, history.Internal,
			"not a watchhistory recorder", client.ErrNotRecorder,
		},
		"broken json": {
			200, "application/json", `[{"verb":`, history.Internal,
			"not a watchhistory recorder", client.ErrNotRecorder,
		},
		"an API server": {
			403, "application/json", `{"kind":"Status","message":"no"}`,
			history.Internal, "Kubernetes API server", client.ErrNotRecorder,
		},
		"a terminal's": {500, "text/plain", "\x1b[31mred\x07", history.Internal, "^[[31mred�", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStub(t, tc.status, tc.kind, tc.body)
			_, err := newClient(t, s.URL, client.Options{}).Events(t.Context(), client.EventsQuery{})
			wantError(t, err, tc.code, tc.want)
			if tc.cause != nil && !errors.Is(err, tc.cause) {
				t.Errorf("cause of %v: got another one, want %v", err, tc.cause)
			}
		})
	}
}

// A library may be used without flags: the program adds hints that name them.
func TestErrors_NameNoFlag(t *testing.T) {
	s := newStub(t, 200, "application/json", `["`+strings.Repeat("x", 2<<20)+`"]`)
	_, err := newClient(t, s.URL, client.Options{MaxResponse: 1 << 20}).Events(t.Context(), client.EventsQuery{})
	wantError(t, err, history.Invalid, "larger than 1 MiB")
	if !errors.Is(err, client.ErrTooLarge) {
		t.Errorf("got error %v, want ErrTooLarge", err)
	}
	if text := err.Error() + history.HintOf(err); strings.Contains(text, "--") {
		t.Errorf("got %q, want no flag in it", text)
	}
}

func TestEvents_TruncatedAnswerIsError(t *testing.T) {
	s := newStub(t, 200, "application/json", `[]`, "Content-Length", "100")
	_, err := newClient(t, s.URL, client.Options{}).Events(t.Context(), client.EventsQuery{})
	wantError(t, err, history.Unavailable, "unexpected EOF")
}

func TestHealth_UnreachableRecorderHasCause(t *testing.T) {
	gone := newStub(t, 200, "application/json", "[]")
	gone.Close()
	plain := newStub(t, 200, "application/json", "[]")
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	for _, tc := range []struct {
		url, want string
		cause     error
	}{
		{gone.URL, "refuses connections", client.ErrRefused},
		{strings.Replace(plain.URL, "http:", "https:", 1), "does not use TLS", client.ErrNotTLS},
		{secure.URL, "has a certificate that is not trusted", client.ErrUntrusted},
	} {
		err := newClient(t, tc.url, client.Options{}).Health(t.Context())
		wantError(t, err, history.Unavailable, tc.want)
		if !errors.Is(err, tc.cause) {
			t.Errorf("cause of %v: got another one, want %v", err, tc.cause)
		}
	}
}

func TestHealth_EndsAfterTimeoutOrCancel(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer s.Close()
	defer close(release)
	c := newClient(t, s.URL, client.Options{Timeout: 50 * time.Millisecond})
	err := c.Health(t.Context())
	wantError(t, err, history.Unavailable, "did not answer within 50ms")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got error %v, want DeadlineExceeded", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Health(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: got error %v, want Canceled", err)
	}
}

func TestClockOffset_IsMeasuredWithFirstAnswer(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 500_000_000, time.UTC)
	for _, tt := range []struct {
		name   string
		status int
		header []string
		want   time.Duration
		known  bool
	}{
		{"the same second", 200, []string{"Date", now.Format(http.TimeFormat)}, 0, true},
		{
			"too little to measure", 200,
			[]string{"Date", now.Add(1500 * time.Millisecond).Format(http.TimeFormat)},
			0, true,
		},
		{"an hour ahead", 200, []string{"Date", now.Add(time.Hour).Format(http.TimeFormat)}, time.Hour, true},
		{"an hour behind", 200, []string{"Date", now.Add(-time.Hour).Format(http.TimeFormat)}, -time.Hour, true},
		{"no date", 200, []string{"Date", ""}, 0, false},
		{"invalid date", 200, []string{"Date", "yesterday"}, 0, false},
		{"from a cache", 200, []string{"Date", now.Add(-time.Hour).Format(http.TimeFormat), "Age", "3600"}, 0, false},
		{"from a gateway", 502, []string{"Date", now.Add(time.Hour).Format(http.TimeFormat)}, 0, false},
	} {
		s := newStub(t, tt.status, "application/json", `{"status":"healthy"}`, tt.header...)
		c := newClient(t, s.URL, client.Options{Now: func() time.Time { return now }})
		if offset, known := c.ClockOffset(); offset != 0 || known {
			t.Errorf("%s: before the first answer: got %s, %t, want 0s, false", tt.name, offset, known)
		}
		_ = c.Health(t.Context()) // a gateway's answer is an error
		if offset, known := c.ClockOffset(); offset != tt.want || known != tt.known {
			t.Errorf("%s: got %s, %t, want %s, %t", tt.name, offset, known, tt.want, tt.known)
		}
	}
}

// maxRead is more than a client reads of an endless answer, and small enough
// for a test.
const maxRead = 32 << 20

func TestClient_BoundsEveryAnswer(t *testing.T) {
	for name, ask := range map[string]func(*client.Client) error{
		"health":    func(c *client.Client) error { return c.Health(t.Context()) },
		"resources": func(c *client.Client) error { _, err := c.Resources(t.Context()); return err },
		"gaps":      func(c *client.Client) error { _, err := c.Gaps(t.Context(), client.GapsQuery{}); return err },
		"events":    func(c *client.Client) error { _, err := c.Events(t.Context(), client.EventsQuery{}); return err },
		"object": func(c *client.Client) error {
			_, err := c.Object(t.Context(), client.ObjectQuery{Namespace: "shop", Resource: "pods", Name: "web"})
			return err
		},
	} {
		for _, status := range []int{200, 404, 500} {
			var sent atomic.Int64
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(status)
				_, _ = io.WriteString(w, `{"`)
				chunk := []byte(strings.Repeat("x", 64<<10))
				for sent.Load() < 4*maxRead {
					n, err := w.Write(chunk)
					if sent.Add(int64(n)); err != nil {
						return
					}
				}
			}))
			err := ask(newClient(t, s.URL, client.Options{MaxResponse: 1 << 20}))
			s.Close()
			if err == nil {
				t.Errorf("%s with status %d: got no error, want one", name, status)
			}
			if n := sent.Load(); n > maxRead {
				t.Errorf("%s with status %d: read %d bytes of the answer, want at most %d", name, status, n, maxRead)
			}
		}
	}
}

func TestClient_BoundsElementsOfAnswer(t *testing.T) {
	body := `{"resources":[{}` + strings.Repeat(",{}", 1_000_000) + `]}`
	s := newStub(t, 200, "application/json", body)
	_, err := newClient(t, s.URL, client.Options{}).Resources(t.Context())
	wantError(t, err, history.Internal, "not a watchhistory recorder", "more than 1000000 elements")
}

func TestClient_RejectsDataAfterAnswer(t *testing.T) {
	for _, body := range []string{`[] []`, `[]x`, `[`, `[{]`, ``, `{}`, `3`} {
		s := newStub(t, 200, "application/json", body)
		_, err := newClient(t, s.URL, client.Options{}).Events(t.Context(), client.EventsQuery{})
		wantError(t, err, history.Internal, "not a watchhistory recorder")
	}
}

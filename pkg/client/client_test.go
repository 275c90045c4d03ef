package client_test

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"
	"k8s.io/klog/v2"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
)

func TestMain(m *testing.M) {
	klog.SetLogger(logr.Discard()) // the plugin's main does so
	goleak.VerifyTestMain(m,
		// After a tunnel that broke, it offers the error of closing it for a second, to nobody.
		goleak.IgnoreAnyFunction("github.com/moby/spdystream.(*Connection).shutdown"))
}

// asked is a server that keeps the last request and gives one answer.
type asked struct {
	*httptest.Server
	request *http.Request
}

func answering(t *testing.T, status int, contentType, body string, header ...string) *asked {
	t.Helper()
	s := &asked{}
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

func dial(t *testing.T, url string, opts client.Options) *client.Client {
	t.Helper()
	c, err := client.New(url, &http.Transport{}, opts)
	if err != nil {
		t.Fatalf("New(%q): %v", url, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func wantCode(t *testing.T, err error, code history.Code, parts ...string) {
	t.Helper()
	if history.CodeOf(err) != code {
		t.Errorf("code of %v: got %q, want %q", err, history.CodeOf(err), code)
	}
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got error %v, want one with %q", err, part)
		}
	}
}

func TestHealth(t *testing.T) {
	s := answering(t, 200, "application/json", `{"status":"healthy"}`)
	c := dial(t, s.URL+"/", client.Options{UserAgent: "kubectl-watchhistory/v9"})
	if err := c.Health(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.request.URL.Path; got != "/health" {
		t.Errorf("asked for %q", got)
	}
	if got := s.request.UserAgent(); got != "kubectl-watchhistory/v9" {
		t.Errorf("user agent is %q", got)
	}
	sick := answering(t, 200, "application/json", `{"status":"ill"}`)
	wantCode(t, dial(t, sick.URL, client.Options{}).Health(t.Context()), history.Internal, "not a watchhistory recorder", "ill")
}

func TestResources(t *testing.T) {
	s := answering(t, 200, "application/json",
		`{"resources":[{"group":"apps","version":"v1","plural":"deployments","kind":"Deployment","namespaced":true,"state":"watching"}]}`)
	list, err := dial(t, s.URL, client.Options{}).Resources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Resources) != 1 || list.Resources[0].Plural != "deployments" || list.Resources[0].State != "watching" {
		t.Errorf("got %+v", list)
	}
}

func TestNewRefusesWhatIsNoURL(t *testing.T) {
	for _, url := range []string{"", "localhost:8080", "/tmp/socket", "ftp://host", "http://", "http://h\x7f"} {
		_, err := client.New(url, nil, client.Options{})
		wantCode(t, err, history.Invalid, "--recorder-url")
	}
}

func TestRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		status     int
		kind, body string
		code       history.Code
		want       string
	}{
		"bad start":     {400, "text/plain; charset=utf-8", "Invalid start time format: x\n", history.Invalid, "Invalid start time format: x"},
		"query failed":  {500, "text/plain", "Query failed: disk", history.Internal, "Query failed: disk"},
		"busy":          {503, "text/plain", "", history.Unavailable, "503 Service Unavailable"},
		"additive":      {400, "application/json", `{"error":{"code":"invalid","message":"cursor is none"}}`, history.Invalid, "cursor is none"},
		"forbidden":     {403, "application/json", `{"error":{"code":"forbidden","message":"not yours"}}`, history.Forbidden, "not yours"},
		"unknown code":  {404, "application/json", `{"error":{"code":"gone","message":"no such type"}}`, history.NotFound, "no such type"},
		"another 404":   {404, "text/plain", "404 page not found", history.Internal, "not a watchhistory recorder"},
		"html":          {200, "text/html", "<html>hello</html>", history.Internal, "not a watchhistory recorder: it answers with text/html"},
		"html error":    {500, "text/html", "<html>oops</html>", history.Internal, "not a watchhistory recorder"},
		"a gateway":     {502, "text/html", "<html>bad gateway</html>", history.Unavailable, "can't be reached: what stands before it answers 502 Bad Gateway\nTry again; "},
		"a slow one":    {504, "", "", history.Unavailable, "can't be reached: what stands before it answers 504 Gateway Timeout\nTry again; "},
		"a login":       {401, "text/html", "<html>who?</html>", history.Forbidden, "what stands before it answers 401 Unauthorized\nGive what it wants"},
		"a wall":        {403, "text/html", "<html>no</html>", history.Forbidden, "what stands before it answers 403 Forbidden\nGive what it wants"},
		"unavailable":   {503, "application/json", `{"error":{"code":"unavailable","message":"closing"}}`, history.Unavailable, "answers: closing\nTry again; "},
		"too long":      {500, "text/plain", "Query failed: scan: context deadline exceeded", history.Internal, "exceeded\nNarrow the query"},
		"redirect":      {302, "text/html", "", history.Internal, "not a watchhistory recorder"},
		"other json":    {200, "application/json", `{"items":[]}`, history.Internal, "not a watchhistory recorder"},
		"broken json":   {200, "application/json", `[{"verb":`, history.Internal, "not a watchhistory recorder"},
		"an API server": {403, "application/json", `{"kind":"Status","message":"no"}`, history.Internal, "Kubernetes API server"},
		"a terminal's":  {500, "text/plain", "\x1b[31mred\x07", history.Internal, "^[[31mred�"},
	} {
		t.Run(name, func(t *testing.T) {
			s := answering(t, tc.status, tc.kind, tc.body)
			_, err := dial(t, s.URL, client.Options{}).Events(t.Context(), client.EventsQuery{})
			wantCode(t, err, tc.code, tc.want)
		})
	}
}

func TestAnswerIsBounded(t *testing.T) {
	body := `["` + strings.Repeat("x", 2<<20) + `"]`
	s := answering(t, 200, "application/json", body)
	_, err := dial(t, s.URL, client.Options{MaxResponse: 1 << 20}).Events(t.Context(), client.EventsQuery{})
	wantCode(t, err, history.Invalid, "larger than 1 MiB", "--since")
}

func TestAnswerCutShortIsAnError(t *testing.T) {
	s := answering(t, 200, "application/json", `[]`, "Content-Length", "100")
	_, err := dial(t, s.URL, client.Options{}).Events(t.Context(), client.EventsQuery{})
	wantCode(t, err, history.Unavailable, "unexpected EOF")
}

func TestUnreachable(t *testing.T) {
	gone := answering(t, 200, "application/json", "[]")
	gone.Close()
	wantCode(t, dial(t, gone.URL, client.Options{}).Health(t.Context()), history.Unavailable, "refuses connections")

	plain := answering(t, 200, "application/json", "[]")
	https := strings.Replace(plain.URL, "http:", "https:", 1)
	wantCode(t, dial(t, https, client.Options{}).Health(t.Context()), history.Unavailable, "does not speak TLS", "http://")

	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	wantCode(t, dial(t, secure.URL, client.Options{}).Health(t.Context()), history.Unavailable, "does not trust")
}

func TestTimeouts(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer s.Close()
	defer close(release)
	c := dial(t, s.URL, client.Options{Timeout: 50 * time.Millisecond})
	wantCode(t, c.Health(t.Context()), history.Unavailable, "did not answer within 50ms", "--request-timeout")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Health(ctx); err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("with a cancelled context: got %v", err)
	}
}

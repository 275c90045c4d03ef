package api_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// logging returns a handler on an empty log, and what it logs.
func logging(o api.Options) (http.Handler, *bytes.Buffer) {
	var log bytes.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	return api.New(query.New(&filterReader{}, query.Options{}), o), &log
}

// request returns the answer to a GET with these headers.
func request(t *testing.T, h http.Handler, host, path string, header http.Header) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
	r.Header, r.Host = header.Clone(), host
	if r.Header == nil {
		r.Header = http.Header{}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// A browser sends the name of the web page as Host, also if that name resolves
// to the recorder's address.
func TestHost_OtherNamesAreRefused(t *testing.T) {
	h, _ := logging(api.Options{Host: func(name string) bool { return name == "recorder.shop.svc" }})
	for host, want := range map[string]int{
		"127.0.0.1:8080": 404, "[::1]:8080": 404, "::1": 404, "localhost": 404, "localhost:8080": 404,
		"recorder.shop.svc:8443": 404, "Recorder.shop.svc.": 404, "10.1.2.3": 404,
		"evil.example.com": 421, "evil.example.com:8080": 421, "127.0.0.1.evil.example.com": 421,
		"recorder.shop.svc.evil.example.com": 421, "localhost.evil.example.com": 421, "": 421,
	} {
		for _, path := range []string{v1.EventsPath, "/" + v1.EventsPath} {
			got := request(t, h, host, path, nil)
			if got.StatusCode != want {
				t.Errorf("host %q: got %d, want %d", host, got.StatusCode, want)
			}
			if got.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("host %q: got a CORS header, want none", host)
			}
		}
	}
}

func TestAccessLog_HasUserAndRequestID(t *testing.T) {
	h, log := logging(api.Options{User: func(context.Context) string { return "jane" }})
	got := request(t, h, "localhost", v1.EventsPath+"?namespace=shop", http.Header{"X-Request-Id": {"abc-1.2_3"}})
	if id := got.Header.Get("X-Request-Id"); id != "abc-1.2_3" {
		t.Errorf("got request ID %q, want the given one", id)
	}
	line := log.String()
	for _, want := range []string{
		"msg=request", "request_id=abc-1.2_3", "user=jane", "method=GET", "path=/api/v1/events",
		"status=404", "bytes=", "duration=",
	} {
		if !strings.Contains(line, want) {
			t.Errorf("got log line %q, want it to contain %s", line, want)
		}
	}
	log.Reset()
	request(t, h, "localhost", v1.LivezPath, nil)
	if log.Len() > 0 {
		t.Errorf("probe: got log %q at the default level, want none", log)
	}
	for _, forged := range []string{"a\nb", strings.Repeat("x", 65), "a b", ""} {
		got := request(t, h, "localhost", v1.EventsPath, http.Header{"X-Request-Id": {forged}})
		if id := got.Header.Get("X-Request-Id"); id == "" || id == forged {
			t.Errorf("request ID %q: got %q, want a new one", forged, id)
		}
	}
}

func TestAudit_NamesSecretsThatWereRead(t *testing.T) {
	s := newServer(t, api.Options{})
	s.put(change(history.Create, "secrets", "shop", "pin", "{}"), change(history.Create, "pods", "shop", "web", "{}"))
	var log bytes.Buffer
	h := api.New(query.New(s.log, query.Options{}), api.Options{
		Logger: slog.New(slog.NewTextHandler(&log, nil)), User: func(context.Context) string { return "jane" },
	})
	request(t, h, "localhost", v1.EventsPath, http.Header{"X-Request-Id": {"r1"}})
	want := `msg="history of Secrets read" request_id=r1 user=jane count=1 secrets=shop/pin`
	if !strings.Contains(log.String(), want) {
		t.Errorf("got log %q, want %q", log.String(), want)
	}
	log.Reset()
	request(t, h, "localhost", v1.EventsPath+"?resourceType=pods", nil)
	if strings.Contains(log.String(), "Secrets") {
		t.Errorf("answer without a Secret: got log %q, want no audit line", log.String())
	}
}

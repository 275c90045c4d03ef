package daemon_test

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// profiles are paths that net/http/pprof and expvar register in
// http.DefaultServeMux when they are imported.
var profiles = []string{"/debug/pprof/", "/debug/pprof/heap?debug=1", "/debug/pprof/cmdline", "/debug/vars"}

func TestDebug_IsOffByDefault(t *testing.T) {
	noLeaks(t)
	kubectl(t, "create", "clusterrolebinding", "debug", "--clusterrole=cluster-admin", "--serviceaccount=default:debug")
	token, err := cluster.Token(t.Context(), "default", "debug")
	if err != nil {
		t.Fatal(err)
	}
	c := daemon.DefaultConfig()
	c.StoragePath, c.ServerPort, c.SecurePort = t.TempDir(), 0, 0
	r := boot(t, c, cluster.Config(), nil)
	if r.debug != "" {
		t.Errorf("debug listener: got %s, want none", r.debug)
	}
	client := secureClient(t, r.authorities())
	for _, path := range profiles {
		if got := r.answerTo(t, path); got.StatusCode != http.StatusNotFound {
			t.Errorf("%s without TLS: got %s %s, want 404", path, got.Status, got.body)
		}
		if got := fetch(t, client, "https://"+r.secure+path, token); got.StatusCode != http.StatusNotFound {
			t.Errorf("%s with TLS: got %s %s, want 404", path, got.Status, got.body)
		}
	}
	r.stop(t)
}

func TestDebug_ServesProfilesOnLoopbackOnly(t *testing.T) {
	noLeaks(t)
	c := daemon.DefaultConfig()
	c.StoragePath, c.ServerPort, c.DebugPort, c.BindAddress = t.TempDir(), 0, 0, "0.0.0.0"
	r := boot(t, c, cluster.Config(), nil)
	host, _, err := net.SplitHostPort(r.debug)
	if err != nil || !net.ParseIP(host).IsLoopback() {
		t.Fatalf("got address %q, error %v, want a loopback address", r.debug, err)
	}
	get := func(method, path, host string) (int, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.debug+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
	for _, c := range []struct {
		method, path, host string
		want               int
		word               string // in the body
	}{
		{http.MethodGet, "/debug/pprof/", "", 200, "goroutine"},
		{http.MethodGet, "/debug/pprof/goroutine?debug=1", "localhost:6060", 200, "goroutine profile:"},
		{http.MethodGet, "/debug/pprof/heap?debug=1", "127.0.0.1", 200, "heap profile:"},
		{http.MethodGet, "/debug/pprof/cmdline", "[::1]:6060", 200, ""},
		{http.MethodGet, "/debug/pprof/symbol", "", 200, "num_symbols"},
		{http.MethodGet, "/debug/pprof/nosuch", "", 404, ""},
		{http.MethodPost, "/debug/pprof/heap", "", 405, ""},
		{http.MethodGet, v1.EventsPath, "", 404, ""},
		{http.MethodGet, v1.MetricsPath, "", 404, ""},
		{http.MethodGet, "/debug/pprof/heap", "rebound.example.com", 403, "not a loopback address"},
		{http.MethodGet, "/debug/vars", "rebound.example.com:6060", 403, "not a loopback address"},
		{http.MethodGet, "/debug/vars", "10.0.0.1", 403, "not a loopback address"},
		{http.MethodGet, "/debug/vars", "localhost.example.com", 403, "not a loopback address"},
	} {
		if code, body := get(c.method, c.path, c.host); code != c.want || !strings.Contains(body, c.word) {
			t.Errorf("%s %s with host %q: got %d %.200q, want %d with %q",
				c.method, c.path, c.host, code, body, c.want, c.word)
		}
	}
	var vars struct{ Memstats struct{ HeapInuse uint64 } }
	if _, body := get(http.MethodGet, "/debug/vars", ""); json.Unmarshal([]byte(body), &vars) != nil ||
		vars.Memstats.HeapInuse == 0 {
		t.Errorf("/debug/vars: got %.200q, want JSON with the memory", body)
	}
	r.stop(t)
}

func TestSource_ReadsDebugPort(t *testing.T) {
	for _, tt := range []struct {
		text, env string
		want      int
		err       string
	}{
		{"", "", daemon.NoPort, ""},
		{"debugPort: 6060", "", 6060, ""},
		{"debugPort: 0", "", 0, ""},
		{"debugPort: 6060", "-1", daemon.NoPort, ""},
		{"", "6061", 6061, ""},
		{"debugPort: -2", "", 0, "line 1: debugPort: want a whole number from -1 to 65535"},
		{"debugPort: 0.0.0.0:6060", "", 0, "line 1: debugPort: want a whole number"},
		{"", "0.0.0.0:6060", 0, "DEBUG_PORT: want a port from 0"},
	} {
		v := newVolume(t, tt.text)
		env := map[string]string{"CONFIG_PATH": v.path(), "DEBUG_PORT": tt.env}
		c, err := daemon.NewSource(func(name string) string { return env[name] }, "").Load()
		switch {
		case tt.err == "" && (err != nil || c.DebugPort != tt.want):
			t.Errorf("%q with %q: got %d, error %v, want %d", tt.text, tt.env, c.DebugPort, err, tt.want)
		case tt.err != "" && (history.CodeOf(err) != history.Invalid || !strings.Contains(err.Error(), tt.err)):
			t.Errorf("%q with %q: got error %v, want %s", tt.text, tt.env, err, tt.err)
		}
	}
}

// TestReadyz_HidesResourcesFromUnknownCallers waits for a resource that is not
// served, so that something is missing.
func TestReadyz_HidesResourcesFromUnknownCallers(t *testing.T) {
	noLeaks(t)
	kubectl(t, "create", "clusterrole", "probe-metrics", "--verb=get", "--non-resource-url=/metrics")
	kubectl(t, "create", "clusterrolebinding", "probe-metrics", "--clusterrole=probe-metrics",
		"--serviceaccount=default:prober")
	tokens := map[string]string{"anonymous": "", "wrong": "wrong"}
	for _, name := range []string{"prober", "reader"} {
		token, err := cluster.Token(t.Context(), "default", name)
		if err != nil {
			t.Fatal(err)
		}
		tokens[name] = token
	}
	missing := func(c *daemon.Config) {
		unknown := c.Resources[0]
		unknown.Group, unknown.Plural, unknown.Kind = "missing.example.com", "gadgets", "Gadget"
		c.Resources, c.SecurePort = append(c.Resources, unknown), 0
	}
	r := start(t, t.TempDir(), cluster.Config(), missing)
	client := secureClient(t, r.authorities())
	r.eventually(t, "gadgets are missing", func() (bool, string) {
		_, body := r.get(t, v1.ReadyzPath)
		return strings.Contains(body, "gadgets"), body
	})
	for name, details := range map[string]bool{"anonymous": false, "wrong": false, "reader": false, "prober": true} {
		for _, path := range []string{v1.ReadyzPath, "/" + v1.ReadyzPath} {
			got := fetch(t, client, "https://"+r.secure+path, tokens[name])
			want := "ok\nnot in sync: the details are for callers who may get /metrics\n"
			if got.StatusCode != http.StatusOK || details != strings.Contains(got.body, "gadgets") ||
				!details && got.body != want {
				t.Errorf("%s as %s: got %s %q, want 200 with details: %t", path, name, got.Status, got.body, details)
			}
		}
		if got := fetch(t, client, "https://"+r.secure+v1.LivezPath, tokens[name]); got.body != "ok\n" {
			t.Errorf("%s as %s: got %s %q, want 200 ok", v1.LivezPath, name, got.Status, got.body)
		}
	}
	r.stop(t)
	limited := start(t, t.TempDir(), cluster.Config(), func(c *daemon.Config) {
		missing(c)
		c.Anonymous.Scopes = []history.NamespaceScope{"default"}
	})
	limited.eventually(t, "something is missing", func() (bool, string) {
		_, body := limited.get(t, v1.ReadyzPath)
		return strings.Contains(body, "not in sync"), body
	})
	if _, body := limited.get(t, v1.ReadyzPath); strings.Contains(body, "gadgets") {
		t.Errorf("with limits: got %q, want no resource", body)
	}
	limited.stop(t)
}

// TestSecure_BoundsRequests reads the settings of an HTTP/2 connection, and
// sends requests that are too large.
func TestSecure_BoundsRequests(t *testing.T) {
	noLeaks(t)
	c := daemon.DefaultConfig()
	c.StoragePath, c.ServerPort, c.SecurePort = t.TempDir(), daemon.NoPort, 0
	r := boot(t, c, cluster.Config(), nil)
	client := secureClient(t, r.authorities())
	transport := client.Transport.(*http.Transport)
	config := transport.TLSClientConfig.Clone()
	config.NextProtos = []string{"h2"}
	connection, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", r.secure)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := io.WriteString(connection, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(connection, connection)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	frame, err := framer.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	settings, ok := frame.(*http2.SettingsFrame)
	if !ok {
		t.Fatalf("first frame: got %v, want settings", frame)
	}
	if got, set := settings.Value(http2.SettingMaxConcurrentStreams); got != 100 || !set {
		t.Errorf("streams of a connection: got %d, set: %t, want 100", got, set)
	}
	if got, set := settings.Value(http2.SettingMaxHeaderListSize); got < 64<<10 || got > 80<<10 || !set {
		t.Errorf("bytes of headers: got %d, set: %t, want about 64 KiB", got, set)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+r.secure+v1.LivezPath,
		strings.NewReader(strings.Repeat("x", 64<<10+1)))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusRequestEntityTooLarge || response.ProtoMajor != 2 {
		t.Errorf("large body: got %s with HTTP/%d, want 413 with HTTP/2", response.Status, response.ProtoMajor)
	}
	r.stop(t)
}

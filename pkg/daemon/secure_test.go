package daemon_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// secureClient returns a client of the secure listener that knows the bundle.
func secureClient(t *testing.T, bundle []byte) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// answer is a response with its body.
type answer struct {
	*http.Response

	body string
}

// fetch returns the answer to a GET, with a bearer token unless it is "".
func fetch(t *testing.T, client *http.Client, url, token string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	checkDescribed(t, response, body)
	return answer{response, string(body)}
}

// TestDaemon_ServesAdmittedCallersOnly runs a daemon whose only listener is the
// secure one.
func TestDaemon_ServesAdmittedCallersOnly(t *testing.T) {
	noLeaks(t)
	kubectl(t, "create", "namespace", "secure")
	kubectl(t, "create", "clusterrole", "metrics-reader", "--verb=get", "--non-resource-url=/metrics")
	kubectl(t, "create", "clusterrolebinding", "metrics-reader",
		"--clusterrole=metrics-reader", "--serviceaccount=secure:scraper")
	reader, err := cluster.Token(t.Context(), "secure", "reader")
	if err != nil {
		t.Fatal(err)
	}
	scraper, err := cluster.Token(t.Context(), "secure", "scraper")
	if err != nil {
		t.Fatal(err)
	}
	c := daemon.DefaultConfig()
	c.StoragePath, c.ServerPort, c.SecurePort, c.Namespace = t.TempDir(), daemon.NoPort, 0, "secure"
	r := boot(t, c, cluster.Config(), nil)
	if r.url != "http://" {
		t.Errorf("got a listener without TLS at %s, want none", r.url)
	}
	var bundle string
	r.eventually(t, "the authorities are published", func() (bool, string) {
		bundle = kubectl(t, "get", "configmap", "-n", "secure", "--ignore-not-found", "watchhistory-recorder-ca",
			"-o", `jsonpath={.data.ca\.crt}`)
		return bundle != "", ""
	})
	client := secureClient(t, []byte(bundle))
	for _, tt := range []struct {
		path, token string
		status      int
	}{
		{v1.ResourcesPath, reader, 200},
		{v1.ResourcesPath, "", 401},
		{"/" + v1.ResourcesPath, "", 401},
		{v1.EventsPath, "wrong", 401},
		{v1.GapsPath, "", 401},
		{"/nowhere", "", 401},
		{"/nowhere", reader, 404},
		{v1.HealthPath, "", 200},
		{v1.LivezPath, "", 200},
		{v1.ReadyzPath, "", 200},
		{v1.MetricsPath, "", 401},
		{v1.MetricsPath, reader, 403},
		{"/" + v1.MetricsPath, reader, 403},
		{v1.MetricsPath, scraper, 200},
	} {
		got := fetch(t, client, "https://"+r.secure+tt.path, tt.token)
		if got.StatusCode != tt.status || got.ProtoMajor != 2 {
			t.Errorf("%s: got %s with HTTP/%d, want %d with HTTP/2: %s",
				tt.path, got.Status, got.ProtoMajor, tt.status, got.body)
		}
		var e v1.ErrorBody
		if tt.status > 400 &&
			(json.Unmarshal([]byte(got.body), &e) != nil || e.Error.Code == "" || e.Error.Message == "") {
			t.Errorf("%s: got body %q, want an error as JSON", tt.path, got.body)
		}
	}
	r.stop(t)
}

// TestDaemon_ServesBothListeners compares the history without TLS with that of
// an administrator.
func TestDaemon_ServesBothListeners(t *testing.T) {
	noLeaks(t)
	token, err := cluster.Token(t.Context(), "default", "both")
	if err != nil {
		t.Fatal(err)
	}
	kubectl(t, "create", "clusterrolebinding", "both", "--clusterrole=cluster-admin", "--serviceaccount=default:both")
	r := start(t, t.TempDir(), cluster.Config(), func(c *daemon.Config) { c.SecurePort = 0 })
	client := secureClient(t, r.authorities())
	path := v1.EventsPath + "?resourceType=namespaces&resourceName=kube-system"
	var plain string
	r.eventually(t, "the namespace is recorded", func() (bool, string) {
		_, plain = r.get(t, path)
		return strings.Contains(plain, `"kube-system"`), plain
	})
	if got := fetch(t, client, "https://"+r.secure+path, token); got.body != plain || got.StatusCode != http.StatusOK {
		t.Errorf("with TLS: got %s %s, want 200 %s", got.Status, got.body, plain)
	}
	if got := r.log.Count("ca_sha256="); got != 1 {
		t.Errorf("got %d log lines with the digest of the authorities, want 1", got)
	}
	r.stop(t)
}

func TestDaemon_ReportsFaultsOfSecureListener(t *testing.T) {
	dir := t.TempDir()
	c := daemon.DefaultConfig()
	c.StoragePath, c.ServerPort, c.SecurePort = dir, daemon.NoPort, 0
	c.TLSCertFile, c.TLSKeyFile = filepath.Join(dir, "absent.crt"), filepath.Join(dir, "absent.key")
	_, err := daemon.New(t.Context(), c, &rest.Config{}, nil)
	if err == nil || !strings.Contains(err.Error(), c.TLSCertFile) ||
		!strings.Contains(history.HintOf(err), "TLS_CERT_FILE") {
		t.Errorf("absent certificate: got error %v with hint %q, want both to name it", err, history.HintOf(err))
	}
}

func TestSource_ReadsListeners(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	for _, tt := range []struct {
		text string
		env  map[string]string
		want string // in the error, or the addresses and files
	}{
		{"", nil, "127.0.0.1:8080 127.0.0.1:-1"},
		{"securePort: 8443", nil, "127.0.0.1:8080 127.0.0.1:8443"},
		{"securePort: 8443\nbindAddress: 0.0.0.0", nil, "0.0.0.0:8080 0.0.0.0:8443"},
		{"securePort: 8443\nsecureBindAddress: 0.0.0.0", nil, "127.0.0.1:8080 0.0.0.0:8443"},
		{"serverPort: -1\nsecurePort: 0", nil, "127.0.0.1:-1 127.0.0.1:0"},
		{
			"serverPort: 1",
			map[string]string{"SERVER_PORT": "-1", "SECURE_PORT": "2", "SECURE_BIND_ADDRESS": "::"},
			"127.0.0.1:-1 [::]:2",
		},
		{
			"securePort: 1\ntlsCertFile: a\ntlsKeyFile: b",
			map[string]string{"TLS_KEY_FILE": "c", "TLS_CA_FILE": "d"},
			"127.0.0.1:8080 127.0.0.1:1 a c d",
		},
		{"", map[string]string{"POD_NAMESPACE": "team"}, "127.0.0.1:8080 127.0.0.1:-1 team"},
		{"serverPort: -1", nil, "serverPort (SERVER_PORT) and securePort (SECURE_PORT) are both off"},
		{"serverPort: -2", nil, "line 1: serverPort: want a whole number from -1 to 65535"},
		{
			"",
			map[string]string{"SECURE_PORT": "-2"},
			"SECURE_PORT: want a port from 0 (any free one) to 65535, or -1 for none",
		},
		{"", map[string]string{"SECURE_BIND_ADDRESS": "here"}, "SECURE_BIND_ADDRESS: want an IP address"},
		{"securePort: 1\ntlsCertFile: a", nil, "tlsCertFile (TLS_CERT_FILE) and tlsKeyFile (TLS_KEY_FILE): want both"},
		{"securePort: 1\ntlsCAFile: a", nil, "tlsCAFile (TLS_CA_FILE): want it only with tlsCertFile"},
		{
			"tlsCertFile: a\ntlsKeyFile: b", nil,
			"tlsCertFile (TLS_CERT_FILE): want it only with securePort (SECURE_PORT)",
		},
	} {
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := daemon.NewSource(func(name string) string { return tt.env[name] }, file).Load()
		got := strings.Join(strings.Fields(strings.Join([]string{
			c.Address(), c.SecureAddress(), c.TLSCertFile, c.TLSKeyFile, c.TLSCAFile, c.Namespace,
		}, " ")), " ")
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, tt.want) || err == nil && got != tt.want {
			t.Errorf("%q with %v: got %q, want %q", tt.text, tt.env, got, tt.want)
		}
	}
}

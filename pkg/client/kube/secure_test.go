package kube_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/watchhistory/watchhistory/pkg/access/serving"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/client/kube"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

// Further ports of the recorder's pod.
const (
	securePort = 8443 // forwarded to the witness
	fakePort   = 8444 // forwarded to a server without TLS
)

// credentials are those that arrived with a request.
type credentials struct {
	Authorization, Certificate string // the certificate's common name
	As, UID                    string
	Groups                     []string
}

// witness is a recorder with TLS that notes the credentials which arrive.
type witness struct {
	*httptest.Server
	authority atomic.Pointer[serving.Certificates] // of its certificate
	redirect  atomic.Pointer[string]               // where it redirects to; nil: it answers

	mu   sync.Mutex // guards all below
	seen []credentials
}

// newWitness returns a witness with a certificate for a namespace.
func newWitness(t *testing.T, namespace string) *witness {
	t.Helper()
	w := &witness{}
	api := newRecorder(t)
	w.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.note(r)
		if to := w.redirect.Load(); to != nil {
			http.Redirect(rw, r, *to, http.StatusTemporaryRedirect)
			return
		}
		api.ServeHTTP(rw, r)
	}))
	w.renew(t, namespace)
	w.EnableHTTP2 = true
	w.Config.ErrorLog = log.New(io.Discard, "", 0)
	w.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return w.authority.Load().TLSConfig(), nil
	}}
	w.StartTLS()
	t.Cleanup(w.Close)
	return w
}

// renew gives the witness a certificate of another authority, and returns the
// authority as PEM.
func (w *witness) renew(t *testing.T, namespace string) string {
	t.Helper()
	c, err := serving.New(t.Context(), &rest.Config{}, nil,
		serving.Options{Service: "watchhistory-recorder", Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	w.authority.Store(c)
	if w.URL != "" {
		w.CloseClientConnections()
	}
	return string(c.Authorities())
}

func (w *witness) note(r *http.Request) {
	c := credentials{
		Authorization: r.Header.Get("Authorization"),
		As:            r.Header.Get("Impersonate-User"), UID: r.Header.Get("Impersonate-Uid"),
		Groups: r.Header.Values("Impersonate-Group"),
	}
	if len(r.TLS.PeerCertificates) > 0 {
		c.Certificate = r.TLS.PeerCertificates[0].Subject.CommonName
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, c)
}

// take returns the credentials of all requests since the last call.
func (w *witness) take() []credentials {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.seen
	w.seen = nil
	return seen
}

// wantSeen checks the credentials of the requests since the last check.
func (w *witness) wantSeen(t *testing.T, want ...credentials) {
	t.Helper()
	got := w.take()
	if len(got) != len(want) {
		t.Errorf("requests: got %d, want %d", len(got), len(want))
		return
	}
	for i := range got {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("credentials: got %+v, want %+v", got[i], want[i])
		}
	}
}

// eavesdropper is a server that notes all bytes, and answers HTTP without TLS.
type eavesdropper struct {
	net.Listener

	mu    sync.Mutex // guards heard
	heard bytes.Buffer
}

func newEavesdropper(t *testing.T) *eavesdropper {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &eavesdropper{Listener: l}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go e.listen(conn)
		}
	}()
	return e
}

func (e *eavesdropper) listen(conn net.Conn) {
	defer conn.Close()
	first := make([]byte, 4<<10)
	n, _ := conn.Read(first)
	e.note(first[:n])
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n"+
		`{"status":"healthy"}`)
	rest, _ := io.ReadAll(conn)
	e.note(rest)
}

func (e *eavesdropper) note(b []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard.Write(b)
}

func (e *eavesdropper) text() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.heard.String()
}

// secureSite is a site whose recorder has TLS.
type secureSite struct {
	site
	witness *witness
	spy     *eavesdropper
	token   string       // of the caller
	user    string       // whose token it is
	me      *rest.Config // of the caller
}

const recorderNamespace = "watchhistory"

func newSecureSite(t *testing.T) *secureSite {
	t.Helper()
	s := &secureSite{witness: newWitness(t, recorderNamespace), spy: newEavesdropper(t)}
	s.Cluster = clustertest.New(t, clustertest.Options{
		Components: []string{"etcd", "kube-apiserver", "kwok"},
		Nodes:      1,
		Forwards:   map[int]string{securePort: s.witness.Listener.Addr().String(), fakePort: s.spy.Addr().String()},
	})
	web := must[*http.Client](t)(rest.HTTPClientFor(s.Config()))
	t.Cleanup(func() { utilnet.CloseIdleConnectionsFor(web.Transport) })
	s.core = must[*corev1client.CoreV1Client](t)(corev1client.NewForConfigAndClient(s.Config(), web))
	nodes := must[*corev1.NodeList](t)(s.core.Nodes().List(t.Context(), metav1.ListOptions{}))
	s.node = nodes.Items[0].Name
	s.servicePorts(t, recorderNamespace, "http", 8080, "https", securePort)
	s.podAt(t, recorderNamespace, "recorder-0", securePort)
	s.token = must[string](t)(s.Token(t.Context(), "default", "caller"))
	s.me, s.user = s.WithToken(s.token), "system:serviceaccount:default:caller"
	return s
}

// servicePorts creates a Service with pairs of names and ports.
func (s *secureSite) servicePorts(t *testing.T, namespace string, ports ...any) {
	t.Helper()
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "history", Labels: labels()}, Spec: corev1.ServiceSpec{Selector: labels()},
	}
	for i := 0; i < len(ports); i += 2 {
		service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{
			Name: ports[i].(string), Port: int32(i + 1), TargetPort: intstr.FromInt(ports[i+1].(int)),
		})
	}
	must[*corev1.Service](t)(s.core.Services(namespace).Create(t.Context(), service, metav1.CreateOptions{}))
}

// publish sets the authorities in the ConfigMap of a namespace.
func (s *secureSite) publish(t *testing.T, namespace, authorities string) {
	t.Helper()
	maps := s.core.ConfigMaps(namespace)
	configMap := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: kube.AuthoritiesName}, Data: map[string]string{"ca.crt": authorities},
	}
	if _, err := maps.Update(t.Context(), configMap, metav1.UpdateOptions{}); err != nil {
		must[*corev1.ConfigMap](t)(maps.Create(t.Context(), configMap, metav1.CreateOptions{}))
	}
}

// bearer returns the credentials of the caller's token.
func (s *secureSite) bearer() credentials { return credentials{Authorization: "Bearer " + s.token} }

// TestConnect_SecureRecorder runs its parts in order on one cluster. Each part
// uses what the parts before it granted and published.
func TestConnect_SecureRecorder(t *testing.T) {
	s := newSecureSite(t)
	t.Run("nothing published", s.testNothingPublished)
	t.Run("permissions", s.testPermissions)
	t.Run("token", s.testToken)
	t.Run("client certificate", s.testCertificate)
	t.Run("credential plugin", s.testPlugin)
	t.Run("impersonation", s.testImpersonation)
	t.Run("impersonated permissions", s.testImpersonatedPermissions)
	t.Run("settings of the API server", s.testSettings)
	t.Run("proxy", s.testSecureProxy)
	t.Run("rotation", s.testRotation)
	t.Run("wrong certificate", s.testImpostor)
	t.Run("redirect", s.testRedirect)
	t.Run("no TLS", s.testDowngrade)
	t.Run("pods without a Service", s.testSecurePods)
	t.Run("plain recorder", s.testPlain)
}

func (s *secureSite) testNothingPublished(t *testing.T) {
	for _, authorities := range []string{"", "no PEM"} {
		if authorities != "" {
			s.publish(t, recorderNamespace, authorities)
		}
		_, err := connect(t, kube.Options{RESTConfig: s.Config()})
		wantError(t, err, history.Unavailable, "can't verify recorder watchhistory/history",
			"ConfigMap watchhistory/watchhistory-recorder-ca")
		wantReason(t, err, kube.NoAuthorities)
	}
	s.publish(t, recorderNamespace, string(s.witness.authority.Load().Authorities()))
	s.witness.wantSeen(t)
}

func (s *secureSite) testPermissions(t *testing.T) {
	_, err := connect(t, kube.Options{RESTConfig: s.me})
	wantError(t, err, history.Forbidden, "you may not look for the recorder's Service", s.user)
	manifest := roleManifest(t, err)
	const rule = "configmaps"
	if !strings.Contains(manifest, rule) {
		t.Fatalf("Role: got\n%s\nwant one with %s", manifest, rule)
	}
	s.apply(t, strings.ReplaceAll(manifest, rule, "nothing"))
	_, err = connect(t, kube.Options{RESTConfig: s.me})
	wantError(t, err, history.Forbidden, "you may not read the certificate authorities of the recorder",
		`cannot get resource "configmaps"`, "watchhistory-recorder-ca")
	if again := roleManifest(t, err); again != manifest {
		t.Errorf("Role of the second denial: got\n%s\nwant\n%s", again, manifest)
	}
	s.witness.wantSeen(t)
	s.apply(t, manifest)
	c := s.connect(t, kube.Options{RESTConfig: s.me})
	if err := c.Health(t.Context()); err != nil || !c.Authenticated {
		t.Errorf("with the suggested Role: got error %v, authenticated %t, want none and true", err, c.Authenticated)
	}
	s.witness.wantSeen(t, s.bearer())
}

// health connects, and sends one request.
func (s *secureSite) health(t *testing.T, o kube.Options) error {
	t.Helper()
	return s.connect(t, o).Health(t.Context())
}

// testToken includes a token file, and several requests at once.
func (s *secureSite) testToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(s.token), 0o600); err != nil {
		t.Fatal(err)
	}
	config := rest.CopyConfig(s.me)
	config.BearerToken, config.BearerTokenFile = "", file
	c := s.connect(t, kube.Options{RESTConfig: config})
	var all sync.WaitGroup
	const requests = 20
	for range requests {
		all.Go(func() {
			if page, err := c.Events(t.Context(), client.EventsQuery{}); err != nil || page.Total != records {
				t.Errorf("got %+v, error %v, want %d events", page, err, records)
			}
		})
	}
	all.Wait()
	want := make([]credentials, requests)
	for i := range want {
		want[i] = s.bearer()
	}
	s.witness.wantSeen(t, want...)
}

func (s *secureSite) testCertificate(t *testing.T) {
	config := must[*rest.Config](t)(s.WithCertificate(
		must[tls.Certificate](t)(s.Certificate(clustertest.ClientCA, s.user))))
	if err := s.health(t, kube.Options{RESTConfig: config}); err != nil {
		t.Errorf("got error %v, want none", err)
	}
	s.witness.wantSeen(t, credentials{Certificate: s.user})
}

// testPlugin: both connections share the plugin, so that it prompts only once.
func (s *secureSite) testPlugin(t *testing.T) {
	pair := must[*rest.Config](t)(s.WithCertificate(
		must[tls.Certificate](t)(s.Certificate(clustertest.ClientCA, s.user))))
	for name, tt := range map[string]struct {
		status map[string]string
		want   credentials
	}{
		"token": {map[string]string{"token": s.token}, s.bearer()},
		"certificate": {
			map[string]string{"clientCertificateData": string(pair.CertData), "clientKeyData": string(pair.KeyData)},
			credentials{Certificate: s.user},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			answer, err := json.Marshal(map[string]any{
				"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": tt.status,
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "answer"), answer, 0o600); err != nil {
				t.Fatal(err)
			}
			config := rest.AnonymousClientConfig(s.me)
			config.ExecProvider = &clientcmdapi.ExecConfig{
				APIVersion: "client.authentication.k8s.io/v1", Command: "sh",
				Args:               []string{"-c", `cd "$0" && echo "$KUBERNETES_EXEC_INFO" >>runs && cat answer`, dir},
				InteractiveMode:    clientcmdapi.NeverExecInteractiveMode,
				ProvideClusterInfo: true,
			}
			if err := s.health(t, kube.Options{RESTConfig: config}); err != nil {
				t.Errorf("got error %v, want none", err)
			}
			s.witness.wantSeen(t, tt.want)
			runs, _ := os.ReadFile(filepath.Join(dir, "runs"))
			n := strings.Count(string(runs), `"ExecCredential"`)
			if n != 1 || !strings.Contains(string(runs), config.Host) {
				t.Errorf("plugin: got runs\n%s\nwant one, with the API server %s", runs, config.Host)
			}
		})
	}
	config := rest.AnonymousClientConfig(s.me)
	config.ExecProvider = &clientcmdapi.ExecConfig{
		APIVersion: "client.authentication.k8s.io/v1", Command: "false",
		InteractiveMode: clientcmdapi.NeverExecInteractiveMode,
	}
	_, err := connect(t, kube.Options{RESTConfig: config})
	wantReason(t, err, kube.NoCredentials)
	s.witness.wantSeen(t)
}

// testImpersonation: the impersonated user has no permissions, and the API
// server does not see it.
func (s *secureSite) testImpersonation(t *testing.T) {
	config := rest.CopyConfig(s.me)
	config.Impersonate = rest.ImpersonationConfig{UserName: "jane", UID: "u-1", Groups: []string{"dev", "ops"}}
	var impersonated atomic.Int64
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("Impersonate-User") != "" || !strings.HasPrefix(r.URL.Path, "/api/v1/namespaces/") {
				impersonated.Add(1)
			}
			return next.RoundTrip(r)
		})
	})
	if err := s.health(t, kube.Options{RESTConfig: config}); err != nil {
		t.Errorf("got error %v, want none", err)
	}
	want := s.bearer()
	want.As, want.UID, want.Groups = "jane", "u-1", []string{"dev", "ops"}
	s.witness.wantSeen(t, want)
	if n := impersonated.Load(); n > 0 {
		t.Errorf("got %d other or impersonated requests to the API server, want none", n)
	}
}

// testImpersonatedPermissions: a user without permissions of its own may
// impersonate one that has them.
func (s *secureSite) testImpersonatedPermissions(t *testing.T) {
	s.apply(t, `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: impersonator}
rules:
- {apiGroups: [""], resources: [users, serviceaccounts], verbs: [impersonate]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: impersonator}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: impersonator}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:serviceaccount:default:deputy"}
`)
	token := must[string](t)(s.Token(t.Context(), "default", "deputy"))
	config := s.WithToken(token)
	config.Impersonate.UserName = s.user
	if err := s.health(t, kube.Options{RESTConfig: config}); err != nil {
		t.Errorf("got error %v, want none", err)
	}
	s.witness.wantSeen(t, credentials{Authorization: "Bearer " + token, As: s.user})
	config.Impersonate.UserName = "jane"
	_, err := connect(t, kube.Options{RESTConfig: config})
	wantError(t, err, history.Forbidden, `User "system:serviceaccount:default:deputy" cannot`)
}

// testSettings: settings of the API server don't apply to the recorder.
func (s *secureSite) testSettings(t *testing.T) {
	config := rest.CopyConfig(s.me)
	config.Insecure, config.CAData, config.CAFile = true, nil, ""
	config.ServerName = "kubernetes.default.svc"
	if err := s.health(t, kube.Options{RESTConfig: config}); err != nil {
		t.Errorf("got error %v, want none", err)
	}
	s.witness.wantSeen(t, s.bearer())
	published := string(s.witness.authority.Load().Authorities())
	s.publish(t, recorderNamespace, string(s.me.CAData)+s.readCA(t)) // those of the API server
	err := s.health(t, kube.Options{RESTConfig: config})
	wantUntrusted(t, err)
	err = s.health(t, kube.Options{RESTConfig: config, Authorities: []byte(published)})
	if err != nil {
		t.Errorf("with given authorities: got error %v, want none", err)
	}
	s.witness.wantSeen(t, s.bearer())
	s.publish(t, recorderNamespace, published)
}

// readCA returns the authorities of the API server, if they are in a file.
func (s *secureSite) readCA(t *testing.T) string {
	t.Helper()
	if s.me.CAFile == "" {
		return ""
	}
	return string(must[[]byte](t)(os.ReadFile(s.me.CAFile)))
}

func wantUntrusted(t *testing.T, err error) {
	t.Helper()
	wantError(t, err, history.Unavailable, "has a certificate that is not trusted")
	if !errors.Is(err, client.ErrUntrusted) {
		t.Errorf("got error %v, want ErrUntrusted", err)
	}
}

func (s *secureSite) testSecureProxy(t *testing.T) {
	_, err := connect(t, kube.Options{RESTConfig: s.me, Mode: kube.Proxy})
	wantError(t, err, history.Invalid, "identifies its callers", "proxy does not pass credentials on")
	wantReason(t, err, kube.ProxyWithoutCredentials)
}

func (s *secureSite) testRotation(t *testing.T) {
	c := s.connect(t, kube.Options{RESTConfig: s.me})
	if err := c.Health(t.Context()); err != nil {
		t.Fatal(err)
	}
	next := s.witness.renew(t, recorderNamespace)
	wantUntrusted(t, c.Health(t.Context()))
	s.witness.wantSeen(t, s.bearer())
	s.publish(t, recorderNamespace, next)
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			if err := c.Health(t.Context()); err != nil {
				t.Errorf("after the authorities were published: got error %v, want none", err)
			}
		})
	}
	all.Wait()
	s.witness.wantSeen(t, s.bearer(), s.bearer(), s.bearer(), s.bearer(), s.bearer())
}

// testImpostor: the impostor has a certificate for another name, of the
// published authority, and then one for the name, of another authority.
func (s *secureSite) testImpostor(t *testing.T) {
	right := s.witness.authority.Load()
	pair := must[*rest.Config](t)(s.WithCertificate(
		must[tls.Certificate](t)(s.Certificate(clustertest.ClientCA, s.user))))
	for _, namespace := range []string{"another", recorderNamespace} {
		authority := s.witness.renew(t, namespace)
		if namespace == "another" {
			s.publish(t, recorderNamespace, authority)
		}
		for _, config := range []*rest.Config{s.me, pair} {
			wantUntrusted(t, s.health(t, kube.Options{RESTConfig: config}))
		}
	}
	s.witness.wantSeen(t)
	s.witness.authority.Store(right)
	s.publish(t, recorderNamespace, string(right.Authorities()))
}

// testRedirect redirects to a server that the same authority has certified.
func (s *secureSite) testRedirect(t *testing.T) {
	other := newWitness(t, recorderNamespace)
	other.authority.Store(s.witness.authority.Load())
	s.witness.redirect.Store(&other.URL)
	defer s.witness.redirect.Store(nil)
	err := s.health(t, kube.Options{RESTConfig: s.me})
	wantError(t, err, history.Internal, "it answered 307 Temporary Redirect")
	s.witness.wantSeen(t, s.bearer())
	other.wantSeen(t)
	authorities := s.witness.authority.Load().Authorities()
	at := must[*client.Client](t)(kube.Direct(s.witness.URL, kube.Options{RESTConfig: s.me, Authorities: authorities}))
	defer at.Close()
	wantError(t, at.Health(t.Context()), history.Internal, "it answered 307 Temporary Redirect")
	s.witness.wantSeen(t, s.bearer())
	other.wantSeen(t)
}

func (s *secureSite) testDowngrade(t *testing.T) {
	s.namespace(t, "fake")
	s.servicePorts(t, "fake", "https", fakePort)
	s.podAt(t, "fake", "recorder-0", fakePort)
	s.publish(t, "fake", string(s.witness.authority.Load().Authorities()))
	config := s.Config()
	config.Impersonate.UserName = "jane"
	for range 2 {
		err := s.health(t, kube.Options{RESTConfig: config, Namespace: "fake"})
		wantError(t, err, history.Unavailable, "does not use TLS")
		if !errors.Is(err, client.ErrNotTLS) {
			t.Errorf("got error %v, want ErrNotTLS", err)
		}
	}
	if heard := s.spy.text(); heard == "" || strings.Contains(heard, "HTTP/") || strings.Contains(heard, "jane") {
		t.Errorf("heard %q, want only a TLS handshake", heard)
	}
}

func (s *secureSite) testSecurePods(t *testing.T) {
	const namespace = "podsonly"
	s.namespace(t, namespace)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "recorder-0", Labels: labels()},
		Spec: corev1.PodSpec{NodeName: s.node, Containers: []corev1.Container{{
			Name: "recorder", Image: "watchhistory", Ports: []corev1.ContainerPort{
				{Name: "http", ContainerPort: servedPort}, {Name: "https", ContainerPort: securePort},
			},
		}}},
	}
	must[*corev1.Pod](t)(s.core.Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{}))
	s.ready(t, namespace, "recorder-0")
	right := s.witness.authority.Load()
	s.publish(t, namespace, s.witness.renew(t, namespace))
	admin := s.Config()
	if err := s.health(t, kube.Options{RESTConfig: admin, Namespace: namespace}); err != nil {
		t.Errorf("got error %v, want none", err)
	}
	if seen := s.witness.take(); len(seen) != 1 || seen[0].Certificate == "" {
		t.Errorf("credentials: got %+v, want a client certificate", seen)
	}
	s.witness.authority.Store(right)
}

// testPlain: a recorder without TLS receives no credentials. An impersonated
// user needs the permissions there.
func (s *secureSite) testPlain(t *testing.T) {
	s.namespace(t, "plain")
	s.servicePorts(t, "plain", "http", fakePort)
	s.podAt(t, "plain", "recorder-0", fakePort)
	s.apply(t, strings.ReplaceAll(kube.Role{Namespace: "plain", User: s.user}.Manifest(), "rules:\n",
		`rules:
- {apiGroups: [""], resources: [services, pods], verbs: [list]}
- {apiGroups: [""], resources: [pods/portforward], verbs: [get, create]}
`))
	c := s.connect(t, kube.Options{RESTConfig: s.me, Namespace: "plain"})
	if err := c.Health(t.Context()); err != nil || c.Authenticated {
		t.Errorf("got error %v, authenticated %t, want none and false", err, c.Authenticated)
	}
	if heard := s.spy.text(); !strings.Contains(heard, "GET /health") || strings.Contains(heard, s.token) {
		t.Errorf("heard %q, want a request without credentials", heard)
	}
	config := s.Config()
	config.Impersonate.UserName = "jane"
	_, err := connect(t, kube.Options{RESTConfig: config, Namespace: "plain"})
	wantError(t, err, history.Forbidden, `User "jane" cannot list resource "services"`)
	s.witness.wantSeen(t)
}

// TestDirect_SendsCredentialsOnlyToVerifiedRecorder uses no cluster.
func TestDirect_SendsCredentialsOnlyToVerifiedRecorder(t *testing.T) {
	w := newWitness(t, "any")
	authorities := w.authority.Load().Authorities()
	me := &rest.Config{
		Host: "https://cluster.example", BearerToken: "secret", Impersonate: rest.ImpersonationConfig{UserName: "jane"},
		TLSClientConfig: rest.TLSClientConfig{Insecure: true},
	}
	direct := func(url string, o kube.Options) error {
		t.Helper()
		c, err := kube.Direct(url, o)
		if err != nil {
			return err
		}
		defer c.Close()
		return c.Health(t.Context())
	}
	if err := direct(w.URL, kube.Options{RESTConfig: me, Authorities: authorities}); err != nil {
		t.Errorf("verified recorder: got error %v, want none", err)
	}
	w.wantSeen(t, credentials{Authorization: "Bearer secret", As: "jane"})
	if err := direct(w.URL, kube.Options{Authorities: authorities}); err != nil {
		t.Errorf("without credentials: got error %v, want none", err)
	}
	w.wantSeen(t, credentials{})
	wantUntrusted(t, direct(w.URL, kube.Options{RESTConfig: me}))
	wantUntrusted(t, direct(w.URL, kube.Options{}))
	for _, url := range []string{"http://" + w.Listener.Addr().String(), "http://localhost:1"} {
		err := direct(url, kube.Options{RESTConfig: me})
		wantError(t, err, history.Invalid, "is not https")
	}
	wantError(t, direct("nowhere", kube.Options{RESTConfig: me}), history.Invalid, "invalid recorder URL")
	wantError(t, direct(w.URL, kube.Options{Authorities: []byte("x")}), history.Invalid, "not PEM certificates")
	plain := newEavesdropper(t)
	err := direct("https://"+plain.Addr().String(), kube.Options{RESTConfig: me})
	wantError(t, err, history.Unavailable, "does not use TLS")
	if heard := plain.text(); strings.Contains(heard, "secret") || strings.Contains(heard, "jane") {
		t.Errorf("heard %q, want no credentials", heard)
	}
	w.wantSeen(t)
}

// TestDirect_RefusesProxyWithTLS: it could request the client certificate.
func TestDirect_RefusesProxyWithTLS(t *testing.T) {
	for _, tt := range []struct {
		proxy   string
		refused bool
	}{
		{"http://proxy.example", false}, {"socks5://proxy.example", false}, {"https://proxy.example", true},
	} {
		at := must[*url.URL](t)(url.Parse(tt.proxy))
		got, err := kube.WithoutTLS(http.ProxyURL(at))(nil)
		if refused := err != nil; refused != tt.refused || !refused && got != at {
			t.Errorf("%s: got %v, error %v, want refused %t", tt.proxy, got, err, tt.refused)
		}
	}
}

func TestDirect_AcceptsSeveralAuthorities(t *testing.T) {
	w, other := newWitness(t, "any"), newWitness(t, "any")
	bundle := fmt.Appendf(nil, "%s%s", other.authority.Load().Authorities(), w.authority.Load().Authorities())
	if first, rest := pem.Decode(bundle); first == nil || len(rest) == 0 {
		t.Fatal("bundle: got one certificate, want two")
	}
	for _, at := range []*witness{w, other} {
		c := must[*client.Client](t)(kube.Direct(at.URL, kube.Options{Authorities: bundle}))
		if err := c.Health(t.Context()); err != nil {
			t.Errorf("got error %v, want none", err)
		}
		_ = c.Close()
	}
}

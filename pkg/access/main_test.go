package access_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/access"
	"github.com/watchhistory/watchhistory/pkg/access/clientcert"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

var cluster *clustertest.Cluster

func TestMain(m *testing.M) {
	os.Exit(clustertest.Main(m, clustertest.Options{}, func(c *clustertest.Cluster) { cluster = c }))
}

// patience bounds every wait. It is far longer than any of them takes.
const patience = time.Minute

// clock is a clock that only tests move. It is safe for concurrent use.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// server serves a gate with TLS. The handler after it writes the caller's name.
type server struct {
	url   string
	roots *x509.CertPool
	clock *clock
	log   *clustertest.Logbook

	mu     sync.Mutex
	caller *access.Caller // of the last admitted request
}

// serve runs a gate that asks the cluster with this configuration.
func serve(t *testing.T, config *rest.Config) *server {
	t.Helper()
	s := &server{clock: newClock(), log: clustertest.NewLogbook(t)}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	gate, err := access.New(config, client, access.Options{
		Logger: slog.New(slog.NewTextHandler(s.log, nil)), Now: s.clock.read,
		Open: []string{"/livez"}, Optional: map[string]string{"/readyz": "/metrics"},
		NonResource: []string{"/metrics"}, Certificates: clientcert.New, Fail: fail,
	})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewUnstartedServer(gate.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller := access.From(r.Context())
		s.mu.Lock()
		s.caller = caller
		s.mu.Unlock()
		if caller.Name() != "" {
			_, _ = io.WriteString(w, caller.Name())
			return
		}
		if allowed, err := caller.List(r.Context(), pods, history.AllNamespaces); !allowed && err == nil {
			_, _ = io.WriteString(w, "unknown, without rights")
		}
	})))
	h.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	h.EnableHTTP2 = true
	h.StartTLS()
	t.Cleanup(h.Close)
	s.url, s.roots = h.URL, x509.NewCertPool()
	s.roots.AddCert(h.Certificate())
	return s
}

// fail writes an error as the daemon does, without JSON.
func fail(w http.ResponseWriter, _ *http.Request, err error) {
	statuses := map[history.Code]int{
		history.Invalid: 400, history.Unauthorized: 401, history.Forbidden: 403, history.Unavailable: 503,
	}
	status := statuses[history.CodeOf(err)]
	if status == 0 {
		status = 500
	}
	http.Error(w, err.Error(), status)
}

// request is what a client sends.
type request struct {
	path        string
	token       string
	certificate *tls.Certificate
	headers     map[string][]string
}

// get returns the status and the body of an answer, and checks its headers.
func (s *server) get(t *testing.T, r request) (int, string) {
	t.Helper()
	if r.path == "" {
		r.path = "/api/v1/events"
	}
	config := &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12}
	if r.certificate != nil {
		config.Certificates = []tls.Certificate{*r.certificate}
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+r.path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range r.headers {
		req.Header[http.CanonicalHeaderKey(k)] = v
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	answer, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	challenge := answer.Header.Get("WWW-Authenticate")
	if (challenge != "") != (answer.StatusCode == http.StatusUnauthorized) {
		t.Errorf("status %d: got WWW-Authenticate %q, want it with 401 and only then", answer.StatusCode, challenge)
	}
	return answer.StatusCode, strings.TrimSpace(string(body))
}

// expect checks the answer to a request. want is a part of the body.
func (s *server) expect(t *testing.T, what string, r request, status int, want string) {
	t.Helper()
	got, body := s.get(t, r)
	if got != status || !strings.Contains(body, want) || strings.Contains(body, "\n") {
		t.Errorf("%s: got %d %q, want %d with %q in one line", what, got, body, status, want)
	}
}

// admit returns the caller of a request, which must be admitted.
func (s *server) admit(t *testing.T, r request) *access.Caller {
	t.Helper()
	if status, body := s.get(t, r); status != http.StatusOK {
		t.Fatalf("got %d %q, want 200", status, body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.caller
}

// certificate returns a client certificate of the cluster.
func certificate(t *testing.T, authority, user string, groups ...string) *tls.Certificate {
	t.Helper()
	pair, err := cluster.Certificate(authority, user, groups...)
	if err != nil {
		t.Fatal(err)
	}
	return &pair
}

// token returns the token of a service account in the namespace default.
func token(t *testing.T, account string) string {
	t.Helper()
	token, err := cluster.Token(t.Context(), "default", account)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// rule returns a rule of a role.
func rule(group, resource, verb string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{
		APIGroups: []string{group}, Resources: []string{resource}, Verbs: []string{verb}, ResourceNames: names,
	}
}

// grant gives rights in the whole cluster to a user until the test ends.
func grant(t *testing.T, user string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	c := cluster.Client(t).RbacV1()
	name := strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")) + "-" + user
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
	if _, err := c.ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	bind(t, name, name, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "User", Name: user})
	t.Cleanup(func() {
		_ = c.ClusterRoles().Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{})
	})
	for _, r := range rules {
		if len(r.NonResourceURLs) > 0 {
			eventually(t, user, &authorizationv1.SubjectAccessReviewSpec{
				NonResourceAttributes: &authorizationv1.NonResourceAttributes{
					Path: r.NonResourceURLs[0], Verb: r.Verbs[0],
				},
			}, true)
			continue
		}
		resource, subresource, _ := strings.Cut(r.Resources[0], "/")
		a := authorizationv1.ResourceAttributes{
			Group: r.APIGroups[0], Resource: resource, Subresource: subresource, Verb: r.Verbs[0],
		}
		if len(r.ResourceNames) > 0 {
			a.Name = r.ResourceNames[0]
		}
		eventually(t, user, &authorizationv1.SubjectAccessReviewSpec{ResourceAttributes: &a}, true)
	}
}

// bind binds a ClusterRole to a subject until the test ends.
func bind(t *testing.T, name, role string, subject rbacv1.Subject) {
	t.Helper()
	c := cluster.Client(t).RbacV1().ClusterRoleBindings()
	_, err := c.Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{subject},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{}) })
}

// eventually waits until the API server decides so. It learns of new roles some
// time after it has stored them.
func eventually(t *testing.T, user string, spec *authorizationv1.SubjectAccessReviewSpec, want bool) {
	t.Helper()
	spec.User = user
	reviews := cluster.Client(t).AuthorizationV1().SubjectAccessReviews()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		answer, err := reviews.Create(t.Context(), &authorizationv1.SubjectAccessReview{Spec: *spec},
			metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if answer.Status.Allowed == want {
			return
		}
	}
	t.Fatalf("%s %+v: want allowed %t within %v", user, spec, want, patience)
}

// recorder returns the configuration of a recorder with exactly the rights that
// docs/design/0020-access.md requires.
func recorder(t *testing.T) *rest.Config {
	t.Helper()
	user := "recorder-" + strings.ToLower(t.Name())
	bind(t, user, "system:auth-delegator", rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "User", Name: user})
	grant(t, user, rule("", "namespaces", "list"))
	c := cluster.Client(t).RbacV1().RoleBindings("kube-system")
	_, err := c.Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: user},
		RoleRef: rbacv1.RoleRef{
			APIGroup: rbacv1.GroupName, Kind: "Role", Name: "extension-apiserver-authentication-reader",
		},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Delete(context.WithoutCancel(t.Context()), user, metav1.DeleteOptions{}) })
	for _, a := range []authorizationv1.ResourceAttributes{
		{Group: "authentication.k8s.io", Resource: "tokenreviews", Verb: "create"},
		{Group: "authorization.k8s.io", Resource: "subjectaccessreviews", Verb: "create"},
		{Resource: "configmaps", Verb: "get", Namespace: "kube-system", Name: "extension-apiserver-authentication"},
	} {
		eventually(t, user, &authorizationv1.SubjectAccessReviewSpec{ResourceAttributes: &a}, true)
	}
	return as(t, user)
}

// as returns the configuration of a user with a client certificate.
func as(t *testing.T, user string) *rest.Config {
	t.Helper()
	config, err := cluster.WithCertificate(*certificate(t, clustertest.ClientCA, user))
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// decision formats the result of a caller's method.
func decision(allowed bool, err error) string {
	if err != nil {
		return fmt.Sprintf("%s: %v", history.CodeOf(err), err)
	}
	return fmt.Sprint(allowed)
}

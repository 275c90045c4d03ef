package access_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

func TestGate_IdentifiesCallers(t *testing.T) {
	s := serve(t, recorder(t))
	const account = "system:serviceaccount:default:reader"
	valid := token(t, "reader")
	expired, err := cluster.Expire(valid, time.Now().Add(-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	renewed, err := cluster.Expire(valid, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	alice := certificate(t, clustertest.ClientCA, "alice", "dev")
	proxy := certificate(t, clustertest.FrontProxyCA, clustertest.FrontProxy)
	named := map[string][]string{"X-Remote-User": {"carol"}, "X-Remote-Group": {"dev", "ops"}}
	for name, tt := range map[string]struct {
		request
		status int
		want   string
	}{
		"token":              {request{token: valid}, 200, account},
		"token signed again": {request{token: renewed}, 200, account},
		"client certificate": {request{certificate: alice}, 200, "alice"},
		"front proxy":        {request{certificate: proxy, headers: named}, 200, "carol"},
		"no credentials":     {request{}, 401, "send a bearer token or a client certificate"},
		"wrong token":        {request{token: "wrong"}, 401, "the bearer token is invalid or expired"},
		"changed token":      {request{token: valid[:len(valid)-4] + "AAAA"}, 401, "the bearer token is invalid"},
		"expired token":      {request{token: expired}, 401, "the bearer token is invalid or expired"},
		"password": {
			request{headers: map[string][]string{"Authorization": {"Basic YTpi"}}}, 401, "not authenticated",
		},
		"empty token": {
			request{headers: map[string][]string{"Authorization": {"Bearer "}}}, 401, "not authenticated",
		},
		"foreign certificate": {request{certificate: foreign(t)}, 401, "does not accept the client certificate"},
		"headers without a certificate": {
			request{headers: named}, 401, "not authenticated",
		},
		"headers with a client certificate": {
			request{certificate: alice, headers: named}, 200, "alice",
		},
		"headers of another name than the front proxy": {
			request{certificate: certificate(t, clustertest.FrontProxyCA, "other"), headers: named},
			401, "does not accept",
		},
		"front proxy without headers": {request{certificate: proxy}, 401, "does not accept"},
		"front proxy for an anonymous user": {
			request{certificate: proxy, headers: map[string][]string{
				"X-Remote-User": {"system:anonymous"}, "X-Remote-Group": {"system:unauthenticated"},
			}}, 401, "anonymous users have no access",
		},
		"foreign certificate and a token": {request{certificate: foreign(t), token: valid}, 200, account},
		"certificate and a wrong token":   {request{certificate: alice, token: "wrong"}, 200, "alice"},
		"open path":                       {request{path: "/livez"}, 200, "unknown, without rights"},
		"open path, spelled otherwise":    {request{path: "//livez"}, 401, "not authenticated"},
		"optional identity: none":         {request{path: "/readyz"}, 200, "unknown, without rights"},
		"optional identity: invalid":      {request{path: "/readyz", token: "wrong"}, 200, "unknown, without rights"},
		"optional identity: without the right": {
			request{path: "/readyz", token: valid}, 200, "unknown, without rights",
		},
		"optional identity: with the right": {
			request{path: "/readyz", certificate: certificate(t, clustertest.ClientCA, "root", "system:masters")},
			200, "root",
		},
		"optional path, spelled otherwise": {request{path: "//readyz"}, 401, "not authenticated"},
	} {
		s.expect(t, name, tt.request, tt.status, tt.want)
	}
}

// TestGate_PassesGroupsToReviews grants a right to a group, and checks that
// members have it however they are identified.
func TestGate_PassesGroupsToReviews(t *testing.T) {
	s := serve(t, recorder(t))
	groups := []string{"system:masters", "x"} // allowed everything
	for name, r := range map[string]request{
		"client certificate": {certificate: certificate(t, clustertest.ClientCA, "root", groups...)},
		"front proxy": {
			certificate: certificate(t, clustertest.FrontProxyCA, clustertest.FrontProxy),
			headers:     map[string][]string{"X-Remote-User": {"root"}, "X-Remote-Group": groups},
		},
	} {
		caller := s.admit(t, r)
		if got := decision(caller.List(t.Context(), pods, history.AllNamespaces)); got != "true" {
			t.Errorf("%s: got %s, want true", name, got)
		}
	}
	// Every authenticated user may review their own access.
	caller := s.admit(t, request{certificate: certificate(t, clustertest.ClientCA, "plain")})
	if got := decision(caller.List(t.Context(), pods, history.AllNamespaces)); got != "false" {
		t.Errorf("user without groups: got %s, want false", got)
	}
}

// foreign returns a client certificate that no authority of the cluster signed.
func foreign(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "alice", Organization: []string{"system:masters"}},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestGate_RequiresRightForMetrics(t *testing.T) {
	s := serve(t, recorder(t))
	scraper := request{path: "/metrics", certificate: certificate(t, clustertest.ClientCA, "scraper")}
	s.expect(t, "without identity", request{path: "/metrics"}, 401, "not authenticated")
	s.expect(t, "without the right", scraper, 403, `user "scraper" may not get the path /metrics`)
	grant(t, "scraper", rbacv1.PolicyRule{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}})
	s.expect(t, "within the life of the decision", scraper, 403, "may not get")
	s.clock.advance(11 * time.Second)
	s.expect(t, "with the right", scraper, 200, "scraper")
}

// TestGate_ReportsUnreachableAPIServer checks that no caller is let in or
// refused while the API server can't be asked.
func TestGate_ReportsUnreachableAPIServer(t *testing.T) {
	s := serve(t, &rest.Config{Host: "https://127.0.0.1:1"})
	alice := certificate(t, clustertest.ClientCA, "alice")
	for range 3 {
		s.expect(t, "token", request{token: "some"}, 503, "review a token: the API server does not answer")
		s.expect(t, "certificate", request{certificate: alice}, 503,
			"read whose certificates the cluster trusts: the API server does not")
	}
	s.expect(t, "no credentials", request{}, 401, "not authenticated")
	s.expect(t, "open path", request{path: "/livez"}, 200, "unknown, without rights")
	if got := s.log.Count("127.0.0.1:1"); got != 2 {
		t.Errorf("got %d log lines with the cause, want one for each of 2 operations", got)
	}
}

// TestGate_ReportsRightsOfRecorder runs a recorder without rights.
func TestGate_ReportsRightsOfRecorder(t *testing.T) {
	const recorder = "unprivileged"
	s := serve(t, as(t, recorder))
	reader := request{token: token(t, "reader")}
	alice := request{certificate: certificate(t, clustertest.ClientCA, "alice")}
	const review = "create of tokenreviews.authentication.k8s.io to the recorder, " +
		"for example by the ClusterRole system:auth-delegator"
	const read = "get of the ConfigMap extension-apiserver-authentication in kube-system to the recorder"
	for range 3 {
		s.expect(t, "token", reader, 503, review)
		s.expect(t, "certificate", alice, 503, read)
	}
	for _, text := range []string{review, read} {
		if got := s.log.Count(text); got != 1 {
			t.Errorf("got %d log lines with %q, want 1", got, text)
		}
	}
	grant(t, recorder, rule("authentication.k8s.io", "tokenreviews", "create"))
	caller := s.admit(t, reader)
	if got := s.log.Count("request to the API server succeeds again"); got != 1 {
		t.Errorf("got %d log lines about the end of the failure, want 1", got)
	}
	for range 2 {
		_, err := caller.List(t.Context(), pods, history.AllNamespaces)
		if got := decision(false, err); !strings.HasPrefix(got, "unavailable: ") ||
			!strings.Contains(got, "subjectaccessreviews.authorization.k8s.io") {
			t.Errorf("list: got %s, want unavailable, with what to grant", got)
		}
		_, err = caller.Namespaces(t.Context(), history.Activity{})
		if got := decision(false, err); !strings.HasPrefix(got, "unavailable: ") ||
			!strings.Contains(got, "list of namespaces") {
			t.Errorf("namespaces: got %s, want unavailable, with what to grant", got)
		}
	}
	if got := s.log.Count("subjectaccessreviews"); got != 1 {
		t.Errorf("got %d log lines about subjectaccessreviews, want 1", got)
	}
}

// TestGate_TrustsCurrentAuthorities changes the authorities of the API server's
// ConfigMap as a rotation does.
func TestGate_TrustsCurrentAuthorities(t *testing.T) {
	config := cluster.Config()
	var bundle string // of the next answer, or "" for the real one
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			answer, err := next.RoundTrip(r)
			if bundle != "" && err == nil && strings.HasSuffix(r.URL.Path, "/extension-apiserver-authentication") {
				answer = withBody(answer, bundle)
			}
			return answer, err
		})
	})
	s := serve(t, config)
	alice := request{certificate: certificate(t, clustertest.ClientCA, "alice")}
	s.expect(t, "trusted", alice, 200, "alice")
	bundle = `{"apiVersion":"v1","kind":"ConfigMap","data":{"requestheader-allowed-names":"[]"}}`
	s.expect(t, "within the life of the ConfigMap", alice, 200, "alice")
	s.clock.advance(31 * time.Second)
	s.expect(t, "no longer trusted", alice, 401, "does not accept")
	bundle = `{"apiVersion":"v1","kind":"ConfigMap","data":{"client-ca-file":"garbage"}}`
	s.clock.advance(31 * time.Second)
	s.expect(t, "unreadable", alice, 503, "the API server responds with an error")
	bundle = ""
	s.expect(t, "trusted again", alice, 200, "alice")
}

package serving_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/access/serving"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

var cluster *clustertest.Cluster

func TestMain(m *testing.M) {
	os.Exit(clustertest.Main(m, clustertest.Options{}, func(c *clustertest.Cluster) { cluster = c }))
}

const service = "watchhistory-recorder"

// certificates returns certificates with a log.
func certificates(t *testing.T, config *rest.Config, o serving.Options) (*serving.Certificates, *clustertest.Logbook) {
	t.Helper()
	log := clustertest.NewLogbook(t)
	o.Service, o.Logger = service, slog.New(slog.NewTextHandler(log, nil))
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	c, err := serving.New(t.Context(), config, client, o)
	if err != nil {
		t.Fatal(err)
	}
	return c, log
}

// leaf returns the certificate that is served.
func leaf(t *testing.T, c *serving.Certificates) *x509.Certificate {
	t.Helper()
	served, err := c.TLSConfig().GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(served.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

// verify verifies a certificate by a bundle at a time.
func verify(leaf *x509.Certificate, bundle []byte, host string, at time.Time) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: at})
	return err
}

func TestCertificates_HaveNamesOfService(t *testing.T) {
	c, log := certificates(t, cluster.Config(), serving.Options{Namespace: "team"})
	served := leaf(t, c)
	for _, host := range []string{service + ".team.svc", service + ".team", "localhost", "127.0.0.1", "::1"} {
		if err := verify(served, c.Authorities(), host, time.Now()); err != nil {
			t.Errorf("%s: got error %v, want none", host, err)
		}
	}
	if err := verify(served, c.Authorities(), service+".other.svc", time.Now()); err == nil {
		t.Error("another namespace: got no error, want one")
	}
	if got := log.Count("ca_sha256="); got != 1 {
		t.Errorf("got %d log lines with the digest, want 1", got)
	}
}

func TestCertificates_RotateBeforeTheyExpire(t *testing.T) {
	const days = 3 * 365
	now := time.Now()
	c, log := certificates(t, &rest.Config{}, serving.Options{Now: func() time.Time { return now }})
	known := c.Authorities() // as a client read them a day ago
	rotations := 0
	for range days {
		now = now.Add(24 * time.Hour)
		before := leaf(t, c)
		c.Refresh(t.Context())
		served := leaf(t, c)
		if err := verify(served, known, "localhost", now); err != nil {
			t.Fatalf("%v: client with authorities of a day ago: got error %v, want none", now, err)
		}
		if left := served.NotAfter.Sub(now); left < 9*24*time.Hour {
			t.Fatalf("%v: got %v until the certificate expires, want at least 9 days", now, left)
		}
		if !served.Equal(before) {
			rotations++
		}
		known = c.Authorities()
		if n := strings.Count(string(known), "BEGIN"); n < 1 || n > 2 {
			t.Fatalf("%v: got %d authorities, want 1 or 2", now, n)
		}
	}
	if rotations < days/30 || rotations > days/15 {
		t.Errorf("got %d serving certificates in %d days, want one in 15 to 30 days", rotations, days)
	}
	if got := log.Count("ca_sha256="); got < 6 || got > 9 {
		t.Errorf("got %d log lines with digests in 3 years, want one per change of the bundle", got)
	}
}

func TestCertificates_SurviveJumpingClock(t *testing.T) {
	start := time.Now()
	now := start
	c, _ := certificates(t, &rest.Config{}, serving.Options{Now: func() time.Time { return now }})
	for _, jump := range []time.Duration{20 * 365 * 24 * time.Hour, -10 * 365 * 24 * time.Hour, 0} {
		now = start.Add(jump)
		c.Refresh(t.Context())
		if err := verify(leaf(t, c), c.Authorities(), "localhost", now); err != nil {
			t.Errorf("clock moved by %v: got error %v, want none", jump, err)
		}
	}
}

func TestTLSConfig_ServesModernTLSAndRequestsCertificates(t *testing.T) {
	c, _ := certificates(t, &rest.Config{}, serving.Options{})
	listener, err := tls.Listen("tcp", "127.0.0.1:0", c.TLSConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).HandshakeContext(t.Context())
			_ = conn.Close()
		}
	}()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.Authorities())
	requested := false
	config := &tls.Config{
		RootCAs: roots, ServerName: "localhost", NextProtos: []string{"h2"},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			requested = true
			return &tls.Certificate{}, nil
		},
	}
	dial := func(config *tls.Config) (tls.ConnectionState, error) {
		dialer := tls.Dialer{NetDialer: &net.Dialer{}, Config: config}
		conn, err := dialer.DialContext(t.Context(), "tcp", listener.Addr().String())
		if err != nil {
			return tls.ConnectionState{}, err
		}
		defer conn.Close()
		return conn.(*tls.Conn).ConnectionState(), nil
	}
	state, err := dial(config)
	if err != nil || state.NegotiatedProtocol != "h2" || !requested {
		t.Errorf("got protocol %q, certificate requested %t, error %v, want h2 and a request",
			state.NegotiatedProtocol, requested, err)
	}
	old := config.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if _, err := dial(old); err == nil {
		t.Error("TLS 1.1: got no error, want one")
	}
}

// pair writes a self-signed certificate and its key.
func pair(t *testing.T, certFile, keyFile string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "given"},
		DNSNames:  []string{"given"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCertificates_FollowFiles(t *testing.T) {
	dir := t.TempDir()
	o := serving.Options{CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key")}
	if _, err := serving.New(t.Context(), &rest.Config{}, nil, o); err == nil ||
		!strings.Contains(err.Error(), o.CertFile) {
		t.Errorf("without files: got error %v, want one that names %s", err, o.CertFile)
	}
	first := pair(t, o.CertFile, o.KeyFile)
	c, log := certificates(t, &rest.Config{}, o)
	expect := func(step string, want *x509.Certificate) {
		t.Helper()
		c.Refresh(t.Context())
		if got := leaf(t, c); !got.Equal(want) {
			t.Errorf("%s: got certificate %v, want %v", step, got.SerialNumber, want.SerialNumber)
		}
	}
	expect("unchanged", first)
	if c.Authorities() != nil {
		t.Errorf("got authorities %s, want none", c.Authorities())
	}
	second := pair(t, o.CertFile, o.KeyFile)
	expect("replaced", second)
	pair(t, filepath.Join(dir, "next.crt"), filepath.Join(dir, "next.key"))
	next, err := os.ReadFile(filepath.Join(dir, "next.crt"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, o.CertFile, next)
	expect("only the certificate replaced", second)
	expect("only the certificate replaced", second)
	if got := log.Count("keeping the current one"); got != 1 {
		t.Errorf("got %d log lines about the mismatch, want 1", got)
	}
	third := pair(t, o.CertFile, o.KeyFile)
	expect("replaced again", third)
}

// published returns the ConfigMap's data, or nil if there is no ConfigMap.
func published(t *testing.T, namespace string) map[string]string {
	t.Helper()
	maps := cluster.Client(t).CoreV1().ConfigMaps(namespace)
	configMap, err := maps.Get(t.Context(), service+"-ca", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return configMap.Data
}

func TestCertificates_PublishAuthorities(t *testing.T) {
	const namespace = "default"
	c, log := certificates(t, cluster.Config(), serving.Options{Namespace: namespace})
	want := string(c.Authorities())
	expect := func(step string, logged int) {
		t.Helper()
		c.Refresh(t.Context())
		if got := published(t, namespace)["ca.crt"]; got != want {
			t.Errorf("%s: got ca.crt %q, want %q", step, got, want)
		}
		if got := log.Count("certificate authorities published"); got != logged {
			t.Errorf("%s: got %d log lines, want %d", step, got, logged)
		}
	}
	expect("absent", 1)
	expect("unchanged", 1)
	maps := cluster.Client(t).CoreV1().ConfigMaps(namespace)
	t.Cleanup(func() { _ = maps.Delete(context.WithoutCancel(t.Context()), service+"-ca", metav1.DeleteOptions{}) })
	configMap, err := maps.Get(t.Context(), service+"-ca", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	configMap.Data = map[string]string{"ca.crt": "changed", "other": "kept"}
	if _, err := maps.Update(t.Context(), configMap, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	expect("changed", 2)
	if got := published(t, namespace)["other"]; got != "kept" {
		t.Errorf("other key: got %q, want kept", got)
	}
	if err := maps.Delete(t.Context(), service+"-ca", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	expect("deleted", 3)
}

func TestCertificates_PublishGivenAuthorities(t *testing.T) {
	const namespace = "kube-public"
	dir := t.TempDir()
	o := serving.Options{
		CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key"), Namespace: namespace,
	}
	pair(t, o.CertFile, o.KeyFile)
	c, _ := certificates(t, cluster.Config(), o)
	c.Refresh(t.Context())
	if got := published(t, namespace); got != nil {
		t.Errorf("without authorities: got %v, want no ConfigMap", got)
	}
	o.CAFile = o.CertFile
	c, _ = certificates(t, cluster.Config(), o)
	c.Refresh(t.Context())
	want, err := os.ReadFile(o.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	if got := published(t, namespace)["ca.crt"]; got != string(want) {
		t.Errorf("got ca.crt %q, want %q", got, want)
	}
}

// TestCertificates_PublishWithRightsOfOneConfigMap uses the smallest role.
func TestCertificates_PublishWithRightsOfOneConfigMap(t *testing.T) {
	const namespace, user = "kube-system", "publisher"
	pair, err := cluster.Certificate(clustertest.ClientCA, user)
	if err != nil {
		t.Fatal(err)
	}
	config, err := cluster.WithCertificate(pair)
	if err != nil {
		t.Fatal(err)
	}
	c, log := certificates(t, config, serving.Options{Namespace: namespace})
	for range 3 {
		c.Refresh(t.Context())
	}
	const grant = "grant get, create and update of the ConfigMap watchhistory-recorder-ca " +
		"in kube-system to the recorder"
	if got := log.Count(grant); got != 1 || published(t, namespace) != nil {
		t.Errorf("got %d log lines with %q, want 1, and no ConfigMap", got, grant)
	}
	rbac := cluster.Client(t).RbacV1()
	_, err = rbac.Roles(namespace).Create(t.Context(), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: user},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"create"}},
			{
				APIGroups: []string{""}, Resources: []string{"configmaps"},
				ResourceNames: []string{service + "-ca"}, Verbs: []string{"get", "update"},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = rbac.RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: user},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); published(t, namespace) == nil &&
		time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		c.Refresh(t.Context())
	}
	if got := published(t, namespace)["ca.crt"]; got != string(c.Authorities()) {
		t.Errorf("got ca.crt %q, want %q", got, c.Authorities())
	}
	if got := log.Count("succeeds again"); got != 1 {
		t.Errorf("got %d log lines about the end of the failure, want 1", got)
	}
}

// TestRun_RepublishesPeriodically stops with its context.
func TestRun_RepublishesPeriodically(t *testing.T) {
	const namespace = "kube-node-lease"
	c, _ := certificates(t, cluster.Config(), serving.Options{Namespace: namespace, Interval: 10 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	appears := func() {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); published(t, namespace) == nil; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("got no ConfigMap, want one")
			}
		}
	}
	appears()
	err := cluster.Client(t).CoreV1().ConfigMaps(namespace).Delete(t.Context(), service+"-ca", metav1.DeleteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	appears()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("got error %v, want none", err)
	}
}

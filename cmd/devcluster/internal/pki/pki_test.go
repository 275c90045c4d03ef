package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"testing"

	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/pki"
)

func authority(t *testing.T) (*pki.Authority, *x509.CertPool) {
	t.Helper()
	a, err := pki.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(a.Cert) {
		t.Fatal("the authority has no certificate")
	}
	return a, pool
}

// leaf returns the parsed certificate. It checks that key and certificate
// match.
func leaf(t *testing.T, pair pki.Pair) *x509.Certificate {
	t.Helper()
	both, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	return both.Leaf
}

func TestServerCertificateIsForItsHostsOnly(t *testing.T) {
	a, pool := authority(t)
	pair, err := a.Server("server", "10.0.0.1", "kubernetes.default.svc")
	if err != nil {
		t.Fatal(err)
	}
	for host, valid := range map[string]bool{
		"127.0.0.1": true, "localhost": true, "10.0.0.1": true, "kubernetes.default.svc": true,
		"10.0.0.2": false, "example.com": false,
	} {
		_, err := leaf(t, pair).Verify(x509.VerifyOptions{Roots: pool, DNSName: host})
		if (err == nil) != valid {
			t.Errorf("%s: %v, want valid %v", host, err, valid)
		}
	}
}

func TestClientCertificateNamesUserAndGroups(t *testing.T) {
	a, pool := authority(t)
	pair, err := a.Client("admin", "system:masters")
	if err != nil {
		t.Fatal(err)
	}
	cert := leaf(t, pair)
	if cert.Subject.CommonName != "admin" || !slices.Equal(cert.Subject.Organization, []string{"system:masters"}) {
		t.Errorf("subject %v", cert.Subject)
	}
	asClient := x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if _, err := cert.Verify(asClient); err != nil {
		t.Errorf("as a client: %v", err)
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: pool}); err == nil {
		t.Error("a client's certificate is valid for a server")
	}
	_, others := authority(t)
	asClient.Roots = others
	if _, err := cert.Verify(asClient); err == nil {
		t.Error("another authority vouches for the certificate")
	}
}

func TestSerialNumbersDiffer(t *testing.T) {
	a, _ := authority(t)
	first, err := a.Client("a")
	if err != nil {
		t.Fatal(err)
	}
	second, err := a.Client("b")
	if err != nil {
		t.Fatal(err)
	}
	if leaf(t, first).SerialNumber.Cmp(leaf(t, second).SerialNumber) == 0 {
		t.Error("two certificates have the same serial number")
	}
}

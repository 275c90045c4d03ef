// Package pki creates the keys and certificates of one throwaway cluster.
//
// One authority signs every client and serving certificate. A second one signs
// the certificate of the front proxy, so that the API server accepts no other
// client certificate as the proxy's. Keys are ECDSA P-256, because generating
// RSA keys takes seconds. Certificates are valid for a year and only for this
// machine. Do not use this package for a real cluster.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

const (
	lifetime = 365 * 24 * time.Hour
	// skew is how long before their creation certificates are valid, in case
	// the clock is set back.
	skew = time.Hour
)

// Pair is a certificate and its private key, both PEM encoded.
type Pair struct {
	Cert, Key []byte
}

// Write writes the pair to files that only their owner may read.
func (p Pair) Write(certFile, keyFile string) error {
	if err := os.WriteFile(certFile, p.Cert, 0o600); err != nil {
		return fmt.Errorf("write certificate: %w", err)
	}
	if err := os.WriteFile(keyFile, p.Key, 0o600); err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	return nil
}

// Authority signs certificates. It is not safe for concurrent use.
type Authority struct {
	Pair
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	serial int64
}

// NewAuthority returns a new self-signed authority.
func NewAuthority(name string) (*Authority, error) {
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: name},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	a := &Authority{serial: 1}
	pair, cert, key, err := sign(template, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("make authority %s: %w", name, err)
	}
	a.Pair, a.cert, a.key = pair, cert, key
	return a, nil
}

// Client issues a certificate that authenticates as user, in groups.
func (a *Authority) Client(user string, groups ...string) (Pair, error) {
	return a.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// Server issues a certificate for loopback and the given names and addresses.
func (a *Authority) Server(name string, hosts ...string) (Pair, error) {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, host := range append([]string{"localhost", "127.0.0.1", "::1"}, hosts...) {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return a.issue(template)
}

func (a *Authority) issue(template *x509.Certificate) (Pair, error) {
	a.serial++
	template.SerialNumber = big.NewInt(a.serial)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	pair, _, _, err := sign(template, a.cert, a.key)
	if err != nil {
		return Pair{}, fmt.Errorf("issue certificate for %s: %w", template.Subject.CommonName, err)
	}
	return pair, nil
}

// sign returns a new key with a certificate that parent has signed. The
// certificate is self-signed if parent is nil.
func sign(
	template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey,
) (Pair, *x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, nil, nil, err
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	now := time.Now()
	template.NotBefore, template.NotAfter = now.Add(-skew), now.Add(lifetime)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		return Pair{}, nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return Pair{}, nil, nil, err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return Pair{}, nil, nil, err
	}
	return Pair{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}),
	}, cert, key, nil
}

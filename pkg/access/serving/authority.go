package serving

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

const (
	servingLife  = 30 * 24 * time.Hour
	servingRenew = 10 * 24 * time.Hour // before the end

	authorityLife  = 365 * 24 * time.Hour
	authorityRenew = 90 * 24 * time.Hour // before the end; longer than servingLife
	// announcement is how long a new authority is only in the bundle before it
	// signs.
	announcement = 24 * time.Hour

	// skew is how far clients' clocks may be late.
	skew = time.Hour
)

// authority is a certificate authority whose key is only in memory.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	made        time.Time
}

// issuer makes serving certificates, and the authorities that sign them. It is
// not safe for concurrent use.
type issuer struct {
	hosts       []string     // names and addresses of the serving certificate
	authorities []*authority // the oldest first; at least one after load
	serving     *tls.Certificate
}

// load implements [source]. It makes what is missing or about to expire.
func (i *issuer) load(now time.Time) (*tls.Certificate, []byte, error) {
	i.authorities = slices.DeleteFunc(i.authorities, func(a *authority) bool { return !valid(a.certificate, now, 0) })
	if len(i.authorities) == 0 || !valid(i.authorities[len(i.authorities)-1].certificate, now, authorityRenew) {
		a, err := newAuthority(now)
		if err != nil {
			return nil, nil, fmt.Errorf("make a certificate authority: %w", err)
		}
		i.authorities = append(i.authorities, a)
	}
	if i.serving == nil || !valid(i.serving.Leaf, now, servingRenew) || !i.signed(i.serving.Leaf) {
		serving, err := i.signer(now).issue(now, i.hosts)
		if err != nil {
			return nil, nil, fmt.Errorf("make a serving certificate: %w", err)
		}
		i.serving = serving
	}
	var bundle []byte
	for _, a := range i.authorities {
		bundle = append(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})...)
	}
	return i.serving, bundle, nil
}

// signer returns the newest authority that clients have had time to read, or
// the oldest one.
func (i *issuer) signer(now time.Time) *authority {
	for _, a := range slices.Backward(i.authorities) {
		if now.Sub(a.made) >= announcement {
			return a
		}
	}
	return i.authorities[0]
}

// signed reports whether an authority of the bundle signed the certificate.
func (i *issuer) signed(leaf *x509.Certificate) bool {
	return slices.ContainsFunc(i.authorities, func(a *authority) bool {
		return leaf.CheckSignatureFrom(a.certificate) == nil
	})
}

// valid reports whether a certificate is valid now and for some time to come.
func valid(c *x509.Certificate, now time.Time, left time.Duration) bool {
	return !now.Before(c.NotBefore) && now.Add(left).Before(c.NotAfter)
}

// newAuthority makes an authority.
func newAuthority(now time.Time) (*authority, error) {
	template, key, err := newTemplate(now, authorityLife)
	if err != nil {
		return nil, err
	}
	// The serial number makes the name unique: clients find the authority of a
	// certificate by its name.
	template.Subject = pkix.Name{CommonName: "watchhistory-recorder-ca@" + template.SerialNumber.Text(36)}
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	certificate, err := sign(template, template, key, key)
	if err != nil {
		return nil, err
	}
	return &authority{certificate: certificate, key: key, made: now}, nil
}

// issue makes a serving certificate for names and addresses.
func (a *authority) issue(now time.Time, hosts []string) (*tls.Certificate, error) {
	template, key, err := newTemplate(now, servingLife)
	if err != nil {
		return nil, err
	}
	template.Subject = pkix.Name{CommonName: "watchhistory-recorder"}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.BasicConstraintsValid = true
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	leaf, err := sign(template, a.certificate, key, a.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// newTemplate makes a key, and a certificate's number and validity.
func newTemplate(now time.Time, life time.Duration) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	serial.Add(serial, big.NewInt(1)) // zero is not allowed
	return &x509.Certificate{SerialNumber: serial, NotBefore: now.Add(-skew), NotAfter: now.Add(life)}, key, nil
}

// sign signs the template, which gets the public key of key.
func sign(template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

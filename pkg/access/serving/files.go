package serving

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"os"
	"time"

	"k8s.io/client-go/util/cert"
)

// files reads the certificate, its key and the authorities from files. It is
// not safe for concurrent use.
type files struct {
	certFile, keyFile, caFile string // caFile may be ""

	certData, keyData []byte // of serving
	serving           *tls.Certificate
}

// load implements [source].
func (f *files) load(time.Time) (*tls.Certificate, []byte, error) {
	certData, err := os.ReadFile(f.certFile)
	if err != nil {
		return nil, nil, fmt.Errorf("read the serving certificate: %w", err)
	}
	keyData, err := os.ReadFile(f.keyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("read the key of the serving certificate: %w", err)
	}
	if !bytes.Equal(certData, f.certData) || !bytes.Equal(keyData, f.keyData) {
		// Between the writes of two files, their contents don't match.
		serving, err := tls.X509KeyPair(certData, keyData)
		if err != nil {
			return nil, nil, fmt.Errorf("serving certificate %s with key %s: %w", f.certFile, f.keyFile, err)
		}
		f.certData, f.keyData, f.serving = certData, keyData, &serving
	}
	if f.caFile == "" {
		return f.serving, nil, nil
	}
	bundle, err := os.ReadFile(f.caFile)
	if err != nil {
		return nil, nil, fmt.Errorf("read the certificate authorities: %w", err)
	}
	if _, err := cert.ParseCertsPEM(bundle); err != nil {
		return nil, nil, fmt.Errorf("certificate authorities %s: %w", f.caFile, err)
	}
	return f.serving, bundle, nil
}

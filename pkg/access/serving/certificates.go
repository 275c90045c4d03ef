package serving

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"

	"github.com/watchhistory/watchhistory/pkg/access/internal/outage"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// Options configure [Certificates].
type Options struct {
	// CertFile and KeyFile contain the serving certificate, with intermediate
	// ones, and its key. Both are "" if the certificate is to be made.
	CertFile, KeyFile string
	// CAFile contains the authorities of CertFile, to be published. It may be
	// "".
	CAFile string
	// Service is the name of the Service. It is a name of a made certificate,
	// and the beginning of the ConfigMap's name.
	Service string
	// Namespace is the namespace of the Service and the ConfigMap. It is ""
	// outside of a cluster: then the authorities are only logged.
	Namespace string
	Logger    *slog.Logger     // default: discards
	Now       func() time.Time // default: [time.Now]
	// Interval is the time between two checks of the files, of the
	// certificate's age and of the ConfigMap. Default: 20 s.
	Interval time.Duration
}

// defaultInterval is the default of Options.Interval.
const defaultInterval = 20 * time.Second

// source returns the certificate to serve and the bundle of its authorities,
// as PEM. The bundle is nil if the authorities are unknown.
type source interface {
	load(now time.Time) (*tls.Certificate, []byte, error)
}

// Certificates provides the certificate of a listener. It is safe for
// concurrent use.
type Certificates struct {
	options Options
	outages *outage.Log
	client  corev1client.ConfigMapInterface // nil outside of a cluster
	serving atomic.Pointer[tls.Certificate]

	mu      sync.Mutex // guards all below
	source  source
	bundle  []byte
	invalid bool // the last load failed
}

// New reads or makes the certificate. The ConfigMap is in this cluster. The
// client has the credentials of the configuration, and the caller owns it. New
// does not connect.
func New(ctx context.Context, cluster *rest.Config, client *http.Client, o Options) (*Certificates, error) {
	o.Interval = cmp.Or(max(o.Interval, 0), defaultInterval)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Certificates{options: o, outages: outage.NewLog(o.Logger)}
	if o.CertFile != "" {
		c.source = &files{certFile: o.CertFile, keyFile: o.KeyFile, caFile: o.CAFile}
	} else {
		c.source = &issuer{hosts: hosts(o.Service, o.Namespace)}
	}
	if o.Namespace != "" {
		core, err := corev1client.NewForConfigAndClient(cluster, client)
		if err != nil {
			return nil, history.Errorf(history.Invalid, "kubeconfig is invalid: %v", err)
		}
		c.client = core.ConfigMaps(o.Namespace)
	}
	serving, bundle, err := c.source.load(o.Now())
	if err != nil {
		return nil, err
	}
	c.serving.Store(serving)
	c.bundle = bundle
	c.logAuthorities(ctx, bundle)
	return c, nil
}

// hosts returns the names and addresses of a certificate that is made.
func hosts(service, namespace string) []string {
	all := []string{"localhost", "127.0.0.1", "::1"}
	if namespace != "" {
		all = append(all, service+"."+namespace+".svc", service+"."+namespace)
	}
	return all
}

// TLSConfig returns the configuration of a listener. It requests certificates
// of clients and verifies none of them.
func (c *Certificates) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		ClientAuth:     tls.RequestClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.serving.Load(), nil },
	}
}

// Authorities returns the current bundle, as PEM. It is nil if the authorities
// are unknown.
func (c *Certificates) Authorities() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.bundle)
}

// Run calls [Certificates.Refresh] at once and at each interval, until ctx
// ends.
func (c *Certificates) Run(ctx context.Context) error {
	ticker := time.NewTicker(c.options.Interval)
	defer ticker.Stop()
	for {
		c.Refresh(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Refresh brings the certificate and the ConfigMap up to date. It logs errors:
// the current certificate stays, and the next call tries again.
//
// The bundle is published before a certificate of a new authority is served,
// because that authority signs only a day later.
func (c *Certificates) Refresh(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	serving, bundle, err := c.source.load(c.options.Now())
	switch {
	case err == nil:
		if serving != c.serving.Load() {
			c.options.Logger.InfoContext(ctx, "serving certificate replaced")
		}
		if !bytes.Equal(bundle, c.bundle) {
			c.logAuthorities(ctx, bundle)
		}
		c.serving.Store(serving)
		c.bundle = bundle
	case !c.invalid:
		c.options.Logger.ErrorContext(ctx, "serving certificate not replaced, keeping the current one", "err", err)
	}
	c.invalid = err != nil
	if c.client != nil && c.bundle != nil && ctx.Err() == nil {
		c.publish(ctx)
	}
}

// logAuthorities logs the SHA-256 of the authorities of a bundle, in the form
// of openssl without colons.
func (c *Certificates) logAuthorities(ctx context.Context, bundle []byte) {
	authorities, err := cert.ParseCertsPEM(bundle)
	if err != nil {
		return // nothing is known of them
	}
	sums := make([]string, 0, len(authorities))
	for _, a := range authorities {
		sum := sha256.Sum256(a.Raw)
		sums = append(sums, hex.EncodeToString(sum[:]))
	}
	c.options.Logger.InfoContext(ctx, "serving with certificates of these authorities",
		"ca_sha256", strings.Join(sums, ","))
}

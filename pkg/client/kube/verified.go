package kube

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"
	"k8s.io/client-go/util/cert"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/client/internal/quote"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// The ConfigMap, in the recorder's namespace, by which a recorder is verified.
const (
	// AuthoritiesName is the name of the ConfigMap.
	AuthoritiesName = "watchhistory-recorder-ca"
	// authoritiesKey is the key of the authorities, which are PEM.
	authoritiesKey = "ca.crt"
)

// serverName returns the name that the certificate of every recorder has. It
// does not depend on the name of the Service.
func serverName(namespace string) string { return "watchhistory-recorder." + namespace + ".svc" }

// verified is an HTTP transport to a recorder with TLS. It sends the caller's
// credentials, and only to a recorder whose certificate it verified.
//
// If the verification fails, the recorder may have got a new certificate
// authority. Then the authorities are read again, at most once per request.
type verified struct {
	cluster *cluster
	backend *backend
	timeout time.Duration // of a request
	pinned  []byte        // nil: read the authorities from the cluster
	dial    dialFunc

	// lockToken is the lock for replacing current. It is a channel, so that
	// waiting for it ends with a context: its holder may wait for a login.
	lockToken chan struct{}
	current   atomic.Pointer[trusted] // nil before the first use
}

// trusted is a transport that trusts some certificate authorities.
type trusted struct {
	http.RoundTripper

	authorities []byte
}

// newVerified returns a transport that has read no authorities yet.
func newVerified(k *cluster, at *backend, o Options, dial dialFunc) *verified {
	v := &verified{
		cluster: k, backend: at, timeout: o.Timeout, pinned: o.Authorities, dial: dial,
		lockToken: make(chan struct{}, 1),
	}
	v.lockToken <- struct{}{}
	return v
}

// RoundTrip sends the request. It sends it a second time if the recorder was
// not verified, and the authorities have changed.
func (v *verified) RoundTrip(req *http.Request) (*http.Response, error) {
	through, err := v.trusted(req.Context(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := through.RoundTrip(req)
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		next, readErr := v.trusted(req.Context(), through)
		switch {
		case readErr != nil:
			return nil, readErr
		case next != through:
			resp, err = next.RoundTrip(req)
		}
	}
	return resp, credentialsFailure(err)
}

// credentialsFailure gives the error of a credential plugin its reason.
func credentialsFailure(err error) error {
	if err == nil || !strings.Contains(err.Error(), credentialsPrefix) {
		return err
	}
	return apiFailure("authenticate to the recorder", err, Role{})
}

// CloseIdleConnections closes the connections that are not in use.
func (v *verified) CloseIdleConnections() {
	if current := v.current.Load(); current != nil {
		closeIdle(current.RoundTripper)
	}
}

// trusted returns the current transport. If there is none, or if it is the
// stale one, the authorities are read. The stale one is returned again if they
// are unchanged.
func (v *verified) trusted(ctx context.Context, stale *trusted) (*trusted, error) {
	select {
	case <-v.lockToken:
		defer func() { v.lockToken <- struct{}{} }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	current := v.current.Load()
	if current != nil && current != stale {
		return current, nil
	}
	authorities, err := v.authorities(ctx)
	if err != nil {
		return nil, err
	}
	if current != nil && bytes.Equal(authorities, current.authorities) {
		return current, nil
	}
	next, err := (&secured{
		host: serverName(v.backend.namespace), authorities: authorities, serverName: serverName(v.backend.namespace),
		proxy: noProxy, dial: v.dial, protocols: []string{"http/1.1"}, timeout: v.timeout, display: v.cluster.display,
	}).transport(v.cluster.caller)
	if err != nil {
		return nil, err
	}
	if current != nil {
		closeIdle(current.RoundTripper)
	}
	current = &trusted{next, authorities}
	v.current.Store(current)
	return current, nil
}

// authorities reads the authorities with the caller's permissions.
func (v *verified) authorities(ctx context.Context) ([]byte, error) {
	if v.pinned != nil {
		return v.pinned, validAuthorities(v.pinned)
	}
	namespace := v.backend.namespace
	configMap, err := v.cluster.core.ConfigMaps(namespace).Get(ctx, AuthoritiesName, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return nil, apiFailure("read the certificate authorities of the recorder", err, forwardRole(namespace))
	}
	if !missing {
		authorities := []byte(configMap.Data[authoritiesKey])
		if err = validAuthorities(authorities); err == nil {
			return authorities, nil
		}
	}
	return nil, &history.Error{
		Code: history.Unavailable,
		Message: "can't verify recorder " + v.backend.String() + ": ConfigMap " + namespace + "/" + AuthoritiesName +
			" with its certificate authorities: " + quote.Line(err.Error()),
		Err: &ConnectError{Reason: NoAuthorities, Namespace: namespace, Err: err},
	}
}

// validAuthorities returns an error unless the PEM contains certificates.
func validAuthorities(authorities []byte) error {
	if _, err := cert.ParseCertsPEM(authorities); err != nil {
		return history.Errorf(history.Invalid, "certificate authorities are not PEM certificates: %w", err)
	}
	return nil
}

// Direct returns a client of the recorder at a URL, without the API server. The
// Mode, Namespace and Warn of the options are ignored.
//
// The credentials of RESTConfig are sent if it is not nil. That requires an
// https URL, so that the recorder is verified first.
func Direct(baseURL string, o Options) (*client.Client, error) {
	if o.RESTConfig == nil && o.Authorities == nil {
		return client.New(baseURL, o.Options)
	}
	base, err := url.Parse(baseURL)
	if err != nil || base.Host == "" {
		return client.New(baseURL, o.Options) // returns the error
	}
	if base.Scheme != "https" {
		return nil, &history.Error{
			Code:    history.Invalid,
			Message: "recorder URL " + quote.Line(base.Redacted()) + " is not https, so the recorder can't be verified",
			Err:     client.ErrNotTLS,
		}
	}
	config, display := &rest.Config{}, Display(nil)
	if o.RESTConfig != nil {
		config = o.RESTConfig
	}
	if mayPrompt(config) {
		display = o.Display
	}
	if o.Authorities != nil {
		if err := validAuthorities(o.Authorities); err != nil {
			return nil, err
		}
	}
	through, err := (&secured{
		host: base.Host, authorities: o.Authorities, proxy: withoutTLS(http.ProxyFromEnvironment),
		timeout: o.requestTimeout(), display: display,
	}).transport(config)
	if err != nil {
		return nil, err
	}
	o.Transport, o.Timeout = &direct{through}, -1
	return client.New(baseURL, o.Options)
}

// direct gives the errors of credential plugins their reason.
type direct struct{ next http.RoundTripper }

// RoundTrip sends the request.
func (d *direct) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := d.next.RoundTrip(req)
	return resp, credentialsFailure(err)
}

// WrappedRoundTripper returns the transport below.
func (d *direct) WrappedRoundTripper() http.RoundTripper { return d.next }

// dialFunc opens a connection.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// secured describes an HTTP transport to one recorder with TLS.
type secured struct {
	host        string // of the URLs of its requests
	authorities []byte // PEM; nil: the system's
	serverName  string // in the certificate; empty: that of host
	proxy       func(*http.Request) (*url.URL, error)
	dial        dialFunc // nil: over the network
	// protocols are those of ALPN. Nil means HTTP/2 and HTTP/1.1. Only with
	// HTTP/1.1, a request is sent again if its idle connection was closed.
	protocols []string
	timeout   time.Duration // of a request, after the credentials are available
	display   Display       // may be nil
}

// transport returns a transport that sends the credentials of a cluster's
// configuration, as client-go sends them to the API server. It sends nothing
// before the recorder has proved its identity.
//
// Of the configuration, only the credentials are used. The authorities, names,
// proxies and wrappers are those for the API server. Passwords are not used,
// because no recorder accepts them.
//
// client-go prepares the credentials with the address and the authorities of
// the API server, because a credential plugin may depend on them. So both
// connections share a plugin and its login.
func (s *secured) transport(caller *rest.Config) (http.RoundTripper, error) {
	config := rest.CopyConfig(caller)
	config.Transport, config.WrapTransport = nil, nil
	config.Username, config.Password = "", ""
	config.NextProtos = s.protocols
	config.Dial = s.dial
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &guard{next, s.host} })
	limit(config, recorderLimits(s.timeout), s.display)
	prepared, err := config.TransportConfig()
	if err != nil {
		return nil, fmt.Errorf("use the credentials of the cluster configuration: %w", err)
	}
	prepared.Proxy = s.proxy
	prepared.TLS.Insecure, prepared.TLS.ServerName = false, s.serverName
	prepared.TLS.CAFile, prepared.TLS.CAData = "", s.authorities
	through, err := transport.New(prepared)
	if err != nil {
		return nil, fmt.Errorf("use the credentials of the cluster configuration: %w", err)
	}
	return prompting(through, config, s.display), nil
}

// guard refuses requests that are not for the recorder, or not with TLS. It is
// the innermost layer: requests have their credentials here.
type guard struct {
	next http.RoundTripper
	host string
}

// RoundTrip sends the request.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" || req.URL.Host != g.host {
		return nil, history.Errorf(history.Internal, "credentials for %s are not sent to %s://%s",
			g.host, req.URL.Scheme, req.URL.Host)
	}
	return g.next.RoundTrip(req)
}

// WrappedRoundTripper returns the transport below.
func (g *guard) WrappedRoundTripper() http.RoundTripper { return g.next }

// noProxy is the proxy of requests through a tunnel.
func noProxy(*http.Request) (*url.URL, error) { return nil, nil } //nolint:nilnil // as http.Transport wants it

// withoutTLS returns proxy without those that use TLS: they could request the
// caller's client certificate.
func withoutTLS(proxy func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(req *http.Request) (*url.URL, error) {
		at, err := proxy(req)
		if err == nil && at != nil && at.Scheme == "https" {
			return nil, fmt.Errorf("proxy %s uses TLS, which is not supported with credentials", at.Redacted())
		}
		return at, err
	}
}

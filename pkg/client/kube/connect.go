package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/client/internal/quote"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/exchange"
)

// Mode is how a recorder is reached.
type Mode string

// The modes.
const (
	// Auto is PortForward, or Proxy if the caller lacks the permission for it
	// or if the recorder's Service does not select pods.
	Auto Mode = "auto"
	// PortForward forwards a port to the recorder's pod, without a local port.
	PortForward Mode = "port-forward"
	// Proxy uses the API server's proxy to the recorder's Service.
	Proxy Mode = "proxy"
)

// Options configure [Connect]: where the recorder is, and how it is reached.
type Options struct {
	// Options are those of the client. Transport and Name are set by Connect. A
	// Timeout of 0 means RESTConfig.Timeout or, if that is 0 too,
	// [client.DefaultTimeout].
	client.Options

	RESTConfig *rest.Config // of the cluster; required
	Mode       Mode         // empty: Auto
	// Namespace is the recorder's namespace. Empty means [DefaultNamespace] or,
	// if that has no recorder, the only namespace that has one.
	Namespace string
	// Authorities verify the recorder's certificate. They are PEM. Nil means
	// those that the recorder publishes or, for [Direct], those of the system.
	Authorities []byte

	// Display is suspended while a credential plugin may prompt. It may be nil.
	Display Display
	// Warn receives warnings about a connection that works. It may be nil.
	Warn func(message string)
}

// Client is a client of a recorder in a cluster. Close it after use.
type Client struct {
	*client.Client

	Namespace string // of the recorder
	Name      string // of its Service, or of a pod if it has no Service
	// Mode is how the recorder is reached: PortForward or Proxy.
	Mode Mode
	// Authenticated reports whether the caller's credentials are sent. The
	// recorder then answers only what the caller may read in the cluster.
	Authenticated bool
}

// Connect finds the recorder and connects to it. With PortForward, the tunnel
// is open when Connect returns. With Proxy, the first request shows whether the
// connection works.
//
// If RESTConfig impersonates a user, the recorder is found and the tunnel is
// opened with the caller's own identity, because the user usually may not do
// that. The recorder receives both identities, and answers only what the user
// may read. The API server's requests impersonate the user if the caller's own
// permissions don't suffice, and if the recorder has no TLS: such a recorder
// does not restrict its answers, so only the API server's permissions count.
func Connect(ctx context.Context, o Options) (*Client, error) {
	switch o.Mode {
	case "", Auto, PortForward, Proxy:
	default:
		return nil, history.Errorf(history.Invalid, "unknown connection mode %q: want auto, port-forward or proxy",
			o.Mode)
	}
	if o.RESTConfig == nil {
		return nil, history.Errorf(history.Invalid, "connect to recorder: no cluster configuration")
	}
	own := rest.CopyConfig(o.RESTConfig)
	own.Impersonate = rest.ImpersonationConfig{}
	if reflect.DeepEqual(own.Impersonate, o.RESTConfig.Impersonate) {
		return connectAs(ctx, o, own)
	}
	c, err := connectAs(ctx, o, own)
	if err == nil || !errors.Is(err, errPlain) && !mayHelp(err) {
		return c, err
	}
	c, otherErr := connectAs(ctx, o, o.RESTConfig)
	if otherErr != nil && mayHelp(otherErr) && !errors.Is(err, errPlain) {
		return nil, err // the caller's own identity is the one that should get the permission
	}
	return c, otherErr
}

// errPlain is the error of connecting with the caller's own identity to a
// recorder without TLS, if another user is impersonated.
var errPlain = errors.New("recorder without TLS")

// mayHelp reports whether another identity may have the missing permission.
func mayHelp(err error) bool {
	cause, _ := errors.AsType[*ConnectError](err)
	return lacksPermission(err) || cause != nil && cause.Reason == NotFoundHere
}

// connectAs connects through the API server with the identity of a
// configuration. The credentials for the recorder are those of the options.
func connectAs(ctx context.Context, o Options, identity *rest.Config) (*Client, error) {
	k, err := newCluster(o, identity)
	if err != nil {
		return nil, err
	}
	c, err := k.connect(ctx, o)
	if err != nil {
		closeIdle(k.http.Transport)
		return nil, err
	}
	return c, nil
}

// cluster is the API server through which a recorder is reached.
type cluster struct {
	config  *rest.Config  // without limits
	caller  *rest.Config  // whose credentials the recorder receives
	timeout time.Duration // of each exchange with the API server
	display Display       // nil if there is none, or if no plugin may prompt
	warn    func(string)  // may be nil

	http *http.Client
	core *corev1client.CoreV1Client
}

// newCluster returns the cluster of the options, with the identity of a
// configuration. It sends no request.
func newCluster(o Options, identity *rest.Config) (*cluster, error) {
	config := rest.CopyConfig(identity)
	config.Timeout = 0
	config.WarningHandler = rest.NoWarnings{} // the default writes to stderr
	config.AcceptContentTypes, config.ContentType = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	if o.UserAgent != "" {
		config.UserAgent = o.UserAgent
	}
	k := &cluster{config: config, caller: o.RESTConfig, timeout: o.Timeout, warn: o.Warn}
	if k.timeout <= 0 {
		k.timeout = DefaultAPITimeout
	}
	if mayPrompt(config) {
		k.display = o.Display
	}
	limited := k.limited(exchange.Limits{Time: k.timeout, Size: maxAPIAnswer})
	var err error
	if k.http, err = k.httpClient(limited); err != nil {
		return nil, err
	}
	if k.core, err = corev1client.NewForConfigAndClient(limited, k.http); err != nil {
		return nil, fmt.Errorf("use cluster configuration: %w", err)
	}
	return k, nil
}

// limited returns a configuration whose exchanges are bounded.
func (k *cluster) limited(limits exchange.Limits) *rest.Config {
	config := rest.CopyConfig(k.config)
	limit(config, limits, k.display)
	return config
}

// httpClient returns a client for a configuration that limited returned. If a
// plugin may prompt, it adds two outer layers: one ends with the context, and
// one suspends the display.
func (k *cluster) httpClient(limited *rest.Config) (*http.Client, error) {
	web, err := rest.HTTPClientFor(limited)
	if err != nil {
		return nil, fmt.Errorf("use cluster configuration: %w", err)
	}
	web.Transport = prompting(web.Transport, limited, k.display)
	return web, nil
}

// prompting returns a transport above one that may prompt for credentials.
func prompting(next http.RoundTripper, config *rest.Config, display Display) http.RoundTripper {
	if !mayPrompt(config) {
		return next
	}
	// A credential plugin ignores the context; this layer does not.
	next = exchange.New(next, exchange.Limits{})
	if display != nil {
		next = hidden(next, display)
	}
	return next
}

// closeIdle closes the idle connections of a transport or of those that it
// wraps. The function of client-go for this logs unknown layers to stderr.
func closeIdle(transport http.RoundTripper) {
	for {
		if idle, ok := transport.(interface{ CloseIdleConnections() }); ok {
			idle.CloseIdleConnections()
			return
		}
		outer, ok := transport.(utilnet.RoundTripperWrapper)
		if !ok {
			return
		}
		transport = outer.WrappedRoundTripper()
	}
}

// connect locates the recorder and connects to it by the mode of the options.
func (k *cluster) connect(ctx context.Context, o Options) (*Client, error) {
	o.Timeout = o.requestTimeout()
	at, err := locate(ctx, k.core, o.Namespace)
	switch {
	case err != nil:
		return nil, err
	case at.secure && o.Mode == Proxy:
		return nil, &history.Error{
			Code: history.Invalid,
			Message: "recorder " + at.String() + " identifies its callers, " +
				"and the API server's proxy does not pass credentials on",
			Err: &ConnectError{Reason: ProxyWithoutCredentials, Namespace: at.namespace},
		}
	case !at.secure && !reflect.DeepEqual(k.config.Impersonate, k.caller.Impersonate):
		return nil, errPlain
	case o.Mode == Proxy:
		return k.proxy(ctx, at, o.Options, nil)
	}
	c, err := k.forward(ctx, at, o)
	cause, _ := errors.AsType[*ConnectError](err)
	switch {
	case err == nil || o.Mode == PortForward || at.secure:
		return c, err
	case lacksPermission(err):
		return k.proxy(ctx, at, o.Options, err)
	case cause != nil && cause.Reason == NoSelector:
		return k.proxy(ctx, at, o.Options, nil)
	default:
		return nil, err
	}
}

// requestTimeout returns the time limit of each request to the recorder.
func (o *Options) requestTimeout() time.Duration {
	switch {
	case o.Timeout > 0:
		return o.Timeout
	case o.RESTConfig != nil && o.RESTConfig.Timeout > 0:
		return o.RESTConfig.Timeout
	default:
		return client.DefaultTimeout
	}
}

// forward reads the authorities and opens the tunnel at once, so that Connect
// returns their errors.
func (k *cluster) forward(ctx context.Context, at *backend, o Options) (*Client, error) {
	f := newForwarder(k, at, o.Timeout)
	base := &url.URL{Scheme: "http", Host: at.name + "." + at.namespace + ".svc"}
	if at.secure {
		base = &url.URL{Scheme: "https", Host: serverName(at.namespace)}
		v := newVerified(k, at, o, f.dial)
		if _, err := v.trusted(ctx, nil); err != nil {
			return nil, err
		}
		f.sender = v
	}
	if _, err := f.open(ctx); err != nil {
		return nil, err
	}
	return k.client(at, PortForward, base, f, o.Options)
}

// client returns a client without a timeout of its own: the transport bounds
// the time of each request.
func (k *cluster) client(
	at *backend, mode Mode, base *url.URL, transport http.RoundTripper, o client.Options,
) (*Client, error) {
	o.Name, o.Transport, o.Timeout = "recorder "+at.String(), transport, -1
	c, err := client.New(base.String(), o)
	if err != nil {
		return nil, err
	}
	return &Client{Client: c, Namespace: at.namespace, Name: at.name, Mode: mode, Authenticated: at.secure}, nil
}

// proxy sends requests through the API server's proxy. instead is the error of
// port-forwarding, or nil if that was not tried.
func (k *cluster) proxy(ctx context.Context, at *backend, o client.Options, instead error) (*Client, error) {
	resource, name, err := k.proxied(ctx, at)
	if err != nil {
		return nil, err
	}
	base := k.core.RESTClient().Get().Namespace(at.namespace).Resource(resource).Name(name).SubResource("proxy").URL()
	web, err := k.httpClient(k.limited(recorderLimits(o.Timeout)))
	if err != nil {
		return nil, err
	}
	return k.client(at, Proxy, base, &proxyTransport{
		next: web.Transport, cluster: k, backend: at, resource: resource, instead: instead,
	}, o)
}

// proxied returns the object whose proxy is used: the Service or, without one,
// the pod that is most likely to answer.
func (k *cluster) proxied(ctx context.Context, at *backend) (resource, name string, err error) {
	if at.service != nil {
		port, err := apiPort(at.service)
		if err != nil {
			return "", "", err
		}
		return "services", utilnet.JoinSchemeNamePort("http", at.name, portKey(port)), nil
	}
	pods, err := at.candidates(ctx, k.core, nil)
	if err != nil {
		return "", "", err
	}
	return "pods", utilnet.JoinSchemeNamePort("http", pods[0].Name, strconv.Itoa(int(plainPort(&pods[0])))), nil
}

// proxyTransport turns the API server's own errors into errors of the request.
// All other answers are the recorder's.
type proxyTransport struct {
	next     http.RoundTripper
	cluster  *cluster
	backend  *backend
	resource string // "services" or "pods"
	instead  error  // of port-forwarding; may be nil
}

// RoundTrip sends the request through the proxy.
func (p *proxyTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := p.next.RoundTrip(req)
	if err != nil || resp.StatusCode < http.StatusBadRequest {
		return resp, err
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != runtime.ContentTypeJSON {
		return resp, nil
	}
	body, err := io.ReadAll(resp.Body) // bounded by package exchange
	if closeErr := resp.Body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, err
	}
	var status metav1.Status
	if json.Unmarshal(body, &status) == nil && status.Kind == "Status" {
		return nil, p.failure(resp.StatusCode, quote.Line(status.Message))
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// failure returns the error for a Status of the API server. If port-forwarding
// was denied, too, that error is returned: port-forwarding is the better way,
// so the user should request its permission.
func (p *proxyTransport) failure(status int, message string) error {
	if p.instead != nil && status == http.StatusForbidden {
		return p.instead
	}
	cause := &ConnectError{Reason: Unreachable, Namespace: p.backend.namespace}
	if status == http.StatusForbidden {
		cause.Reason = PermissionDenied
		cause.Role = proxyRole(p.backend.namespace, p.resource).to(message)
	}
	return &history.Error{
		Code:    client.CodeOfStatus(status),
		Message: "can't reach recorder " + p.backend.String() + " through the API server's proxy: " + message,
		Err:     cause,
	}
}

// WrappedRoundTripper returns the transport below.
func (p *proxyTransport) WrappedRoundTripper() http.RoundTripper { return p.next }

// Close closes idle connections to the API server.
func (p *proxyTransport) Close() error {
	closeIdle(p.next)
	closeIdle(p.cluster.http.Transport)
	return nil
}

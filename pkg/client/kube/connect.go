package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/exchange"
)

// Mode is the road to the recorder.
type Mode string

// The modes.
const (
	Auto        Mode = "auto"         // Direct where there is a URL; else PortForward, and Proxy where that is refused
	PortForward Mode = "port-forward" // to the recorder's pod, through the API server, without a local port
	Proxy       Mode = "proxy"        // the API server's service proxy
	Direct      Mode = "direct"       // a URL
)

// idleConnections are kept for the next requests.
const idleConnections = 8

// ConnectOptions say where the recorder is.
type ConnectOptions struct {
	Options

	Mode       Mode         // empty: Auto
	URL        string       // of the recorder, for Direct and Auto
	Namespace  string       // of the recorder; empty: [DefaultNamespace], or otherwise the one that has a recorder
	RESTConfig *rest.Config // of the cluster; not needed with a URL. Its Timeout holds for requests if Options has none

	Display Display              // suspended while a credential plugin may prompt; may be nil
	Warn    func(message string) // called with what is odd and no failure; may be nil
}

// Connect finds the recorder and opens the road to it. Close the client when it is of no more use. Errors that a person can
// do something about are [*Error].
func Connect(ctx context.Context, o ConnectOptions) (*Client, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.URL != "" {
		return New(o.URL, &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			ForceAttemptHTTP2:   true,
			TLSHandshakeTimeout: DefaultAPITimeout,
			MaxIdleConnsPerHost: idleConnections,
			IdleConnTimeout:     time.Minute,
		}, o.Options)
	}
	k, err := newCluster(o)
	if err != nil {
		return nil, err
	}
	c, err := k.connect(ctx, o)
	if err != nil {
		k.close()
		return nil, err
	}
	return c, nil
}

func (o *ConnectOptions) validate() error {
	problem := ""
	switch o.Mode {
	case "", Auto:
	case Direct:
		if o.URL == "" {
			problem = "--connect=direct needs --recorder-url"
		}
	case PortForward, Proxy:
		if o.URL != "" {
			problem = fmt.Sprintf("--connect=%s and --recorder-url exclude each other", o.Mode)
		}
	default:
		problem = fmt.Sprintf("--connect=%s is unknown: want auto, port-forward, proxy or direct", quotable(string(o.Mode)))
	}
	if problem == "" && o.URL == "" && o.RESTConfig == nil {
		problem = "there is neither a cluster nor a --recorder-url to ask"
	}
	if problem != "" {
		return &Error{Code: history.Invalid, Message: problem}
	}
	return nil
}

// cluster is the API server that a recorder is behind.
type cluster struct {
	cfg     *rest.Config  // without limits
	timeout time.Duration // of each exchange with the API server
	display Display       // nil: none, or there is nothing to log in to
	warn    func(string)  // may be nil

	http *http.Client
	core *corev1client.CoreV1Client
}

func newCluster(o ConnectOptions) (*cluster, error) {
	cfg := rest.CopyConfig(o.RESTConfig)
	cfg.Timeout = 0
	cfg.WarningHandler = rest.NoWarnings{} // they would be logged to stderr
	cfg.AcceptContentTypes, cfg.ContentType = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	if o.UserAgent != "" {
		cfg.UserAgent = o.UserAgent
	}
	k := &cluster{cfg: cfg, timeout: o.Timeout, warn: o.Warn}
	if k.timeout <= 0 {
		k.timeout = DefaultAPITimeout
	}
	if logsIn(cfg) {
		k.display = o.Display
	}
	limited := k.limited(k.timeout, maxAPIAnswer)
	var err error
	if k.http, err = k.client(limited); err != nil {
		return nil, err
	}
	if k.core, err = corev1client.NewForConfigAndClient(limited, k.http); err != nil {
		return nil, fmt.Errorf("use the cluster's configuration: %w", err)
	}
	return k, nil
}

// limited returns a configuration whose exchanges are bounded.
func (k *cluster) limited(timeout time.Duration, size int64) *rest.Config {
	cfg := rest.CopyConfig(k.cfg)
	Limit(cfg, timeout, size, k.display)
	return cfg
}

func (k *cluster) client(limited *rest.Config) (*http.Client, error) {
	web, err := rest.HTTPClientFor(limited)
	if err != nil {
		return nil, fmt.Errorf("use the cluster's configuration: %w", err)
	}
	if logsIn(limited) {
		web.Transport = exchange.New(web.Transport, exchange.Limits{}) // a credential plugin does not heed the context
	}
	if k.display != nil {
		web.Transport = hidden(web.Transport, k.display)
	}
	return web, nil
}

// close gives back idle connections.
func (k *cluster) close() { closeIdle(k.http.Transport) }

// closeIdle closes idle connections, as far as the transport's layers give access to them. The library's own function for
// this logs to stderr about layers that it does not know.
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

func (k *cluster) connect(ctx context.Context, o ConnectOptions) (*Client, error) {
	if o.Timeout <= 0 {
		o.Timeout = o.RESTConfig.Timeout
	}
	at, err := locate(ctx, k.core, o.Namespace)
	if err != nil {
		return nil, err
	}
	if o.Mode == Proxy {
		return k.proxy(ctx, at, o.Options, nil)
	}
	c, err := k.forward(ctx, at, o.Options)
	switch {
	case err == nil || o.Mode == PortForward:
		return c, err
	case lacksRight(err):
		return k.proxy(ctx, at, o.Options, err)
	case errors.Is(err, errNoSelector):
		return k.proxy(ctx, at, o.Options, nil)
	default:
		return nil, err
	}
}

// forward opens the tunnel before there is a request for it, so that a refusal shows here.
func (k *cluster) forward(ctx context.Context, at *place, opts Options) (*Client, error) {
	opts = opts.withDefaults()
	f := newForwarder(k, at, opts.Timeout)
	if _, err := f.open(ctx); err != nil {
		return nil, err
	}
	base := &url.URL{Scheme: "http", Host: at.name + "." + at.namespace + ".svc"}
	return newClient(base, f, opts, route{
		target: "recorder " + at.String(),
		advice: adviceOn(at),
		close: func() error {
			defer k.close()
			return f.Close()
		},
	}), nil
}

// proxy asks by way of the API server. instead is why it was not port-forwarding; nil if nothing else was tried.
func (k *cluster) proxy(ctx context.Context, at *place, opts Options, instead error) (*Client, error) {
	resource, name, err := k.proxied(ctx, at)
	if err != nil {
		return nil, err
	}
	base := k.core.RESTClient().Get().Namespace(at.namespace).Resource(resource).Name(name).SubResource("proxy").URL()
	opts = opts.withDefaults()
	web, err := k.client(k.limited(opts.Timeout, 0)) // the client bounds the size
	if err != nil {
		return nil, err
	}
	return newClient(base, web.Transport, opts, route{
		target: "recorder " + at.String(),
		advice: adviceOn(at),
		refused: func(status int, message string) error {
			if instead != nil && status == http.StatusForbidden {
				return instead // the port-forward would have been the better road: its Role is the one to ask for
			}
			return proxyFailure(at, resource, status, message)
		},
		close: func() error {
			closeIdle(web.Transport)
			k.close()
			return nil
		},
	}), nil
}

// proxied returns what the API server is to be a proxy of: the Service or, without one, the pod most likely to answer.
func (k *cluster) proxied(ctx context.Context, at *place) (resource, name string, err error) {
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
	return "pods", utilnet.JoinSchemeNamePort("http", pods[0].Name, strconv.Itoa(int(podPort(&pods[0])))), nil
}

func adviceOn(at *place) string {
	return "It may be starting, or restarting. See how it is with: kubectl -n " + at.namespace + " get pods"
}

// proxyFailure explains what the API server answered in the recorder's stead.
func proxyFailure(at *place, resource string, status int, message string) error {
	failure := &Error{
		Code:    codeOf(status),
		Message: "can't reach recorder " + at.String() + " by the API server's proxy: " + message,
		Hint:    adviceOn(at),
	}
	if status == http.StatusForbidden {
		failure.Hint = proxyRole(at.namespace, resource).hint(message)
	}
	return failure
}

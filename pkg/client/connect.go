package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	corev1 "k8s.io/api/core/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/history"
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
	Namespace  string       // of the recorder; empty: see [Find]
	RESTConfig *rest.Config // of the cluster; not needed with a URL. Its Timeout is that of requests, where Options has none
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
			TLSHandshakeTimeout: tunnelTimeout,
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
	cfg  *rest.Config
	http *http.Client
	core *corev1client.CoreV1Client
}

func newCluster(o ConnectOptions) (*cluster, error) {
	cfg := rest.CopyConfig(o.RESTConfig)
	cfg.WarningHandler = rest.NoWarnings{} // they would be logged to stderr
	if o.UserAgent != "" {
		cfg.UserAgent = o.UserAgent
	}
	web, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("use the cluster's configuration: %w", err)
	}
	core, err := corev1client.NewForConfigAndClient(cfg, web)
	if err != nil {
		return nil, fmt.Errorf("use the cluster's configuration: %w", err)
	}
	return &cluster{cfg: cfg, http: web, core: core}, nil
}

// close gives back idle connections, as far as the transport's layers let through to them. The library's own function for
// this logs to stderr about layers that it does not know.
func (k *cluster) close() {
	transport := k.http.Transport
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
		o.Timeout = k.cfg.Timeout
	}
	bounded, cancel := context.WithTimeout(ctx, tunnelTimeout)
	defer cancel()
	service, err := Find(bounded, k.core, o.Namespace)
	if err != nil {
		return nil, err
	}
	if o.Mode == Proxy {
		return k.proxy(service, o.Options, nil)
	}
	c, err := k.forward(ctx, service, o.Options)
	if err != nil && o.Mode != PortForward && history.CodeOf(err) == history.Forbidden {
		return k.proxy(service, o.Options, err)
	}
	return c, err
}

// forward opens the tunnel before there is a request for it, so that a refusal shows here.
func (k *cluster) forward(ctx context.Context, service *corev1.Service, opts Options) (*Client, error) {
	f := newForwarder(k.cfg, k.core, service)
	if _, err := f.open(ctx); err != nil {
		return nil, err
	}
	transport := &http.Transport{
		DialContext:         f.DialContext,
		MaxIdleConnsPerHost: idleConnections,
		IdleConnTimeout:     time.Minute,
	}
	base := &url.URL{Scheme: "http", Host: service.Name + "." + service.Namespace + ".svc"}
	return newClient(base, transport, opts, route{
		target: "recorder " + key(service),
		advice: adviceOn(service),
		close: func() error {
			defer k.close()
			return f.Close()
		},
	}), nil
}

// proxy asks by way of the API server. instead is why it was not port-forwarding; nil where the proxy was asked for.
func (k *cluster) proxy(service *corev1.Service, opts Options, instead error) (*Client, error) {
	port, err := apiPort(service)
	if err != nil {
		return nil, err
	}
	base := k.core.RESTClient().Get().Namespace(service.Namespace).Resource("services").
		Name(utilnet.JoinSchemeNamePort("http", service.Name, portKey(port))).SubResource("proxy").URL()
	return newClient(base, k.http.Transport, opts, route{
		target: "recorder " + key(service),
		advice: adviceOn(service),
		refused: func(status int, message string) error {
			if instead != nil && status == http.StatusForbidden {
				return instead
			}
			return proxyFailure(service, status, message)
		},
		close: func() error {
			k.close()
			return nil
		},
	}), nil
}

func adviceOn(service *corev1.Service) string {
	return "It may be starting, or restarting. See how it is with: kubectl -n " + service.Namespace + " get pods"
}

// proxyFailure explains what the API server answered in the recorder's stead.
func proxyFailure(service *corev1.Service, status int, message string) error {
	failure := &Error{
		Code:    codeOf(status),
		Message: "can't reach recorder " + key(service) + " by the API server's proxy: " + message,
		Hint:    adviceOn(service),
	}
	if status == http.StatusForbidden {
		failure.Hint = proxyRole(service.Namespace).hint(message)
	}
	return failure
}

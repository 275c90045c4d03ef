// Package apiserver reads an API server's raw answers. It owns the connection and its errors: whatever is no success
// comes back as the [k8s.io/apimachinery/pkg/api/errors.StatusError] that the server meant. It decodes no success, never
// retries, and does not throttle: who calls it watches a bounded number of resources.
package apiserver

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/connrotation"

	"github.com/watchhistory/watchhistory/pkg/internal/exchange"
	"github.com/watchhistory/watchhistory/pkg/watcher/internal/coalesce"
)

// pingAfter is how long a connection may be silent before the server is asked
// whether it is there. That is also how much earlier than necessary a gap may
// begin that an outage leaves, and costs some bytes.
const pingAfter = 5 * time.Second

// maxDiscovery bounds an answer of discovery, in bytes: a thousand types take about 1 MiB.
const maxDiscovery = 16 << 20

// Client talks to one API server. It is safe for concurrent use.
type Client struct {
	base      *url.URL
	http      *http.Client
	network   *network
	dialer    *coalesce.Dialer
	discovery *discovery.DiscoveryClient
}

// New returns a client with the credentials of cfg. It does not connect.
func New(cfg *rest.Config) (*Client, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.Timeout = 0 // a watch lasts
	// A watch that begins with the initial state is compressed as that is, to its end. Both sides pay more CPU for it
	// than the recorder needs for all the rest.
	cfg.DisableCompression = true
	cfg.QPS = -1
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	dialer := coalesce.NewDialer(cfg.Dial) // below the others, for it asks for the socket
	network := &network{Dialer: connrotation.NewDialer(dialer.DialContext)}
	cfg.Dial = network.DialContext
	cfg.WarningHandlerWithContext = rest.NoWarnings{}
	base, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("API server's address: %w", err)
	}
	h, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("API server's credentials: %w", err)
	}
	if cfg.Transport == nil { // it is this client's own
		pingOften(h.Transport)
	}
	bounded := exchange.New(h.Transport, exchange.Limits{Size: maxDiscovery, Patient: true})
	d, err := discovery.NewDiscoveryClientForConfigAndClient(cfg, &http.Client{Transport: bounded})
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	return &Client{base: base, http: h, network: network, dialer: dialer, discovery: d}, nil
}

// pingOften lets the connections of HTTP/2 below a transport be checked more
// often than client-go does.
func pingOften(transport http.RoundTripper) {
	for transport != nil {
		if t, ok := transport.(*http.Transport); ok {
			t.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter}
			return
		}
		wrapper, ok := transport.(utilnet.RoundTripperWrapper)
		if !ok {
			return
		}
		transport = wrapper.WrappedRoundTripper()
	}
}

// Get returns the body of the answer to a GET of path, which the caller closes. It ends with ctx.
func (c *Client) Get(ctx context.Context, path string, query url.Values) (*Body, error) {
	u := c.base.JoinPath(path)
	u.RawQuery = query.Encode()
	body := &Body{}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(used httptrace.GotConnInfo) { body.conn = c.dialer.Find(used.Conn) },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("request for %s: %w", path, err)
	}
	req.Header.Set("Accept", "application/json")
	defer c.Hurry()()
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, networkError(err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, responseError(resp)
	}
	if isHTML(resp) {
		_ = resp.Body.Close()
		return nil, errHTML
	}
	body.stream = resp.Body
	return body, nil
}

// Hurry lets everything be read as soon as it arrives, until the returned function is called. Otherwise what is read of an
// answer once it has begun may wait for [coalesce.Beat].
func (c *Client) Hurry() (over func()) { return c.dialer.Hurry() }

// Close closes all connections, and lets none be opened any more. What still reads from one fails.
func (c *Client) Close() { c.network.close() }

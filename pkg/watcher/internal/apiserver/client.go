// Package apiserver reads the raw answers of an API server.
//
// It owns the connections and their errors. An answer that is not a success is
// returned as the [k8s.io/apimachinery/pkg/api/errors.StatusError] that the
// server described. An error never quotes an object, because it may be a
// Secret.
//
// The package does not decode objects and does not retry. It does not throttle
// requests, because the number of watches is bounded.
package apiserver

import (
	"context"
	"fmt"
	"io"
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

// pingAfter is how long a connection may be silent before a ping is sent. A gap
// after an outage may begin earlier than necessary by this time. Each ping
// costs a few bytes.
const pingAfter = 5 * time.Second

// maxDiscovery bounds an answer of discovery and a document, in bytes. A
// thousand types take about 1 MiB in discovery, and the largest schema 3 MiB.
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
	cfg.Timeout = 0 // a watch has no timeout
	// A watch that begins with the initial state would be compressed to its
	// end. Compression costs both sides more CPU than recording.
	cfg.DisableCompression = true
	cfg.QPS = -1
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	dialer := coalesce.NewDialer(cfg.Dial) // below the others, because it uses the socket
	network := &network{Dialer: connrotation.NewDialer(dialer.DialContext)}
	cfg.Dial = network.DialContext
	cfg.WarningHandlerWithContext = rest.NoWarnings{}
	base, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("address of the API server: %w", err)
	}
	h, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("credentials for the API server: %w", err)
	}
	if cfg.Transport == nil { // the transport is this client's own
		pingOften(h.Transport)
	}
	bounded := exchange.New(h.Transport, exchange.Limits{Size: maxDiscovery, Patient: true})
	d, err := discovery.NewDiscoveryClientForConfigAndClient(cfg, &http.Client{Transport: bounded})
	if err != nil {
		return nil, fmt.Errorf("discovery client: %w", err)
	}
	return &Client{base: base, http: h, network: network, dialer: dialer, discovery: d}, nil
}

// pingOften makes the HTTP/2 connections of a transport send pings more often
// than client-go does.
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

// Get returns the body of the answer to a GET of path. The caller closes it.
// The body ends when ctx does. The beginning of the answer is read immediately.
func (c *Client) Get(ctx context.Context, path string, query url.Values) (*Body, error) {
	u := c.base.JoinPath(path)
	u.RawQuery = query.Encode()
	body := &Body{}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(used httptrace.GotConnInfo) { body.conn = c.dialer.Find(used.Conn) },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("create request for %s: %w", path, err)
	}
	req.Header.Set("Accept", "application/json")
	defer c.Immediate()()
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

// Read returns the whole body of the answer to a GET of path. It has at most
// maxDiscovery bytes.
func (c *Client) Read(ctx context.Context, path string) ([]byte, error) {
	defer c.Immediate()()
	body, err := c.Get(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	content, err := io.ReadAll(io.LimitReader(body, maxDiscovery+1))
	switch {
	case err != nil:
		return nil, err
	case len(content) > maxDiscovery:
		return nil, fmt.Errorf("the answer is larger than %d MiB", maxDiscovery>>20)
	default:
		return content, nil
	}
}

// Immediate makes all answers be read as soon as they arrive, until release is
// called. Otherwise, answers that have begun are read in windows of
// [coalesce.Window].
func (c *Client) Immediate() (release func()) { return c.dialer.Immediate() }

// Close closes all connections permanently. Reads from them fail.
func (c *Client) Close() { c.network.close() }

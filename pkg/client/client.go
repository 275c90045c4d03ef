package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/exchange"
)

// Defaults of [Options].
const (
	DefaultTimeout     = time.Minute
	DefaultMaxResponse = 128 << 20
)

// Options of a [Client]. The zero value is good.
type Options struct {
	UserAgent   string        // "kubectl-watchhistory/v1.2.3"
	Timeout     time.Duration // of one request, its answer included, once credentials are there; 0: [DefaultTimeout]
	MaxResponse int64         // bytes of one answer, unpacked; 0: [DefaultMaxResponse]

	Now func() time.Time // this machine's clock; nil: [time.Now]
}

// Client asks one recorder. It is safe for concurrent use.
type Client struct {
	base  *url.URL
	http  *http.Client
	opts  Options
	route route
	clock clock
}

// route is how the recorder is reached, as far as a client has to know it.
type route struct {
	// target names the recorder in messages: its URL, or "recorder watchhistory/watchhistory-recorder".
	target string
	advice string // where to look when it does not answer
	// refused explains an answer that the API server gave in the recorder's stead; nil where none is in between.
	refused func(status int, message string) error
	close   func() error // nil: nothing to close
}

// New returns a client of the recorder at baseURL, "http://127.0.0.1:8080" for example; a path in it is kept as a prefix.
// A nil transport is [http.DefaultTransport].
func New(baseURL string, transport http.RoundTripper, opts Options) (*Client, error) {
	base, err := url.Parse(baseURL)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, &Error{
			Code:    history.Invalid,
			Message: "recorder URL " + quotable(baseURL) + " is none",
			Hint:    "Give it as http://HOST[:PORT], with --recorder-url.",
		}
	}
	if transport == nil {
		transport = http.DefaultTransport
	}
	opts = opts.withDefaults()
	limited := exchange.New(transport, exchange.Limits{Time: opts.Timeout})
	return newClient(base, limited, opts, route{
		target: base.Redacted(),
		advice: "Try again; if it stays so, look at the recorder's log.",
	}), nil
}

func (o Options) withDefaults() Options {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.MaxResponse <= 0 {
		o.MaxResponse = DefaultMaxResponse
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// newClient expects options with their defaults, and a transport that bounds the time of each exchange.
func newClient(base *url.URL, transport http.RoundTripper, opts Options, via route) *Client {
	return &Client{
		base: base,
		http: &http.Client{
			Transport: transport,
			// A recorder redirects nowhere; following would send the query to whoever answered.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		opts:  opts,
		route: via,
		clock: clock{now: opts.Now},
	}
}

// Target names what the client asks, for messages: a URL or a Service.
func (c *Client) Target() string { return c.route.target }

// Close gives back the connections, and the tunnel that [Connect] may have opened. The client is of no use afterwards.
func (c *Client) Close() error {
	closeIdle(c.http.Transport)
	if c.route.close == nil {
		return nil
	}
	return c.route.close()
}

// Health returns nil where the recorder answers and calls itself healthy.
func (c *Client) Health(ctx context.Context) error {
	var health v1.Health
	if _, err := c.get(ctx, c.base.JoinPath(v1.HealthPath), value(&health)); err != nil {
		return err
	}
	if health.Status != "healthy" {
		return c.stranger("it says that its health is " + quotable(health.Status))
	}
	return nil
}

// Resources returns what the recorder records and has recorded.
func (c *Client) Resources(ctx context.Context) (*v1.ResourceList, error) {
	var found v1.ResourceList
	read := object(map[string]decoder{"resources": list(&found.Resources)})
	if _, err := c.get(ctx, c.base.JoinPath(v1.ResourcesPath), read); err != nil {
		return nil, err
	}
	return &found, nil
}

package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client/internal/quote"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/exchange"
)

// Defaults of [Options].
const (
	DefaultTimeout     = time.Minute
	DefaultRetryWait   = time.Minute
	DefaultMaxResponse = 128 << 20
)

// Options configure a [Client]. The zero value is ready to use.
type Options struct {
	// UserAgent is the User-Agent header, such as "my-program/v1.2.3".
	UserAgent string
	// Timeout bounds each request, from sending it to the end of the answer. 0
	// means [DefaultTimeout], and a negative Timeout means that Transport
	// bounds requests itself.
	Timeout time.Duration
	// RetryWait bounds the time that a request waits in total for a recorder
	// that answers that it is busy, or that has answered before and can't be
	// reached now. 0 means [DefaultRetryWait], and a negative RetryWait means
	// that both are errors at once.
	RetryWait time.Duration
	// OnRetry is called before each wait, with its duration and the error of
	// the request, and with 0 and nil after it. It may be nil. Concurrent
	// requests call it concurrently.
	OnRetry func(delay time.Duration, err error)
	// MaxResponse bounds an answer, in bytes after decompression. 0 means
	// [DefaultMaxResponse].
	MaxResponse int64

	// Transport sends the requests. The Client owns it: Close closes it if it
	// is an [io.Closer]. An error of the transport that is a [history.Error] is
	// returned as it is. Nil means a new transport that honours the proxy
	// variables of the environment.
	Transport http.RoundTripper
	// Name names the recorder in errors. Empty means its URL.
	Name string
	// Now returns the local time, for [Client.ClockOffset]. Nil means
	// [time.Now].
	Now func() time.Time
}

// Limits of the default transport.
const (
	tlsTimeout         = 30 * time.Second
	idleTimeout        = time.Minute
	maxIdleConnections = 8
)

// withDefaults returns the options with the defaults in place of zero values,
// except for Name.
func (o Options) withDefaults() Options {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.RetryWait == 0 {
		o.RetryWait = DefaultRetryWait
	}
	if o.MaxResponse <= 0 {
		o.MaxResponse = DefaultMaxResponse
	}
	if o.Transport == nil {
		o.Transport = &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			ForceAttemptHTTP2:   true,
			TLSHandshakeTimeout: tlsTimeout,
			MaxIdleConnsPerHost: maxIdleConnections,
			IdleConnTimeout:     idleTimeout,
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Client sends requests to one recorder. It is safe for concurrent use. Close
// it after use.
type Client struct {
	base    *url.URL
	http    *http.Client
	options Options // with defaults
	clock   clock
	reached atomic.Bool // the recorder has answered
}

// New returns a client of the recorder at a URL, such as
// "http://127.0.0.1:8080". A path in it is the prefix of all requests. New
// sends no request; [Client.Health] does.
//
// A text that is not an HTTP URL is an error with the cause [ErrInvalidURL].
func New(baseURL string, o Options) (*Client, error) {
	base, err := url.Parse(baseURL)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, &history.Error{
			Code:    history.Invalid,
			Message: "invalid recorder URL " + quote.Line(baseURL) + ": want http://HOST[:PORT]",
			Err:     ErrInvalidURL,
		}
	}
	o = o.withDefaults()
	if o.Name == "" {
		o.Name = base.Redacted()
	}
	transport := o.Transport
	if o.Timeout > 0 {
		transport = exchange.New(transport, exchange.Limits{Time: o.Timeout, Patient: true})
	}
	return &Client{
		base: base,
		http: &http.Client{
			Transport: transport,
			// A recorder never redirects. Following a redirect would send the
			// query to another server.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		options: o,
		clock:   clock{now: o.Now},
	}, nil
}

// Target returns the name of the recorder as it appears in errors.
func (c *Client) Target() string { return c.options.Name }

// Close closes the transport and its idle connections. The client must not be
// used afterwards.
func (c *Client) Close() error {
	closeIdle(c.options.Transport)
	if closer, ok := c.options.Transport.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// closeIdle closes the idle connections of a transport or of the transports
// that it wraps. A layer that supports neither method ends the search.
func closeIdle(transport http.RoundTripper) {
	for {
		switch t := transport.(type) {
		case interface{ CloseIdleConnections() }:
			t.CloseIdleConnections()
			return
		case interface{ WrappedRoundTripper() http.RoundTripper }:
			transport = t.WrappedRoundTripper()
		default:
			return
		}
	}
}

// Health returns nil if the recorder answers and reports that it is healthy.
func (c *Client) Health(ctx context.Context) error {
	var health v1.Health
	if _, err := c.get(ctx, c.base.JoinPath(v1.HealthPath), value(&health)); err != nil {
		return err
	}
	if health.Status != v1.HealthyStatus {
		return c.notARecorder(errors.New("its health is " + quote.Line(health.Status)))
	}
	return nil
}

// Recorder returns the version of the recorder, and how long it keeps history.
// An older recorder does not know it: the error has the code
// [history.NotFound].
func (c *Client) Recorder(ctx context.Context) (*v1.Recorder, error) {
	var found v1.Recorder
	if _, err := c.get(ctx, c.base.JoinPath(v1.RecorderPath), value(&found)); err != nil {
		return nil, err
	}
	return &found, nil
}

// Resources returns the catalogue: the resources that the recorder records or
// has recorded, and the others that the API server serves.
func (c *Client) Resources(ctx context.Context) (*v1.ResourceList, error) {
	var found v1.ResourceList
	read := object(map[string]decoder{"resources": list(&found.Resources)})
	if _, err := c.get(ctx, c.base.JoinPath(v1.ResourcesPath), read); err != nil {
		return nil, err
	}
	return &found, nil
}

// clockResolution is the largest difference of two clocks that is ignored. The
// Date header has whole seconds, and an answer takes time to arrive.
const clockResolution = 2 * time.Second

// clock is the difference between the recorder's clock and the local one,
// measured with the first answer.
type clock struct {
	now func() time.Time // the local time

	mu     sync.Mutex // guards the fields below
	known  bool
	offset time.Duration
}

// observe measures the difference with an answer that has just arrived. Errors
// are ignored because another machine may have answered, and cached answers
// because they are old.
func (c *clock) observe(answer *http.Response) {
	date, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil || answer.StatusCode != http.StatusOK || answer.Header.Get("Age") != "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known {
		return
	}
	c.known = true
	// The answer was sent at some time within the second that Date names.
	if offset := date.Add(time.Second / 2).Sub(c.now()); offset.Abs() > clockResolution {
		c.offset = offset
	}
}

// ClockOffset returns the recorder's time minus the local time. It is 0 if the
// difference is at most two seconds, which can't be measured. known is false
// before the first answer.
func (c *Client) ClockOffset() (offset time.Duration, known bool) {
	c.clock.mu.Lock()
	defer c.clock.mu.Unlock()
	return c.clock.offset, c.clock.known
}

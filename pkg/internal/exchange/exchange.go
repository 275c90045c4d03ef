package exchange

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	// maxErrorBody bounds the body of an answer with a status of 300 or more,
	// in bytes.
	maxErrorBody = 64 << 10
	// maxRetryAfter is the longest pause, in seconds, that a server may request
	// from the layers above, which retry by themselves.
	maxRetryAfter = 5
)

// Limits bound one exchange. A zero field means no limit.
type Limits struct {
	Time time.Duration // from sending the request to the end of the body
	Size int64         // of the uncompressed body, in bytes
	// Patient keeps all Retry-After headers. Otherwise, a header of more than
	// maxRetryAfter seconds is removed, because a person is waiting.
	Patient bool
}

// SlowError is the error of an exchange that took too long.
type SlowError struct{ Limit time.Duration }

// Error implements error. It names the limit.
func (e *SlowError) Error() string { return fmt.Sprintf("no complete answer within %s", e.Limit) }

// Timeout implements [net.Error].
func (e *SlowError) Timeout() bool { return true }

// Temporary implements [net.Error].
func (e *SlowError) Temporary() bool { return false }

// Is makes errors.Is(err, context.DeadlineExceeded) true.
func (e *SlowError) Is(target error) bool { return target == context.DeadlineExceeded }

// LargeError is the error of reading a body that is too large.
type LargeError struct{ Limit int64 }

// Error implements error. It names the limit.
func (e *LargeError) Error() string {
	return fmt.Sprintf("the answer is larger than %d MiB", e.Limit>>20)
}

// transport applies limits to the transport below it.
type transport struct {
	next   http.RoundTripper
	limits Limits
}

// streamKey is the context's key of [Stream].
type streamKey struct{}

// Stream returns a context for a request whose answer has no end. A limit of
// time then ends with the headers of the answer. A limit of size still applies.
func Stream(ctx context.Context) context.Context { return context.WithValue(ctx, streamKey{}, true) }

// New returns a transport that bounds each exchange of the next one. If next is
// nil, it uses [http.DefaultTransport]. It is safe for concurrent use if next
// is.
func New(next http.RoundTripper, limits Limits) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return &transport{next, limits}
}

// WrappedRoundTripper returns the next transport. It is used to close idle
// connections.
func (t *transport) WrappedRoundTripper() http.RoundTripper { return t.next }

// RoundTrip implements [http.RoundTripper].
//
// It does not wait for the layers below after the context of the request has
// ended, because those that upgrade connections ignore contexts. They use a
// copy of the request, so the caller may reuse the request.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel, begun := t.context(req.Context())
	type result struct {
		resp *http.Response
		err  error
	}
	done := make(chan result, 1)
	go func() {
		resp, err := t.next.RoundTrip(req.Clone(ctx))
		if err == nil && resp.StatusCode >= http.StatusMultipleChoices {
			readErrorBody(ctx, resp, t.limits.Patient)
		}
		done <- result{resp, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			err := contextCause(ctx, r.err)
			cancel()
			return nil, err
		}
		begun()
		r.resp.Request = req
		t.limitBody(ctx, cancel, r.resp)
		return r.resp, nil
	case <-ctx.Done():
		go func() {
			defer cancel()
			if r := <-done; r.err == nil {
				_ = r.resp.Body.Close()
			}
		}()
		return nil, contextCause(ctx, ctx.Err())
	}
}

// context returns the context of an exchange. Its cause is a [SlowError] if the
// time is over. Function begun must be called once the answer has begun.
func (t *transport) context(ctx context.Context) (_ context.Context, cancel context.CancelFunc, begun func()) {
	if t.limits.Time <= 0 {
		ctx, cancel = context.WithCancel(ctx)
		return ctx, cancel, func() {}
	}
	if ctx.Value(streamKey{}) == nil {
		ctx, cancel = context.WithTimeoutCause(ctx, t.limits.Time, &SlowError{t.limits.Time})
		return ctx, cancel, func() {}
	}
	ctx, stop := context.WithCancelCause(ctx)
	timer := time.AfterFunc(t.limits.Time, func() { stop(&SlowError{t.limits.Time}) })
	return ctx, func() { timer.Stop(); stop(context.Canceled) }, func() { timer.Stop() }
}

// limitBody replaces the body of an answer by one that ends with the context
// and is bounded in size. It leaves an upgraded connection unchanged, because
// that outlives the exchange.
func (t *transport) limitBody(ctx context.Context, cancel context.CancelFunc, resp *http.Response) {
	if resp.StatusCode == http.StatusSwitchingProtocols || resp.StatusCode >= http.StatusMultipleChoices {
		cancel()
		return
	}
	b := &body{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, limit: t.limits.Size, left: t.limits.Size}
	resp.Body = b
}

// readErrorBody reads the body of an answer up to maxErrorBody and closes it.
// It replaces the body by these bytes, so that no layer above waits for its
// end. It also removes a Retry-After header that is too long.
func readErrorBody(ctx context.Context, resp *http.Response, patient bool) {
	stop := context.AfterFunc(ctx, func() { _ = resp.Body.Close() })
	// An error is ignored, because the status is more useful.
	start, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if stop() {
		_ = resp.Body.Close()
	}
	resp.Body = io.NopCloser(bytes.NewReader(start))
	resp.ContentLength = int64(len(start))
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if !patient && (err != nil || seconds > maxRetryAfter) {
		resp.Header.Del("Retry-After")
	}
}

// contextCause returns why the context ended, or err if it did not end.
func contextCause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// body is the bounded body of an answer. One goroutine at a time may use it.
type body struct {
	io.ReadCloser

	ctx    context.Context //nolint:containedctx // the exchange and its context end with the body
	cancel context.CancelFunc
	limit  int64 // in bytes; 0 means no limit
	left   int64
}

// Read implements [io.Reader]. It returns a [LargeError] if the body is larger
// than the limit, and a [SlowError] if the time is over.
func (b *body) Read(p []byte) (int, error) {
	if b.limit > 0 && int64(len(p)) > b.left+1 { // one more, to detect a larger body
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.limit > 0 && int64(n) > b.left {
		n, b.left = int(b.left), 0
		return n, &LargeError{b.limit}
	}
	b.left -= int64(n)
	if err != nil && err != io.EOF { //nolint:errorlint // readers return io.EOF unwrapped
		err = contextCause(b.ctx, err)
	}
	return n, err
}

// Close closes the body and ends the exchange.
func (b *body) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

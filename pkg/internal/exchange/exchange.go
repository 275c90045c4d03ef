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
	// maxErrorBody is how much of an answer with a status of 300 and above is read, in bytes.
	maxErrorBody = 64 << 10
	// maxRetryAfter is the longest pause, in seconds, that a server may ask for before the layers above retry by themselves.
	maxRetryAfter = 5
)

// Limits bound one exchange. Zero fields are no limits.
type Limits struct {
	Time time.Duration // from sending the request to the end of the body
	Size int64         // of the body, in bytes, uncompressed
	// Patient keeps a Retry-After header of any length. By default, a pause of
	// more than maxRetryAfter seconds is removed, because a person is waiting.
	Patient bool
}

// SlowError is the error of an exchange that took too long.
type SlowError struct{ Limit time.Duration }

// Error names the limit.
func (e *SlowError) Error() string { return fmt.Sprintf("no complete answer within %s", e.Limit) }

// Timeout implements [net.Error].
func (e *SlowError) Timeout() bool { return true }

// Temporary implements [net.Error].
func (e *SlowError) Temporary() bool { return false }

// Is makes errors.Is(err, context.DeadlineExceeded) true.
func (e *SlowError) Is(target error) bool { return target == context.DeadlineExceeded }

// LargeError is the error of reading a body that is too large.
type LargeError struct{ Limit int64 }

// Error names the limit.
func (e *LargeError) Error() string {
	return fmt.Sprintf("the answer is larger than %d MiB", e.Limit>>20)
}

// transport applies limits to the transport below it.
type transport struct {
	next   http.RoundTripper
	limits Limits
}

// New returns a transport that bounds each exchange of the next one.
// A transport of nil is [http.DefaultTransport].
func New(next http.RoundTripper, limits Limits) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return &transport{next, limits}
}

// WrappedRoundTripper returns the transport below, for those who close idle connections.
func (t *transport) WrappedRoundTripper() http.RoundTripper { return t.next }

// RoundTrip gives up on the layers below once the request's context ends, because those that upgrade connections do not
// heed contexts. They work on a copy of the request, which the caller may therefore reuse.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := t.context(req.Context())
	type result struct {
		resp *http.Response
		err  error
	}
	done := make(chan result, 1)
	go func() {
		resp, err := t.next.RoundTrip(req.Clone(ctx))
		if err == nil && resp.StatusCode >= http.StatusMultipleChoices {
			settle(ctx, resp, t.limits.Patient)
		}
		done <- result{resp, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			err := reason(ctx, r.err)
			cancel()
			return nil, err
		}
		r.resp.Request = req
		t.bound(ctx, cancel, r.resp)
		return r.resp, nil
	case <-ctx.Done():
		go func() {
			defer cancel()
			if r := <-done; r.err == nil {
				_ = r.resp.Body.Close()
			}
		}()
		return nil, reason(ctx, ctx.Err())
	}
}

func (t *transport) context(ctx context.Context) (context.Context, context.CancelFunc) {
	if t.limits.Time <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, t.limits.Time, &SlowError{t.limits.Time})
}

// bound makes the body of an answer end with the context, and count. The connection of an upgraded one outlives the
// exchange.
func (t *transport) bound(ctx context.Context, cancel context.CancelFunc, resp *http.Response) {
	if resp.StatusCode == http.StatusSwitchingProtocols || resp.StatusCode >= http.StatusMultipleChoices {
		cancel()
		return
	}
	b := &body{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, limit: t.limits.Size, left: t.limits.Size}
	resp.Body = b
}

// settle closes the body and replaces it by what is read of it, so that nobody above waits for its end. A pause that is too long for
// the layers above to keep silent about is taken out.
func settle(ctx context.Context, resp *http.Response, patient bool) {
	giveUp := context.AfterFunc(ctx, func() { _ = resp.Body.Close() })
	start, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // the status says more than an error of reading would
	if giveUp() {
		_ = resp.Body.Close()
	}
	resp.Body = io.NopCloser(bytes.NewReader(start))
	resp.ContentLength = int64(len(start))
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); !patient && (err != nil || seconds > maxRetryAfter) {
		resp.Header.Del("Retry-After")
	}
}

// reason returns why the context ended, or err if it did not.
func reason(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// body is the body of an answer.
type body struct {
	io.ReadCloser

	ctx    context.Context //nolint:containedctx // that of the exchange, which ends with the body
	cancel context.CancelFunc
	limit  int64 // 0: none
	left   int64
}

// Read fails once the body is larger than the limit, or took too long.
func (b *body) Read(p []byte) (int, error) {
	if b.limit > 0 && int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.limit > 0 && int64(n) > b.left {
		n, b.left = int(b.left), 0
		return n, &LargeError{b.limit}
	}
	b.left -= int64(n)
	if err != nil && err != io.EOF { //nolint:errorlint // readers return io.EOF itself
		err = reason(b.ctx, err)
	}
	return n, err
}

// Close ends the exchange.
func (b *body) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// maxAttempts bounds how often one request is sent while the recorder is busy.
const maxAttempts = 6

// get sends a request and decodes the JSON answer. It returns the headers of
// the answer. It sends the request again, within [Options.RetryWait] and the
// deadline of ctx, in two cases.
//
// A busy recorder answers 429 or 503 with the time after which to retry, at
// most maxAttempts times.
//
// A recorder that has answered this client before may restart. So a read of
// many pages continues: a cursor is also valid after a restart. Before the
// first answer, a failure is an error at once, because a wrong address does not
// become right.
func (c *Client) get(ctx context.Context, at *url.URL, read decoder) (http.Header, error) {
	end := time.Now().Add(c.options.RetryWait)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(end) {
		end = deadline
	}
	next := minReconnect // the delay after a lost connection
	for attempt := 1; ; attempt++ {
		header, err := c.send(ctx, at, read)
		delay, busy := retryAfter(header, err)
		lost := !busy && c.reached.Load() && isLost(err)
		if lost {
			delay, next = next, min(2*next, maxReconnect)
		}
		ended := time.Now().Add(delay).After(end)
		switch {
		case err == nil:
			c.reached.Store(true)
			return header, nil
		case busy && (ended || attempt == maxAttempts):
			return nil, c.busy(err, attempt)
		case !busy && !lost, ended:
			return header, err
		}
		if err := c.wait(ctx, delay, err); err != nil {
			return nil, err
		}
	}
}

// retryAfter returns the time after which a request that failed with err may be
// sent again. It reports false if err does not mean that the recorder is busy,
// or if the answer has no time in seconds.
func retryAfter(header http.Header, err error) (time.Duration, bool) {
	if history.CodeOf(err) != history.Unavailable {
		return 0, false
	}
	seconds, invalid := strconv.ParseUint(header.Get("Retry-After"), 10, 16)
	return time.Duration(seconds) * time.Second, invalid == nil
}

// isLost reports whether a request failed because the recorder is not running,
// or because the connection broke. A request that took too long would take as
// long again.
func isLost(err error) bool {
	return history.CodeOf(err) == history.Unavailable && !errors.Is(err, context.DeadlineExceeded) &&
		!errors.Is(err, ErrUntrusted) && !errors.Is(err, ErrNotTLS)
}

// wait waits before the next attempt, after a failure. It calls
// [Options.OnRetry] before and after it.
func (c *Client) wait(ctx context.Context, delay time.Duration, failure error) error {
	if c.options.OnRetry != nil {
		c.options.OnRetry(delay, failure)
		defer c.options.OnRetry(0, nil)
	}
	if err := sleep(ctx, delay); err != nil {
		return fmt.Errorf("ask %s: %w", c.options.Name, err)
	}
	return nil
}

// busy returns the error of a recorder that is still busy after some attempts.
func (c *Client) busy(err error, attempts int) error {
	failure := &history.Error{Code: history.Unavailable, Message: err.Error(), Err: errors.Join(ErrBusy, err)}
	if attempts > 1 {
		failure.Message += fmt.Sprintf(" (%d attempts)", attempts)
	}
	return failure
}

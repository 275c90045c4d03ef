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
// the answer.
//
// A busy recorder answers 429 or 503 with the time after which to retry. get
// sends the request again then, until it reaches maxAttempts or would exceed
// [Options.BusyWait] or the deadline of ctx.
func (c *Client) get(ctx context.Context, at *url.URL, read decoder) (http.Header, error) {
	end := time.Now().Add(c.options.BusyWait)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(end) {
		end = deadline
	}
	for attempt := 1; ; attempt++ {
		header, err := c.send(ctx, at, read)
		delay, busy := retryAfter(header, err)
		switch {
		case !busy:
			return header, err
		case attempt == maxAttempts || time.Now().Add(delay).After(end):
			return nil, c.busy(err, attempt)
		}
		if err := c.wait(ctx, delay); err != nil {
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

// wait waits before the next attempt, and calls [Options.OnBusy] before and
// after it.
func (c *Client) wait(ctx context.Context, delay time.Duration) error {
	if c.options.OnBusy != nil {
		c.options.OnBusy(delay)
		defer c.options.OnBusy(0)
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("ask %s: %w", c.options.Name, context.Cause(ctx))
	}
}

// busy returns the error of a recorder that is still busy after some attempts.
func (c *Client) busy(err error, attempts int) error {
	failure := &history.Error{Code: history.Unavailable, Message: err.Error(), Err: errors.Join(ErrBusy, err)}
	if attempts > 1 {
		failure.Message += fmt.Sprintf(" (%d attempts)", attempts)
	}
	return failure
}

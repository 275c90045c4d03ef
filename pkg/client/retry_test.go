package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// answer is the status of an answer, and its Retry-After header.
type answer struct {
	status int
	after  string
	err    error // instead of an answer
}

// answers is a transport that gives answers in order, the last one repeatedly.
type answers struct {
	list  []answer
	began time.Time
	at    []time.Duration // of the requests, after began
}

// RoundTrip implements [http.RoundTripper].
func (a *answers) RoundTrip(*http.Request) (*http.Response, error) {
	next := a.list[min(len(a.at), len(a.list)-1)]
	a.at = append(a.at, time.Since(a.began))
	if next.err != nil {
		return nil, next.err
	}
	body := `{"status":"healthy"}`
	if next.status != http.StatusOK {
		body = `{"error":{"message":"too many queries are waiting: retry later"}}` // the status is the code
	}
	header := http.Header{"Content-Type": {"application/json"}}
	if next.after != "" {
		header.Set("Retry-After", next.after)
	}
	return &http.Response{StatusCode: next.status, Header: header, Body: io.NopCloser(strings.NewReader(body))}, nil
}

var errInterrupt = errors.New("interrupted")

func TestBusy_RetriesWithinBounds(t *testing.T) {
	const second = time.Second
	for name, tt := range map[string]struct {
		answers  []answer
		options  client.Options
		deadline time.Duration // of the context; 0: none
		cancel   time.Duration // of the context; 0: never

		at    []time.Duration // of the requests
		waits []time.Duration // of OnRetry
		busy  bool
		text  string // of the error
	}{
		"answered later": {
			answers: []answer{{503, "2", nil}, {429, "1", nil}, {200, "", nil}},
			at:      []time.Duration{0, 2 * second, 3 * second}, waits: []time.Duration{2 * second, 0, second, 0},
		},
		"a long wait": {
			answers: []answer{{503, "40", nil}, {200, "", nil}},
			at:      []time.Duration{0, 40 * second}, waits: []time.Duration{40 * second, 0},
		},
		"number of attempts": {
			answers: []answer{{503, "1", nil}},
			at:      []time.Duration{0, second, 2 * second, 3 * second, 4 * second, 5 * second},
			waits:   []time.Duration{second, 0, second, 0, second, 0, second, 0, second, 0},
			busy:    true, text: "too many queries are waiting: retry later (6 attempts)",
		},
		"time of all waits": {
			answers: []answer{{503, "5", nil}}, options: client.Options{RetryWait: 12 * second},
			at: []time.Duration{0, 5 * second, 10 * second}, waits: []time.Duration{5 * second, 0, 5 * second, 0},
			busy: true, text: "retry later (3 attempts)",
		},
		"default time": {answers: []answer{{503, "61", nil}}, at: []time.Duration{0}, busy: true, text: "retry later"},
		"no waiting": {
			answers: []answer{{503, "0", nil}}, options: client.Options{RetryWait: -1},
			at: []time.Duration{0}, busy: true, text: "retry later",
		},
		"deadline of the context": {
			answers: []answer{{503, "5", nil}}, deadline: 3 * second,
			at: []time.Duration{0}, busy: true, text: "retry later",
		},
		"canceled": {
			answers: []answer{{503, "5", nil}}, cancel: 2 * second,
			at: []time.Duration{0}, waits: []time.Duration{5 * second, 0}, text: "interrupted",
		},
		"no time": {answers: []answer{{503, "", nil}}, at: []time.Duration{0}, text: "retry later"},
		"a date": {
			answers: []answer{{503, "Sun, 01 Mar 2026 10:00:00 GMT", nil}}, at: []time.Duration{0}, text: "retry later",
		},
		"another error": {answers: []answer{{500, "1", nil}}, at: []time.Duration{0}, text: "retry later"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				through, ctx := &answers{list: tt.answers, began: time.Now()}, t.Context()
				if tt.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					defer cancel()
				}
				if tt.cancel > 0 {
					var cancel context.CancelCauseFunc
					ctx, cancel = context.WithCancelCause(ctx)
					defer time.AfterFunc(tt.cancel, func() { cancel(errInterrupt) }).Stop()
				}
				var waits []time.Duration
				o := tt.options
				o.Transport, o.OnRetry = through, func(delay time.Duration, _ error) { waits = append(waits, delay) }
				err := newClient(t, "http://recorder", o).Health(ctx)
				if !slices.Equal(through.at, tt.at) || !slices.Equal(waits, tt.waits) {
					t.Errorf("got requests at %v, waits %v, want %v, %v", through.at, waits, tt.at, tt.waits)
				}
				if got := errors.Is(err, client.ErrBusy); got != tt.busy {
					t.Errorf("error %v is ErrBusy: got %t, want %t", err, got, tt.busy)
				}
				if tt.busy {
					wantError(t, err, history.Unavailable, tt.text)
				}
				if (err != nil) != (tt.text != "") || err != nil && !strings.HasSuffix(err.Error(), tt.text) {
					t.Errorf("got error %v, want %q at its end", err, tt.text)
				}
				after := time.Since(through.began)
				if tt.cancel > 0 && (!errors.Is(err, errInterrupt) || after != tt.cancel) {
					t.Errorf("got error %v after %v, want %v after %v", err, after, errInterrupt, tt.cancel)
				}
			})
		})
	}
}

// A recorder that has answered may restart. Before its first answer, and after
// failures that a retry repeats, requests fail at once.
func TestRetry_RecorderRestarts(t *testing.T) {
	const second = time.Second
	refused := answer{err: syscall.ECONNREFUSED}
	healthy, gateway, stopping := answer{200, "", nil}, answer{502, "", nil}, answer{503, "", nil}
	for name, tt := range map[string]struct {
		answers []answer
		options client.Options
		at      []time.Duration // of the requests
		text    string          // of the error
	}{
		"before the first answer": {
			answers: []answer{refused, healthy}, at: []time.Duration{0}, text: "refuses connections",
		},
		"afterwards": {
			answers: []answer{healthy, refused, {err: io.ErrUnexpectedEOF}, gateway, stopping, healthy},
			at:      []time.Duration{0, 0, second / 2, 3 * second / 2, 7 * second / 2, 15 * second / 2},
		},
		"busy after the restart": {
			answers: []answer{healthy, refused, {503, "3", nil}, healthy},
			at:      []time.Duration{0, 0, second / 2, 7 * second / 2},
		},
		"too long": {
			answers: []answer{healthy, refused}, options: client.Options{RetryWait: 4 * second},
			at: []time.Duration{0, 0, second / 2, 3 * second / 2, 7 * second / 2}, text: "refuses connections",
		},
		"no waiting": {
			answers: []answer{healthy, refused}, options: client.Options{RetryWait: -1},
			at: []time.Duration{0, 0}, text: "refuses connections",
		},
		"an untrusted certificate": {
			answers: []answer{healthy, {err: &tls.CertificateVerificationError{Err: io.EOF}}},
			at:      []time.Duration{0, 0}, text: "not trusted: EOF",
		},
		"a query that takes too long": {
			answers: []answer{healthy, {err: context.DeadlineExceeded}},
			at:      []time.Duration{0, 0}, text: "context deadline exceeded",
		},
		"another error": {answers: []answer{healthy, {500, "", nil}}, at: []time.Duration{0, 0}, text: "retry later"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				through := &answers{list: tt.answers, began: time.Now()}
				o := tt.options
				o.Transport = through
				var failures []error
				o.OnRetry = func(delay time.Duration, err error) {
					if (delay > 0) != (err != nil) {
						t.Errorf("OnRetry: got delay %v and error %v, want both or none", delay, err)
					}
					if err != nil {
						failures = append(failures, err)
					}
				}
				c := newClient(t, "http://recorder", o)
				err := c.Health(t.Context())
				if err == nil {
					err = c.Health(t.Context())
				}
				if (err != nil) != (tt.text != "") || err != nil && !strings.HasSuffix(err.Error(), tt.text) {
					t.Errorf("got error %v, want %q at its end", err, tt.text)
				}
				if !slices.Equal(through.at, tt.at) || len(failures) > len(tt.at) {
					t.Errorf("got requests at %v, %d retries, want %v", through.at, len(failures), tt.at)
				}
			})
		})
	}
}

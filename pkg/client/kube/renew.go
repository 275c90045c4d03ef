package kube

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// reusePatience is how long a request on a reused connection waits for the
// beginning of the answer, before it is sent again on a new connection.
//
// A kubelet may not report that the recorder closed a connection, or may not
// read what it receives after that. The request would wait for its time limit.
const reusePatience = 5 * time.Second

// errSilent is the cause of ending a request on a reused connection.
var errSilent = errors.New("no answer on a reused connection")

// RoundTrip sends a request, which must not have a body. If it got a reused
// connection that stays silent for too long, it is sent again, on a new one.
func (f *forwarder) RoundTrip(req *http.Request) (*http.Response, error) {
	// A slow recorder must not compute each answer twice.
	resp, err := f.sendWithin(req, max(reusePatience, 2*time.Duration(f.slowest.Load())))
	if errors.Is(err, errSilent) {
		f.CloseIdleConnections()
		resp, err = f.sendWithin(req, 0)
	}
	return resp, err
}

// sendWithin sends a request. If it gets a reused connection, and the answer
// does not begin within patience, it fails with [errSilent]. A patience of 0
// has no limit.
func (f *forwarder) sendWithin(req *http.Request, patience time.Duration) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	var decided atomic.Bool // the answer has begun, or the patience has ended
	var sent atomic.Pointer[time.Time]
	silence := time.AfterFunc(1<<62, func() {
		if decided.CompareAndSwap(false, true) {
			cancel(errSilent)
		}
	})
	defer silence.Stop()
	resp, err := f.send(req.Clone(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(c httptrace.GotConnInfo) {
			now := time.Now()
			sent.Store(&now)
			if silence.Stop(); c.Reused && patience > 0 {
				silence.Reset(patience)
			}
		},
	})))
	switch inTime := decided.CompareAndSwap(false, true); {
	case err != nil:
		cancel(nil)
		return nil, err
	case !inTime:
		_ = resp.Body.Close()
		return nil, errSilent
	}
	if at := sent.Load(); at != nil {
		f.answeredAfter(time.Since(*at))
	}
	resp.Request, resp.Body = req, &endingBody{resp.Body, cancel}
	return resp, nil
}

// answeredAfter notes how long a request waited for the beginning of its
// answer.
func (f *forwarder) answeredAfter(d time.Duration) {
	for {
		slowest := f.slowest.Load()
		if int64(d) <= slowest || f.slowest.CompareAndSwap(slowest, int64(d)) {
			return
		}
	}
}

// endingBody ends the context of its request when it is closed.
type endingBody struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

// Close closes the body.
func (b *endingBody) Close() error {
	defer b.cancel(nil)
	return b.ReadCloser.Close()
}

package client

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/client/internal/tunnel"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/exchange"
)

// mostAttempts bounds how often one request is sent, because its tunnel broke or its pod refused connections.
const mostAttempts = 3

// forwarder is an HTTP transport to the recorder's pod. All its connections go through one tunnel. When that breaks, or
// when the kubelet refuses a connection in it, the forwarder opens another one, to the pod that is ready by then.
//
// Opening a tunnel may prompt for credentials, so that the time limit of a request does not cover it.
type forwarder struct {
	cluster *cluster
	place   *place
	plain   *http.Transport
	limited http.RoundTripper // plain, with the time limit of a request
	warned  sync.Once

	// token guards what follows: whoever holds it may touch it. It is a lock that a context can give up waiting for.
	token   chan struct{}
	now     passage
	past    []*tunnel.Tunnel   // not for new connections any more
	refused map[types.UID]bool // pods that did not take connections
	closed  bool
}

// passage is a tunnel with the pod and its port at the other end.
type passage struct {
	tunnel *tunnel.Tunnel
	pod    *corev1.Pod
	port   int32
	others bool // there are pods that have not refused connections yet
}

func newForwarder(k *cluster, at *place, timeout time.Duration) *forwarder {
	f := &forwarder{cluster: k, place: at, token: make(chan struct{}, 1), refused: map[types.UID]bool{}}
	f.plain = &http.Transport{
		DialContext:         f.dial,
		MaxIdleConnsPerHost: idleConnections,
		IdleConnTimeout:     time.Minute,
	}
	f.limited = exchange.New(f.plain, exchange.Limits{Time: timeout})
	f.token <- struct{}{}
	return f
}

// RoundTrip sends a request, which must have no body, again if its tunnel broke before there was an answer.
func (f *forwarder) RoundTrip(req *http.Request) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		through, err := f.open(req.Context())
		if err != nil {
			return nil, err
		}
		resp, err := f.limited.RoundTrip(req)
		if err == nil {
			return resp, nil
		}
		refusal, refused := errors.AsType[*tunnel.RefusedError](err)
		again := refused && f.avoid(req.Context(), through) || errors.Is(err, tunnel.ErrLost)
		switch {
		case again && attempt < mostAttempts:
		case refused:
			return nil, f.explain(refusal, through.pod)
		default:
			return nil, err
		}
	}
}

// CloseIdleConnections closes connections that are not in use.
func (f *forwarder) CloseIdleConnections() { f.plain.CloseIdleConnections() }

// avoid notes that a pod refused a connection, and reports whether another one may take it.
func (f *forwarder) avoid(ctx context.Context, through passage) bool {
	if f.lock(ctx) != nil {
		return false
	}
	defer f.unlock()
	f.refused[through.pod.UID] = true
	return through.others
}

// explain says what is wrong with the pod that refused a connection.
func (f *forwarder) explain(refusal *tunnel.RefusedError, pod *corev1.Pod) error {
	failure := &Error{
		Code:    history.Unavailable,
		Message: "recorder " + f.place.String() + " does not take connections in its pod: " + quotable(refusal.Message),
		Hint:    adviceOn(f.place),
		Err:     refusal,
	}
	if standingOf(pod) != serving {
		failure.Message += "; pod " + key(pod) + " is not ready: " + quotable(condition(pod))
		failure.Hint = podAdvice(pod)
	}
	return failure
}

// dial is for [http.Transport]; whatever address is asked for, the recorder answers. It opens no tunnel: RoundTrip does.
func (f *forwarder) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if err := f.lock(ctx); err != nil {
		return nil, err
	}
	through := f.now
	f.unlock()
	if through.tunnel == nil || !through.tunnel.Usable() {
		return nil, tunnel.ErrLost
	}
	return through.tunnel.Open(ctx, through.port)
}

func (f *forwarder) lock(ctx context.Context) error {
	select {
	case <-f.token:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (f *forwarder) unlock() { f.token <- struct{}{} }

// open returns the passage in use, or a new one. Its errors say what to do next.
func (f *forwarder) open(ctx context.Context) (passage, error) {
	if err := f.lock(ctx); err != nil {
		return passage{}, err
	}
	defer f.unlock()
	switch {
	case f.closed:
		return passage{}, net.ErrClosed
	case f.now.tunnel != nil && f.now.tunnel.Usable():
		return f.now, nil
	}
	fresh, err := f.dig(ctx)
	if err != nil {
		return passage{}, err
	}
	if f.now.tunnel != nil {
		f.past = append(f.past, f.now.tunnel)
	}
	f.now = fresh
	return fresh, nil
}

// dig opens a tunnel to the first of the pods to which one can be opened. It needs the lock.
func (f *forwarder) dig(ctx context.Context) (passage, error) {
	pods, err := f.place.candidates(ctx, f.cluster.core, f.refused)
	if err != nil {
		return passage{}, err
	}
	var first error
	for i := range pods {
		through, err := f.digTo(ctx, &pods[i])
		if err == nil {
			through.others = i+1 < len(pods) && !f.refused[pods[i+1].UID]
			f.warn(through.pod)
			return through, nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil || history.CodeOf(err) == history.Forbidden {
			break
		}
	}
	return passage{}, first
}

func (f *forwarder) digTo(ctx context.Context, pod *corev1.Pod) (passage, error) {
	port, err := f.place.portOf(pod)
	if err != nil {
		return passage{}, err
	}
	at := f.cluster.core.RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("portforward").URL()
	if d := f.cluster.display; d != nil {
		d.Suspend()
		defer d.Resume()
	}
	opened, err := tunnel.Dial(ctx, f.cluster.limited(f.cluster.timeout, 0), at)
	if err == nil {
		return passage{tunnel: opened, pod: pod, port: port}, nil
	}
	err = apiFailure("forward a port to pod "+key(pod), err, forwardRole(pod.Namespace))
	if failure, ok := errors.AsType[*Error](err); ok && failure.Code == history.Unavailable && standingOf(pod) != serving {
		failure.Message += "; the pod is not ready: " + quotable(condition(pod))
		failure.Hint = podAdvice(pod)
	}
	return passage{}, err
}

// warn says once that the answers come from a pod that does not call itself ready.
func (f *forwarder) warn(pod *corev1.Pod) {
	if standingOf(pod) == serving || f.cluster.warn == nil {
		return
	}
	f.warned.Do(func() {
		f.cluster.warn("recorder pod " + key(pod) + " is not ready: " + quotable(condition(pod)) + "; asking it all the same")
	})
}

// Close breaks all connections. It waits for a tunnel that is being opened.
func (f *forwarder) Close() error {
	<-f.token
	defer f.unlock()
	f.closed = true
	f.plain.CloseIdleConnections()
	var errs []error
	if f.now.tunnel != nil {
		errs = append(errs, f.now.tunnel.Close())
	}
	for _, t := range f.past {
		errs = append(errs, t.Close())
	}
	return errors.Join(errs...)
}

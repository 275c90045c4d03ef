package kube

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/client/internal/quote"
	"github.com/watchhistory/watchhistory/pkg/client/kube/internal/tunnel"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/exchange"
)

const (
	// maxAttempts bounds how often one request is sent if its tunnel breaks or
	// its pod refuses the connection.
	maxAttempts = 3
	// maxIdleConnections are kept open for the next requests.
	maxIdleConnections = 8
)

// forwarder is an HTTP transport to the recorder's pod. All its connections go
// through one tunnel. If the tunnel breaks, or is retired because a connection
// in it ended badly, the next request opens another tunnel.
//
// Opening a tunnel may prompt for credentials, so the time limit of a request
// does not include it.
type forwarder struct {
	cluster *cluster
	backend *backend
	sender  http.RoundTripper // sends requests through dial, with a time limit
	warned  sync.Once
	slowest atomic.Int64 // the longest time until an answer began, in nanoseconds

	// lockToken is the lock of the fields below. It is a channel, so that
	// waiting for it ends with a context: its holder may wait for a login.
	lockToken chan struct{}
	current   route
	retired   []*tunnel.Tunnel   // not used for new connections
	refused   map[types.UID]bool // pods that refused connections
	closed    bool
}

// route is a tunnel, and the pod and port at its other end.
type route struct {
	tunnel *tunnel.Tunnel
	pod    *corev1.Pod
	port   int32
	others bool // another pod exists that has not refused connections yet
	fresh  bool // the tunnel replaces another one, and was opened just now
}

// newForwarder returns a forwarder without a tunnel, which speaks HTTP without
// TLS. timeout bounds each request that is sent through a tunnel.
func newForwarder(k *cluster, at *backend, timeout time.Duration) *forwarder {
	f := &forwarder{cluster: k, backend: at, lockToken: make(chan struct{}, 1), refused: map[types.UID]bool{}}
	plain := &http.Transport{
		DialContext:         f.dial,
		MaxIdleConnsPerHost: maxIdleConnections,
		IdleConnTimeout:     time.Minute,
	}
	f.sender = exchange.New(plain, recorderLimits(timeout))
	f.lockToken <- struct{}{}
	return f
}

// send sends a request. It sends it again if the tunnel breaks before the
// answer begins, or if another pod may accept it.
func (f *forwarder) send(req *http.Request) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		through, err := f.open(req.Context())
		if err != nil {
			return nil, err
		}
		if through.fresh {
			f.CloseIdleConnections() // those of an earlier tunnel
		}
		resp, err := f.sender.RoundTrip(req)
		if err == nil {
			return resp, nil
		}
		refusal, refused := errors.AsType[*tunnel.RefusedError](err)
		retry := refused && f.avoid(req.Context(), through) || errors.Is(err, tunnel.ErrLost)
		switch {
		case retry && attempt < maxAttempts:
		case refused:
			return nil, f.explain(refusal, through.pod)
		default:
			return nil, err
		}
	}
}

// CloseIdleConnections closes the connections that are not in use.
func (f *forwarder) CloseIdleConnections() { closeIdle(f.sender) }

// avoid marks a pod that refused a connection. It reports whether another pod
// may accept one.
func (f *forwarder) avoid(ctx context.Context, through route) bool {
	if f.lock(ctx) != nil {
		return false
	}
	defer f.unlock()
	f.refused[through.pod.UID] = true
	return through.others
}

// explain returns the error for a pod that refused a connection.
func (f *forwarder) explain(refusal *tunnel.RefusedError, pod *corev1.Pod) error {
	cause := &ConnectError{Reason: Unreachable, Namespace: f.backend.namespace, Err: refusal}
	failure := &history.Error{
		Code: history.Unavailable,
		Message: "recorder " + f.backend.String() + " does not accept connections in its pod: " +
			quote.Line(refusal.Message),
		Err: cause,
	}
	if stateOf(pod) != serving {
		failure.Message += "; pod " + key(pod) + " is not ready: " + quote.Line(condition(pod))
		cause.Reason, cause.Evidence = PodFailed, evidence(pod)
	}
	return failure
}

// dial opens a connection for [http.Transport]. It ignores the address, because
// all requests are for the recorder. It does not open a tunnel: RoundTrip does.
func (f *forwarder) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if err := f.lock(ctx); err != nil {
		return nil, err
	}
	through := f.current
	f.unlock()
	if through.tunnel == nil || !through.tunnel.Usable() {
		return nil, tunnel.ErrLost
	}
	return through.tunnel.Open(ctx, through.port)
}

// lock takes the lock. It fails with the cause of ctx if ctx ends before.
func (f *forwarder) lock(ctx context.Context) error {
	select {
	case <-f.lockToken:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (f *forwarder) unlock() { f.lockToken <- struct{}{} }

// open returns the current route, or a new one if its tunnel is not usable.
func (f *forwarder) open(ctx context.Context) (route, error) {
	if err := f.lock(ctx); err != nil {
		return route{}, err
	}
	defer f.unlock()
	switch {
	case f.closed:
		return route{}, net.ErrClosed
	case f.current.tunnel != nil && f.current.tunnel.Usable():
		return f.current, nil
	}
	fresh, err := f.openTunnel(ctx)
	if err != nil {
		return route{}, err
	}
	previous := f.current.tunnel
	f.current = fresh
	if previous != nil {
		f.retired = append(f.retired, previous)
		fresh.fresh = true
	}
	return fresh, nil
}

// openTunnel opens a tunnel to the first candidate that accepts one. The caller
// holds the lock.
func (f *forwarder) openTunnel(ctx context.Context) (route, error) {
	pods, err := f.backend.candidates(ctx, f.cluster.core, f.refused)
	if err != nil {
		return route{}, err
	}
	var first error
	for i := range pods {
		through, err := f.openTunnelTo(ctx, &pods[i])
		if err == nil {
			through.others = i+1 < len(pods) && !f.refused[pods[i+1].UID]
			f.warn(through.pod)
			return through, nil
		}
		if first == nil {
			first = err
		}
		// A denial holds for all pods of the namespace.
		if ctx.Err() != nil || history.CodeOf(err) == history.Forbidden {
			break
		}
	}
	return route{}, first
}

// openTunnelTo opens a tunnel to one pod. It suspends the display, because a
// credential plugin may prompt. The caller holds the lock.
func (f *forwarder) openTunnelTo(ctx context.Context, pod *corev1.Pod) (route, error) {
	port, err := f.backend.portOf(pod)
	if err != nil {
		return route{}, err
	}
	at := f.cluster.core.RESTClient().Post().Resource("pods").Namespace(pod.Namespace).
		Name(pod.Name).SubResource("portforward").URL()
	if d := f.cluster.display; d != nil {
		d.Suspend()
		defer d.Resume()
	}
	opened, err := tunnel.Dial(ctx, f.cluster.limited(exchange.Limits{Time: f.cluster.timeout}), at)
	if err == nil {
		return route{tunnel: opened, pod: pod, port: port}, nil
	}
	err = apiFailure("forward a port to pod "+key(pod), err, forwardRole(pod.Namespace))
	if failure, ok := errors.AsType[*history.Error](err); ok && failure.Code == history.Unavailable &&
		stateOf(pod) != serving {
		failure.Message += "; the pod is not ready: " + quote.Line(condition(pod))
		failure.Err = &ConnectError{
			Reason: PodFailed, Namespace: pod.Namespace, Evidence: evidence(pod), Err: failure.Err,
		}
	}
	return route{}, err
}

// warn warns once that a pod which is not ready answers.
func (f *forwarder) warn(pod *corev1.Pod) {
	if stateOf(pod) == serving || f.cluster.warn == nil {
		return
	}
	f.warned.Do(func() {
		f.cluster.warn("recorder pod " + key(pod) + " is not ready: " +
			quote.Line(condition(pod)) + "; using it anyway")
	})
}

// Close breaks all connections. It waits for a tunnel that is being opened.
func (f *forwarder) Close() error {
	<-f.lockToken
	defer f.unlock()
	f.closed = true
	closeIdle(f.sender)
	var errs []error
	if f.current.tunnel != nil {
		errs = append(errs, f.current.tunnel.Close())
	}
	for _, t := range f.retired {
		errs = append(errs, t.Close())
	}
	closeIdle(f.cluster.http.Transport)
	return errors.Join(errs...)
}

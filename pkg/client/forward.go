package client

import (
	"context"
	"errors"
	"net"
	"time"

	corev1 "k8s.io/api/core/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/client/internal/tunnel"
)

// tunnelTimeout bounds finding the pod and opening a tunnel to it.
const tunnelTimeout = 30 * time.Second

// forwarder gives out connections to the recorder's pod, all through one tunnel, which is opened anew, to the pod that is
// ready by then, when it breaks or when the kubelet refused a connection in it.
type forwarder struct {
	cfg     *rest.Config
	core    corev1client.CoreV1Interface
	service *corev1.Service

	token  chan struct{} // who holds the only one may touch what follows: a lock that a context can give up waiting for
	now    passage
	past   []*tunnel.Tunnel // not for new connections any more
	closed bool
}

// passage is a tunnel with the pod and its port at the other end.
type passage struct {
	tunnel *tunnel.Tunnel
	port   int32
}

func newForwarder(cfg *rest.Config, core corev1client.CoreV1Interface, service *corev1.Service) *forwarder {
	f := &forwarder{cfg: cfg, core: core, service: service, token: make(chan struct{}, 1)}
	f.token <- struct{}{}
	return f
}

// DialContext is for [http.Transport]; whatever address is asked for, the recorder answers.
func (f *forwarder) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	for attempt := 0; ; attempt++ {
		through, err := f.open(ctx)
		if err != nil {
			return nil, err
		}
		conn, err := through.tunnel.Open(ctx, through.port)
		if !errors.Is(err, tunnel.ErrLost) || attempt > 0 {
			return conn, err
		}
	}
}

// open returns the way in use, or a new one. Its errors say what to do next.
func (f *forwarder) open(ctx context.Context) (passage, error) {
	select {
	case <-f.token:
		defer func() { f.token <- struct{}{} }()
	case <-ctx.Done():
		return passage{}, context.Cause(ctx)
	}
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

// dig opens a tunnel to the pod that is ready now.
func (f *forwarder) dig(ctx context.Context) (passage, error) {
	bounded, cancel := context.WithTimeout(ctx, tunnelTimeout)
	defer cancel()
	port, err := apiPort(f.service)
	if err != nil {
		return passage{}, err
	}
	pod, err := readyPod(bounded, f.core, f.service)
	if err != nil {
		return passage{}, err
	}
	number, err := containerPort(port, pod)
	if err != nil {
		return passage{}, err
	}
	at := f.core.RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("portforward").URL()
	opened, err := tunnel.Dial(bounded, f.cfg, at)
	if err != nil {
		return passage{}, apiFailure("forward a port to pod "+key(pod), err, forwardRole(pod.Namespace))
	}
	return passage{tunnel: opened, port: number}, nil
}

// Close breaks all connections. It waits for a tunnel that is being opened.
func (f *forwarder) Close() error {
	<-f.token
	defer func() { f.token <- struct{}{} }()
	f.closed = true
	var errs []error
	if f.now.tunnel != nil {
		errs = append(errs, f.now.tunnel.Close())
	}
	for _, t := range f.past {
		errs = append(errs, t.Close())
	}
	return errors.Join(errs...)
}

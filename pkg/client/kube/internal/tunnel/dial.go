package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// Dial opens a tunnel at a pod's portforward URL, over a WebSocket or, if the
// server does not support that, over SPDY. If the server refuses both, the
// error contains both answers, for apierrors.IsForbidden and others.
//
// The libraries below take no context. When ctx ends, Dial returns and aborts
// their requests.
func Dial(ctx context.Context, cfg *rest.Config, at *url.URL) (*Tunnel, error) {
	dialer, refused, err := dialerFor(within(ctx, cfg), at)
	if err != nil {
		return nil, fmt.Errorf("prepare port-forward: %w", err)
	}
	type result struct {
		conn httpstream.Connection
		err  error
	}
	dialled := make(chan result, 1)
	go func() {
		conn, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
		dialled <- result{conn, err}
	}()
	select {
	case r := <-dialled:
		if r.err != nil {
			return nil, errors.Join(refused(), r.err)
		}
		return New(r.conn), nil
	case <-ctx.Done():
		go func() {
			if r := <-dialled; r.err == nil {
				_ = r.conn.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

// dialerFor returns a dialer, and a function that returns why the WebSocket was
// refused, or nil.
func dialerFor(cfg *rest.Config, at *url.URL) (httpstream.Dialer, func() error, error) {
	socket, err := portforward.NewSPDYOverWebsocketDialerForStreaming(at, cfg)
	if err != nil {
		return nil, nil, err
	}
	plain, err := spdyDialer(cfg, at)
	if err != nil {
		return nil, nil, err
	}
	var reason error
	fallback := portforward.NewFallbackDialerForStreaming(socket, plain, func(err error) bool {
		if failure, ok := errors.AsType[*httpstream.UpgradeFailureError](err); ok {
			reason = failure.Cause // it has no Unwrap, and contains the server's status
			return true
		}
		return httpstream.IsHTTPSProxyError(err)
	})
	return fallback, func() error { return reason }, nil
}

// spdyDialer returns a dialer that closes its connection if the server refuses
// the upgrade. The library's dialer leaves it open.
func spdyDialer(cfg *rest.Config, at *url.URL) (httpstream.Dialer, error) {
	var upgrader spdy.Upgrader
	cfg = rest.CopyConfig(cfg)
	cfg.WrapTransport = transport.Wrappers(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if err != nil || resp.StatusCode == http.StatusSwitchingProtocols {
				return resp, err
			}
			var text io.Reader = resp.Body
			if resp.StatusCode < http.StatusMultipleChoices { // not an error, so the layer below does not bound it
				text = strings.NewReader("the server answered " + resp.Status)
			}
			resp.Body = &refusal{text, upgrader}
			return resp, nil
		})
	}, cfg.WrapTransport)
	through, found, err := spdy.RoundTripperFor(cfg)
	if err != nil {
		return nil, err
	}
	upgrader = found
	return spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: through}, http.MethodPost, at), nil
}

// refusal is the body of an answer that refuses the upgrade. The library's own
// Close would read it to its end, which may never come, and would leave the
// connection open.
type refusal struct {
	io.Reader
	upgrader spdy.Upgrader
}

// Close closes the connection. Only the upgrader has it, and returns it only
// after an upgrade. So Close passes the answer of a successful upgrade to it.
func (r *refusal) Close() error {
	upgraded := http.Header{}
	upgraded.Set(httpstream.HeaderConnection, httpstream.HeaderUpgrade)
	upgraded.Set(httpstream.HeaderUpgrade, "SPDY/3.1")
	conn, err := r.upgrader.NewConnection(&http.Response{
		StatusCode: http.StatusSwitchingProtocols, Header: upgraded, Body: http.NoBody,
	})
	if err != nil {
		return err
	}
	return conn.Close()
}

// within returns a copy of cfg whose requests are aborted when ctx ends.
func within(ctx context.Context, cfg *rest.Config) *rest.Config {
	cfg = rest.CopyConfig(cfg)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			return next.RoundTrip(req.WithContext(ctx))
		})
	})
	return cfg
}

// roundTripper is a function as an [http.RoundTripper].
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

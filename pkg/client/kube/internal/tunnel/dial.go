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

// Dial opens a tunnel at a pod's portforward URL, over a WebSocket or, where that can't be had, SPDY. The error of a
// server that refuses both holds what it said to either; apierrors.IsForbidden and the like find it.
//
// The libraries below take no context. One that ends makes Dial return, and cuts off what they have under way.
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

// dialerFor returns the dialer, and what tells the reason for which the WebSocket was given up, once it was.
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
			reason = failure.Cause // it has no Unwrap, and holds the server's status
			return true
		}
		return httpstream.IsHTTPSProxyError(err)
	})
	return fallback, func() error { return reason }, nil
}

// spdyDialer returns a dialer that closes its connection if the server refuses to upgrade it.
func spdyDialer(cfg *rest.Config, at *url.URL) (httpstream.Dialer, error) {
	var upgrader spdy.Upgrader
	cfg = rest.CopyConfig(cfg)
	cfg.WrapTransport = transport.Wrappers(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if err != nil || resp.StatusCode == http.StatusSwitchingProtocols {
				return resp, err
			}
			var says io.Reader = resp.Body
			if resp.StatusCode < http.StatusMultipleChoices { // it is no error, so nobody below bounds it
				says = strings.NewReader("the server answered " + resp.Status)
			}
			resp.Body = &refusal{says, upgrader}
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

// refusal is the body of an answer that upgrades nothing. The library's own Close would read it to its end, which may
// never come, and would leave the connection open.
type refusal struct {
	io.Reader
	upgrader spdy.Upgrader
}

// Close closes the connection. Only the upgrader has it, and hands it out for an upgrade.
func (r *refusal) Close() error {
	upgraded := http.Header{}
	upgraded.Set(httpstream.HeaderConnection, httpstream.HeaderUpgrade)
	upgraded.Set(httpstream.HeaderUpgrade, "SPDY/3.1")
	conn, err := r.upgrader.NewConnection(&http.Response{StatusCode: http.StatusSwitchingProtocols, Header: upgraded, Body: http.NoBody})
	if err != nil {
		return err
	}
	return conn.Close()
}

// within returns a copy of cfg whose requests end with the context.
func within(ctx context.Context, cfg *rest.Config) *rest.Config {
	cfg = rest.CopyConfig(cfg)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) { return next.RoundTrip(req.WithContext(ctx)) })
	})
	return cfg
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

package exchange_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchhistory/watchhistory/pkg/internal/exchange"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// endless is a body without an end.
type endless struct{ chunk string }

func (e endless) Read(p []byte) (int, error) { return copy(p, e.chunk), nil }

func (endless) Close() error { return nil }

func answer(status int, body io.ReadCloser) roundTripper {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: body}, nil
	}
}

func request(ctx context.Context, t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// read returns the body of an answer, and the error of the exchange or of
// reading the body.
func read(t *testing.T, bounded http.RoundTripper, req *http.Request) ([]byte, error) {
	t.Helper()
	resp, err := bounded.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

func TestTransport_BoundsTheBody(t *testing.T) {
	bounded := exchange.New(answer(200, endless{"x"}), exchange.Limits{Size: 1 << 20})
	got, err := read(t, bounded, request(t.Context(), t, "http://h/"))
	if large, ok := errors.AsType[*exchange.LargeError](err); !ok || large.Limit != 1<<20 || len(got) != 1<<20 {
		t.Errorf("got %d bytes and %v, want %d bytes and a LargeError", len(got), err, 1<<20)
	}
}

func TestTransport_AcceptsABodyOfExactlyTheLimit(t *testing.T) {
	body := io.NopCloser(strings.NewReader("12345678"))
	bounded := exchange.New(answer(200, body), exchange.Limits{Size: 8})
	got, err := read(t, bounded, request(t.Context(), t, "http://h/"))
	if string(got) != "12345678" || err != nil {
		t.Errorf("got %q and %v, want the complete body", got, err)
	}
}

func TestTransport_TruncatesTheBodyOfAnError(t *testing.T) {
	for _, status := range []int{302, 403, 500} {
		bounded := exchange.New(answer(status, endless{"no "}), exchange.Limits{})
		got, err := read(t, bounded, request(t.Context(), t, "http://h/"))
		if err != nil || len(got) != 64<<10 || !bytes.HasPrefix(got, []byte("no no ")) {
			t.Errorf("status %d: got %d bytes and %v, want the first 64 KiB", status, len(got), err)
		}
	}
}

func TestTransport_BoundsTheUncompressedBody(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		compressed := gzip.NewWriter(w)
		for range 64 {
			_, _ = compressed.Write(make([]byte, 1<<20))
		}
		_ = compressed.Close()
	}))
	defer s.Close()
	plain := &http.Transport{}
	defer plain.CloseIdleConnections()
	bounded := exchange.New(plain, exchange.Limits{Size: 2 << 20})
	got, err := read(t, bounded, request(t.Context(), t, s.URL))
	if _, ok := errors.AsType[*exchange.LargeError](err); !ok || len(got) != 2<<20 {
		t.Errorf("got %d bytes and %v, want %d bytes and a LargeError", len(got), err, 2<<20)
	}
}

func TestTransport_BoundsTheTimeOfAStuckLayer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		stuck := roundTripper(func(*http.Request) (*http.Response, error) {
			<-release
			return nil, io.ErrUnexpectedEOF
		})
		_, err := read(t, exchange.New(stuck, exchange.Limits{Time: time.Minute}), request(t.Context(), t, "http://h/"))
		if slow, ok := errors.AsType[*exchange.SlowError](err); !ok || slow.Limit != time.Minute ||
			!errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want a SlowError of %s", err, time.Minute)
		}
		close(release)
	})
}

// trickle is a body with one byte a second.
type trickle struct{ done <-chan struct{} }

func (b trickle) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		return copy(p, " "), nil
	case <-b.done:
		return 0, io.ErrClosedPipe
	}
}

func (trickle) Close() error { return nil }

func TestTransport_BoundsTheTimeOfASlowBody(t *testing.T) {
	for _, status := range []int{200, 503} {
		synctest.Test(t, func(t *testing.T) {
			slowly := roundTripper(func(req *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: status, Header: http.Header{}, Body: trickle{req.Context().Done()}},
					nil
			})
			begin := time.Now()
			_, err := read(t, exchange.New(slowly, exchange.Limits{Time: time.Minute}),
				request(t.Context(), t, "http://h/"))
			if _, ok := errors.AsType[*exchange.SlowError](err); !ok || time.Since(begin) != time.Minute {
				t.Errorf("status %d: got %v after %s, want a SlowError after a minute", status, err, time.Since(begin))
			}
		})
	}
}

func TestTransport_EndsWithTheContext(t *testing.T) {
	release := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	stuck := roundTripper(func(*http.Request) (*http.Response, error) {
		cancel()
		<-release
		return nil, io.ErrUnexpectedEOF
	})
	_, err := read(t, exchange.New(stuck, exchange.Limits{}), request(ctx, t, "http://h/"))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	close(release)
}

func TestTransport_DoesNotBoundAnUpgradedConnection(t *testing.T) {
	upgrade := roundTripper(func(req *http.Request) (*http.Response, error) {
		body := struct {
			io.Reader
			io.Closer
		}{strings.NewReader("the connection"), io.NopCloser(nil)}
		return &http.Response{StatusCode: http.StatusSwitchingProtocols, Header: http.Header{}, Body: body}, nil
	})
	got, err := read(t, exchange.New(upgrade, exchange.Limits{Size: 1}), request(t.Context(), t, "http://h/"))
	if string(got) != "the connection" || err != nil {
		t.Errorf("got %q and %v, want the complete body", got, err)
	}
}

// pauseAfter returns the Retry-After header of an answer that has this one.
func pauseAfter(t *testing.T, limits exchange.Limits, value string) string {
	t.Helper()
	busy := roundTripper(func(*http.Request) (*http.Response, error) {
		header := http.Header{"Retry-After": {value}}
		return &http.Response{StatusCode: 429, Header: header, Body: http.NoBody}, nil
	})
	resp, err := exchange.New(busy, limits).RoundTrip(request(t.Context(), t, "http://h/"))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.Header.Get("Retry-After")
}

func TestTransport_RemovesALongRetryAfter(t *testing.T) {
	for value, want := range map[string]string{
		"1": "1", "5": "5", "6": "", "3600": "", "Fri, 01 Jan 2027 00:00:00 GMT": "",
	} {
		if got := pauseAfter(t, exchange.Limits{}, value); got != want {
			t.Errorf("Retry-After %q: got %q, want %q", value, got, want)
		}
		if got := pauseAfter(t, exchange.Limits{Patient: true}, value); got != value {
			t.Errorf("Retry-After %q with Patient: got %q, want it unchanged", value, got)
		}
	}
}

// slowBody is a body whose bytes arrive after some time.
type slowBody struct{ after time.Duration }

func (b *slowBody) Read(p []byte) (int, error) {
	if b.after == 0 {
		return 0, io.EOF
	}
	time.Sleep(b.after)
	b.after = 0
	return copy(p, "late"), nil
}

func (*slowBody) Close() error { return nil }

// The limit of time of a stream ends with its headers.
func TestStream_LimitEndsWithHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delay := time.Duration(0)
		bounded := exchange.New(roundTripper(func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(delay):
				return answer(http.StatusOK, &slowBody{time.Hour})(r)
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		}), exchange.Limits{Time: time.Second})
		stream := request(exchange.Stream(t.Context()), t, "http://recorder")
		if body, err := read(t, bounded, stream); string(body) != "late" || err != nil {
			t.Errorf("slow body: got %q, error %v, want late", body, err)
		}
		delay = 2 * time.Second
		_, err := read(t, bounded, stream)
		if _, slow := errors.AsType[*exchange.SlowError](err); !slow {
			t.Errorf("slow headers: got error %v, want that they are slow", err)
		}
	})
}

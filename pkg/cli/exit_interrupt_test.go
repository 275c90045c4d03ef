package cli_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// blockedWriter blocks in Write until it is released.
type blockedWriter struct {
	called  func()
	release chan struct{}
}

func (s blockedWriter) Write(p []byte) (int, error) {
	s.called()
	<-s.release
	return len(p), nil
}

// TestInterrupt_ExitsAtOnce interrupts a command that is blocked in several
// places.
func TestInterrupt_ExitsAtOnce(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	release := make(chan struct{})
	defer close(release)
	for name, of := range map[string]func(t *testing.T, interrupt func()) (out io.Writer, args []string){
		"before TLS": func(t *testing.T, interrupt func()) (io.Writer, []string) {
			t.Helper()
			return io.Discard, []string{"get", "--recorder-url", "https://" + silent(t, interrupt)}
		},
		"before the header": func(t *testing.T, interrupt func()) (io.Writer, []string) {
			t.Helper()
			return io.Discard, []string{"get", "--recorder-url", "http://" + silent(t, interrupt)}
		},
		"within the body": func(t *testing.T, interrupt func()) (io.Writer, []string) {
			t.Helper()
			return io.Discard, []string{"get", "--recorder-url", unfinished(t, interrupt)}
		},
		"within discovery": func(t *testing.T, interrupt func()) (io.Writer, []string) {
			t.Helper()
			return io.Discard, []string{"get", "po", "--recorder-url", r.url, "--server", unfinished(t, interrupt)}
		},
		"before discovery's header": func(t *testing.T, interrupt func()) (io.Writer, []string) {
			t.Helper()
			return io.Discard,
				[]string{"get", "po", "--recorder-url", r.url, "--server", "http://" + silent(t, interrupt)}
		},
		"finding the recorder": func(t *testing.T, interrupt func()) (io.Writer, []string) {
			t.Helper()
			return io.Discard, []string{"get", "--server", unfinished(t, interrupt)}
		},
		"while the recorder is busy": func(t *testing.T, interrupt func()) (io.Writer, []string) {
			t.Helper()
			busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "30")
				w.WriteHeader(http.StatusServiceUnavailable)
				_ = http.NewResponseController(w).Flush()
				interrupt()
			}))
			t.Cleanup(busy.Close)
			return io.Discard, []string{"get", "--recorder-url", busy.URL}
		},
		"while writing": func(_ *testing.T, interrupt func()) (io.Writer, []string) {
			return blockedWriter{interrupt, release}, []string{"get", "--recorder-url", r.url}
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, interrupt := context.WithCancel(t.Context())
			out, args := of(t, interrupt)
			code, stderr := run(ctx, r, out,
				append(args, "-n", "shop", "--kubeconfig", "", "--cache-dir", t.TempDir())...)
			if code != 130 || stderr != "" {
				t.Errorf("got exit code %d, stderr %q, want 130 and nothing", code, stderr)
			}
		})
	}
}

// silent returns the address of a server that accepts connections and never
// responds.
func silent(t *testing.T, accepted func()) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			accepted()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}

// unfinished returns the URL of a server that starts responses and never ends
// them.
func unfinished(t *testing.T, begun func()) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"kind":"`)
		_ = http.NewResponseController(w).Flush()
		begun()
		<-req.Context().Done()
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestDiscovery_IsLimited checks an API server with endless responses. The
// command uses the catalogue instead.
func TestDiscovery_IsLimited(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	const most = 1 << 30
	for name, body := range map[string]string{
		"a line": " ", "a list": `{"kind":"APIGroupDiscoveryList","items":[` + strings.Repeat("{},", 1000),
	} {
		t.Run(name, func(t *testing.T) {
			var sent atomic.Int64
			endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				chunk := []byte(body + strings.Repeat(" ", 64<<10))
				for sent.Load() < most {
					n, err := w.Write(chunk)
					sent.Add(int64(n))
					if err != nil {
						return
					}
				}
			}))
			defer endless.Close()
			var out bytes.Buffer
			code, stderr := run(t.Context(), r, &out, "get", "po", "-o", "name", "-n", "shop", "--recorder-url", r.url,
				"--server", endless.URL, "--kubeconfig", "", "--cache-dir", t.TempDir())
			if code != 0 || !strings.Contains(stderr, "larger than 16 MiB") || out.String() != "pod/web-7d9f-x2k1p\n" {
				t.Errorf("got exit code %d, stdout %q, stderr %q, want 0, the pod and a warning of the limit",
					code, out.String(), stderr)
			}
			if n := sent.Load(); n > most/2 {
				t.Errorf("got %d MiB read from the API server, want at most %d", n>>20, most/2>>20)
			}
		})
	}
}

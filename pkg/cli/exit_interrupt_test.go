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

// stuck is a reader's end that takes nothing.
type stuck struct {
	full    func()
	release chan struct{}
}

func (s stuck) Write(p []byte) (int, error) {
	s.full()
	<-s.release
	return len(p), nil
}

// TestInterrupt_EndsAtOnce: ctrl-C ends a command without a word, whatever it is busy with.
func TestInterrupt_EndsAtOnce(t *testing.T) {
	r := newRecording(t)
	r.tell()
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
			return io.Discard, []string{"get", "po", "--recorder-url", r.url, "--server", "http://" + silent(t, interrupt)}
		},
		"finding the recorder": func(t *testing.T, interrupt func()) (io.Writer, []string) {
			t.Helper()
			return io.Discard, []string{"get", "--server", unfinished(t, interrupt)}
		},
		"while nobody reads": func(_ *testing.T, interrupt func()) (io.Writer, []string) {
			return stuck{interrupt, release}, []string{"get", "--recorder-url", r.url}
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, interrupt := context.WithCancel(t.Context())
			out, args := of(t, interrupt)
			code, stderr := run(ctx, r, out, append(args, "-n", "shop", "--kubeconfig", "", "--cache-dir", t.TempDir())...)
			if code != 130 || stderr != "" {
				t.Errorf("exit code %d, want 130; stderr %q", code, stderr)
			}
		})
	}
}

// silent returns the address of a server that accepts connections and says nothing.
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

// unfinished returns the URL of a server that begins its answers and does not go on.
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

// TestDiscovery_IsBounded: an API server whose answers do not end is one that does not say which types there are.
func TestDiscovery_IsBounded(t *testing.T) {
	r := newRecording(t)
	r.tell()
	const most = 1 << 30
	for name, body := range map[string]string{"a line": " ", "a list": `{"kind":"APIGroupDiscoveryList","items":[` + strings.Repeat("{},", 1000)} {
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
			code, stderr := run(t.Context(), r, &out, "get", "po", "-o", "name", "-n", "shop", "--recorder-url", r.url, "--server", endless.URL, "--kubeconfig", "", "--cache-dir", t.TempDir())
			if code != 0 || !strings.Contains(stderr, "larger than 16 MiB") || out.String() != "pod/web-7d9f-x2k1p\n" {
				t.Errorf("exit code %d, stdout %q, stderr %q", code, out.String(), stderr)
			}
			if n := sent.Load(); n > most/2 {
				t.Errorf("read %d MiB of the API server's answers", n>>20)
			}
		})
	}
}

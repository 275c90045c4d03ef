package cli_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/watchhistory/watchhistory/pkg/cli"
)

// screen collects the output on a terminal.
type screen struct {
	keyboard *os.File

	mu   sync.Mutex
	text bytes.Buffer
	more *sync.Cond
	seen chan struct{} // closed once there is something
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.text.Len() == 0 {
		close(s.seen)
	}
	defer s.more.Broadcast()
	return s.text.Write(p)
}

// await waits until a text is on the screen.
func (s *screen) await(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !strings.Contains(s.text.String(), text) {
		s.more.Wait()
	}
}

// terminal returns a terminal. Function written closes it and returns its
// output.
func terminal(t *testing.T) (tty *os.File, s *screen, written func() string) {
	t.Helper()
	near, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal("open a terminal: ", err)
	}
	t.Cleanup(func() { _ = near.Close() })
	if err := unix.IoctlSetPointerInt(int(near.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(near.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	s = &screen{keyboard: near, seen: make(chan struct{})}
	s.more = sync.NewCond(&s.mu)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = near.WriteTo(s) // until the terminal is closed
	}()
	return tty, s, func() string {
		_ = tty.Close()
		<-done
		return s.text.String()
	}
}

// onTerminal returns the environment of a command on a terminal.
func (r *recording) onTerminal(tty *os.File) cli.Environment {
	env := cli.System("v1.2.3")
	env.IOStreams = genericiooptions.IOStreams{In: strings.NewReader(""), Out: tty, ErrOut: tty}
	env.Now = r.readerNow
	return env
}

// TestProgress_IsErasedBeforeOutput checks that the progress line is erased
// before the first line of a table, a warning or an error.
func TestProgress_IsErasedBeforeOutput(t *testing.T) {
	t.Setenv("TERM", "xterm")
	r := newRecording(t)
	r.writeStory()
	recorder, err := url.Parse(r.url)
	if err != nil {
		t.Fatal(err)
	}
	const waiting, away = "Querying the recorder…", "\x1b[22D\x1b[K"
	for args, first := range map[string]string{
		"get --since 13m":               "shop · ",
		"get --since 13m --flat":        "TIME ",
		"get --since 1s":                "No history found",
		"get --since 1s po":             "Warning: ",
		"get --since 1s -o json":        "{",
		"history deploy/web -o json":    "Warning: ",
		"related deploy/web":            "Warning: ",
		"related deploy/web --limit -1": "error: ",
	} {
		t.Run(args, func(t *testing.T) {
			tty, s, written := terminal(t)
			slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				<-s.seen
				httputil.NewSingleHostReverseProxy(recorder).ServeHTTP(w, req)
			}))
			defer slow.Close()
			cli.Main(t.Context(), r.onTerminal(tty), append(strings.Fields(args),
				"--recorder-url", slow.URL, "-n", "shop",
				"--server", "http://127.0.0.1:1", "--cache-dir", t.TempDir(), "--color", "never"))
			got := written()
			if first == "error: " {
				got = waiting + away + got
			}
			if !strings.HasPrefix(got, waiting+away+first) || strings.Count(got, waiting) != 1 {
				t.Errorf("got %q, want the progress once, erased before %q", got[:min(len(got), 200)], first)
			}
		})
	}
}

// TestProgress_ShowsBusyRecorder checks a recorder that refuses the first
// query.
func TestProgress_ShowsBusyRecorder(t *testing.T) {
	t.Setenv("TERM", "xterm")
	r := newRecording(t)
	r.writeStory()
	recorder, err := url.Parse(r.url)
	if err != nil {
		t.Fatal(err)
	}
	tty, s, written := terminal(t)
	var requests atomic.Int32
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if requests.Add(1) == 1 {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		s.await("Querying the recorder…")
		httputil.NewSingleHostReverseProxy(recorder).ServeHTTP(w, req)
	}))
	defer busy.Close()
	code := cli.Main(t.Context(), r.onTerminal(tty), []string{
		"get", "--since-time", r.now.Add(-13 * time.Minute).Format(time.RFC3339),
		"--recorder-url", busy.URL, "-n", "shop",
		"--server", "http://127.0.0.1:1", "--cache-dir", t.TempDir(), "--color", "never",
	})
	const want = "The recorder is busy, retrying in 1s…\x1b[37D\x1b[KQuerying the recorder…\x1b[22D\x1b[Kshop · "
	if got := written(); code != 0 || !strings.HasPrefix(got, want) {
		t.Errorf("got exit code %d, output %q, want 0 and %q at its beginning", code, got[:min(len(got), 200)], want)
	}
}

package cli_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
)

// A read of many pages continues at its cursor after a restart of the recorder:
// it has each change once.
func TestGet_ContinuesAcrossRestart(t *testing.T) {
	for _, command := range []string{"get configmaps --flat", "get configmaps", "get configmaps --flat -o json"} {
		t.Run(command, func(t *testing.T) {
			const changes = 60
			server := &restartable{t: t, dir: t.TempDir()}
			server.start()
			defer func() { server.stop() }()
			for i := range changes {
				server.write(i)
			}
			requests, restarted := 0, make(chan struct{})
			server.before = func(q *http.Request) {
				if !strings.HasSuffix(q.URL.Path, v1.EventsPath) {
					return
				}
				if requests++; requests != 3 {
					return
				}
				go func() {
					defer close(restarted)
					server.stop()
					time.Sleep(100 * time.Millisecond)
					server.start()
				}()
				panic(http.ErrAbortHandler)
			}
			r := &recording{t: t, url: "http://" + server.address, now: time.Now()}
			var out bytes.Buffer
			args := append(strings.Fields(command), "-n", "shop", "--recorder-url", r.url, "--kubeconfig", "",
				"--chunk-size", "10", "--limit", "0")
			code, stderr := run(t.Context(), r, &out, args...)
			if code != 0 {
				t.Fatalf("got exit code %d and %q, want 0", code, stderr)
			}
			select {
			case <-restarted:
			default:
				t.Fatalf("got %d requests, want at least 3, and a restart", requests)
			}
			for i := range changes {
				if got := strings.Count(out.String(), fmt.Sprintf("writer-m%d\"", i)) +
					strings.Count(out.String(), fmt.Sprintf("writer-m%d ", i)); got != 1 {
					t.Errorf("writer-m%d: got %d changes, want 1", i, got)
				}
			}
			if t.Failed() {
				t.Logf("output:\n%s", out.String())
			}
		})
	}
}

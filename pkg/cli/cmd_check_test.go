package cli_test

import (
	"bytes"
	"cmp"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
)

// TestCheck_FindsProblems checks a recorder with a fault that a real one has
// only by chance: a full disk, another version, another time.
func TestCheck_FindsProblems(t *testing.T) {
	const metrics = v1.MetricsPath
	for name, c := range map[string]struct {
		path, answer string        // that replaces the recorder's
		status       int           // of the answer; 0: 200
		offset       time.Duration // of the recorder's clock
		code         int
		want         []string
	}{
		"healthy": {
			metrics, "watchhistory_storage_bytes 2e9\nwatchhistory_storage_limit_bytes 1e10\n" +
				"watchhistory_storage_free_bytes 5e9\n", 0, 0, 0,
			[]string{"✓ disk        1.9 GiB used of 9.3 GiB (20 %), 4.7 GiB free on the volume\n"},
		},
		"the limit is near": {
			metrics, "watchhistory_storage_bytes 9.5e9\nwatchhistory_storage_limit_bytes 1e10\n", 0, 0, 0,
			[]string{
				"! disk        8.8 GiB used of 9.3 GiB (95 %): the oldest day is dropped before the retention ends\n",
				"              Use a larger volume and maxStorage, or a shorter retention.\n",
			},
		},
		"the disk is full": {
			metrics, "watchhistory_storage_bytes 2e9\nwatchhistory_storage_free_bytes 1e8\n", 0, 0, 1,
			[]string{
				"✗ disk        1.9 GiB used, 95 MiB free on the volume: recording may stop\n",
				"              Use a larger volume, or a smaller maxStorage. docs/retention.md has the details.\n",
			},
		},
		"nothing is recorded": {
			metrics, "watchhistory_storage_bytes 2e9\nwatchhistory_storage_free_bytes 5e9\n" +
				"watchhistory_commits_refused 1\n", 0, 0, 1,
			[]string{
				"✗ disk        1.9 GiB used, 4.7 GiB free on the volume: the database accepts no changes\n",
				"              Nothing is recorded now. See the recorder's log.\n",
			},
		},
		"old metrics": {metrics, "up 1\n", 0, 0, 0, []string{"! disk        not known: the metrics do not have it\n"}},
		"no right to the metrics": {
			metrics, `{"error":{"code":"forbidden","message":"you may not"}}`, 403, 0, 0,
			[]string{
				" answered: you may not\n", "kubectl create clusterrole watchhistory-metrics --verb=get",
				"--clusterrole=watchhistory-metrics --user=YOU\n",
			},
		},
		"an older recorder": {
			v1.RecorderPath, `{"version":"v1.1.9","goVersion":"go1.26","platform":"linux/amd64"}`, 0, 0, 0,
			[]string{"! version     kubectl-watchhistory v1.2.3, recorder v1.1.9: " +
				"the recorder is older, and lacks features of this program\n"},
		},
		"a newer recorder": {
			v1.RecorderPath, `{"version":"v1.3.0","goVersion":"go1.26","platform":"linux/amd64"}`, 0, 0, 0,
			[]string{"✓ version     kubectl-watchhistory v1.2.3, recorder v1.3.0\n"},
		},
		"a recorder without version": {
			v1.RecorderPath, `{"error":{"code":"not_found","message":"path not found"}}`, 404, 0, 0,
			[]string{"! version     kubectl-watchhistory v1.2.3; the recorder is too old to report its version\n"},
		},
		"a clock that is behind": {
			"", "", 0, -10 * time.Minute, 0,
			[]string{
				"! clock       this machine's clock differs from the recorder's by 10m\n",
				"              Synchronize the clocks. Until then, relative times and ages use the recorder's clock.\n",
			},
		},
		"a clock that is ahead": {
			"", "", 0, 2 * time.Hour, 0,
			[]string{"! clock       this machine's clock differs from the recorder's by 120m\n"},
		},
		"a clock that differs a little": {"", "", 0, 4 * time.Second, 0, []string{"✓ clock       differs by 5s\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRecording(t)
			r.clockOffset = c.offset
			r.writeStory()
			target, err := url.Parse(r.url)
			if err != nil {
				t.Fatal(err)
			}
			proxy := httputil.NewSingleHostReverseProxy(target)
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if req.URL.Path != c.path {
					proxy.ServeHTTP(w, req)
					return
				}
				w.Header().Set("Date", r.recorderNow().Format(http.TimeFormat))
				if strings.HasPrefix(c.answer, "{") {
					w.Header().Set("Content-Type", "application/json")
				}
				w.WriteHeader(cmp.Or(c.status, http.StatusOK))
				_, _ = io.WriteString(w, c.answer)
			}))
			defer s.Close()
			var out bytes.Buffer
			code, stderr := run(t.Context(), r, &out,
				"check", "--recorder-url", s.URL, "--server", "http://127.0.0.1:1")
			if code != c.code || stderr != "" {
				t.Errorf("got exit code %d, stderr %q, want %d and nothing\n%s", code, stderr, c.code, out.String())
			}
			for _, line := range c.want {
				if !strings.Contains(out.String(), line) {
					t.Errorf("got\n%s\nwant %q", out.String(), line)
				}
			}
		})
	}
}

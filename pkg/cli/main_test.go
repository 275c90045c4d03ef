package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/watchhistory/watchhistory/pkg/cli"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

// run runs the plugin in this process, and returns its exit code and its
// stderr.
func run(ctx context.Context, r *recording, out io.Writer, args ...string) (code int, stderr string) {
	var errOut bytes.Buffer
	env := cli.System("v1.2.3")
	env.IOStreams = genericiooptions.IOStreams{In: strings.NewReader(""), Out: out, ErrOut: &errOut}
	env.Now = r.readerNow
	return cli.Main(ctx, env, args), errOut.String()
}

func TestCluster(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	cluster := clustertest.New(t, clustertest.Options{})
	t.Run("discovery", func(t *testing.T) { testDiscovery(t, r, cluster) })
	t.Run("names", func(t *testing.T) { testNames(t, cluster) })
	t.Run("apply", func(t *testing.T) { testApply(t, cluster) })
	t.Run("newer Events", func(t *testing.T) { testNewerEvents(t, cluster) })
	t.Run("recreated types", func(t *testing.T) { testRecreated(t, cluster) })
	t.Run("filters", func(t *testing.T) { testFilters(t, cluster) })
	t.Run("tree", func(t *testing.T) { testTree(t, cluster) })
	t.Run("views", func(t *testing.T) { testViews(t, cluster) })
	t.Run("no recorder", func(t *testing.T) { testNoRecorder(t, r, cluster) })
	t.Run("check", func(t *testing.T) { testCheck(t, cluster) })
	t.Run("install", func(t *testing.T) { testInstall(t, cluster) })
}

// testDiscovery resolves types by the discovery of a real API server.
func testDiscovery(t *testing.T, r *recording, cluster *clustertest.Cluster) {
	t.Helper()
	common := []string{
		"-n", "shop", "--recorder-url", r.url, "--kubeconfig", cluster.Kubeconfig, "--cache-dir", t.TempDir(),
	}
	for _, tt := range []struct {
		args           string
		code           int
		stdout, stderr string
	}{
		{"get deploy --since 13m -o name", 0, "deployment.apps/web\n", ""},
		{"get Deployment --since 13m -o name", 0, "deployment.apps/web\n", ""},
		{"get deployments.v1.apps/web --since 13m -o name", 0, "deployment.apps/web\n", ""},
		{"get po,replicasets.apps --since 13m -o name", 0, "replicaset.apps/web-7d9f\npod/web-7d9f-x2k1p\n", ""},
		{"get no,pod -o name --since 9m30s", 0, "node/node-1\n", ""},
		{
			"history Deployment.v1.apps web --revision 4 --no-headers -o wide", 0,
			"4   12m   update   kubectl-set   106   uid-web   image app 1.4 → 1.5\n", "",
		},
		{"related ev/backoff -o name", 0, "", "No Events regarding events \"backoff\" found in shop namespace.\n"},
		{
			"get wolf -o name", 0, "wolf.toys.example/grey\n",
			"Warning: the server no longer serves wolves.toys.example; using the recorder's catalogue\n",
		},
		{"get secrets", 0, "", "No history found in shop namespace.\nWarning: the recorder does not record secrets\n"},
		{
			"history secret/token", 1, "",
			"error: no history of secrets \"token\" in shop namespace: the recorder does not record secrets\n",
		},
		{"get podz", 1, "", "error: neither the server nor the recorder has a resource type \"podz\"\n" +
			"'kubectl api-resources' lists the types.\n"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			var out bytes.Buffer
			code, stderr := run(t.Context(), r, &out, append(strings.Fields(tt.args), common...)...)
			if code != tt.code || out.String() != tt.stdout || stderr != tt.stderr {
				t.Errorf("exit code %d, want %d\nstdout %q\nwant   %q\nstderr %q\nwant   %q",
					code, tt.code, out.String(), tt.stdout, stderr, tt.stderr)
			}
		})
	}
}

// testNoRecorder checks the error for a cluster without a recorder.
func testNoRecorder(t *testing.T, r *recording, cluster *clustertest.Cluster) {
	t.Helper()
	for _, args := range []string{
		"get", "get pods --recorder-namespace tools",
		"history deploy/web --connect proxy", "related deploy/web --connect port-forward",
	} {
		var out bytes.Buffer
		code, stderr := run(t.Context(), r, &out,
			append(strings.Fields(args), "--kubeconfig", cluster.Kubeconfig, "--cache-dir", t.TempDir())...)
		if code != 1 || out.Len() > 0 || !strings.HasPrefix(stderr, "error: ") ||
			!strings.Contains(stderr, "--recorder-url") {
			t.Errorf("%s: got exit code %d, stdout %q, stderr %q, want 1 and an error with a hint",
				args, code, out.String(), stderr)
		}
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// TestMain_BrokenPipeIsNotAnError checks a reader that closes the pipe, as "|
// head" does.
func TestMain_BrokenPipeIsNotAnError(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	for _, format := range []string{"", "json", "yaml", "name", "jsonpath={.items[*].uid}"} {
		code, stderr := run(t.Context(), r, brokenPipe{}, "get", "--recorder-url", r.url,
			"-n", "shop", "-o", format, "--kubeconfig", "")
		if code != 0 || stderr != "" {
			t.Errorf("-o %q: got exit code %d, stderr %q, want 0 and nothing", format, code, stderr)
		}
	}
}

// TestOutputClosed_IgnoresBrokenConnection checks that a broken connection to
// the recorder is an error, although it may have the same cause as a closed
// pipe.
func TestOutputClosed_IgnoresBrokenConnection(t *testing.T) {
	err := &history.Error{Code: history.Unavailable, Err: &net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}}
	if cli.OutputClosed(err) {
		t.Errorf("OutputClosed(%v): got true, want false", err)
	}
	if err := fmt.Errorf("write: %w", syscall.EPIPE); !cli.OutputClosed(err) {
		t.Errorf("OutputClosed(%v): got false, want true", err)
	}
}

// TestInterrupt_PrintsNothing interrupts a command that waits for the recorder.
func TestInterrupt_PrintsNothing(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		interrupt()
		<-req.Context().Done()
	}))
	defer silent.Close()
	var out bytes.Buffer
	code, stderr := run(ctx, &recording{}, &out, "get", "--recorder-url", silent.URL, "-n", "shop",
		"--cache-dir", filepath.Join(t.TempDir(), "cache"))
	if code != 130 || stderr != "" || out.Len() > 0 {
		t.Errorf("got exit code %d, stdout %q, stderr %q, want 130 and nothing", code, out.String(), stderr)
	}
}

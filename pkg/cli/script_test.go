package cli_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/klog/v2"

	"github.com/watchhistory/watchhistory/pkg/cli"
	"github.com/watchhistory/watchhistory/pkg/engine"
	"github.com/watchhistory/watchhistory/pkg/history"
)

var update = flag.Bool("update", false, "rewrite the expectations in the scripts and docs/cli.md")

func TestMain(m *testing.M) {
	klog.SetLogger(logr.Discard())
	testscript.Main(tidy{m}, map[string]func(){"watchhistory": plugin, "kubectl_complete-watchhistory": plugin})
}

// tidy fails if a test leaves a goroutine.
type tidy struct{ *testing.M }

// Run implements the interface of [testscript.Main].
func (m tidy) Run() int {
	code := m.M.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// plugin is the main function of the plugin. STORY_NOW sets its clock.
func plugin() {
	env := cli.System("v1.2.3")
	env.Name = "kubectl watchhistory"
	env.Engine = engine.New()
	if clock, ok := os.LookupEnv("STORY_NOW"); ok {
		env.Now = func() time.Time {
			now, err := time.Parse(time.RFC3339, clock)
			if err != nil {
				panic(err)
			}
			return now
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	env.Signals = func(to chan<- os.Signal) func() {
		signal.Notify(to, os.Interrupt, syscall.SIGTERM)
		return func() { signal.Stop(to) }
	}
	code := cli.Main(ctx, env, cli.Arguments(os.Args))
	stop()
	os.Exit(code)
}

// kubeconfig has a cluster that does not exist.
const kubeconfig = `
apiVersion: v1
kind: Config
current-context: gone
clusters: [{name: gone, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: me, user: {token: t}}]
contexts: [{name: gone, context: {cluster: gone, user: me, namespace: shop}}]
`

// TestScripts runs the plugin as a process. The recorders exist; the cluster
// does not.
func TestScripts(t *testing.T) {
	r, missed, ruled := newRecording(t), newRecording(t), newRecording(t)
	missed.now, ruled.now = r.now, r.now
	r.writeStory()
	missed.writeStoryWithGaps()
	ruled.writeStory()
	ruled.rules = []history.IgnoreRule{
		{Namespaces: []string{"noisy"}},
		{Resource: schema.GroupResource{Resource: "nodes"}, Changes: []string{"status.images"}},
		{Resource: schema.GroupResource{Resource: "events"}, Namespaces: []string{"shop"}},
	}
	file := r.export(t)
	t.Cleanup(func() {
		if n := r.gapQueries.Load(); n > 0 {
			t.Errorf("got %d queries for gaps to a recorder without gaps, want none", n)
		}
	})
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("RECORDER", r.url)
			e.Setenv("MISSED", missed.url)
			e.Setenv("RULED", ruled.url)
			e.Setenv("STORY", file)
			e.Setenv("STORY_NOW", r.now.Format(time.RFC3339))
			e.Setenv("KUBECACHEDIR", filepath.Join(e.WorkDir, "cache"))
			e.Setenv("KUBECONFIG", filepath.Join(e.WorkDir, "kubeconfig"))
			return os.WriteFile(filepath.Join(e.WorkDir, "kubeconfig"), []byte(kubeconfig), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"lines": lines,
			"exits": exits,
		},
	})
}

// lines checks the number of lines of a stream: lines stderr 1.
func lines(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 || neg {
		ts.Fatalf("usage: lines stdout|stderr N")
	}
	text := ts.ReadFile(args[0])
	if n := fmt.Sprint(strings.Count(text, "\n")); n != args[1] {
		ts.Fatalf("%s has %s lines, want %s:\n%s", args[0], n, args[1], text)
	}
}

// exits runs a command and checks its exit code: exits 1 watchhistory get.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || neg {
		ts.Fatalf("usage: exits CODE COMMAND [ARGUMENT ...]")
	}
	code := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("run %v: %v", args[1:], err)
		}
		code = fmt.Sprint(exit.ExitCode())
	}
	if code != args[0] {
		ts.Fatalf("%v: exit code %s, want %s", args[1:], code, args[0])
	}
}

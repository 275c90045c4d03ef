package command_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// binary is the program under test. It is executed and not linked, so that no
// test binary contains the Kubernetes servers.
var binary string

func TestMain(m *testing.M) {
	path, err := build()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = path
	os.Exit(m.Run())
}

// build builds bin/devcluster, which tests in the root module also use.
func build() (string, error) {
	path, err := filepath.Abs("../../../../bin/devcluster")
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(context.Background(), "go", "build", "-ldflags=-s -w", "-o", path, "../..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build devcluster: %w\n%s", err, out)
	}
	return path, nil
}

// fixture separates the clusters of one test from all others.
type fixture struct {
	root string
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	f := fixture{root: t.TempDir()}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context()) // the test's context is done
		if out, err := f.command(ctx, "down", "--all").CombinedOutput(); err != nil {
			t.Errorf("clean up: %v\n%s", err, out)
		}
		if left := f.processes(t); len(left) > 0 {
			t.Errorf("still running: %v", left)
		}
	})
	return f
}

func (f fixture) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(os.Environ(), "DEVCLUSTER_ROOT="+f.root, "KUBECONFIG=")
	return cmd
}

// run executes devcluster and returns its standard output.
func (f fixture) run(t *testing.T, args ...string) string {
	t.Helper()
	out, messages, err := f.try(t, args...)
	if err != nil {
		t.Fatalf("devcluster %v: %v\n%s", args, err, messages)
	}
	return out
}

// try executes devcluster and returns standard output and standard error.
func (f fixture) try(t *testing.T, args ...string) (string, string, error) {
	t.Helper()
	cmd := f.command(t.Context(), args...)
	var out, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &messages
	err := cmd.Run()
	return out.String(), messages.String(), err
}

// up boots a cluster and returns its administrator's configuration.
func (f fixture) up(t *testing.T, args ...string) *rest.Config {
	t.Helper()
	kubeconfig := f.run(t, append([]string{"up"}, args...)...)
	config, err := clientcmd.BuildConfigFromFlags("", strings.TrimSuffix(kubeconfig, "\n"))
	if err != nil {
		t.Fatalf("standard output %q is not a kubeconfig's path: %v", kubeconfig, err)
	}
	config.QPS = -1
	return config
}

// processes returns the command lines that contain the fixture's directory.
func (f fixture) processes(t *testing.T) []string {
	t.Helper()
	out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "ps", "-e", "-o", "pid=,args=").Output()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, f.root) {
			found = append(found, line)
		}
	}
	return found
}

// eventually waits until check returns true, and fails the test after a while.
func eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	for range 600 {
		if check() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("still not: %s", what)
}

func pid(t *testing.T) string {
	t.Helper()
	return fmt.Sprint(os.Getpid())
}

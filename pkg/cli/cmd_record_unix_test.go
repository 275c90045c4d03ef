//go:build unix

package cli_test

import (
	"bytes"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/watchhistory/watchhistory/pkg/cli"
	"github.com/watchhistory/watchhistory/pkg/engine"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

// waitForFile is a script that reports that it runs, and ends once the test has
// made its changes.
const waitForFile = `touch "$0/started"; while ! test -e "$0/done"; do sleep 0.05; done; cat; exit 7`

// TestRecord_WhileCommandRuns records what happens on a real cluster while a
// command runs.
func TestRecord_WhileCommandRuns(t *testing.T) {
	cluster := clustertest.New(t, clustertest.Options{})
	const namespace = "recorded"
	dir := t.TempDir()
	kubectl := func(args ...string) {
		t.Helper()
		if _, err := cluster.Kubectl(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	kubectl("create", "namespace", namespace)
	kubectl("-n", namespace, "create", "configmap", "before", "--from-literal=a=1")
	file := filepath.Join(dir, "run.whx")
	record := func(args ...string) (code int, out, errOut string) {
		var stdout, stderr bytes.Buffer
		env := cli.System("v1.2.3")
		env.IOStreams = genericiooptions.IOStreams{In: strings.NewReader("input"), Out: &stdout, ErrOut: &stderr}
		env.Engine = engine.New()
		code = cli.Main(t.Context(), env, append([]string{"record", "--kubeconfig", cluster.Kubeconfig}, args...))
		return code, stdout.String(), stderr.String()
	}
	changed := make(chan struct{})
	go func() {
		defer close(changed)
		for {
			if _, err := os.Stat(filepath.Join(dir, "started")); err == nil || t.Context().Err() != nil {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		for _, args := range [][]string{
			{"create", "configmap", "left", "--from-literal=a=1"},
			{"create", "configmap", "gone", "--from-literal=a=1"},
			{"patch", "configmap", "before", "-p", `{"data":{"a":"2"}}`},
			{"delete", "configmap", "gone"},
		} {
			if _, err := cluster.Kubectl(t.Context(), append([]string{"-n", namespace}, args...)...); err != nil {
				t.Error(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "done"), nil, 0o600); err != nil {
			t.Error(err)
		}
	}()
	code, out, errOut := record("-o", file, "-n", namespace, "--", "sh", "-c", waitForFile, dir)
	<-changed
	if code != 7 || out != "input" {
		t.Errorf("got exit code %d and output %q, want those of the command: 7 and input", code, out)
	}
	for _, want := range []string{
		"Recording namespace recorded into " + file + ".\n", "Recorded ",
		"configmap/before#2", "a 1 → 2", "configmap/left", "Nothing is wrong in recorded namespace",
	} {
		if !strings.Contains(errOut, want) {
			t.Errorf("got messages without %q:\n%s", want, errOut)
		}
	}

	// The file has each change once.
	var stdout bytes.Buffer
	env := cli.System("v1.2.3")
	var stderr bytes.Buffer
	env.IOStreams = genericiooptions.IOStreams{In: strings.NewReader(""), Out: &stdout, ErrOut: &stderr}
	env.Engine = engine.New()
	args := []string{
		"get", "cm", "--flat", "-f", file, "--no-headers", "-o", "custom-columns=V:.verb,N:.resourceName",
		"-q", `!(object.metadata.name in ["kube-root-ca.crt"])`,
	}
	if code := cli.Main(t.Context(), env, args); code != 0 {
		t.Errorf("get: got exit code %d and %q, want 0", code, stderr.String())
	}
	got := strings.Join(strings.Fields(stdout.String()), " ")
	if want := "create before create left create gone update before delete gone"; got != want {
		t.Errorf("got the changes %q, want %q", got, want)
	}

	// The rules of pipelines.
	done := []string{"--overwrite", "-o", file, "-n", namespace, "--quiet"}
	leftover := `created && newest && verb != "delete" && object.kind == "ConfigMap"`
	create := []string{"--", "sh", "-c", `exit 0`}
	if code, _, errOut := record(append(append(done, "--fail-on", leftover), create...)...); code != 0 {
		t.Errorf("nothing remains: got exit code %d, want 0:\n%s", code, errOut)
	}
	if code, _, errOut := record(append(append(done, "--fail-on", "true"), create...)...); code != 0 {
		t.Errorf("nothing changes: got exit code %d, want 0:\n%s", code, errOut)
	}
	if code, _, errOut := record("-o", file, "-n", namespace, "--", "true"); code != 1 ||
		!strings.Contains(errOut, "--overwrite") {
		t.Errorf("an existing file: got exit code %d and %q, want 1 and the flag", code, errOut)
	}
	if code, _, errOut := record(append(done, "--", "no-such-command")...); code != 127 ||
		!strings.Contains(errOut, "no-such-command") {
		t.Errorf("no command: got exit code %d and %q, want 127", code, errOut)
	}
	if code, _, _ := record(append(done, "--", "sh", "-c", "kill -9 $$")...); code != 137 {
		t.Errorf("a command that is killed: got exit code %d, want 137", code)
	}
	t.Run("leftovers", func(t *testing.T) {
		go func() {
			time.Sleep(time.Second)
			_, _ = cluster.Kubectl(t.Context(), "-n", namespace, "create", "configmap", "forgotten")
			_ = os.WriteFile(filepath.Join(dir, "again"), nil, 0o600)
		}()
		wait := `while ! test -e "$0/again"; do sleep 0.05; done`
		code, _, errOut := record(append(append(done, "--fail-on", leftover), "--", "sh", "-c", wait, dir)...)
		if code != 3 || !strings.Contains(errOut, "✗ --fail-on "+leftover) || !strings.Contains(errOut, "forgotten") ||
			strings.Contains(errOut, "before") {
			t.Errorf("got exit code %d and\n%swant 3, the rule and the ConfigMap", code, errOut)
		}
	})
	t.Run("interrupt", func(t *testing.T) { testRecordInterrupted(t, cluster, namespace) })
	t.Run("signals", func(t *testing.T) { testRecordEndsAtAnyMoment(t, cluster, namespace) })
}

// interrupter interrupts this process when a text is written to it.
type interrupter struct {
	bytes.Buffer

	text string
}

// Write implements [io.Writer].
func (w *interrupter) Write(b []byte) (int, error) {
	n, err := w.Buffer.Write(b)
	if w.text != "" && strings.Contains(w.String(), w.text) {
		w.text = ""
		_ = syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	}
	return n, err
}

// testRecordInterrupted ends a recording without a command by a signal, and one
// that has not begun.
func testRecordInterrupted(t *testing.T, cluster *clustertest.Cluster, namespace string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "run.whx")
	var stdout bytes.Buffer
	stderr := &interrupter{text: "until ctrl-C"}
	env := cli.System("v1.2.3")
	env.IOStreams = genericiooptions.IOStreams{In: strings.NewReader(""), Out: &stdout, ErrOut: stderr}
	env.Engine = engine.New()
	early := false
	env.Signals = func(to chan<- os.Signal) func() {
		signal.Notify(to, syscall.SIGUSR1)
		if early {
			_ = syscall.Kill(os.Getpid(), syscall.SIGUSR1)
		}
		return func() { signal.Stop(to) }
	}
	args := []string{"record", "--kubeconfig", cluster.Kubeconfig, "-n", namespace, "-o", file}
	if code := cli.Main(t.Context(), env, args); code != 0 {
		t.Errorf("got exit code %d and %q, want 0", code, stderr)
	}
	if code := cli.Main(t.Context(), env, []string{"get", "cm", "--flat", "-f", file}); code != 0 {
		t.Errorf("read the file: got exit code %d and %q, want 0", code, stderr)
	}
	if !strings.Contains(stdout.String(), "before") {
		t.Errorf("got %q, want the ConfigMaps", stdout.String())
	}

	// The command does not start after an interrupt.
	early = true
	never := filepath.Join(t.TempDir(), "never")
	args[len(args)-1] = filepath.Join(t.TempDir(), "early.whx")
	if code := cli.Main(t.Context(), env, append(args, "--", "touch", never)); code != 130 {
		t.Errorf("interrupted early: got exit code %d and %q, want 130", code, stderr)
	}
	if _, err := os.Stat(never); err == nil {
		t.Error("interrupted early: got a command that ran, want none")
	}
}

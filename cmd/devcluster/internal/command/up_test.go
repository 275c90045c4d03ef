package command_test

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/cluster"
)

func TestClustersSideBySide(t *testing.T) {
	f := newFixture(t)
	var both sync.WaitGroup
	for _, name := range []string{"one", "two"} {
		both.Go(func() {
			if _, messages, err := f.try(t, "up", "--name", name, "--components", "etcd,apiserver"); err != nil {
				t.Errorf("up %s: %v\n%s", name, err, messages)
			}
		})
	}
	both.Wait()
	for _, name := range []string{"one", "two"} {
		kubeconfig := filepath.Join(f.root, name, "kubeconfig")
		f.run(t, "kubectl", "--kubeconfig", kubeconfig, "create", "configmap", "only-in-"+name)
		got := f.run(t, "kubectl", "--kubeconfig", kubeconfig, "get", "configmaps", "-o", "name")
		if got != "configmap/only-in-"+name+"\n" {
			t.Errorf("configmaps of %s: %q", name, got)
		}
	}
	if _, messages, err := f.try(t, "up", "--name", "one"); err == nil ||
		!strings.Contains(messages, "already running") {
		t.Errorf("second up of the same name: %v, %q", err, messages)
	}
	f.run(t, "down", "--all")
	if out, messages, err := f.try(t, "status"); err != nil || out != "" || !strings.Contains(messages, "No clusters") {
		t.Errorf("status after down --all: %q, %q, %v", out, messages, err)
	}
}

func TestInterruptedStartLeavesNothing(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			f := newFixture(t)
			cmd := f.command(t.Context(), "up")
			messages, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := bufio.NewReader(messages).ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			eventually(t, "etcd runs", func() bool {
				return strings.Contains(strings.Join(f.processes(t), ""), " etcd ")
			})
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil {
				t.Error("an interrupted start reports success")
			}
			eventually(t, "all processes gone", func() bool { return len(f.processes(t)) == 0 })
			if _, err := os.Stat(filepath.Join(f.root, "default")); !os.IsNotExist(err) {
				t.Errorf("the cluster's directory is left: %v", err)
			}
		})
	}
}

func TestFailedStartNamesTheCauseAndLeavesNothing(t *testing.T) {
	f := newFixture(t)
	dir := filepath.Join(f.root, "mine")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	precious := filepath.Join(dir, "precious")
	if err := os.WriteFile(precious, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, messages, err := f.try(t, "up", "--dir", dir); err == nil || !strings.Contains(messages, "not empty") {
		t.Errorf("up in a directory with files: %v, %q", err, messages)
	}
	if _, messages, err := f.try(t, "down", "--dir", dir); err == nil || !strings.Contains(messages, "no cluster") {
		t.Errorf("down of a directory without a cluster: %v, %q", err, messages)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Errorf("a file that is not ours: %v", err)
	}
}

func TestSupervisorsDeathEndsItsComponents(t *testing.T) {
	f := newFixture(t)
	f.up(t, "--components", "etcd,apiserver")
	state, err := cluster.Read(filepath.Join(f.root, "default"))
	if err != nil {
		t.Fatal(err)
	}
	if err := state.Supervisor.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all components gone", func() bool { return len(f.processes(t)) == 0 })
	if out := f.run(t, "status"); !strings.Contains(out, "default: dead") {
		t.Errorf("status of a dead cluster:\n%s", out)
	}
	f.up(t, "--components", "etcd,apiserver") // replaces the dead cluster
}

func TestDownLeavesReusedPidsAlone(t *testing.T) {
	f := newFixture(t)
	f.up(t, "--components", "etcd,apiserver")
	dir := filepath.Join(f.root, "default")
	data, err := os.ReadFile(filepath.Join(dir, "cluster.json"))
	if err != nil {
		t.Fatal(err)
	}
	f.run(t, "down")
	// The recorded pids include that of this test's process.
	forged := strings.Replace(string(data), `"pid": `, `"pid": `+pid(t)+`, "was": `, 1)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cluster.json"), []byte(forged), 0o600); err != nil {
		t.Fatal(err)
	}
	f.run(t, "down") // would end this test
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("directory after down: %v", err)
	}
}

func TestMistakesAreExplained(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"up", "--components", "kubelet"}, "choose from etcd"},
		{[]string{"up", "--forward", "8080"}, "8080=127.0.0.1:18080"},
		{[]string{"up", "--components", "etcd", "--forward", "80=127.0.0.1:81"}, "add kwok"},
		{[]string{"up", "--name", "No Name"}, "lower-case"},
		{[]string{"up", "--nodes", "-1"}, "choose 0 to 1000"},
		{[]string{"down"}, "devcluster status"},
		{[]string{"load"}, "devcluster up"},
		{[]string{"play", "nothing", "--kubeconfig", os.DevNull}, "kubeconfig"},
		{[]string{"play"}, "arg"},
		{[]string{"up", "extra"}, "extra"},
		{[]string{"frobnicate"}, "unknown command"},
	} {
		out, messages, err := f.try(t, c.args...)
		if err == nil || out != "" || !strings.Contains(messages, c.want) || strings.Count(messages, "\n") != 1 {
			t.Errorf("devcluster %v: %v, %q, %q; want one line with %q", c.args, err, out, messages, c.want)
		}
	}
}

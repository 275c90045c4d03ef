package process_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/process"
)

func TestAReusedPidIsAnotherProcess(t *testing.T) {
	self, err := process.Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !self.Alive() || self.Memory() < 1<<20 {
		t.Errorf("this process: alive %v, %d bytes", self.Alive(), self.Memory())
	}
	other := process.ID{PID: self.PID, Start: self.Start + "0"}
	if other.Alive() || other.Memory() != 0 {
		t.Error("a process with another start time passes for this one")
	}
	if err := other.Signal(syscall.SIGKILL); !errors.Is(err, process.ErrGone) {
		t.Errorf("signal: %v", err) // and this test still runs
	}
	if (process.ID{}).Alive() {
		t.Error("nothing is alive")
	}
}

func TestAnEndedChildIsGoneBeforeItIsReaped(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	child, err := process.Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := child.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("wait for a living process: %v", err)
	}
	if err := child.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := process.Identify(child.PID); !errors.Is(err, process.ErrGone) {
		t.Errorf("identify an ended process: %v", err)
	}
}

package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/process"
)

const (
	// restartPause keeps a component that can't start from eating the CPU.
	restartPause = 200 * time.Millisecond
	// holdPoll is how often a held component looks whether it may start.
	holdPoll = 50 * time.Millisecond
)

// Lifeline is the environment variable that tells a component to end when its
// standard input does, and so with the supervisor, however that ends.
const Lifeline = "DEVCLUSTER_LIFELINE"

// keep runs a component, again and again once the cluster was ready, until
// ctx is done. Before that, its end is the start's failure.
func (s *supervisor) keep(ctx context.Context, component string) error {
	for {
		if err := s.awaitRelease(ctx, component); err != nil {
			return err
		}
		err := s.runOnce(ctx, component)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !s.ready() {
			return fmt.Errorf("%s ended while the cluster started: %w\n%s",
				component, err, tail(s.layout.log(component)))
		}
		s.logger.WarnContext(ctx, "component ended", "component", component, "err", err)
		if err := sleep(ctx, restartPause); err != nil {
			return err
		}
	}
}

// runOnce returns when the process has ended. Killing comes with ctx, with
// the thread that this goroutine keeps (process.Tie), or, where neither works
// because this process was killed, with the end of standard input.
func (s *supervisor) runOnce(ctx context.Context, component string) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	output, err := os.OpenFile(s.layout.log(component), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer func() { _ = output.Close() }()
	cmd := exec.CommandContext(ctx, s.executable,
		append([]string{component}, s.layout.arguments(component, s.ports)...)...)
	cmd.Dir, cmd.Env = s.spec.Dir, s.environment(component)
	cmd.Stdout, cmd.Stderr = output, output
	process.Tie(cmd)
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("connect lifeline: %w", err)
	}
	defer func() { _ = lifeline.Close() }()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if err := s.started(component, cmd.Process.Pid); err != nil {
		s.logger.ErrorContext(ctx, "record process", "component", component, "err", err)
	}
	return cmd.Wait()
}

func (s *supervisor) started(component string, pid int) error {
	id, err := process.Identify(pid)
	if err != nil {
		return err
	}
	return s.update(func(state *State) {
		for i := range state.Components {
			if c := &state.Components[i]; c.Name == component {
				c.Process = id
				c.Starts++
			}
		}
	})
}

// environment keeps the user's settings out: a kubeconfig or a home directory
// with a kwok configuration would change what a cluster is. The collector
// runs a little more often than usual, to keep several clusters in memory.
func (s *supervisor) environment(component string) []string {
	collector := "GOGC=50"
	if component == APIServer || component == Etcd {
		collector = "GOGC=75"
	}
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"TMPDIR=" + os.TempDir(),
		"HOME=" + s.spec.Dir,
		collector,
		Lifeline + "=1",
	}
}

// awaitRelease blocks while the component is held.
func (s *supervisor) awaitRelease(ctx context.Context, component string) error {
	for {
		_, err := os.Stat(s.layout.hold(component))
		if errors.Is(err, fs.ErrNotExist) {
			return ctx.Err()
		}
		if err := sleep(ctx, holdPoll); err != nil {
			return err
		}
	}
}

// tail returns the last lines of a log, for an error to quote.
func tail(file string) string {
	const lines, limit = 8, 4096
	data, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	data = bytes.TrimSpace(data[max(0, len(data)-limit):])
	all := bytes.Split(data, []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

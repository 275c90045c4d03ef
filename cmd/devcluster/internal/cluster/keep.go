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
	// restartPause limits the CPU time of a component that can't start.
	restartPause = 200 * time.Millisecond
	// holdPoll is the interval of checks whether a stopped component may start.
	holdPoll = 50 * time.Millisecond
)

// Lifeline is the environment variable that makes a component end at the end of
// its standard input, which is when the supervisor ends.
const Lifeline = "DEVCLUSTER_LIFELINE"

// keep runs a component until ctx is done. It restarts a component that ends,
// once the cluster was ready. Before that, the end of a component is an error.
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

// runOnce runs the process and returns when it has ended. The process is killed
// when ctx is done or this goroutine's thread ends (process.Tie). If this
// process is killed, the end of standard input ends it.
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

// environment returns the environment of a component. It excludes the user's
// settings, because a kubeconfig or a kwok configuration in the home directory
// would change the cluster. The garbage collector runs a little more often than
// by default, so that several clusters fit into memory.
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

// awaitRelease blocks while the component is stopped.
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

// tail returns the last lines of a log, for an error.
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

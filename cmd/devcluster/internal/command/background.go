package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/cluster"
	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/process"
)

// background starts this program as the cluster's supervisor, prints its
// progress, and returns when the cluster is ready. Until then, the supervisor
// reads a pipe from this process and exits when the pipe ends, also if this
// process is killed.
func (o *up) background(ctx context.Context, spec cluster.Spec) error {
	cmd := exec.Command(o.executable, o.supervisorArguments(spec)...) //nolint:noctx // outlives ctx by design
	process.Detach(cmd)
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("connect supervisor: %w", err)
	}
	defer func() { _ = lifeline.Close() }()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("connect supervisor: %w", err)
	}
	progress, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("connect supervisor: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start supervisor: %w", err)
	}
	relayed := make(chan struct{})
	go func() {
		defer close(relayed)
		_, _ = io.Copy(o.streams.Err, progress)
	}()
	kubeconfig := make(chan string, 1)
	go func() { kubeconfig <- firstLine(out) }()

	select {
	case <-ctx.Done():
		return errors.Join(errors.New("interrupted"), o.abandon(cmd, relayed, spec))
	case line := <-kubeconfig:
		if line == "" {
			return errors.Join(ExitError(1), o.abandon(cmd, relayed, spec))
		}
		_, err := fmt.Fprintln(o.streams.Out, line)
		return err
	}
}

// abandon ends a supervisor whose cluster failed to start, and removes the
// files that the supervisor did not remove.
func (o *up) abandon(cmd *exec.Cmd, relayed <-chan struct{}, spec cluster.Spec) error {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	<-relayed
	_ = cmd.Wait()
	state, err := cluster.Read(spec.Dir)
	if errors.Is(err, cluster.ErrNotFound) {
		return nil
	}
	if err != nil || state.Supervisor.PID != cmd.Process.Pid {
		return err
	}
	return cluster.Down(context.Background(), state)
}

func (o *up) supervisorArguments(spec cluster.Spec) []string {
	args := []string{
		"up", "--foreground", "--lifeline=" + lifelineStart,
		"--name=" + spec.Name, "--dir=" + spec.Dir,
		"--components=" + strings.Join(spec.Components, ","),
		"--nodes=" + strconv.Itoa(spec.Nodes),
	}
	for _, forward := range o.forwards {
		args = append(args, "--forward="+forward)
	}
	return args
}

// firstLine returns the first line of r, or "" if r ends before a complete
// line.
func firstLine(r io.Reader) string {
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(line, "\n")
}

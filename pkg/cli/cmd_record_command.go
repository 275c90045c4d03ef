package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// The exit codes of a command that did not run, as in shells.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
	exitSignal        = 128 // and the number of the signal that ended the command
)

// signals are the signals that would end the process.
type signals struct {
	received <-chan os.Signal
	stop     func()
}

// listen receives signals until stop is called. If the environment has none,
// the end of ctx is one.
func (o *recordOptions) listen(ctx context.Context) signals {
	received := make(chan os.Signal, 4)
	if o.env.Signals != nil {
		return signals{received, o.env.Signals(received)}
	}
	stop := context.AfterFunc(ctx, func() { received <- os.Interrupt })
	return signals{received, func() { stop() }}
}

// then calls f at the next signal, until end is called.
func (s signals) then(f func()) (end func()) {
	ended := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-s.received:
			f()
		case <-ended:
		}
	})
	return func() { close(ended); waiting.Wait() }
}

// runCommand runs the command to its end, and returns its exit code. Signals
// are passed on to it. An error means that it did not run, and the code is not
// 0 then.
func (o *recordOptions) runCommand(s signals, rec Recording) (code int, err error) {
	c := exec.Command(o.command[0], o.command[1:]...) //nolint:noctx // it ends with the signals that it gets
	c.Stdin, c.Stdout, c.Stderr = o.env.In, o.env.Out, o.env.ErrOut
	if failed := notStarted(c.Start()); failed != nil {
		return failed.code, failed.err
	}
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	ended := rec.Ended()
	for {
		select {
		case sig := <-s.received:
			// A terminal sends its interrupts to the command, too.
			if sig != os.Interrupt || terminalWidth(o.env.Out) == 0 && terminalWidth(o.env.ErrOut) == 0 {
				_ = c.Process.Signal(sig)
			}
		case <-ended:
			ended = nil
			o.env.note("Warning: recording has ended; the command continues")
		case err := <-done:
			return commandCode(err)
		}
	}
}

// notStarted returns the error of a command that can't be started because of
// err. It returns nil if err is nil.
func notStarted(err error) *exitError {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission):
		return &exitError{exitNotExecutable, err}
	default:
		return &exitError{exitNotFound, err}
	}
}

// commandCode returns the exit code of a command that has ended.
func commandCode(err error) (int, error) {
	exit, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return 0, nil
	case !ok:
		return 1, fmt.Errorf("run the command: %w", err)
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitSignal + int(status.Signal()), nil
	}
	return exit.ExitCode(), nil
}

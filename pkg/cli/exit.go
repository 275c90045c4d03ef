package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/printable"
)

// exitInterrupted is the exit code of an interrupted command.
const exitInterrupted = 130

// interruptTimeout bounds each of the two steps after an interrupt: the end of
// the command, and the restoring of the terminal.
const interruptTimeout = 100 * time.Millisecond

// errFound is the error of a command with --exit-code that wrote something. It
// is never printed.
var errFound = errors.New("found something")

// exitFound is the exit code of a command with --fail-on that found something.
const exitFound = 3

// exitError is the error of a command with an exit code of its own. The cause
// is printed, if there is one.
type exitError struct {
	code int
	err  error
}

// Error returns the text of the cause.
func (e *exitError) Error() string { return fmt.Sprint(e.err) }

// Unwrap returns the cause.
func (e *exitError) Unwrap() error { return e.err }

// errUnhealthy is the error of check that found something wrong. It is never
// printed, because the output has it.
var errUnhealthy = errors.New("something is wrong")

// Main runs a command line, without the program's name, and returns the exit
// code.
//
// Once ctx is done, Main returns at once, even if the command is blocked. A
// library without contexts, a credential plugin that waits for input, or a full
// pipe can block it. The caller is expected to exit the process then. Only a
// command that holds the process ends itself.
func Main(ctx context.Context, env Environment, args []string) int {
	env.progress, env.paging, env.held = &progressLine{w: env.ErrOut}, &paging{}, &atomic.Bool{}
	restoreState, restoreEscapes := terminalState(env.In), env.prepareTerminals()
	finished := make(chan int, 1)
	go func() { finished <- run(ctx, env, args) }()
	select {
	case code := <-finished:
		restoreEscapes()
		return code
	case <-ctx.Done():
	}
	env.progress.interrupt()
	if env.held.Load() {
		code := <-finished
		restoreEscapes()
		return code
	}
	env.paging.stop()
	// Most commands end soon after their context.
	waitAtMost(interruptTimeout, func() { <-finished })
	waitAtMost(interruptTimeout, func() { // writes to the terminal may block
		restoreState()
		env.endProgress()
		restoreEscapes()
	})
	return exitInterrupted
}

// waitAtMost calls f in a goroutine and waits for it, but at most for timeout.
// After the timeout, f continues to run.
func waitAtMost(timeout time.Duration, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(timeout):
	}
}

// run runs a command line, prints its error, and returns its exit code. No
// other function prints the error of a command.
func run(ctx context.Context, env Environment, args []string) int {
	root := New(env)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	code, print := exitCode(ctx, err, isLikeDiff(cmd, args))
	if print {
		_, _ = fmt.Fprintln(env.ErrOut, "error: "+printable.Text(strings.TrimSpace(err.Error())))
		if hint := history.HintOf(err); hint != "" {
			_, _ = fmt.Fprintln(env.ErrOut, printable.Text(hint))
		}
	}
	return code
}

// exitCode maps a command's error to an exit code, and reports whether the
// error is printed.
//
// Without --exit-code a command exits with 0, or 1 on errors. With --exit-code
// the codes are those of diff: 0 for no output, 1 for output, 2 for errors.
func exitCode(ctx context.Context, err error, likeDiff bool) (code int, print bool) {
	found, failed := 0, 1
	if likeDiff {
		found, failed = 1, 2
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code, e.err != nil
	}
	switch {
	case err == nil:
		return 0, false
	case errors.Is(err, errFound):
		return found, false
	case errors.Is(err, errUnhealthy):
		return failed, false
	case ctx.Err() != nil:
		return exitInterrupted, false
	case outputClosed(err):
		return found, false // there was output to write
	default:
		return failed, true
	}
}

// isLikeDiff reports whether --exit-code is set. Flags after an invalid one are
// not parsed, so the arguments are searched too.
func isLikeDiff(cmd *cobra.Command, args []string) bool {
	set, err := cmd.Flags().GetBool("exit-code")
	if err != nil { // the command does not have the flag
		return false
	}
	if i := slices.Index(args, "--"); i >= 0 {
		args = args[:i]
	}
	return set || slices.Contains(args, "--exit-code")
}

// outputClosed reports whether err means that the reader of the output closed
// it. A broken connection to the recorder may have the same cause.
func outputClosed(err error) bool {
	return history.CodeOf(err) != history.Unavailable && slices.ContainsFunc(closedPipes(), func(closed error) bool {
		return errors.Is(err, closed)
	})
}

// withAdvice returns an error with the code [history.Invalid] and a hint.
func withAdvice(hint, format string, args ...any) error {
	return history.WithHint(invalidf(format, args...), hint)
}

// invalidf returns an error with the code [history.Invalid].
func invalidf(format string, args ...any) error {
	return history.Errorf(history.Invalid, format, args...)
}

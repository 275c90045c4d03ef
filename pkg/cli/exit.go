package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// The exit codes. With --exit-code they are those of diff: 0 for nothing to show, 1 for something, 2 for trouble.
const (
	exitOK          = 0
	exitError       = 1
	exitInterrupted = 130
)

// interruptPatience is how long an interrupted command may take to clean up.
const interruptPatience = 100 * time.Millisecond

// Main runs the command line args, without the program's name, until it is done or ctx is, and returns the exit code.
//
// Once ctx is done it returns at once, whatever the command is busy with: a library that takes no context, a credential
// plugin that waits for a person, or a reader that does not read. The process is expected to exit then.
func Main(ctx context.Context, env Environment, args []string) int {
	env.waiting = &waiting{w: env.ErrOut}
	state, escapes := terminalState(env.In), env.prepareTerminals()
	finished := make(chan int, 1)
	go func() { finished <- run(ctx, env, args) }()
	select {
	case code := <-finished:
		escapes()
		return code
	case <-ctx.Done():
	}
	atMost(interruptPatience, func() { <-finished })
	atMost(interruptPatience, func() { // the terminal may not take anything
		state()
		env.answer()
		escapes()
	})
	return exitInterrupted
}

// atMost returns once do has, or after a while.
func atMost(patience time.Duration, do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(patience):
	}
}

func run(ctx context.Context, env Environment, args []string) int {
	root := New(env)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	verdict := verdictOf(isLikeDiff(cmd, args))
	switch found := (foundError{}); {
	case err == nil:
		return exitOK
	case errors.As(err, &found):
		return verdict.found
	case ctx.Err() != nil:
		return exitInterrupted
	case outputClosed(err):
		return verdict.found // there was something to write
	default:
		_, _ = fmt.Fprintln(env.ErrOut, "error: "+render.Escape(strings.TrimSpace(err.Error())))
		if hint := history.HintOf(err); hint != "" {
			_, _ = fmt.Fprintln(env.ErrOut, render.Escape(hint))
		}
		return verdict.failed
	}
}

// isLikeDiff reports whether the exit code is asked to be diff's. Flags after a
// mistake are not parsed any more, so the arguments decide, too.
func isLikeDiff(cmd *cobra.Command, args []string) bool {
	set, err := cmd.Flags().GetBool("exit-code")
	if err != nil { // the command does not have it
		return false
	}
	if i := slices.Index(args, "--"); i >= 0 {
		args = args[:i]
	}
	return set || slices.Contains(args, "--exit-code")
}

// outputClosed reports whether the reader of the output has closed it. A broken connection to the recorder may be the same
// error of the system.
func outputClosed(err error) bool {
	return history.CodeOf(err) != history.Unavailable && slices.ContainsFunc(closedPipes(), func(closed error) bool { return errors.Is(err, closed) })
}

// verdict is how an answer and an error turn into exit codes.
type verdict struct{ found, failed int }

func verdictOf(likeDiff bool) verdict {
	if likeDiff {
		return verdict{found: 1, failed: 2}
	}
	return verdict{found: exitOK, failed: exitError}
}

// foundError is how a command with --exit-code says that it had something to show.
type foundError struct{}

// Error is never shown.
func (foundError) Error() string { return "something was found" }

func invalidf(format string, args ...any) error {
	return history.Errorf(history.Invalid, format, args...)
}

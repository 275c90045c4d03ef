package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// The exit codes. With --exit-code they are those of diff: 0 for nothing to show, 1 for something, 2 for trouble.
const (
	exitOK          = 0
	exitError       = 1
	exitInterrupted = 130
)

// Main runs the command line args, without the program's name, until it is done or ctx is, and returns the exit code.
func Main(ctx context.Context, env Environment, args []string) int {
	root := New(env)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	likeDiff, _ := cmd.Flags().GetBool("exit-code") // not every command has it
	verdict := verdictOf(likeDiff)
	switch found := (foundError{}); {
	case err == nil:
		return exitOK
	case errors.As(err, &found):
		return verdict.found
	case ctx.Err() != nil:
		return exitInterrupted
	case outputClosed(err):
		return exitOK
	default:
		_, _ = fmt.Fprintln(env.ErrOut, "error: "+render.Escape(strings.TrimSpace(err.Error())))
		return verdict.failed
	}
}

// outputClosed tells whether whoever reads has enough. A connection to the recorder may break in the same words.
func outputClosed(err error) bool {
	_, broken := errors.AsType[*client.Error](err)
	return !broken && errors.Is(err, syscall.EPIPE)
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

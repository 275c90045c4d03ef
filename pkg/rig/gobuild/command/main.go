// Command command runs "go build" and shows its progress:
//
//	go run ./pkg/rig/gobuild/command NAME DIRECTORY ARGUMENTS...
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"

	"github.com/watchhistory/watchhistory/pkg/rig/gobuild"
)

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: command NAME DIRECTORY ARGUMENTS...")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := gobuild.Run(ctx, gobuild.Build{
		Name: os.Args[1], Dir: os.Args[2], Args: os.Args[3:], Out: os.Stderr, Terminal: gobuild.IsTerminal(os.Stderr),
	})
	stop()
	if err == nil {
		return
	}
	if _, failed := errors.AsType[*exec.ExitError](err); !failed { // otherwise go has printed the cause
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(1)
}

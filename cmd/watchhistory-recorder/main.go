// Command watchhistory-recorder records every version of a cluster's objects
// and serves them over a REST API.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode"

	"github.com/watchhistory/watchhistory/pkg/daemon"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)

	cmd := daemon.NewCommand(version, os.Getenv, hangup)
	if err := cmd.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "watchhistory-recorder: "+printable(err.Error()))
		stop()
		os.Exit(daemon.ExitCode(err))
	}
}

// printable replaces the characters of an error text that a terminal would
// interpret or hide. The text may quote an API server.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// Command watchhistory-recorder records every version of a cluster's objects
// and serves them over a REST API.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/watchhistory/watchhistory/pkg/access/clientcert"
	"github.com/watchhistory/watchhistory/pkg/admin"
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

	cmd := daemon.NewCommand(version, os.Getenv, hangup, daemon.WithClientCertificates(clientcert.New))
	if err := cmd.ExecuteContext(ctx); err != nil {
		admin.PrintError(os.Stderr, err)
		stop()
		os.Exit(daemon.ExitCode(err))
	}
}

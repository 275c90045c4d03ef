// Command kubectl-watchhistory is the kubectl plugin: "kubectl watchhistory".
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // for --timezone on machines without zone files

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"

	"github.com/watchhistory/watchhistory/pkg/cli"
)

// version is set by the linker; else the build tells.
var version string

func main() {
	klog.SetLogger(logr.Discard()) // what libraries log is no part of an answer
	env := cli.System(version)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once, whatever it is busy with
	code := cli.Main(ctx, env, cli.Arguments(os.Args))
	stop()
	os.Exit(code)
}

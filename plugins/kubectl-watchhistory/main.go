// Command kubectl-watchhistory is the kubectl plugin "kubectl watchhistory".
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
	"github.com/watchhistory/watchhistory/pkg/engine"
)

// version is set by the linker. If it is empty, the module version of the build
// is used.
var version string

func main() {
	klog.SetLogger(logr.Discard()) // client-go's logs are not part of the output
	env := cli.System(version)
	env.Engine = engine.New()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // restore the default handlers: a second signal ends the process at once
	env.Signals = func(to chan<- os.Signal) func() {
		signal.Notify(to, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		return func() { signal.Stop(to) }
	}
	code := cli.Main(ctx, env, cli.Arguments(os.Args))
	stop()
	os.Exit(code)
}

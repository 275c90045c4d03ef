package command

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/cluster"
)

// The values of --lifeline: when the end of standard input ends a cluster in
// the foreground.
const (
	lifelineStart  = "start"  // while it starts
	lifelineAlways = "always" // whenever it comes
)

type up struct {
	target
	streams    Streams
	executable string
	components []string
	nodes      int
	forwards   []string
	foreground bool
	lifeline   string
}

func newUp(streams Streams, executable string) *cobra.Command {
	o := &up{streams: streams, executable: executable}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Boot a cluster and print its kubeconfig's path",
		Long: `Boots a cluster and prints its kubeconfig's path on standard output.

The cluster runs in the background under a supervisor, which restarts a
component that ends. If the supervisor ends for any reason, the components end
too. A failed or interrupted start leaves no process and no file.`,
		Example: `  # All components, with two simulated nodes
  export KUBECONFIG=$(devcluster up)

  # A second cluster, with etcd and the API server only
  devcluster up --name small --components etcd,apiserver

  # Port-forwards to port 8080 of any pod reach a local process
  devcluster up --forward 8080=127.0.0.1:18080`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	o.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringSliceVar(&o.components, "components", []string{"all"},
		"what to run: etcd, apiserver, controller-manager, scheduler, kwok, or all")
	flags.IntVar(&o.nodes, "nodes", 2, "how many simulated nodes")
	flags.StringArrayVar(&o.forwards, "forward", nil,
		"send port-forwards to a port of any pod elsewhere, as PODPORT=HOST:PORT; may be repeated")
	flags.BoolVar(&o.foreground, "foreground", false, "run in the foreground, and end the cluster when interrupted")
	flags.StringVar(&o.lifeline, "lifeline", "",
		`with --foreground, also end when standard input does: "start" (until ready) or "always"`)
	_ = flags.MarkHidden("lifeline") // for programs that start clusters
	return cmd
}

func (o *up) run(ctx context.Context) error {
	spec, err := o.spec()
	if err != nil {
		return err
	}
	if o.foreground {
		return o.supervise(ctx, spec)
	}
	return o.background(ctx, spec)
}

func (o *up) spec() (cluster.Spec, error) {
	dir, err := o.directory()
	if err != nil {
		return cluster.Spec{}, err
	}
	components, err := cluster.ParseComponents(o.components)
	if err != nil {
		return cluster.Spec{}, err
	}
	spec := cluster.Spec{Name: o.name, Dir: dir, Components: components, Nodes: o.nodes}
	for _, s := range o.forwards {
		forward, err := cluster.ParseForward(s)
		if err != nil {
			return cluster.Spec{}, err
		}
		spec.Forwards = append(spec.Forwards, forward)
	}
	switch o.lifeline {
	case "", lifelineStart, lifelineAlways:
		return spec, nil
	}
	return cluster.Spec{}, fmt.Errorf("--lifeline=%s: choose start or always", o.lifeline)
}

// supervise runs the supervisor in this process.
func (o *up) supervise(ctx context.Context, spec cluster.Spec) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ready := make(chan struct{})
	if o.lifeline != "" {
		go o.watchLifeline(cancel, ready)
	}
	err := cluster.Supervise(ctx, spec, o.executable, cluster.Observer{
		Progress: func(line string) { _, _ = fmt.Fprintf(o.streams.Err, "%s: %s\n", spec.Name, line) },
		Ready: func(state cluster.State) {
			// The reader of the path may release the lifeline at once.
			close(ready)
			_, _ = fmt.Fprintln(o.streams.Out, state.Kubeconfig)
		},
	})
	select {
	case <-ready:
		return err
	default:
		if err == nil {
			err = errors.New("interrupted before the cluster was ready; all processes have ended")
		}
		return err
	}
}

// watchLifeline blocks until standard input ends, or until this process ends.
func (o *up) watchLifeline(end context.CancelFunc, ready <-chan struct{}) {
	_, _ = io.Copy(io.Discard, o.streams.In)
	select {
	case <-ready:
		if o.lifeline == lifelineAlways {
			end()
		}
	default:
		end()
	}
}

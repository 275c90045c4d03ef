package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/kube"
	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/load"
)

type loadCommand struct {
	client
	streams Streams
	options load.Options
	truth   string
}

func newLoad(streams Streams) *cobra.Command {
	o := &loadCommand{streams: streams}
	cmd := &cobra.Command{
		Use:   "load",
		Short: "Write to a cluster as fast as possible, and record the accepted writes",
		Long: `Creates objects, updates each of them again and again, and deletes them.

The truth is one JSON line for every write that the API server accepted: group,
resource, namespace, name, uid, resourceVersion and verb. A delete has no
resourceVersion, because no response contains it: identify deletes by uid and
verb. Deleting a pod takes two writes, an update that marks it and the delete.
Nothing else writes to the objects, even if all components run: pods are never
scheduled and have no owner.`,
		Example: `  # 8,000 status updates of pods, back to back
  devcluster load --kinds pods --objects 80 --updates 100 --writers 8 --truth truth.jsonl

  # 10 writes per second for more than an hour, with deletions
  devcluster load --objects 3600 --updates 10 --rate 10 --delete`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	o.addFlags(cmd)
	flags, options := cmd.Flags(), &o.options
	flags.StringVarP(&options.Namespace, "namespace", "n", "load", "namespace to write to; created if necessary")
	flags.StringSliceVar(&options.Kinds, "kinds", []string{"pods"}, "what to write: "+strings.Join(load.Kinds(), ", "))
	flags.IntVar(&options.Objects, "objects", 100, "how many objects to create")
	flags.IntVar(&options.Updates, "updates", 10, "how often to update each object")
	flags.IntVar(&options.Writers, "writers", 8, "how many write at the same time")
	flags.Float64Var(&options.Rate, "rate", 0, "writes per second, all writers together; 0 is as fast as possible")
	flags.BoolVar(&options.Delete, "delete", false, "delete the objects at the end")
	flags.StringVar(&options.Prefix, "prefix", "", "prefix of the objects' names (default: different for each run)")
	flags.StringVar(&o.truth, "truth", "", "file to write the truth to")
	return cmd
}

func (o *loadCommand) run(ctx context.Context) (err error) {
	config, err := o.config("devcluster-load")
	if err != nil {
		return err
	}
	if o.options.Prefix == "" {
		o.options.Prefix = "load-" + strconv.FormatInt(time.Now().UnixMilli(), 36)
	}
	file := os.DevNull
	if o.truth != "" {
		file = o.truth
	}
	out, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("create truth file: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	truth := load.NewTruth(out)
	began := time.Now()
	err = errors.Join(load.Run(ctx, config, o.options, truth.Add), truth.Flush())
	o.report(truth, time.Since(began))
	return err
}

func (o *loadCommand) report(truth *load.Truth, took time.Duration) {
	creates, updates, deletes := truth.Count(load.Create), truth.Count(load.Update), truth.Count(load.Delete)
	total := creates + updates + deletes
	_, _ = fmt.Fprintf(o.streams.Err, "%d writes in %.1fs (%.0f/s): %d creates, %d updates, %d deletes\n",
		total, took.Seconds(), float64(total)/took.Seconds(), creates, updates, deletes)
}

// client returns the configuration of the cluster to use: devcluster's, or that
// of --kubeconfig.
type client struct {
	target
	kubeconfig string
}

func (c *client) addFlags(cmd *cobra.Command) {
	c.target.addFlags(cmd)
	cmd.Flags().StringVar(&c.kubeconfig, "kubeconfig", "", "use another cluster than one of devcluster's")
	cmd.MarkFlagsMutuallyExclusive("kubeconfig", "name", "dir")
}

func (c *client) config(agent string) (*rest.Config, error) {
	if c.kubeconfig != "" {
		return kube.Config(c.kubeconfig, agent)
	}
	state, err := c.running()
	if err != nil {
		return nil, err
	}
	return kube.Config(state.Kubeconfig, agent)
}

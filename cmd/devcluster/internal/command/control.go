package command

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/cluster"
)

// controlPatience bounds how long a component may take to be healthy again.
const controlPatience = time.Minute

func newStop() *cobra.Command {
	return newControl(cluster.Stop, &cobra.Command{
		Use:   "stop COMPONENT",
		Short: "Kill a component with SIGKILL and keep it down",
		Example: `  devcluster stop apiserver
  devcluster start apiserver`,
	})
}

func newStart() *cobra.Command {
	return newControl(cluster.Start, &cobra.Command{
		Use:     "start COMPONENT",
		Short:   "Start a component that was stopped, and wait until it is healthy",
		Example: "  devcluster start apiserver",
	})
}

func newRestart() *cobra.Command {
	return newControl(cluster.Restart, &cobra.Command{
		Use:     "restart COMPONENT",
		Short:   "Kill a component and wait until its new process is healthy",
		Example: "  devcluster restart apiserver",
	})
}

func newControl(
	action func(context.Context, cluster.State, string) error, cmd *cobra.Command,
) *cobra.Command {
	var chosen target
	cmd.Args = cobra.ExactArgs(1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		component, err := cluster.ParseComponent(args[0])
		if err != nil {
			return err
		}
		state, err := chosen.running()
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), controlPatience)
		defer cancel()
		return action(ctx, state, component)
	}
	chosen.addFlags(cmd)
	return cmd
}

func newCompact(streams Streams) *cobra.Command {
	var chosen target
	cmd := &cobra.Command{
		Use:   "compact",
		Short: "Drop etcd's history, so that watches from earlier versions fail with 410",
		Long: `Compacts etcd to its current revision and prints the revision. The API server answers
watches from its own cache as far as it reaches back. To get a 410 in any case,
restart the API server afterwards.`,
		Example: `  devcluster compact
  devcluster restart apiserver`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			state, err := chosen.running()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), controlPatience)
			defer cancel()
			revision, err := cluster.Compact(ctx, state)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(streams.Out, revision)
			return err
		},
	}
	chosen.addFlags(cmd)
	return cmd
}

func newKubectl(kubectl func(args []string) int) *cobra.Command {
	return &cobra.Command{
		Use:   "kubectl",
		Short: "Run the linked kubectl, which has the same version",
		Long: `Runs the linked kubectl with all further arguments. Without --kubeconfig and
KUBECONFIG it uses the cluster named default, if there is one.`,
		Example:            "  devcluster kubectl get pods -A",
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if code := kubectl(args); code != 0 {
				return ExitError(code)
			}
			return nil
		},
	}
}

package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/cluster"
)

func newDown(streams Streams) *cobra.Command {
	var chosen target
	var all bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "End a cluster and remove its directory",
		Long: `Ends every process of a cluster and removes its directory. A process is ended
only if it is the recorded one; a pid that was reused is left alone.`,
		Example: `  devcluster down
  devcluster down --name small
  devcluster down --all`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			states, err := chosenStates(&chosen, all)
			if err != nil {
				return err
			}
			return endAll(cmd.Context(), streams, states)
		},
	}
	chosen.addFlags(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "end every cluster that was started by name")
	cmd.MarkFlagsMutuallyExclusive("all", "name", "dir")
	return cmd
}

func chosenStates(chosen *target, all bool) ([]cluster.State, error) {
	if all {
		root, err := cluster.Root()
		if err != nil {
			return nil, err
		}
		return cluster.List(root)
	}
	state, err := chosen.state()
	return []cluster.State{state}, err
}

// endAll tries every cluster, even when one fails.
func endAll(ctx context.Context, streams Streams, states []cluster.State) error {
	var errs []error
	for _, state := range states {
		if err := cluster.Down(ctx, state); err != nil {
			errs = append(errs, fmt.Errorf("end cluster %s: %w", state.Name, err))
			continue
		}
		_, _ = fmt.Fprintf(streams.Err, "%s: ended, %s removed\n", state.Name, state.Dir)
	}
	return errors.Join(errs...)
}

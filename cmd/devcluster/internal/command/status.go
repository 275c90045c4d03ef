package command

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/cluster"
)

func newStatus(streams Streams) *cobra.Command {
	var chosen target
	cmd := &cobra.Command{
		Use:   "status",
		Short: "List clusters with their components, memory and kubeconfig",
		Example: `  devcluster status
  devcluster status --dir ./cluster`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			one := cmd.Flags().Changed("name") || cmd.Flags().Changed("dir")
			states, err := chosenStates(&chosen, !one)
			if err != nil {
				return err
			}
			if len(states) == 0 {
				_, _ = fmt.Fprintln(streams.Err, "No clusters. Start one with: devcluster up")
				return nil
			}
			return writeStatus(streams.Out, states)
		},
	}
	chosen.addFlags(cmd)
	return cmd
}

func writeStatus(out io.Writer, states []cluster.State) error {
	for i, state := range states {
		if i > 0 {
			_, _ = fmt.Fprintln(out)
		}
		_, _ = fmt.Fprintf(out, "%s: %s, started %s ago, %s\nKUBECONFIG=%s\n",
			state.Name, phase(state), time.Since(state.Created).Round(time.Second),
			mebibytes(totalMemory(state)), state.Kubeconfig)
		table := tabwriter.NewWriter(out, 0, 8, 3, ' ', 0)
		_, _ = fmt.Fprintln(table, "COMPONENT\tSTATE\tPID\tPORT\tSTARTS\tMEMORY")
		for _, c := range state.Components {
			_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%s\n", c.Name, health(state, c),
				c.Process.PID, c.Port, c.Starts, mebibytes(c.Process.Memory()))
		}
		if err := table.Flush(); err != nil {
			return fmt.Errorf("write status: %w", err)
		}
	}
	return nil
}

func phase(state cluster.State) string {
	switch {
	case !state.Running():
		return "dead (remove it with devcluster down)"
	case !state.Ready:
		return "starting"
	}
	return "running"
}

func health(state cluster.State, c cluster.ComponentState) string {
	switch {
	case c.Process.Alive():
		return "running"
	case cluster.Held(state, c.Name):
		return "stopped"
	}
	return "down"
}

func totalMemory(state cluster.State) int64 {
	total := state.Supervisor.Memory()
	for _, c := range state.Components {
		total += c.Process.Memory()
	}
	return total
}

func mebibytes(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }

package command

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/scenario"
)

func newPlay(streams Streams) *cobra.Command {
	var chosen client
	var options scenario.Options
	var list strings.Builder
	var names []string
	for _, s := range scenario.All() {
		fmt.Fprintf(&list, "\n  %-18s %s", s.Name, s.Short)
		names = append(names, s.Name)
	}
	cmd := &cobra.Command{
		Use:   "play SCENARIO",
		Short: "Play a scenario: a broken rollout, a crash loop and others",
		Long: `Plays one of these scenarios, which need a cluster with all components:
` + list.String() + `

Each can be played again in the same namespace. It then removes its earlier
objects, and nothing else.`,
		Example: `  devcluster play broken-rollout -n shop
  devcluster play broken-rollout -n shop --rollback`,
		ValidArgs: names,
		Args:      cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			config, err := chosen.config("devcluster-play")
			if err != nil {
				return err
			}
			return scenario.Play(cmd.Context(), config, args[0], options, func(line string) {
				_, _ = fmt.Fprintf(streams.Err, "%s: %s\n", options.Namespace, line)
			})
		},
	}
	chosen.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&options.Namespace, "namespace", "n", "shop", "namespace of the scenario; created if necessary")
	flags.DurationVar(&options.Pause, "pause", 200*time.Millisecond, "how long to wait before each step")
	flags.BoolVar(&options.Rollback, "rollback", false, "undo the broken rollout at the end")
	return cmd
}

package command

import (
	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/demo"
)

func newDemo(streams Streams, executable string) *cobra.Command {
	o := demo.Options{Executable: executable, Out: streams.Out, Err: streams.Err}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Record a broken rollout and show it through the plugin",
		Long: `Boots a cluster, installs the recorder's manifests on it, runs the recorder with
the rights that they give, plays a broken rollout, and asks for its history
through kubectl, the plugin and a port-forward. Then clears all of it up.`,
		Example: `  make demo          # builds what it needs
  make demo KEEP=1   # leaves it running, and prints how to go on`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return demo.Run(cmd.Context(), o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Recorder, "recorder", "bin/watchhistory-recorder", "the recorder's executable")
	flags.StringVar(&o.Plugin, "plugin", "bin/kubectl-watchhistory", "the plugin's executable")
	flags.StringVar(&o.Manifests, "manifests", "deploy", "the directory of the recorder's manifests")
	flags.BoolVar(&o.Keep, "keep", false, "leave everything running, and print how to go on")
	return cmd
}

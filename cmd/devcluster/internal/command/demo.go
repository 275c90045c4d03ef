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
the rights that they give, plays a broken rollout, and shows its history
through kubectl, the plugin and a port-forward. Then removes everything.`,
		Example: `  make demo          # builds what it needs
  make demo KEEP=1   # leaves it running and prints the next steps`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return demo.Run(cmd.Context(), o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Recorder, "recorder", "bin/watchhistory-recorder", "the recorder's executable")
	flags.StringVar(&o.Plugin, "plugin", "bin/kubectl-watchhistory", "the plugin's executable")
	flags.StringVar(&o.Manifests, "manifests", "deploy", "the directory of the recorder's manifests")
	flags.BoolVar(&o.Keep, "keep", false, "leave everything running and print the next steps")
	return cmd
}

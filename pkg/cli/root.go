package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

// New returns the plugin's command with all its subcommands.
func New(env Environment) *cobra.Command {
	conn := newConnection(env)
	root := &cobra.Command{
		Use:   "kubectl-watchhistory",
		Short: "See what changed in a Kubernetes cluster, when and by whom",
		Long: paragraphs(`
			See what changed in a Kubernetes cluster, when and by whom, from the history that a
			watchhistory-recorder keeps.

			The recorder is found in the cluster of the kubeconfig and reached through the API server;
			--recorder-url names another one.

			On a terminal, characters that it would obey or hide are shown in another form. In a pipe,
			-o yaml, name and templates write the data as it is.

			kubectl completes types, names, deleted ones too, and revisions, if this program is also in
			the PATH under the name ` + completerName + `. To link it:

			ln -s "$(which kubectl-watchhistory)" ~/bin/` + completerName),
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: env.Name},
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(env.In)
	root.SetOut(env.Out)
	root.SetErr(env.ErrOut)
	root.SetFlagErrorFunc(usage)
	conn.addFlags(root)
	root.AddCommand(newGet(conn), newHistory(conn), newRelated(conn), newVersion(env))
	return root
}

// usage turns an error about flags or arguments into one line that says where to read on.
func usage(cmd *cobra.Command, err error) error {
	return invalidf("%v; see '%s --help'", err, cmd.CommandPath())
}

// arguments checks the number of arguments.
func arguments(least, most int, want string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || most >= 0 && len(args) > most {
			return invalidf("want %s, got %d arguments; see '%s --help'", want, len(args), cmd.CommandPath())
		}
		return nil
	}
}

// paragraphs takes the indentation of the source off a text.
func paragraphs(text string) string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.Join(lines, "\n")
}

// examples indents examples as kubectl does, and puts in how the program is called.
func examples(env Environment, text string) string {
	text = strings.ReplaceAll(paragraphs(text), "watchhistory ", env.Name+" ")
	return strings.ReplaceAll("  "+strings.ReplaceAll(text, "\n", "\n  "), "\n  \n", "\n\n")
}

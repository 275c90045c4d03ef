package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

// New returns the plugin's root command with all its subcommands.
func New(env Environment) *cobra.Command {
	conn := newConnection(env)
	o := &frontOptions{getOptions: getOptions{queryOptions: queryOptions{connection: conn}}}
	root := &cobra.Command{
		Use:   "kubectl-watchhistory",
		Short: "Show what changed in a Kubernetes cluster, when and by whom",
		Long: paragraphs(`
			Show what changed in a Kubernetes cluster, when and by whom, from the history that a
			watchhistory-recorder records.

			Without a command, the changes of the last hour are shown: a line for each change that a
			person, a program or a node caused, and below it how it ended. What follows from these
			changes is folded.

			The recorder is found in the cluster of the kubeconfig and reached through the API server.
			Use --recorder-url for another recorder. With --filename the history is that of a file, and no
			cluster is needed: relative times and ages are relative to its end, and without a command all
			of it is shown.

			Output that is longer than the screen is shown in a pager, as in git: the command in
			KUBECTL_WATCHHISTORY_PAGER, otherwise in PAGER, otherwise less with the options FRX, unless
			LESS is set. --no-pager and an empty command turn that off. Pipes, and --watch, have none.

			On a terminal, characters that are unsafe or invisible are escaped. In a pipe, -o yaml, name
			and templates write the data unchanged.

			kubectl completes types, names (of deleted objects too) and revisions if this program is also
			in the PATH under the name ` + completerName + `. To link it:

			ln -s "$(which kubectl-watchhistory)" ~/bin/` + completerName),
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: env.Name},
		SilenceErrors: true,
		SilenceUsage:  true,
		Example: examples(env, `
			# What happened in the namespace shop within the last 15 minutes
			watchhistory -n shop --since 15m

			# The same, and what happens from now on
			watchhistory -n shop --since 15m -w

			# What people changed, with what followed from each change
			watchhistory -n shop --who kubectl --expand

			# All namespaces of a file that you were sent
			watchhistory -f incident.whx -A

			# Who changed the image of a Deployment today, in all namespaces
			watchhistory -A --since 24h -q 'changed.exists(p, p.endsWith(".image"))'`),
		RunE: runE(o),
	}
	root.SetIn(env.In)
	root.SetOut(env.Out)
	root.SetErr(env.ErrOut)
	root.SetFlagErrorFunc(flagError)
	conn.addFlags(root)
	o.addFlags(root)
	root.AddCommand(newGet(conn), newHistory(conn), newShow(conn), newBlame(conn), newDiff(conn), newRelated(conn),
		newTree(conn), newWhy(conn), newReport(conn), newState(conn), newRestore(conn), newRecord(conn),
		newInstall(conn), newUninstall(conn), newCheck(conn), newVersion(conn))
	addCompletion(root, conn)
	conn.completeTimes(root)
	return root
}

// helpHint returns a hint at the command's --help.
func helpHint(cmd *cobra.Command) string { return "See '" + cmd.CommandPath() + " --help'." }

// flagError adds a hint at the command's --help to an error about flags.
func flagError(cmd *cobra.Command, err error) error {
	return withAdvice(helpHint(cmd), "%v", err)
}

// oneObject checks the number of arguments of a command about one object.
func oneObject(cmd *cobra.Command, args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return withAdvice(helpHint(cmd), "want TYPE NAME or TYPE/NAME, got %d arguments", len(args))
	}
	return nil
}

// paragraphs removes the indentation of the source from a text.
func paragraphs(text string) string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.Join(lines, "\n")
}

// examples indents examples as kubectl does, and replaces the program's name by
// what users type. The name of its file, kubectl-watchhistory, is kept.
func examples(env Environment, text string) string {
	const program, file = "watchhistory ", pluginPrefix + "watchhistory "
	texts := strings.Split(paragraphs(text), file)
	for i := range texts {
		texts[i] = strings.ReplaceAll(texts[i], program, env.Name+" ")
	}
	text = strings.Join(texts, file)
	return strings.ReplaceAll("  "+strings.ReplaceAll(text, "\n", "\n  "), "\n  \n", "\n\n")
}

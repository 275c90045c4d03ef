package cli

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// frontSince is the default of --since on the front page.
const frontSince = "1h"

// frontOptions are the options of the plugin without a command. It shows the
// timeline of the last hour.
type frontOptions struct {
	getOptions

	sinceFlag *pflag.Flag
}

// addFlags adds the flags of the front page. They are not those of other
// commands.
func (o *frontOptions) addFlags(cmd *cobra.Command) {
	fs := cmd.Flags()
	o.window.addFlags(fs, "changes")
	o.sinceFlag = fs.Lookup("since")
	o.sinceFlag.DefValue, o.since = frontSince, frontSince
	o.output.addFlags(cmd)
	o.addSelectorFlags(cmd)
	o.addFoldFlags(cmd)
	o.addWatchFlags(cmd)
	fs.BoolVarP(&o.allNamespaces, "all-namespaces", "A", false,
		"Show all namespaces, including cluster-scoped objects.")
}

// complete parses the flags. --since-time replaces the default of --since, and
// all of a file is shown.
func (o *frontOptions) complete() error {
	if (o.sinceTime != "" || o.file != "") && !o.sinceFlag.Changed {
		o.since = ""
	}
	return o.getOptions.complete()
}

// run writes the front page. It has no arguments: cobra takes the first one for
// a command.
func (o *frontOptions) run(ctx context.Context, _ []string) error { return o.getOptions.run(ctx, nil) }

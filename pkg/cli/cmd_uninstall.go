package cli

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/install"
)

// uninstallOptions are the options of uninstall.
type uninstallOptions struct {
	*connection

	apply         bool
	deleteHistory bool
}

func newUninstall(conn *connection) *cobra.Command {
	o := &uninstallOptions{connection: conn}
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Show or delete what belongs to a recorder",
		Long: paragraphs(`
			Show what belongs to the recorder in the cluster, or delete it with --apply.

			The volume with the history is kept, and with it the namespace: an installation later continues
			with it. --delete-history deletes it. That can't be undone.

			A namespace is deleted only if install --apply created it, and if nothing else is in it.`),
		Example: examples(conn.env, `
			# Show which objects would be deleted, and which are kept
			watchhistory uninstall

			# Delete it, and keep the history
			watchhistory uninstall --apply

			# Delete everything
			watchhistory uninstall --apply --delete-history`),
		Args: noArguments,
		RunE: runE(o),
	}
	fs := cmd.Flags()
	fs.BoolVar(&o.apply, "apply", false, "Delete the objects instead of showing them.")
	fs.BoolVarP(&o.apply, "yes", "y", false, "The same as --apply.")
	fs.BoolVar(&o.deleteHistory, "delete-history", false, "Delete the volume with the history, too.")
	return cmd
}

// complete has nothing to do.
func (o *uninstallOptions) complete() error { return nil }

// validate rejects contradictions.
func (o *uninstallOptions) validate() error {
	return cmp.Or(o.validateNoFile("uninstall"), o.validateInstallation())
}

// run shows or deletes the objects of a recorder.
func (o *uninstallOptions) run(ctx context.Context, _ []string) error {
	if o.env.progress != nil && !o.env.noEscapes {
		o.env.progress.begin("Asking the API server…")
		defer o.env.progress.end()
	}
	cluster, _, err := o.cluster()
	if err != nil {
		return err
	}
	defer o.env.suspendProgress()()
	removals, err := cluster.PlanRemoval(ctx, o.recorderNamespace(), o.deleteHistory)
	if err != nil {
		return withUninstallHint(err)
	}
	if len(removals) == 0 {
		o.env.note("There is no recorder in namespace " + o.recorderNamespace() +
			". Name another one with --recorder-namespace.")
		return nil
	}
	if err := cluster.CheckRemovals(ctx, removals); err != nil {
		return withUninstallHint(err)
	}
	deleted := 0
	for _, r := range removals {
		name := install.NameOf(r.Object)
		switch {
		case r.Kept != "":
			err = o.env.line("%s kept: %s", name, r.Kept)
		case !o.apply:
			deleted++
			err = o.env.line("%s deleted (dry run)", name)
		default:
			deleted++
			if err = cluster.Remove(ctx, r); err == nil {
				err = o.env.line("%s deleted", name)
			}
		}
		if err != nil {
			return withUninstallHint(err)
		}
	}
	o.noteResult(removals, deleted)
	return nil
}

// noteResult writes what to do next.
func (o *uninstallOptions) noteResult(removals []install.Removal, deleted int) {
	if !o.apply && deleted > 0 {
		o.env.note("Nothing was deleted. Delete with --apply.")
	}
	for _, r := range removals {
		if r.Kept == install.KeptHistory {
			o.env.note("The history is kept. Delete it, too, with --delete-history.")
			return
		}
	}
}

// withUninstallHint adds advice to the API server's rejection of a deletion.
func withUninstallHint(err error) error {
	hint := ""
	switch history.CodeOf(err) {
	case history.Forbidden:
		hint = "Only an administrator of the cluster can delete a recorder. " +
			"kubectl auth can-i --list shows your permissions."
	case history.Unauthorized:
		hint = hintLogin
	case history.Unavailable:
		hint = hintAPIServer
	}
	if hint == "" {
		return err
	}
	return history.WithHint(err, hint)
}

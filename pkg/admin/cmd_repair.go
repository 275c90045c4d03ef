package admin

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/pkg/store"
)

// repairOptions are the arguments of repair.
type repairOptions struct {
	target
	dryRun bool
}

func newRepairCommand(env Environment) *cobra.Command {
	o := &repairOptions{target: target{env: env}}
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Repair a damaged history, and keep every version that can be read",
		Long: `Repair the files of a history that verify finds damaged, and verify it. The recorder must be stopped. A recorder does the same
when it starts.

Damaged blocks of tables are left out, and everything else is kept. Index entries, heads and names that are lost are made again from
the versions. Versions whose JSON is lost, or that are a difference to one of those, are removed; gaps with the reason "damaged" say
so, by resource and time. The damaged files are kept in the directory "damaged" of the storage directory until you remove them.

With --dry-run, what would be lost is printed, and nothing is changed. If you have a backup, compare that with it first.`,
		Example: `  # See what would be lost
  watchhistory-recorder repair --dry-run --storage data

  # Repair it
  watchhistory-recorder repair --storage data`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "print what would be lost, and change nothing")
	return cmd
}

func (o *repairOptions) run(ctx context.Context, out, errOut io.Writer) error {
	dir, err := o.dir()
	if err != nil {
		return err
	}
	if err := checkThere(dir); err != nil {
		return err
	}
	opts := store.Options{Logger: warnings(errOut)}
	if o.dryRun {
		return o.forecast(ctx, dir, opts, out, errOut)
	}
	r, err := store.Repair(ctx, dir, opts)
	if err != nil {
		return err
	}
	if r.Damaged() {
		tell(out, r)
	}
	_, _ = fmt.Fprintf(errOut, "repaired %d files\n", len(r.Files))
	i, err := o.inspect(ctx, dir, errOut)
	if err != nil {
		return err
	}
	verified := &report{}
	verified.Verification, err = i.Verify(ctx, func(d store.Damage) { _, _ = fmt.Fprintln(out, d) }, nil)
	if err := errors.Join(err, i.Close()); err != nil {
		return err
	}
	return (&verifyOptions{output: "text"}).conclude(verified, out, errOut)
}

func (o *repairOptions) forecast(ctx context.Context, dir string, opts store.Options, out, errOut io.Writer) error {
	r, err := store.Forecast(ctx, dir, opts)
	if err != nil {
		return err
	}
	if r.Damaged() {
		tell(out, r)
	}
	_, _ = fmt.Fprintf(errOut, "%d files are damaged; nothing was changed\n", len(r.Files))
	return nil
}

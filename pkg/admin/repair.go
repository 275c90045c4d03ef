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
type repairOptions struct{ target }

func newRepairCommand(env Environment) *cobra.Command {
	o := &repairOptions{target{env: env}}
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Make a damaged history one that is whole, with a gap for what is lost",
		Long: `Repair the files of a history that verify finds damaged, or that no recorder opens, and verify it. The recorder must be
stopped.

What loses nothing is mended: the list of tables, which is made again, and files that hold nothing. A damaged table is moved to the
directory "damaged" if it holds nothing but versions; the days that it holds versions of are dropped, and are a gap of every
resource. Whatever goes beyond that is left as it is: restore a backup then. If you have one, restore it rather than lose days.`,
		Example: `  watchhistory-recorder repair --storage data`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.flags(cmd)
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
	n := 0
	err = store.Repair(ctx, dir, opts, func(what string) {
		n++
		_, _ = fmt.Fprintln(out, what)
	})
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(errOut, "repaired %d files\n", n)
	s, err := store.Open(dir, opts)
	if err != nil {
		return err
	}
	r := &report{}
	r.Verification, err = s.Verify(ctx, func(d store.Damage) { _, _ = fmt.Fprintln(out, d) }, nil)
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	return (&verifyOptions{output: "text"}).conclude(r, out, errOut)
}

package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/pkg/store"
)

// repairOptions are the options of repair.
type repairOptions struct {
	storageFlags
	dryRun bool
}

func newRepairCommand(env Environment) *cobra.Command {
	o := &repairOptions{storageFlags: storageFlags{env: env}}
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Repair a damaged history, keeping every readable version",
		Long: `Repair the files in which verify finds damage, and verify the history. The recorder must be stopped.
A recorder does the same when it starts.

Damaged blocks of tables are dropped; everything else is kept. Lost index entries, heads and names
are rebuilt from the versions. Versions whose JSON is lost, and deltas against them, are removed;
gaps with the reason "damaged" cover them, by resource and time. The damaged files are kept in the
directory "damaged" of the storage directory until you remove them.

With --dry-run, the command prints what would be lost, and changes nothing. If you have a backup,
compare it with that first.`,
		Example: `  # Show what would be lost
  watchhistory-recorder repair --dry-run --storage data

  # Repair the history
  watchhistory-recorder repair --storage data`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.addFlags(cmd)
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "print what would be lost, and change nothing")
	return cmd
}

// run repairs the directory and verifies the result. It fails if something is
// still damaged. It fails if a recorder uses the directory.
func (o *repairOptions) run(ctx context.Context, out, errOut io.Writer) error {
	dir, err := o.dir()
	if err != nil {
		return err
	}
	if err := checkHasHistory(dir); err != nil {
		return err
	}
	opts := store.Options{Logger: newLogger(errOut)}
	if o.dryRun {
		return o.forecast(ctx, dir, opts, out, errOut)
	}
	r, err := store.Repair(ctx, dir, opts)
	if err != nil {
		return err
	}
	if r.Damaged() {
		printReport(out, r)
	}
	_, _ = fmt.Fprintf(errOut, "repaired %s\n", count(int64(len(r.Files)), "file", "files"))
	// Verify the result as verify does, with its exit code.
	i, err := o.inspect(ctx, dir, errOut)
	if err != nil {
		return err
	}
	verified := &verifyResult{}
	verified.Verification, err = i.Verify(ctx, func(d store.Damage) { _, _ = fmt.Fprintln(out, d) }, nil)
	if err := errors.Join(err, i.Close()); err != nil {
		return err
	}
	return (&verifyOptions{output: "text"}).conclude(verified, out, errOut)
}

// forecast prints the report of a repair without repairing.
func (o *repairOptions) forecast(ctx context.Context, dir string, opts store.Options, out, errOut io.Writer) error {
	r, err := store.Forecast(ctx, dir, opts)
	if err != nil {
		return inspectError(err)
	}
	if r.Damaged() {
		printReport(out, r)
	}
	_, _ = fmt.Fprintf(errOut, "%s damaged; nothing was changed\n", count(int64(len(r.Files)), "file is", "files are"))
	return nil
}

// printReport prints the report of a repair: the damaged files, the losses, and
// the restored entries. It is what a repair did, or what a dry run would do.
func printReport(w io.Writer, r *store.Report) {
	for _, f := range r.Files {
		_, _ = fmt.Fprintf(w, "%s: %s: %s\n", f.Name, f.Problem, f.Repair)
	}
	versions, objects := r.Lost()
	_, _ = fmt.Fprintf(w, "lost: %d versions of %d objects\n", versions, objects)
	for _, l := range r.Losses() {
		resource := l.Resource
		if resource == "" {
			resource = "of an unknown resource"
		}
		_, _ = fmt.Fprintf(w, "lost: %s %s: %d versions of %d objects, from %s to %s\n",
			l.Day, resource, l.Versions, l.Objects, l.From.Format(time.TimeOnly), l.To.Format(time.TimeOnly))
	}
	if r.Unknown {
		_, _ = fmt.Fprintln(w, "lost: versions that can't be counted; gaps cover their time")
	}
	for _, n := range []struct {
		count int
		text  string
	}{
		{r.Bare, "deletions lose the JSON of their object"},
		{r.Unattributed, "versions lose their managers and their summary"},
		{r.Forgotten, "objects have no version left and are recorded again when they are observed"},
		{r.Restored, "entries are restored from others"},
		{r.Gaps, "gaps cover what is missing"},
	} {
		if n.count > 0 {
			_, _ = fmt.Fprintf(w, "%d %s\n", n.count, n.text)
		}
	}
	if r.NewKey {
		_, _ = fmt.Fprintln(w, "the key of the hashes of secret values is lost: "+
			"a new one is created, and earlier hashes can't be compared with later ones")
	}
}

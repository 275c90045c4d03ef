package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// verifyOptions are the options of verify.
type verifyOptions struct {
	storageFlags
	output string
}

// newVerifyCommand returns the command verify. An error without an exit code
// means that the history could not be verified.
func newVerifyCommand(env Environment) *cobra.Command {
	o := &verifyOptions{storageFlags: storageFlags{env: env}}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Read the whole history and report damage",
		Long: `Read the whole history, even while it is recorded, and report damage, one line each. The command
verifies the checksums of database files, versions and their JSON, and compares versions with index
entries. It changes nothing, and the directory may be on a read-only volume.

The exit code is 0 if nothing is damaged, 1 if something is, and 2 if the history could not be
verified.`,
		Example: `  watchhistory-recorder verify --storage data

  # Verify the history of the recorder in the cluster
  kubectl -n watchhistory exec watchhistory-recorder-0 -- /watchhistory-recorder verify -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
			if _, coded := errors.AsType[*exitError](err); err == nil || coded {
				return err
			}
			return &exitError{err, exitUnverified}
		},
	}
	o.addFlags(cmd)
	cmd.Flags().StringVarP(&o.output, "output", "o", "text", "output `format`: text or json")
	return cmd
}

// verifyResult is the output of -o json.
type verifyResult struct {
	store.Verification
	Damage []store.Damage `json:"damage"` // never null; at most maxDamage
}

// maxDamage limits the listed damage in JSON. All damage is counted.
const maxDamage = 10_000

// run verifies the history and writes the damage: each line at once as text, or
// all of it in one JSON document.
func (o *verifyOptions) run(ctx context.Context, out, errOut io.Writer) (err error) {
	if o.output != "text" && o.output != "json" {
		return history.Errorf(history.Invalid, "--output: want text or json, got %q", o.output)
	}
	dir, err := o.dir()
	if err != nil {
		return err
	}
	p := newProgress(errOut, "verifying")
	defer p.clear()
	r := verifyResult{Damage: []store.Damage{}}
	report := func(d store.Damage) {
		p.clear() // stdout and stderr may be the same terminal
		if o.output == "text" {
			_, _ = fmt.Fprintln(out, d)
		} else if len(r.Damage) < maxDamage {
			r.Damage = append(r.Damage, d)
		}
	}
	if r.Verification, err = o.verify(ctx, dir, errOut, report, p.update); err != nil {
		return err
	}
	p.clear()
	return o.conclude(&r, out, errOut)
}

// verify verifies the log of the recorder that runs on dir. If no recorder
// runs, it verifies the files of dir, and counts damaged files too.
func (o *verifyOptions) verify(
	ctx context.Context, dir string, errOut io.Writer, report func(store.Damage), progress store.Progress,
) (v store.Verification, err error) {
	r, err := newRemote(ctx, dir)
	if err == nil {
		return r.Verify(ctx, report, progress)
	}
	if !errors.Is(err, errNoRecorder) {
		return v, err
	}
	i, err := o.inspect(ctx, dir, errOut)
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, i.Close()) }()
	for _, f := range i.Report().Files {
		report(store.Damage{File: f.Name, Problem: f.Problem})
	}
	v, err = i.Verify(ctx, report, progress)
	v.Damaged += int64(len(i.Report().Files))
	return v, err
}

// conclude writes the result. It fails if something is damaged. repair calls it
// too, so that both commands have the same exit code for damage.
func (o *verifyOptions) conclude(r *verifyResult, out, errOut io.Writer) error {
	if o.output == "json" {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			return err
		}
	}
	_, _ = fmt.Fprintf(errOut, "verified %d versions, %d entries, %d files\n", r.Versions, r.Entries, r.Files)
	if r.Damaged > 0 {
		err := history.Errorf(history.Internal, "%s damaged", count(r.Damaged, "place is", "places are"))
		return &exitError{
			history.WithHint(err, "Run 'watchhistory-recorder repair', or restore a backup."), exitDamaged,
		}
	}
	return nil
}

// count returns a number with the word for one, or the word for several.
func count(n int64, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}

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

// verifyOptions are the arguments of verify.
type verifyOptions struct {
	target
	output string
}

func newVerifyCommand(env Environment) *cobra.Command {
	o := &verifyOptions{target: target{env: env}}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Read the whole history and name what is damaged",
		Long: `Read the whole history, also while it is recorded, and name what is damaged, one line each: files of the database, versions and
their JSON by their checksums, entries of indexes without their version and versions without their entries. Nothing is changed, and the
directory may be on a read-only volume.

It ends with 0 where nothing is damaged, with 1 where something is, and with 2 where it could not tell.`,
		Example: `  watchhistory-recorder verify --storage data

  # Of the recorder in the cluster
  kubectl -n watchhistory exec watchhistory-recorder-0 -- /watchhistory-recorder verify -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
			if _, coded := errors.AsType[*exitError](err); err == nil || coded {
				return err
			}
			return &exitError{err, exitUnproven}
		},
	}
	o.flags(cmd)
	cmd.Flags().StringVarP(&o.output, "output", "o", "text", "`form` of the result: text or json")
	return cmd
}

// report is the result in JSON.
type report struct {
	store.Verification
	Damage []store.Damage `json:"damage"`
}

// maxReported bounds the damage in a JSON result. All of it is counted.
const maxReported = 10_000

func (o *verifyOptions) run(ctx context.Context, out, errOut io.Writer) (err error) {
	if o.output != "text" && o.output != "json" {
		return history.Errorf(history.Invalid, "--output: want text or json, got %q", o.output)
	}
	dir, err := o.dir()
	if err != nil {
		return err
	}
	m := newMeter(errOut, "verifying")
	defer m.clear()
	r := report{Damage: []store.Damage{}}
	show := func(d store.Damage) {
		m.clear()
		if o.output == "text" {
			_, _ = fmt.Fprintln(out, d)
		} else if len(r.Damage) < maxReported {
			r.Damage = append(r.Damage, d)
		}
	}
	if r.Verification, err = o.verify(ctx, dir, errOut, show, m.progress); err != nil {
		return err
	}
	m.clear()
	return o.conclude(&r, out, errOut)
}

// verify verifies the log of the recorder that runs on a directory or, if none does, the directory.
func (o *verifyOptions) verify(
	ctx context.Context, dir string, errOut io.Writer, show func(store.Damage), progress store.Progress,
) (v store.Verification, err error) {
	r, err := newRemote(ctx, dir)
	if err == nil {
		return r.Verify(ctx, show, progress)
	}
	if !errors.Is(err, errNobody) {
		return v, err
	}
	i, err := o.inspect(ctx, dir, errOut)
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, i.Close()) }()
	for _, f := range i.Report().Files {
		show(store.Damage{File: f.Name, Problem: f.Problem})
	}
	v, err = i.Verify(ctx, show, progress)
	v.Damaged += int64(len(i.Report().Files))
	return v, err
}

func (o *verifyOptions) conclude(r *report, out, errOut io.Writer) error {
	if o.output == "json" {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			return err
		}
	}
	_, _ = fmt.Fprintf(errOut, "verified %d versions, %d entries, %d files\n", r.Versions, r.Entries, r.Files)
	if r.Damaged > 0 {
		return &exitError{history.Errorf(history.Internal, "%d places are damaged: run watchhistory-recorder repair, or restore a backup", r.Damaged), exitDamaged}
	}
	return nil
}

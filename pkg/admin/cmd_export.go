package admin

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/timeflag"
)

// exportOptions are the options of export.
type exportOptions struct {
	storageFlags
	start, end string
	selection  Selection // of all flags
	file       destination
}

func newExportCommand(env Environment) *cobra.Command {
	o := &exportOptions{storageFlags: storageFlags{env: env}}
	cmd := &cobra.Command{
		Use:   "export --start TIME FILE|-",
		Short: "Export a range of time to one file that can be shared",
		Long: `Write the history of a range of time to one file or to stdout, even while it is recorded. The export
contains the versions of the range, the baseline of each object at its start, and the gaps.

A file gets its name after it is complete. It can be read without the recorder, but recording can't
continue from it. Values of Secrets are exported as they are recorded: as hashes, without the key.

A time is RFC 3339 or an age: 15m, 2h, 3d.`,
		Example: `  # The last two hours of everything
  watchhistory-recorder export --start 2h incident.whx

  # Pods and Deployments of one namespace, from the recorder in the cluster
  kubectl -n watchhistory exec watchhistory-recorder-0 -- /watchhistory-recorder export - \
    --start 2026-11-25T09:00:00Z --end 2026-11-25T10:00:00Z --namespace shop --resource pods,deployments.apps > shop.whx`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.file = destination(args[0])
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.addFlags(cmd)
	cmd.Flags().StringVar(&o.start, "start", "", "`time` at which the range starts (required)")
	cmd.Flags().StringVar(&o.end, "end", "", "`time` before which the range ends (default: now)")
	cmd.Flags().StringVarP(&o.selection.Namespace, "namespace", "n", "",
		"export only this `namespace`; - means cluster-scoped objects")
	cmd.Flags().StringSliceVar(&o.selection.Types, "resource", nil,
		"export only these `resources`, in any form of kubectl: pods, deploy, deployments.apps")
	return cmd
}

// complete parses the times and rejects an empty range. Ages are relative to
// now.
func (o *exportOptions) complete(now time.Time) (err error) {
	if o.start == "" {
		return history.Errorf(history.Invalid, "--start is required, as in --start 2h")
	}
	if o.selection.Start, err = timeflag.ParseTime("--start", o.start, now); err != nil {
		return err
	}
	if o.selection.End, err = timeflag.ParseTime("--end", o.end, now); err != nil {
		return err
	}
	if !o.selection.End.IsZero() && !o.selection.Start.Before(o.selection.End) {
		return history.Errorf(history.Invalid, "--start (%s) is not before --end (%s)",
			o.selection.Start.Format(time.RFC3339), o.selection.End.Format(time.RFC3339))
	}
	return nil
}

// run writes the export, and prints what it contains.
func (o *exportOptions) run(ctx context.Context, out, errOut io.Writer) error {
	if err := o.complete(time.Now()); err != nil {
		return err
	}
	if err := o.file.check(out, "an export"); err != nil {
		return err
	}
	var x Exported
	p, err := o.file.produce(ctx, &o.storageFlags, out, errOut, "exporting",
		func(a access, w io.Writer, progress func(entries, bytes int64)) (err error) {
			x, err = a.Export(ctx, w, o.selection, progress)
			return err
		})
	if err != nil {
		return err
	}
	if x.Start.After(o.selection.Start) {
		_, _ = fmt.Fprintf(errOut, "the history starts at %s, and so does the export\n", x.Start.Format(time.RFC3339))
	}
	_, _ = fmt.Fprintf(errOut, "exported %d versions, %d baselines, %d gaps, from %s to %s: %s\n",
		x.Versions, x.Baselines, x.Gaps, x.Start.Format(time.RFC3339), x.End.Format(time.RFC3339), size(p.bytes))
	return nil
}

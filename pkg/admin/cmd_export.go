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

// exportOptions are the arguments of export.
type exportOptions struct {
	target
	start, end string
	wanted     Wanted
	file       destination
}

func newExportCommand(env Environment) *cobra.Command {
	o := &exportOptions{target: target{env: env}}
	cmd := &cobra.Command{
		Use:   "export --start TIME FILE|-",
		Short: "Write a range of time to one file that can be passed on",
		Long: `Write what was recorded in a range of time to one file, or to the standard output, also while it is recorded: the versions, those
that stood when the range begins, and the gaps.

A file gets its name once it is complete. It can be read without the recorder, and is not for going on with. Values of Secrets are
in it as they are recorded, as hashes, whose key is not.

Times are RFC 3339, or how long ago: 15m, 2h, 3d.`,
		Example: `  # The last two hours of everything
  watchhistory-recorder export --start 2h incident.whx

  # Pods and Deployments of one namespace, of the recorder in the cluster
  kubectl -n watchhistory exec watchhistory-recorder-0 -- /watchhistory-recorder export - \
    --start 2026-11-25T09:00:00Z --end 2026-11-25T10:00:00Z --namespace shop --resource pods,deployments.apps > shop.whx`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.file = destination(args[0])
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&o.start, "start", "", "`time` at which the range begins (required)")
	cmd.Flags().StringVar(&o.end, "end", "", "`time` before which it ends; now, where it is not given")
	cmd.Flags().StringVarP(&o.wanted.Namespace, "namespace", "n", "", "`namespace` to narrow to; - stands for cluster-scoped objects")
	cmd.Flags().StringSliceVar(&o.wanted.Types, "resource", nil, "`resources` to narrow to, in any form that kubectl takes: pods, deploy, deployments.apps")
	return cmd
}

func (o *exportOptions) complete(now time.Time) (err error) {
	if o.start == "" {
		return history.Errorf(history.Invalid, "say with --start where the range begins, as in --start 2h")
	}
	if o.wanted.Start, err = timeflag.ParseTime("--start", o.start, now); err != nil {
		return err
	}
	if o.wanted.End, err = timeflag.ParseTime("--end", o.end, now); err != nil {
		return err
	}
	if !o.wanted.End.IsZero() && !o.wanted.Start.Before(o.wanted.End) {
		return history.Errorf(history.Invalid, "nothing lies between --start (%s) and --end (%s)",
			o.wanted.Start.Format(time.RFC3339), o.wanted.End.Format(time.RFC3339))
	}
	return nil
}

func (o *exportOptions) run(ctx context.Context, out, errOut io.Writer) error {
	if err := o.complete(time.Now()); err != nil {
		return err
	}
	if err := o.file.check(out, "an export"); err != nil {
		return err
	}
	var x Exported
	m, err := o.file.produce(ctx, &o.target, out, errOut, "exporting", func(log keeper, w io.Writer, progress func(entries, bytes int64)) (err error) {
		x, err = log.Export(ctx, w, o.wanted, progress)
		return err
	})
	if err != nil {
		return err
	}
	if x.Start.After(o.wanted.Start) {
		_, _ = fmt.Fprintf(errOut, "history begins at %s, and so does the export\n", x.Start.Format(time.RFC3339))
	}
	_, _ = fmt.Fprintf(errOut, "exported %d versions, %d that stood before, %d gaps, from %s to %s: %s\n",
		x.Versions, x.Baselines, x.Gaps, x.Start.Format(time.RFC3339), x.End.Format(time.RFC3339), size(m.bytes))
	return nil
}

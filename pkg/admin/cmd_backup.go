package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// backupOptions are the arguments of backup.
type backupOptions struct {
	target
	since string
	file  destination
}

func newBackupCommand(env Environment) *cobra.Command {
	o := &backupOptions{target: target{env: env}}
	cmd := &cobra.Command{
		Use:   "backup FILE|-",
		Short: "Back the history up, also while it is recorded",
		Long: `Write the history to a file, or to the standard output: as it is at one moment, while the recorder goes on.

A file gets its name once it is complete. With --since, only what came after an earlier backup is written; restore needs
both then. The position that a backup reaches is printed at its end, and can stand for its file.

A backup holds the key that values of Secrets are hashed with: keep it as you keep Secrets.`,
		Example: `  # A full backup, and later one of what came since
  watchhistory-recorder backup monday.whb
  watchhistory-recorder backup tuesday.whb --since monday.whb

  # Of the recorder in the cluster
  kubectl -n watchhistory exec watchhistory-recorder-0 -- /watchhistory-recorder backup - > history.whb`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.file = destination(args[0])
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&o.since, "since", "", "write what came since this earlier `backup`: its file, or its position")
	return cmd
}

func (o *backupOptions) run(ctx context.Context, out, errOut io.Writer) error {
	if err := o.file.check(out, "a backup"); err != nil {
		return err
	}
	from, err := o.from()
	if err != nil {
		return err
	}
	var to store.Position
	m, err := o.file.produce(ctx, &o.target, out, errOut, "backing up", func(log keeper, w io.Writer, progress func(entries, bytes int64)) (err error) {
		to, err = log.Backup(ctx, w, from, progress)
		return err
	})
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(errOut, "backed up %s; position %s\n", m, to)
	return nil
}

// from returns where an earlier backup ends.
func (o *backupOptions) from() (p store.Position, err error) {
	if o.since == "" {
		return p, nil
	}
	f, err := os.Open(o.since)
	if errors.Is(err, fs.ErrNotExist) {
		if p.UnmarshalText([]byte(o.since)) == nil {
			return p, nil
		}
		return p, history.Errorf(history.Invalid, "--since: %s is neither a backup's file nor its position", o.since)
	}
	if err != nil {
		return p, history.Errorf(history.Invalid, "--since: %v", err)
	}
	defer f.Close()
	if p, err = store.ReachedBy(f); err != nil {
		return p, fmt.Errorf("--since: %s: %w", o.since, err)
	}
	return p, nil
}

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

// backupOptions are the options of backup.
type backupOptions struct {
	storageFlags
	since string
	file  destination
}

func newBackupCommand(env Environment) *cobra.Command {
	o := &backupOptions{storageFlags: storageFlags{env: env}}
	cmd := &cobra.Command{
		Use:   "backup FILE|-",
		Short: "Back up the history, even while it is recorded",
		Long: `Write the history to a file or to stdout. The backup has the state of one moment. The recorder
keeps running.

A file gets its name after it is complete. With --since, the backup contains only what was recorded
after an earlier backup; restore needs both. The command prints the position at which the backup
ends. --since accepts the position instead of the file.

A backup contains the key of the hashes of secret values. Protect it as you protect Secrets.`,
		Example: `  # A full backup, and later a backup of what was recorded since
  watchhistory-recorder backup monday.whb
  watchhistory-recorder backup tuesday.whb --since monday.whb

  # A backup of the recorder in the cluster
  kubectl -n watchhistory exec watchhistory-recorder-0 -- /watchhistory-recorder backup - > history.whb`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.file = destination(args[0])
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.addFlags(cmd)
	cmd.Flags().StringVar(&o.since, "since", "",
		"write only what was recorded after this earlier `backup`: its file or its position")
	return cmd
}

// run writes the backup, and prints its size and the position at which it ends.
func (o *backupOptions) run(ctx context.Context, out, errOut io.Writer) error {
	if err := o.file.check(out, "a backup"); err != nil {
		return err
	}
	from, err := o.from()
	if err != nil {
		return err
	}
	var to store.Position
	p, err := o.file.produce(ctx, &o.storageFlags, out, errOut, "backing up",
		func(a access, w io.Writer, progress func(entries, bytes int64)) (err error) {
			to, err = a.Backup(ctx, w, from, progress)
			return err
		})
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(errOut, "backed up %s; position %s\n", p, to)
	return nil
}

// from returns the position of --since. Without the flag it is the zero
// position, at which a full backup starts.
func (o *backupOptions) from() (p store.Position, err error) {
	if o.since == "" {
		return p, nil
	}
	// A file takes precedence: a position is unlikely as the name of a file.
	f, err := os.Open(o.since)
	if errors.Is(err, fs.ErrNotExist) {
		if p.UnmarshalText([]byte(o.since)) == nil {
			return p, nil
		}
		return p, history.Errorf(history.Invalid, "--since: %s is neither the file nor the position of a backup",
			o.since)
	}
	if err != nil {
		return p, history.Errorf(history.Invalid, "--since: %v", err)
	}
	defer f.Close()
	if p, err = store.ReadPosition(f); err != nil {
		return p, fmt.Errorf("--since: %s: %w", o.since, err)
	}
	return p, nil
}

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
	"github.com/watchhistory/watchhistory/pkg/internal/durable"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// stream stands for the standard streams where a file is asked for.
const stream = "-"

// backupOptions are the arguments of backup.
type backupOptions struct {
	target
	since string
	file  string
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
			o.file = args[0]
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&o.since, "since", "", "write what came since this earlier `backup`: its file, or its position")
	return cmd
}

func (o *backupOptions) run(ctx context.Context, out, errOut io.Writer) (err error) {
	if o.file == stream && isTerminal(out) {
		return history.Errorf(history.Invalid, "a backup is not for a terminal: name a file, or redirect the output")
	}
	from, err := o.from()
	if err != nil {
		return err
	}
	dir, err := o.dir()
	if err != nil {
		return err
	}
	log, done, err := access(ctx, dir, warnings(errOut))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	m := newMeter(errOut, "backing up")
	defer m.clear()
	to, err := o.write(ctx, log, from, out, m)
	if err != nil {
		return err
	}
	m.clear()
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

func (o *backupOptions) write(ctx context.Context, log Log, from store.Position, out io.Writer, m *meter) (store.Position, error) {
	if o.file == stream {
		to, err := log.Backup(ctx, &counted{w: out, m: m}, from, m.progress)
		return to, err
	}
	f, err := durable.Create(o.file)
	if err != nil {
		return store.Position{}, history.Errorf(history.Invalid, "%s can't be written: %v", o.file, err)
	}
	to, err := log.Backup(ctx, &counted{w: f, m: m}, from, m.progress)
	if err != nil {
		return to, errors.Join(err, f.Discard())
	}
	return to, f.Commit()
}

// counted tells a meter what was written.
type counted struct {
	w io.Writer
	m *meter
	n int64
}

// Write writes and counts.
func (c *counted) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	c.m.progress(c.m.entries, c.n)
	return n, err
}

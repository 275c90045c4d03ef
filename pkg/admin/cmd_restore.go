package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// restoreOptions are the arguments of restore.
type restoreOptions struct {
	target
	files []string
}

func newRestoreCommand(env Environment) *cobra.Command {
	o := &restoreOptions{target: target{env: env}}
	cmd := &cobra.Command{
		Use:   "restore FILE... | -",
		Short: "Make a history of its backups",
		Long: `Make a history of a full backup and of those that were made since, named in the order in which they were made.

The storage directory must be empty, or not there. One whose restore broke off, by a damaged backup for instance, is not opened
by a recorder: empty it and restore again.

A recorder that starts on a restored history goes on from where the backup ends. What the API server does not remember since
then becomes a gap.`,
		Example: `  # A full backup and what came since, into a new directory
  watchhistory-recorder restore monday.whb tuesday.whb --storage data

  # From another place
  ssh backups cat history.whb | watchhistory-recorder restore - --storage data`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.files = args
			return o.run(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr())
		},
	}
	o.flags(cmd)
	return cmd
}

func (o *restoreOptions) run(ctx context.Context, in io.Reader, errOut io.Writer) error {
	dir, err := o.dir()
	if err != nil {
		return err
	}
	backups, done, err := o.open(in)
	if err != nil {
		return err
	}
	defer done()
	m := newMeter(errOut, "restoring")
	defer m.clear()
	to, err := store.Restore(ctx, dir, store.Options{Logger: warnings(errOut)}, m.progress, backups...)
	if err != nil {
		return err
	}
	m.clear()
	_, _ = fmt.Fprintf(errOut, "restored %s into %s; position %s\n", m, dir, to)
	return nil
}

// open opens all backups before anything is restored, so that a wrong name spoils nothing.
func (o *restoreOptions) open(in io.Reader) (backups []io.Reader, done func(), err error) {
	if slices.Contains(o.files, stream) {
		if len(o.files) > 1 {
			return nil, nil, history.Errorf(history.Invalid, "only one backup can come from the standard input: name files for several")
		}
		return []io.Reader{in}, func() {}, nil
	}
	var files []*os.File
	done = func() {
		for _, f := range files {
			_ = f.Close()
		}
	}
	for _, name := range o.files {
		f, err := os.Open(name)
		if err == nil {
			files = append(files, f)
			err = readable(f)
		}
		if err != nil {
			done()
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		backups = append(backups, f)
	}
	return backups, done, nil
}

// readable looks at the beginning of a backup.
func readable(f *os.File) error {
	_, err := store.ReachedBy(f)
	_, back := f.Seek(0, io.SeekStart)
	return errors.Join(err, back)
}

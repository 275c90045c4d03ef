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

// restoreOptions are the options of restore.
type restoreOptions struct {
	storageFlags
	files []string
}

func newRestoreCommand(env Environment) *cobra.Command {
	o := &restoreOptions{storageFlags: storageFlags{env: env}}
	cmd := &cobra.Command{
		Use:   "restore FILE... | -",
		Short: "Restore a history from its backups",
		Long: `Restore a history from a full backup and the backups that were made since. Give them in the order in
which they were made.

The storage directory must be empty or absent. If the restore fails, for example because a backup is
damaged, a recorder refuses to open the directory. Empty it and restore again.

A recorder that starts on a restored history continues where the last backup ends. Changes since
then that the API server no longer returns become a gap.`,
		Example: `  # A full backup and a later one, into a new directory
  watchhistory-recorder restore monday.whb tuesday.whb --storage data

  # From another machine
  ssh backups cat history.whb | watchhistory-recorder restore - --storage data`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.files = args
			return o.run(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr())
		},
	}
	o.addFlags(cmd)
	return cmd
}

// run restores the backups into the storage directory, and prints the position
// at which the history ends.
//
// If it fails after the first write, the directory contains a part of the
// history, and no recorder opens it.
func (o *restoreOptions) run(ctx context.Context, in io.Reader, errOut io.Writer) error {
	dir, err := o.dir()
	if err != nil {
		return err
	}
	backups, closeFiles, err := o.open(in)
	if err != nil {
		return err
	}
	defer closeFiles()
	p := newProgress(errOut, "restoring")
	defer p.clear()
	to, err := store.Restore(ctx, dir, store.Options{Logger: newLogger(errOut)}, p.update, backups...)
	if err != nil {
		return err
	}
	p.clear() // before the result, which would be appended to the line
	_, _ = fmt.Fprintf(errOut, "restored %s into %s; position %s\n", p, dir, to)
	return nil
}

// open opens all backups and reads their headers, so that nothing is restored
// if a name is wrong. The caller must call closeFiles. All readers are at the
// start of their backups.
func (o *restoreOptions) open(in io.Reader) (backups []io.Reader, closeFiles func(), err error) {
	if slices.Contains(o.files, stdio) {
		if len(o.files) > 1 {
			return nil, nil, history.WithHint(history.Errorf(history.Invalid, "only one backup can be read from stdin"),
				"Give files for several.")
		}
		return []io.Reader{in}, func() {}, nil
	}
	var files []*os.File
	closeFiles = func() {
		for _, f := range files {
			_ = f.Close()
		}
	}
	for _, name := range o.files {
		f, err := os.Open(name)
		if err == nil {
			files = append(files, f)
			err = checkHeader(f)
		}
		if err != nil {
			closeFiles()
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		backups = append(backups, f)
	}
	return backups, closeFiles, nil
}

// checkHeader reads the header of a backup, and returns to its start.
func checkHeader(f *os.File) error {
	_, err := store.ReadPosition(f)
	_, seekErr := f.Seek(0, io.SeekStart)
	return errors.Join(err, seekErr)
}

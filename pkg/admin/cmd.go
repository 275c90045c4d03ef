package admin

import (
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/printable"
)

// The exit codes of verify and repair for a damaged history, and of verify for
// one that could not be verified. All other errors have the code 1.
const (
	exitDamaged    = 1
	exitUnverified = 2
)

// exitError is an error with an exit code. Its text is that of the wrapped
// error.
type exitError struct {
	error
	code int
}

// Unwrap returns the error without its code.
func (e *exitError) Unwrap() error { return e.error }

// ExitCode returns the exit code for a command's error, which is not nil.
func ExitCode(err error) int {
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	return 1
}

// PrintError prints the error of one of the recorder's commands, and its hint
// below it. Unsafe characters are replaced, because an error may quote an API
// server.
func PrintError(w io.Writer, err error) {
	_, _ = fmt.Fprintln(w, "watchhistory-recorder: "+printable.Text(err.Error()))
	if hint := history.HintOf(err); hint != "" {
		_, _ = fmt.Fprintln(w, printable.Text(hint))
	}
}

// Environment contains what commands take from the program.
type Environment struct {
	// Storage returns the storage directory of a configuration file, as the
	// recorder finds it. An empty name means that no file was given.
	Storage func(config string) (string, error)
	// Program is the name and the version of this program.
	Program string
}

// storageFlags select the storage directory of a command.
type storageFlags struct {
	env     Environment
	storage string
	config  string
}

// addFlags adds the flags that select the storage directory.
func (f *storageFlags) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.storage, "storage", "",
		"storage `directory` of the recorder (overrides BADGER_PATH and the configuration)")
	cmd.Flags().StringVar(&f.config, "config", "",
		"configuration `file` with the storage directory (overrides CONFIG_PATH)")
}

// dir returns the storage directory: of --storage, otherwise of the
// configuration. The directory may not exist, or may contain no history.
func (f *storageFlags) dir() (string, error) {
	if f.storage != "" {
		return f.storage, nil
	}
	return f.env.Storage(f.config)
}

// Commands returns the maintenance commands. They print data to stdout, and
// everything else to stderr.
func Commands(env Environment) []*cobra.Command {
	return []*cobra.Command{
		newBackupCommand(env),
		newRestoreCommand(env),
		newVerifyCommand(env),
		newRepairCommand(env),
		newExportCommand(env),
	}
}

// newLogger returns a logger for a database that a command opens. It logs only
// warnings and errors.
func newLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

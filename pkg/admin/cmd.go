package admin

import (
	"errors"
	"io"
	"log/slog"

	"github.com/spf13/cobra"
)

// The exit codes of a verification that is not clean; every other command that fails ends with 1.
const (
	exitDamaged  = 1
	exitUnproven = 2
)

// exitError is an error with an exit code.
type exitError struct {
	error
	code int
}

// Unwrap returns what the code was given to.
func (e *exitError) Unwrap() error { return e.error }

// ExitCode returns the exit code of a command's error.
func ExitCode(err error) int {
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	return 1
}

// Environment is where commands run.
type Environment struct {
	// Storage finds the recorder's storage directory, as the recorder does with this configuration file; "" is none.
	Storage func(config string) (string, error)
	// Program is this program, with its version.
	Program string
}

// target is the storage directory that a command is about.
type target struct {
	env     Environment
	storage string
	config  string
}

func (t *target) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.storage, "storage", "", "the recorder's storage `directory` (instead of BADGER_PATH and the configuration's)")
	cmd.Flags().StringVar(&t.config, "config", "", "configuration `file` that names it (instead of CONFIG_PATH)")
}

func (t *target) dir() (string, error) {
	if t.storage != "" {
		return t.storage, nil
	}
	return t.env.Storage(t.config)
}

// Commands returns the commands that keep a history whole. They print data on the output stream, and everything else on the error
// stream.
func Commands(env Environment) []*cobra.Command {
	return []*cobra.Command{newBackupCommand(env), newRestoreCommand(env), newVerifyCommand(env), newRepairCommand(env), newExportCommand(env)}
}

// warnings returns a logger for what a database that a command opens has to complain of.
func warnings(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

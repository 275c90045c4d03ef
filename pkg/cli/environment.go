package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/client/kube"
)

// The names under which kubectl looks for this program: as a plugin, and as the
// completer of the plugin's command line.
const (
	pluginPrefix  = "kubectl-"
	completerName = "kubectl_complete-watchhistory"
)

// maxClockSkew is the clock difference above which a warning is printed.
const maxClockSkew = time.Minute

// Environment contains everything that a command takes from its process.
type Environment struct {
	genericiooptions.IOStreams

	Now       func() time.Time
	LookupEnv func(name string) (string, bool)
	Name      string // how users call the program: "kubectl watchhistory"
	Version   string // of the program
	Engine    Engine // answers queries in this process; nil: it can't
	// Signals delivers the signals that end a process to a channel, until stop
	// is called. nil means that they are not handled.
	Signals func(to chan<- os.Signal) (stop func())

	file        string               // that answers; empty: a recorder does
	noEscapes   bool                 // a terminal among the streams does not support escape sequences
	held        *atomic.Bool         // an interrupt does not end the process; the command ends itself
	progress    *progressLine        // nil means that no progress is shown
	paging      *paging              // nil means that no pager is used
	mayLogIn    bool                 // a credential plugin may prompt
	clockOffset func() time.Duration // the recorder's time minus Now; nil before a recorder is connected
}

// System returns the environment of this process. If version is empty, it is
// the module version of the build.
func System(version string) Environment {
	if info, ok := debug.ReadBuildInfo(); ok && version == "" {
		version = info.Main.Version
	}
	return Environment{
		IOStreams: genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr},
		Now:       time.Now,
		LookupEnv: os.LookupEnv,
		Name:      commandName(os.Args[0]),
		Version:   version,
	}
}

// Arguments returns the command line of args, without the program's name. If
// the program is called as the plugin's completer, the command line is a
// request for completion.
func Arguments(args []string) []string {
	if commandName(args[0]) == completerName {
		return append([]string{cobra.ShellCompRequestCmd}, args[1:]...)
	}
	return args[1:]
}

// commandName returns what users type to call the program at path. A plugin is
// called through kubectl. kubectl reads an underscore in the name of a file as
// a dash.
func commandName(path string) string {
	name := filepath.Base(path)
	if ext := filepath.Ext(name); strings.EqualFold(ext, ".exe") {
		name = strings.TrimSuffix(name, ext)
	}
	if plugin, ok := strings.CutPrefix(name, pluginPrefix); ok {
		return "kubectl " + strings.ReplaceAll(plugin, "_", "-")
	}
	return name
}

// command returns a command line of this program, for hints. If a file answers,
// the command reads that file.
func (e *Environment) command(args string) string { return e.Name + " " + args + e.fileFlag() }

// fileFlag returns " -f FILE" for commands in hints if a file answers, and ""
// if a recorder does.
func (e *Environment) fileFlag() string {
	if e.file == "" {
		return ""
	}
	return " -f " + shellWord(e.file)
}

// shellWord quotes a text for a shell, if it has to be. Hints are in single
// quotes, so double quotes are preferred.
func shellWord(text string) string {
	switch {
	case !strings.ContainsFunc(text, isSpecial):
		return text
	case !strings.ContainsAny(text, "\"\\$`!"):
		return `"` + text + `"`
	default:
		return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
}

// isSpecial reports whether a shell may not take a character literally.
func isSpecial(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_./:@%+=,-", r)
}

// recorderNow returns the time of the recorder's clock. The recorder dated the
// records, so relative times and ages are relative to its clock.
func (e *Environment) recorderNow() time.Time {
	if e.clockOffset == nil {
		return e.Now()
	}
	return e.Now().Add(e.clockOffset())
}

// warnOfSkew warns if this machine's clock differs from the recorder's by more
// than maxClockSkew.
func (e *Environment) warnOfSkew() {
	if e.clockOffset == nil || e.clockOffset().Abs() <= maxClockSkew {
		return
	}
	relation := "ahead of"
	if e.clockOffset() > 0 {
		relation = "behind"
	}
	e.note(fmt.Sprintf("Warning: this machine's clock is %s %s the recorder's; "+
		"relative times and ages use the recorder's clock",
		duration.HumanDuration(e.clockOffset().Abs().Round(time.Second)), relation))
}

// endProgress removes the progress line. It must be called before output is
// written to any stream, because both may be the terminal with that line.
func (e *Environment) endProgress() {
	if e.progress != nil {
		e.progress.end()
	}
}

// showRetry shows on the progress line why the next attempt is after a delay. A
// delay of 0 means that the attempt begins.
func (e *Environment) showRetry(delay time.Duration, err error) {
	switch {
	case e.progress == nil:
	case delay == 0:
		e.progress.replace(progressText)
	case errors.Is(err, client.ErrAnswered):
		e.progress.replace(fmt.Sprintf("The recorder is busy, retrying in %s…", delay))
	default:
		e.progress.replace(fmt.Sprintf("The connection to the recorder is lost, retrying in %s…", delay))
	}
}

// display returns the progress line, which must be suspended while a credential
// plugin may prompt. It returns nil if there is none, or if no plugin may
// prompt.
func (e *Environment) display() kube.Display {
	if e.progress == nil || !e.mayLogIn {
		return nil
	}
	return e.progress
}

// suspendProgress hides the progress line while a credential plugin may prompt.
// The caller must call resume.
func (e *Environment) suspendProgress() (resume func()) {
	d := e.display()
	if d == nil {
		return func() {}
	}
	d.Suspend()
	return d.Resume
}

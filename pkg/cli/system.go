package cli

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// The names under which kubectl looks for the program: as a plugin, and to complete the plugin's command line.
const (
	pluginPrefix  = "kubectl-"
	completerName = "kubectl_complete-watchhistory"
)

// System returns the environment of this process. An empty version is replaced by what the build knows of itself.
func System(version string) Environment {
	if info, ok := debug.ReadBuildInfo(); ok && version == "" {
		version = info.Main.Version
	}
	return Environment{
		IOStreams: genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr},
		Now:       time.Now,
		LookupEnv: os.LookupEnv,
		Name:      called(os.Args[0]),
		Version:   version,
	}
}

// Arguments returns what follows the program's name in args. Called as the plugin's completer, as kubectl does, the program
// completes them.
func Arguments(args []string) []string {
	if called(args[0]) == completerName {
		return append([]string{cobra.ShellCompRequestCmd}, args[1:]...)
	}
	return args[1:]
}

// called is what people type to call the program: a plugin is called by way of kubectl.
func called(path string) string {
	name := filepath.Base(path)
	if ext := filepath.Ext(name); strings.EqualFold(ext, ".exe") {
		name = strings.TrimSuffix(name, ext)
	}
	if plugin, ok := strings.CutPrefix(name, pluginPrefix); ok {
		return "kubectl " + strings.ReplaceAll(plugin, "_", "-")
	}
	return name
}

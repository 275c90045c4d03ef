package daemon

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/watchhistory/watchhistory/pkg/admin"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/memlimit"
)

// followInterval is the time between two reads of the configuration file. A
// change is applied once it is this old.
const followInterval = 2 * time.Second

// flags are the values of the root command's flags.
type flags struct {
	config     string
	kubeconfig string
	context    string
	logLevel   slog.Level
	logFormat  string
}

// NewCommand returns the root command of watchhistory-recorder.
//
// getenv is [os.Getenv], or replaces it in tests. A value from hangup, which
// may be nil, makes a running recorder read its configuration file at once. The
// options are those of the daemon.
//
// The command writes nothing but its log, to the error stream. The caller
// prints the error, which is one line, with its hint, and exits with
// [ExitCode].
func NewCommand(
	version string, getenv func(string) string, hangup <-chan os.Signal, options ...Option,
) *cobra.Command {
	f := flags{logFormat: "text"}
	cmd := &cobra.Command{
		Use:   "watchhistory-recorder",
		Short: "Record every version of a cluster's objects and serve them over a REST API",
		Long: `watchhistory-recorder watches a Kubernetes cluster, stores every version of every object in an embedded
database, and serves this history over a REST API.

It reads a YAML file: the one of --config, of CONFIG_PATH, or ` + DefaultConfigPath + `, if it exists. BADGER_PATH, SERVER_PORT and
BIND_ADDRESS override the file's storagePath, serverPort and bindAddress. So do SECURE_PORT, SECURE_BIND_ADDRESS,
TLS_CERT_FILE, TLS_KEY_FILE and TLS_CA_FILE, which are for serving with TLS. Without a file it records every kind that can be
watched, except a few such as Leases, keeps the history for 14 days, and listens on 127.0.0.1:8080.

A change of the file is applied without a restart, within seconds or at once on SIGHUP. A mistake in it is logged and changes
nothing.

The cluster is that of --kubeconfig, of KUBECONFIG, of ~/.kube/config, or the one that the recorder runs in.

The commands below maintain the recorded history, some of them while the recorder runs.`,
		Example: `  # Record the cluster of the current kubeconfig context into ./data
  BADGER_PATH=data watchhistory-recorder

  # Use another context, another port and a configuration file
  SERVER_PORT=9090 watchhistory-recorder --context staging --config resources.yaml`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd, f, version, getenv, hangup, options)
		},
	}
	cmd.Flags().StringVar(&f.config, "config", "", "configuration `file` (overrides CONFIG_PATH)")
	cmd.Flags().StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig `file` of the cluster to record")
	cmd.Flags().StringVar(&f.context, "context", "", "kubeconfig `context` to use")
	cmd.Flags().TextVar(&f.logLevel, "log-level", slog.LevelInfo, "lowest `level` to log: debug, info, warn or error")
	cmd.Flags().StringVar(&f.logFormat, "log-format", f.logFormat, "`format` of the log: text or json")
	cmd.SetVersionTemplate("watchhistory-recorder {{.Version}}\n")
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.AddCommand(admin.Commands(admin.Environment{Storage: func(config string) (string, error) {
		c, err := newSource(getenv, config).Load()
		return c.StoragePath, err
	}, Program: userAgent(version)})...)
	return cmd
}

// programName is the name of the program, in front of a slash and its version.
const programName = "watchhistory-recorder/"

// userAgent returns the program's name and version.
func userAgent(version string) string { return programName + version }

// versionOf returns the version of a user agent that userAgent returned, and ""
// for others.
func versionOf(program string) string {
	version, _ := strings.CutPrefix(program, programName)
	if version == program {
		return ""
	}
	return version
}

// ExitCode returns the exit code of a command that returned this error, 0 for
// nil.
func ExitCode(err error) int { return admin.ExitCode(err) }

// run runs the recorder until the command's context ends.
func run(
	cmd *cobra.Command, f flags, version string, getenv func(string) string, hangup <-chan os.Signal, options []Option,
) error {
	logger, err := newLogger(cmd.ErrOrStderr(), f)
	if err != nil {
		return err
	}
	if getenv("GOGC") == "" { // otherwise the operator has chosen
		debug.SetGCPercent(memlimit.GCPercent)
	}
	source := newSource(getenv, f.config)
	c, err := source.Load()
	if err != nil {
		return err
	}
	cluster, err := clusterConfig(f.kubeconfig, f.context)
	if err != nil {
		return err
	}
	cluster.UserAgent = userAgent(version)
	d, err := New(cmd.Context(), c, cluster, logger, options...)
	if err != nil {
		return err
	}
	d.Follow(source, followInterval, hangup)
	go memlimit.Run(cmd.Context())
	return d.Run(cmd.Context())
}

// newSource returns the configuration's source. The path of the flag, if there
// is one, overrides CONFIG_PATH.
func newSource(getenv func(string) string, config string) *Source {
	return NewSource(func(name string) string {
		if name == "CONFIG_PATH" && config != "" {
			return config
		}
		return getenv(name)
	}, DefaultConfigPath)
}

// newLogger returns the process's logger, and makes client-go log to it.
func newLogger(w io.Writer, f flags) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: f.logLevel}
	var handler slog.Handler
	switch f.logFormat {
	case "text":
		handler = slog.NewTextHandler(w, options)
	case "json":
		handler = slog.NewJSONHandler(w, options)
	default:
		return nil, history.Errorf(history.Invalid, "--log-format: want text or json, got %q", f.logFormat)
	}
	klog.SetLogger(logr.FromSlogHandler(handler.WithAttrs([]slog.Attr{slog.String("component", "client-go")})))
	return slog.New(handler), nil
}

// clusterConfig finds the cluster as kubectl does: by the kubeconfig, otherwise
// by the service account of the pod that it runs in.
func clusterConfig(kubeconfig, kubecontext string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	rules.WarnIfAllMissing = false
	overrides := &clientcmd.ConfigOverrides{CurrentContext: kubecontext}
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
	switch {
	case clientcmd.IsEmptyConfig(err) && os.Getenv("KUBERNETES_SERVICE_HOST") != "":
		return nil, history.WithHint(
			history.Errorf(history.Invalid, "no cluster to record: this pod has no service account token"),
			"Set automountServiceAccountToken, or pass --kubeconfig FILE.")
	case clientcmd.IsEmptyConfig(err):
		return nil, history.WithHint(
			history.Errorf(history.Invalid, "no cluster to record: there is no kubeconfig, and this is not a pod"),
			"Pass --kubeconfig FILE, set KUBECONFIG, or run in a cluster.")
	case err != nil:
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	return cfg, nil
}

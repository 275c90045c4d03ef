package cli

import (
	"cmp"
	"context"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// versionOptions are the options of version.
type versionOptions struct {
	*connection
	documentOutput

	clientOnly bool
}

// programVersion is the version of one program, in the document of version.
type programVersion struct {
	Version   string `json:"version"`
	GoVersion string `json:"goVersion"`
	Platform  string `json:"platform"`
}

// versionResult is the document of version.
type versionResult struct {
	Plugin   programVersion  `json:"plugin"`
	Recorder *programVersion `json:"recorder,omitempty"` // nil: it was not asked, or has not answered
}

func newVersion(conn *connection) *cobra.Command {
	o := &versionOptions{connection: conn}
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of this program and of the recorder",
		Long: paragraphs(`
			Print the versions of this program and of the recorder.

			Both may have different versions. The recorder should be the newer one.`),
		Example: examples(conn.env, `
			# Both versions
			watchhistory version

			# Only that of this program, without a connection to the cluster
			watchhistory version --client`),
		Args: noArguments,
		RunE: runE(o),
	}
	cmd.Flags().BoolVar(&o.clientOnly, "client", false, "Print only the version of this program, without a connection.")
	o.addFormatFlag(cmd)
	return cmd
}

// complete has nothing to do.
func (o *versionOptions) complete() error { return nil }

// validate rejects invalid flags.
func (o *versionOptions) validate() error {
	return cmp.Or(o.validateNoFile("version"), o.documentOutput.validate())
}

// run writes the versions. If the recorder does not answer, the version of this
// program is written all the same, as kubectl version does.
func (o *versionOptions) run(ctx context.Context, _ []string) error {
	found := &versionResult{Plugin: pluginVersion(&o.env)}
	var failure error
	if !o.clientOnly {
		failure = o.withSession(ctx, func(s *session) error {
			recorder, err := s.Recorder(ctx)
			switch {
			case history.CodeOf(err) == history.NotFound:
				o.env.note("The recorder is too old to report its version.")
				return nil
			case err != nil:
				return err
			}
			version := recorderVersion(recorder)
			found.Recorder = &version
			return nil
		})
	}
	err := o.write(o.env.documentPrinter(), found, func(p *render.Printer) error {
		if err := p.Line("kubectl-watchhistory " + found.Plugin.String()); err != nil || found.Recorder == nil {
			return err
		}
		return p.Line("watchhistory-recorder " + found.Recorder.String())
	})
	if err != nil {
		return err
	}
	return failure
}

// String returns a version on one line.
func (v *programVersion) String() string {
	return fmt.Sprintf("%s %s %s", v.Version, v.GoVersion, v.Platform)
}

// pluginVersion returns the version of this program.
func pluginVersion(env *Environment) programVersion {
	return programVersion{env.Version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
}

// recorderVersion returns the version of a recorder.
func recorderVersion(r *v1.Recorder) programVersion {
	return programVersion{r.Version, r.GoVersion, r.Platform}
}

// noArguments rejects arguments.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return withAdvice(helpHint(cmd), "unknown argument %q", args[0])
	}
	return nil
}

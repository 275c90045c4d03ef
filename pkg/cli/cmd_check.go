package cli

import (
	"cmp"
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// checkOptions are the options of check.
type checkOptions struct {
	*connection
	documentOutput
}

// checkResult is the document of check.
type checkResult struct {
	Healthy bool             `json:"healthy"` // no finding is an error
	Checks  []render.Finding `json:"checks"`
}

func newCheck(conn *connection) *cobra.Command {
	o := &checkOptions{connection: conn}
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the recorder, and how you reach it",
		Long: paragraphs(`
			Check whether the API server and the recorder can be reached, what you may read, what is
			recorded and what is not, and whether changes may be missing. Each line says what to do next.

			✓ is fine, ! is worth knowing, and ✗ is wrong. The exit code is 1 if something is wrong.`),
		Example: examples(conn.env, `
			# Is everything in order?
			watchhistory check

			# The findings that are wrong, for a program
			watchhistory check -o json | jq '.checks[] | select(.status == "error")'

			# A recorder outside of the cluster
			watchhistory check --recorder-url http://127.0.0.1:8080`),
		Args: noArguments,
		RunE: runE(o),
	}
	o.addFormatFlag(cmd)
	return cmd
}

// complete has nothing to do.
func (o *checkOptions) complete() error { return nil }

// validate rejects invalid flags.
func (o *checkOptions) validate() error {
	if err := cmp.Or(o.validateNoFile("check"), o.validateRoute()); err != nil {
		return err
	}
	return o.documentOutput.validate()
}

// run writes the findings. Each depends on those before it, so the first error
// of the connection is the last finding.
func (o *checkOptions) run(ctx context.Context, _ []string) error {
	if o.env.progress != nil && !o.env.noEscapes {
		o.env.progress.begin("Checking the recorder…")
		defer o.env.progress.end()
	}
	e := &examination{connection: o.connection}
	e.examine(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	isError := func(f render.Finding) bool { return f.Status == render.FindingError }
	result := checkResult{Healthy: !slices.ContainsFunc(e.findings, isError), Checks: e.findings}
	err := o.write(o.env.documentPrinter(), &result, func(p *render.Printer) error { return p.Findings(e.findings) })
	if err == nil && !result.Healthy {
		return errUnhealthy
	}
	return err
}

// examination collects findings about a recorder.
type examination struct {
	*connection

	user     string // the name of the caller, from the API server; empty if unknown
	findings []render.Finding
}

// add adds a finding.
func (e *examination) add(name string, status render.FindingStatus, message, hint string) {
	e.findings = append(e.findings, render.Finding{Name: name, Status: status, Message: message, Hint: hint})
}

// ok adds a good finding.
func (e *examination) ok(name, message string) { e.add(name, render.FindingOK, message, "") }

// fail adds the finding for an error, with its hint.
func (e *examination) fail(name string, err error) {
	err = e.withHint(err)
	e.add(name, render.FindingError, err.Error(), history.HintOf(err))
}

// unknown adds the finding for something that can't be read.
func (e *examination) unknown(name string, err error, hint string) {
	e.add(name, render.FindingWarning, "not known: "+err.Error(), hint)
}

// examine checks the way to the recorder, and then the recorder itself.
func (e *examination) examine(ctx context.Context) {
	if !e.apiServer(ctx) || !e.recorder(ctx) {
		return
	}
	s, err := e.open(ctx)
	if err != nil {
		e.fail("connection", err)
		return
	}
	defer s.Close()
	if !e.reachable(ctx, s) {
		return
	}
	about := e.version(ctx, s)
	e.clock()
	e.rights(ctx, s, about)
	e.gaps(ctx, s)
	e.kinds(ctx, s)
	e.disk(ctx, s)
}

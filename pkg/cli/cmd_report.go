package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/durable"
	"github.com/watchhistory/watchhistory/pkg/report"
)

// reportOptions are the options of report, which puts an incident on one page.
type reportOptions struct {
	queryOptions

	title         string
	file          string // --output
	allNamespaces bool
	rules         failOn

	write  reportWriter // of the format
	series bool         // the format has charts
	path   string       // of the file; empty: stdout
}

// reportWriter writes a report in one format.
type reportWriter func(io.Writer, *report.Report) error

// Defaults of report.
const (
	reportSince = "1h"
	reportLimit = 10_000
)

func newReport(conn *connection) *cobra.Command {
	o := &reportOptions{queryOptions: queryOptions{connection: conn}}
	cmd := &cobra.Command{
		Use:   "report [-o FILE.md | FILE.html | md | html]",
		Short: "Put what happened in a namespace on one page",
		Long: paragraphs(`
			Put what happened in a namespace on one page, for a pull request, a job summary or a review
			of an incident: what is not recorded, what is wrong and which changes may have caused it, the
			changes and how they ended, with their diffs, what differs from the start of the time, and
			what was deleted.

			The default is Markdown on stdout. -o FILE.md writes a file. -o FILE.html writes a page of one
			file, for a browser: with a timeline, filters, the readiness of workloads and the manifests of
			deleted objects. It loads nothing from anywhere. A report in Markdown has at most 1 MiB, which
			is the limit of job summaries on GitHub, and a page has at most 2 MB. Both name what was left
			out.

			With --fail-on, the report begins with whether the rules match a change of this time, and with
			the newest changes that do. They are also printed to stderr. The report is written first.

			Names and texts of the cluster stay text: they form no links, mentions or markup. --from and
			--to mean the same as --since and --until.`),
		Example: examples(conn.env, `
			# The last hour in the namespace shop
			watchhistory report -n shop -o incident.md

			# The same as a page for a browser
			watchhistory report -n shop -o incident.html

			# In a CI job: what the deployment did
			watchhistory report -n shop --since 10m >> "$GITHUB_STEP_SUMMARY"

			# The same, and fail the job if a pod crash-looped
			watchhistory report -n shop --since 10m -o deploy.html --fail-on 'problem.contains("CrashLoopBackOff")'

			# An incident of last night, in all namespaces, with a title
			watchhistory report -A --since 'yesterday 22:00' --until 6:00 --title 'Checkout was down' -o night.md`),
		Args: cobra.NoArgs,
		RunE: runE(o),
	}
	fs := cmd.Flags()
	o.window.addFlags(fs, "changes")
	setDefault(fs, "since", reportSince)
	setDefault(fs, "limit", fmt.Sprint(reportLimit))
	fs.Lookup("limit").Usage = "Show at most this many rows of changes, the newest. 0 shows all."
	fs.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		switch name {
		case "from":
			name = "since"
		case "to":
			name = "until"
		}
		return pflag.NormalizedName(name)
	})
	fs.BoolVarP(&o.allNamespaces, "all-namespaces", "A", false,
		"Report on all namespaces, including cluster-scoped objects.")
	fs.StringVar(&o.title, "title", "", "Title of the report.")
	fs.StringVarP(&o.file, "output", "o", "md",
		"File to write, whose name ends in .md or .html; md or html writes to stdout.")
	o.rules.addFlag(cmd)
	fs.StringVar(&o.timezone, "timezone", "Local", "Time zone of all times, such as UTC or Europe/Berlin.")
	return cmd
}

// setDefault sets a flag to another default. The name and the value are
// constants, so there is no error.
func setDefault(fs *pflag.FlagSet, name, value string) {
	flag := fs.Lookup(name)
	_ = flag.Value.Set(value)
	flag.DefValue = value
}

// complete parses the flags. --since-time replaces the default of --since.
func (o *reportOptions) complete() error {
	if o.sinceTime != "" && o.since == reportSince {
		o.since = ""
	}
	return o.queryOptions.complete()
}

// validate rejects invalid flags.
func (o *reportOptions) validate() error {
	format := o.file
	if extension := strings.TrimPrefix(filepath.Ext(o.file), "."); extension != "" {
		format, o.path = extension, o.file
	}
	switch strings.ToLower(format) {
	case "md", "markdown", "-":
		o.write = report.WriteMarkdown
	case "html", "htm":
		o.write, o.series = report.WriteHTML, true
	default:
		return invalidf("--output %q: want a file whose name ends in .md or .html, or md or html for stdout", o.file)
	}
	if o.series && o.path == "" && terminalWidth(o.env.Out) > 0 {
		return withAdvice("-o incident.html writes a file.", "--output %s: a page can't be shown on a terminal", o.file)
	}
	return o.window.validate()
}

// run writes the report. A file appears only if it is complete.
func (o *reportOptions) run(ctx context.Context, _ []string) error {
	return o.withSession(ctx, func(s *session) error {
		if o.allNamespaces {
			s.namespace = history.AllNamespaces
		}
		if err := o.readClock(ctx, s); err != nil {
			return err
		}
		rules, err := o.rules.match(ctx, s.Client, client.EventsQuery{
			Namespace: s.namespace, Start: o.start, End: o.end,
		})
		if err != nil {
			return err
		}
		r, err := report.Gather(ctx, s.Client, report.Question{
			Title: o.title, Namespace: s.namespace, Start: o.start, End: o.end,
			Now: o.env.recorderNow(), Location: o.location, Limit: o.limit, PageSize: o.chunkSize,
			Series: o.series,
		})
		if err != nil {
			return err
		}
		r.Rules = rules
		if o.allNamespaces {
			r.Coverage.Limit = o.recorded.content()
		}
		if err := o.writeReport(r); err != nil {
			return err
		}
		return writeRules(&o.env, rules, o.allNamespaces, o.location)
	})
}

// writeReport writes the report to the file or to stdout.
func (o *reportOptions) writeReport(r *report.Report) error {
	var text bytes.Buffer
	if err := o.write(&text, r); err != nil {
		return err
	}
	if o.path != "" {
		return o.writeFile(text.Bytes())
	}
	o.env.endProgress()
	_, err := o.env.Out.Write(text.Bytes())
	return err
}

// writeFile writes the file of --output.
func (o *reportOptions) writeFile(data []byte) error {
	f, err := durable.Create(o.path)
	if err != nil {
		return invalidf("--output: %v", err)
	}
	if _, err := f.Write(data); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", o.path, err), f.Discard())
	}
	if err := f.Commit(); err != nil {
		return err
	}
	o.env.note("Wrote " + o.path + ".")
	return nil
}

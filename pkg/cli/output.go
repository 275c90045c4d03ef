package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/internal/printable"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// output contains the flags that select the format of the output.
type output struct {
	format     string
	noHeaders  bool
	timestamps bool
	timezone   string
	color      string
	templates  *genericclioptions.KubeTemplatePrintFlags
	sortBy     string

	columns       *render.Columns // of format
	columnPrinter *render.Printer // of a table with columns that continues
	sortPath      *render.Path    // of sortBy

	location *time.Location // of timezone
	objects  bool           // documents contain the objects themselves instead of records
}

// addFlags adds the flags of the output, with their completions.
func (o *output) addFlags(cmd *cobra.Command) {
	o.addFormatFlags(cmd)
	fs := cmd.Flags()
	fs.BoolVar(&o.noHeaders, "no-headers", false, "Do not print the headers of tables.")
	fs.BoolVar(&o.timestamps, "timestamps", false, "Print times instead of ages.")
	o.addSortFlag(cmd)
}

// addFormatFlags adds the flags of an output that has neither columns nor
// ages, with their completions.
func (o *output) addFormatFlags(cmd *cobra.Command) {
	o.templates = genericclioptions.NewKubeTemplatePrintFlags()
	o.templates.AddFlags(cmd)
	fs := cmd.Flags()
	fs.StringVarP(&o.format, "output", "o", "", "Output format. One of: ("+strings.Join(o.formats(), ", ")+").")
	_ = cmd.RegisterFlagCompletionFunc("output",
		cobra.FixedCompletions(o.formats(), cobra.ShellCompDirectiveNoFileComp))
	o.addStyleFlags(cmd)
}

// addStyleFlags adds the flags of an output that has only one format.
func (o *output) addStyleFlags(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&o.timezone, "timezone", "Local", "Time zone of all times, such as UTC or Europe/Berlin.")
	fs.StringVar(&o.color, "color", "auto",
		"Print colors: auto, always or never. auto prints them on a terminal, unless NO_COLOR is set.")
	_ = cmd.RegisterFlagCompletionFunc("color",
		cobra.FixedCompletions([]string{"auto", "always", "never"}, cobra.ShellCompDirectiveNoFileComp))
}

// formats returns the values of --output.
func (o *output) formats() []string {
	return append([]string{"json", "yaml", "name", "wide", customColumns, customColumnsFile},
		o.templates.AllowedFormats()...)
}

// complete parses --timezone.
func (o *output) complete() (err error) {
	if o.location, err = time.LoadLocation(o.timezone); err != nil {
		return invalidf("--timezone %q is unknown: want a name like UTC, Local or Europe/Berlin", o.timezone)
	}
	return nil
}

// validate rejects unknown values, and templates that can't be parsed.
func (o *output) validate() error {
	if err := o.validateColor(); err != nil {
		return err
	}
	if err := o.parseSort(); err != nil {
		return err
	}
	switch o.format {
	case "", "wide", "json", "yaml", "name":
		return nil
	}
	if found, err := o.parseColumns(); found {
		return err
	}
	if _, err := o.templates.ToPrinter(o.format); genericclioptions.IsNoCompatiblePrinterError(err) {
		return invalidf("--output %q: want one of %s", o.format, strings.Join(o.formats(), ", "))
	} else if err != nil {
		return invalidf("--output %q: %v", o.format, err)
	}
	return nil
}

// validateColor rejects unknown values of --color.
func (o *output) validateColor() error {
	if !slices.Contains([]string{"auto", "always", "never"}, o.color) {
		return invalidf("--color %q: want auto, always or never", o.color)
	}
	return nil
}

// isTable reports whether the output is a table.
func (o *output) isTable() bool { return o.format == "" || o.format == "wide" }

// isLean reports whether the output needs no object bodies. Bodies are most of
// a response, and the recorder has to decode them.
func (o *output) isLean() bool {
	return (o.isTable() || o.format == "name") &&
		!strings.Contains(o.sortBy, "objectChanges") && !strings.Contains(o.sortBy, "annotations")
}

// printer returns a printer for the output, and ends the progress line.
// namespaces adds a column to tables, and noise includes noise in diffs.
func (o *output) printer(env *Environment, namespaces, noise bool) *render.Printer {
	env.endProgress()
	return render.New(env.Out, render.Options{
		Now: env.recorderNow(), Timestamps: o.timestamps, Location: o.location,
		Color: env.color(o.color), Width: terminalWidth(env.Out), Terminal: terminalWidth(env.Out) > 0,
		NoHeaders: o.noHeaders, Namespaces: namespaces, Wide: o.format == "wide", ShowNoise: noise, Program: env.Name,
		ProgramFlags: env.fileFlag(),
	})
}

// table writes records and gaps as a table.
type table func([]v1.Event, []v1.Gap) error

// write writes records in the format of --output. Only a table contains the
// gaps.
//
// p must be a printer of o. table is the method of p that writes the table of
// the command.
func (o *output) write(env *Environment, p *render.Printer, events []v1.Event, gaps []v1.Gap, table table) error {
	events, err := o.sorted(events)
	if err != nil {
		return err
	}
	if o.sortPath != nil {
		gaps = nil // they are between times
	}
	switch o.format {
	case "name":
		return p.Names(events)
	case "", "wide":
		return table(events, gaps)
	}
	// The other formats write a document: of records, or of the objects.
	document := any(render.Items{Items: events})
	if o.objects {
		if document, err = render.Objects(events); err != nil {
			return err
		}
	}
	switch o.format {
	case "json":
		return p.JSON(document)
	case "yaml":
		return p.YAML(document)
	default:
		return o.writeTemplate(env, document)
	}
}

// writeEach is write for output that continues later: each record is a document
// of its own, and a name is written for each record.
func (o *output) writeEach(env *Environment, p *render.Printer, events []v1.Event, gaps []v1.Gap, table table) error {
	if o.isTable() {
		return table(events, gaps)
	}
	for i := range events {
		if err := o.writeOne(env, p, &events[i]); err != nil {
			return err
		}
	}
	return nil
}

// writeOne writes a record in a format that is not a table.
func (o *output) writeOne(env *Environment, p *render.Printer, e *v1.Event) error {
	switch o.format {
	case "name":
		return p.Names([]v1.Event{*e})
	case "json":
		return p.JSONLine(e)
	case "yaml":
		return p.YAMLDocument(e)
	default:
		return o.writeTemplate(env, e)
	}
}

// writeTemplate writes a document through a JSONPath or Go template, which gets
// the document of -o json, or with the columns of the user. Whole numbers are
// kept as integers.
func (o *output) writeTemplate(env *Environment, document any) error {
	if o.columns != nil {
		return o.writeColumns(env, document)
	}
	printer, err := o.templates.ToPrinter(o.format)
	if err != nil {
		return invalidf("--output %q: %v", o.format, err)
	}
	body, err := json.Marshal(document)
	if err != nil {
		return fmt.Errorf("apply a template: %w", err)
	}
	object := map[string]any{}
	if err := utiljson.Unmarshal(body, &object); err != nil {
		return fmt.Errorf("apply a template: %w", err)
	}
	var out bytes.Buffer
	if err := printer.PrintObj(&unstructured.Unstructured{Object: object}, &out); err != nil {
		reason, _, _ := strings.Cut(err.Error(), ". Printing more information") // the rest is the whole document
		return invalidf("--output %s: %s", o.format, reason)
	}
	text := out.String()
	if terminalWidth(env.Out) > 0 {
		text = printable.Text(text)
	}
	_, err = io.WriteString(env.Out, text)
	return err
}

// visible returns the events that a table shows. It hides noise unless noise is
// set: updates of noise fields only, and expired Kubernetes Events. Both have
// no summary. Creations are always shown. The formats for programs contain
// everything.
func (o *output) visible(events []v1.Event, noise bool) []v1.Event {
	if noise || !o.isTable() {
		return events
	}
	return slices.DeleteFunc(slices.Clone(events), func(e v1.Event) bool {
		return e.Verb != "create" && e.Summary == ""
	})
}

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
	"github.com/watchhistory/watchhistory/pkg/render"
)

// output is how an answer is written.
type output struct {
	format     string
	noHeaders  bool
	timestamps bool
	timezone   string
	color      string
	templates  *genericclioptions.KubeTemplatePrintFlags

	location *time.Location
	objects  bool // the formats for programs show the objects themselves, not the records of them
}

func (o *output) addFlags(cmd *cobra.Command) {
	o.templates = genericclioptions.NewKubeTemplatePrintFlags()
	o.templates.AddFlags(cmd)
	fs := cmd.Flags()
	fs.StringVarP(&o.format, "output", "o", "", "Output format. One of: ("+strings.Join(o.formats(), ", ")+").")
	fs.BoolVar(&o.noHeaders, "no-headers", false, "Print no headers of tables.")
	fs.BoolVar(&o.timestamps, "timestamps", false, "Print times instead of ages.")
	fs.StringVar(&o.timezone, "timezone", "Local", "Time zone of --timestamps, like UTC or Europe/Berlin.")
	fs.StringVar(&o.color, "color", "auto", "Print colors: auto, always or never. auto means on a terminal, unless NO_COLOR is set.")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(o.formats(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("color", cobra.FixedCompletions([]string{"auto", "always", "never"}, cobra.ShellCompDirectiveNoFileComp))
}

func (o *output) formats() []string {
	return append([]string{"json", "yaml", "name", "wide"}, o.templates.AllowedFormats()...)
}

func (o *output) complete() (err error) {
	if o.location, err = time.LoadLocation(o.timezone); err != nil {
		return invalidf("--timezone %q is unknown: want a name like UTC, Local or Europe/Berlin", o.timezone)
	}
	return nil
}

func (o *output) validate() error {
	if !slices.Contains([]string{"auto", "always", "never"}, o.color) {
		return invalidf("--color %q: want auto, always or never", o.color)
	}
	switch o.format {
	case "", "wide", "json", "yaml", "name":
		return nil
	}
	if _, err := o.templates.ToPrinter(o.format); genericclioptions.IsNoCompatiblePrinterError(err) {
		return invalidf("--output %q: want one of %s", o.format, strings.Join(o.formats(), ", "))
	} else if err != nil {
		return invalidf("--output %q: %v", o.format, err)
	}
	return nil
}

// isTable tells whether the answer is for people.
func (o *output) isTable() bool { return o.format == "" || o.format == "wide" }

// isLean tells whether the answer needs no objects.
func (o *output) isLean() bool { return o.isTable() || o.format == "name" }

// printer returns what writes the answer. Nothing is shown of waiting any more.
func (o *output) printer(env *Environment, namespaces, noise bool) *render.Printer {
	env.answer()
	return render.New(env.Out, render.Options{
		Now: env.recorderNow(), Timestamps: o.timestamps, Location: o.location,
		Color: env.color(o.color), Width: terminalWidth(env.Out), Terminal: terminalWidth(env.Out) > 0,
		NoHeaders: o.noHeaders, Namespaces: namespaces, Wide: o.format == "wide", ShowNoise: noise,
	})
}

// table is how a command shows records to people, and gaps among them.
type table func([]v1.Event, []v1.Gap) error

// write writes records in the format that was asked for. Only a table shows gaps.
func (o *output) write(env *Environment, p *render.Printer, events []v1.Event, gaps []v1.Gap, table table) error {
	switch o.format {
	case "name":
		return p.Names(events)
	case "", "wide":
		return table(events, gaps)
	}
	document, err := any(render.Items{Items: events}), error(nil)
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
		return o.template(env, document)
	}
}

// template applies JSONPath or a Go template to the document that -o json writes. Whole numbers stay whole.
func (o *output) template(env *Environment, answer any) error {
	printer, err := o.templates.ToPrinter(o.format)
	if err != nil {
		return invalidf("--output %q: %v", o.format, err)
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("apply a template: %w", err)
	}
	document := map[string]any{}
	if err := utiljson.Unmarshal(body, &document); err != nil {
		return fmt.Errorf("apply a template: %w", err)
	}
	var out bytes.Buffer
	if err := printer.PrintObj(&unstructured.Unstructured{Object: document}, &out); err != nil {
		why, _, _ := strings.Cut(err.Error(), ". Printing more information") // which is the whole document
		return invalidf("--output %s: %s", o.format, why)
	}
	text := out.String()
	if terminalWidth(env.Out) > 0 {
		text = render.Escape(text)
	}
	_, err = io.WriteString(env.Out, text)
	return err
}

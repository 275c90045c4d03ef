package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/pkg/render"
)

// documentOutput contains the --output flag of commands that print a text for
// people, or a document for programs.
type documentOutput struct{ format string }

// documentFormats returns the values of --output.
func documentFormats() []string { return []string{"json", "yaml"} }

// addFormatFlag adds the flag, with its completion.
func (o *documentOutput) addFormatFlag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.format, "output", "o", "",
		"Output format. One of: ("+strings.Join(documentFormats(), ", ")+").")
	_ = cmd.RegisterFlagCompletionFunc("output",
		cobra.FixedCompletions(documentFormats(), cobra.ShellCompDirectiveNoFileComp))
}

// validate rejects unknown formats.
func (o *documentOutput) validate() error {
	if o.format != "" && !slices.Contains(documentFormats(), o.format) {
		return invalidf("--output %q: want one of %s", o.format, strings.Join(documentFormats(), ", "))
	}
	return nil
}

// write writes the document, or calls text if no format is set.
func (o *documentOutput) write(p *render.Printer, document any, text func(*render.Printer) error) error {
	switch o.format {
	case "json":
		return p.JSON(document)
	case "yaml":
		return p.YAML(document)
	default:
		return text(p)
	}
}

// documentPrinter returns a printer for a text or a document, and ends the
// progress line.
func (e *Environment) documentPrinter() *render.Printer {
	e.endProgress()
	return render.New(e.Out, render.Options{
		Now: e.Now(), Color: e.color("auto"), Width: terminalWidth(e.Out), Terminal: terminalWidth(e.Out) > 0,
	})
}

package render

import (
	"fmt"
	"io"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/watchhistory/watchhistory/pkg/internal/printable"
)

// Options configure a [Printer]. The zero Options write plain tables that are
// not cut.
type Options struct {
	Now        time.Time      // ages are relative to this time
	Timestamps bool           // write times instead of ages
	Location   *time.Location // of the times; nil means UTC
	Color      bool           // style words with ANSI colours
	Terminal   bool           // escape unsafe characters in YAML and names too
	Width      int            // of the terminal, in columns; the last column of a table is cut to it; 0 means no limit
	NoHeaders  bool           // omit the headers of tables
	Namespaces bool           // add a first column with the namespace
	Wide       bool           // add more columns
	ShowNoise  bool           // include noise in diffs
	Program    string         // how users call the program, in commands; empty: no commands are written
	// ProgramFlags are flags at the end of each command, with a space before.
	ProgramFlags string
}

// Printer writes the output of one command.
//
// A second call of the same table method continues the table: it writes no
// second header, and its columns are at least as wide. Diffs are separated by
// an empty line. A Printer is not safe for concurrent use.
type Printer struct {
	out    io.Writer
	opts   Options
	styles styles
	widths []int // of the table's columns so far, without the gutter; nil before the header
	headed bool  // a diff or a YAML document has been written
	clocks bool  // times are those of a clock, and not ages

	stacked bool // texts are below the columns of a folded table
}

// New returns a printer that writes to out.
func New(out io.Writer, opts Options) *Printer {
	if opts.Location == nil {
		opts.Location = time.UTC
	}
	profile := termenv.Ascii
	if opts.Color {
		profile = termenv.ANSI
	}
	r := lipgloss.NewRenderer(out, termenv.WithProfile(profile))
	r.SetColorProfile(profile)
	return &Printer{out: out, opts: opts, styles: newStyles(r)}
}

// SetNow sets the time that ages are relative to. A table can then be continued
// later.
func (p *Printer) SetNow(now time.Time) { p.opts.Now = now }

// command returns a command line of the program.
func (p *Printer) command(args string) string {
	return p.opts.Program + " " + args + p.opts.ProgramFlags
}

// write writes text in one call.
func (p *Printer) write(text string) error {
	if _, err := io.WriteString(p.out, text); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// Line writes a line of text, escaped.
func (p *Printer) Line(text string) error { return p.write(printable.Line(text) + "\n") }

// styles are the styles of words. They use only the 16 ANSI colours, which
// follow the theme of the terminal.
type styles struct {
	good, warn, bad, faint, heading, parent lipgloss.Style
}

func newStyles(r *lipgloss.Renderer) styles {
	color := func(c string) lipgloss.Style { return r.NewStyle().Foreground(lipgloss.Color(c)) }
	return styles{
		good:    color("2"),
		warn:    color("3"),
		bad:     color("1"),
		faint:   r.NewStyle().Faint(true),
		heading: r.NewStyle().Bold(true),
		parent:  color("6"),
	}
}

// of returns the style of a verb or of an Event's type.
func (s *styles) of(word string) lipgloss.Style {
	switch word {
	case "create", "Added":
		return s.good
	case "delete", "Warning":
		return s.bad
	case "initial":
		return s.faint
	default:
		return lipgloss.NewStyle()
	}
}

// timestampLayout is RFC 3339 with milliseconds. All times have the same width.
const timestampLayout = "2006-01-02T15:04:05.000Z07:00"

// when returns the age of t as kubectl writes it ("3m"), or with
// [Options.Timestamps] the time itself.
func (p *Printer) when(t time.Time) string {
	switch {
	case t.IsZero():
		return "<unknown>"
	case p.opts.Timestamps:
		return t.In(p.opts.Location).Format(timestampLayout)
	case p.clocks:
		return p.clock(t)
	default:
		return duration.HumanDuration(max(p.opts.Now.Sub(t), 0))
	}
}

// ago is [Printer.when] for the end of a sentence: "3m ago".
func (p *Printer) ago(t time.Time) string {
	if p.opts.Timestamps || p.clocks || t.IsZero() {
		return p.when(t)
	}
	return p.when(t) + " ago"
}

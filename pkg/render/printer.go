package render

import (
	"io"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
)

// Options say how to write. The zero Options write plain, uncut tables.
type Options struct {
	Now        time.Time      // what ages are relative to
	Timestamps bool           // write times, not ages
	Location   *time.Location // of the times; nil: UTC
	Color      bool
	Terminal   bool // escape in YAML and names, too, what a terminal could obey or hide
	Width      int  // of the terminal, in columns; the last column of a table is cut to it. 0: nothing is cut
	NoHeaders  bool // of tables
	Namespaces bool // a first column with the namespace
	Wide       bool // more columns
	ShowNoise  bool // in diffs
}

// Printer writes one answer. A second call of the same method continues the table that the first one began: no second
// header, no narrower columns; diffs are set apart by an empty line. It is not safe for concurrent use.
type Printer struct {
	out    io.Writer
	opts   Options
	styles styles
	widths []int // of the columns so far
	headed bool  // a diff has been written
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

// styles are the looks of words, in the 16 colours that every terminal's theme sets.
type styles struct {
	good, warn, bad, faint, heading, place lipgloss.Style
}

func newStyles(r *lipgloss.Renderer) styles {
	color := func(c string) lipgloss.Style { return r.NewStyle().Foreground(lipgloss.Color(c)) }
	return styles{
		good:    color("2"),
		warn:    color("3"),
		bad:     color("1"),
		faint:   r.NewStyle().Faint(true),
		heading: r.NewStyle().Bold(true),
		place:   color("6"),
	}
}

// of returns the style of a verb, or of another word for what happened.
func (s *styles) of(change string) lipgloss.Style {
	switch change {
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

package render

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// gutter is what lies between two columns.
const gutter = "   "

// narrowest is the width below which the last column is not cut, however narrow the terminal.
const narrowest = 16

// field is the content of a cell, escaped already, and its style.
type field struct {
	text  string
	style lipgloss.Style
}

func plain(texts ...string) []field {
	fields := make([]field, len(texts))
	for i, text := range texts {
		fields[i].text = text
	}
	return fields
}

// blockRows is the number of rows that are laid out at a time: laying out is slow, and the first row is waited for.
const blockRows = 1000

// table writes rows; without rows nothing. The header comes with the first row that has columns. The last column takes what
// is left of the width. A row of a single field goes across all columns, makes none of them wider, and is never cut.
func (p *Printer) table(titles []string, rows [][]field) error {
	if p.widths == nil && slices.ContainsFunc(rows, hasColumns) {
		p.widths = make([]int, len(titles))
		if !p.opts.NoHeaders {
			rows = append([][]field{plain(titles...)}, rows...)
		}
	}
	p.widen(rows)
	for len(rows) > 0 {
		n := block(rows)
		text, err := p.layOut(rows[:n])
		if err != nil {
			return fmt.Errorf("lay out a table: %w", err)
		}
		if err := p.write(text); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func hasColumns(row []field) bool { return len(row) > 1 }

// block returns how many of the first rows are laid out together: such with columns, or one without.
func block(rows [][]field) int {
	n := 0
	for n < min(len(rows), blockRows) && hasColumns(rows[n]) {
		n++
	}
	return max(n, 1)
}

// layOut returns the lines of a block. The tablewriter gets only what has columns: it would widen the first to a row that
// goes across.
func (p *Printer) layOut(rows [][]field) (string, error) {
	if !hasColumns(rows[0]) {
		return p.paint(rows[0][0]) + "\n", nil
	}
	var buf bytes.Buffer
	t := tablewriter.NewTable(&buf,
		tablewriter.WithRenderer(renderer.NewBlueprint()),
		tablewriter.WithRendition(tw.Rendition{
			Borders:  tw.BorderNone,
			Settings: tw.Settings{Separators: tw.SeparatorsNone, Lines: tw.LinesNone},
		}),
		tablewriter.WithRowAlignment(tw.AlignLeft),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithTrimSpace(tw.Off),
		tablewriter.WithPadding(tw.Padding{Left: tw.Empty, Right: gutter, Overwrite: true}),
	)
	for _, row := range rows {
		if err := t.Append(p.cells(row)); err != nil {
			return "", err
		}
	}
	if err := t.Render(); err != nil {
		return "", err
	}
	return trimLines(buf.String()), nil
}

// widen makes the columns as wide as the rows need; all but the last, which nothing follows.
func (p *Printer) widen(rows [][]field) {
	for _, row := range rows {
		for i := range row[:len(row)-1] {
			p.widths[i] = max(p.widths[i], twwidth.Width(row[i].text))
		}
	}
}

// cells styles a row's fields, pads them to their columns, and cuts the last one.
func (p *Printer) cells(row []field) []string {
	cells := make([]string, len(row))
	used := 0
	for i, f := range row {
		if i == len(row)-1 && p.opts.Width > 0 {
			f.text = cut(f.text, max(p.opts.Width-used, narrowest))
		}
		pad := max(p.widths[i]-twwidth.Width(f.text), 0)
		cells[i] = p.paint(f) + strings.Repeat(" ", pad)
		used += p.widths[i] + len(gutter)
	}
	return cells
}

func (p *Printer) paint(f field) string {
	if !p.opts.Color {
		return f.text
	}
	return f.style.TabWidth(lipgloss.NoTabConversion).Render(f.text)
}

func trimLines(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight(line, " \n"))
		b.WriteByte('\n')
	}
	return b.String()
}

func (p *Printer) write(text string) error {
	if _, err := p.out.Write([]byte(text)); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

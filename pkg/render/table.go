package render

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"

	"github.com/watchhistory/watchhistory/pkg/internal/printable"
)

// gutter is the number of columns between two table columns.
const gutter = 3

// minLastWidth is the width below which the last column is not cut, even if the
// terminal is narrower.
const minLastWidth = 16

// field is the content of a table cell. Its text is escaped already, on one
// line, and not yet styled.
type field struct {
	text  string
	style lipgloss.Style
}

// plain returns fields without a style.
func plain(texts ...string) []field {
	fields := make([]field, len(texts))
	for i, text := range texts {
		fields[i].text = text
	}
	return fields
}

// cell returns text as the content of a cell: escaped, on one line, and "-" if
// it is empty.
func cell(text string) string {
	if text = printable.Line(text); text == "" {
		return "-"
	}
	return text
}

// table writes rows. Without rows it writes nothing.
//
// The header precedes the first row that has columns. The last column takes the
// rest of the terminal's width. A row with a single field spans all columns: it
// widens none of them and is never cut.
func (p *Printer) table(titles []string, rows [][]field) error {
	if p.widths == nil && slices.ContainsFunc(rows, hasColumns) {
		p.widths = make([]int, len(titles))
		if !p.opts.NoHeaders {
			rows = append([][]field{plain(titles...)}, rows...)
		}
	}
	p.widen(rows)
	out := bufio.NewWriter(p.out)
	if err := p.layOut(out, rows); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// hasColumns reports whether a row has columns, and does not span them.
func hasColumns(row []field) bool { return len(row) > 1 }

// widen makes every column except the last as wide as the widest of rows needs.
// The last column needs no width, because nothing follows it.
func (p *Printer) widen(rows [][]field) {
	for _, row := range rows {
		for i := range row[:len(row)-1] {
			p.widths[i] = max(p.widths[i], twwidth.Width(row[i].text))
		}
	}
}

// layOut writes rows to out.
//
// The tablewriter streams: it gets the widths in advance and writes each row at
// once. So rows that span all columns can be written between two of its rows.
// Without widths in advance, its streaming mode cuts cells to the header.
func (p *Printer) layOut(out *bufio.Writer, rows [][]field) error {
	lines := &trimmer{w: out}
	t := tablewriter.NewTable(lines,
		tablewriter.WithRenderer(renderer.NewBlueprint()),
		tablewriter.WithRendition(tw.Rendition{
			Borders:  tw.BorderNone,
			Settings: tw.Settings{Separators: tw.SeparatorsNone, Lines: tw.LinesNone},
		}),
		tablewriter.WithStreaming(tw.StreamConfig{Enable: true, StrictColumns: true}),
		tablewriter.WithColumnWidths(p.columnWidths(rows)),
		tablewriter.WithRowAlignment(tw.AlignLeft),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithTrimSpace(tw.Off),
		tablewriter.WithPadding(tw.Padding{Left: tw.Empty, Right: tw.Space, Overwrite: true}),
	)
	if err := t.Start(); err != nil {
		return err
	}
	for _, row := range rows {
		if !hasColumns(row) {
			if _, err := out.WriteString(p.paint(row[0]) + "\n"); err != nil {
				return err
			}
			continue
		}
		if err := errors.Join(t.Append(p.cells(row)), lines.err); err != nil {
			return err
		}
	}
	return t.Close()
}

// columnWidths returns the widths of the columns with their gutters. The last
// column is as wide as the widest of rows, or as the rest of the terminal. Its
// padding is trimmed.
func (p *Printer) columnWidths(rows [][]field) tw.Mapper[int, int] {
	widths := tw.NewMapper[int, int]()
	last, used := 0, 0
	for i, width := range p.widths {
		widths.Set(i, width+gutter)
		if i < len(p.widths)-1 {
			used += width + gutter
		}
	}
	for _, row := range rows {
		if hasColumns(row) {
			last = max(last, twwidth.Width(row[len(row)-1].text))
		}
	}
	if p.opts.Width > 0 {
		last = min(last, max(p.opts.Width-used, minLastWidth))
	}
	widths.Set(max(len(p.widths)-1, 0), last+gutter)
	return widths
}

// cells returns the styled texts of a row, the last one cut to the terminal.
func (p *Printer) cells(row []field) []string {
	cells := make([]string, len(row))
	last := len(row) - 1
	used := 0
	for i, f := range row[:last] {
		cells[i] = p.paint(f)
		used += p.widths[i] + gutter
	}
	f := row[last]
	if p.opts.Width > 0 {
		f.text = cut(f.text, max(p.opts.Width-used, minLastWidth))
	}
	cells[last] = p.paint(f)
	return cells
}

// cut shortens an unstyled text to width columns, with an ellipsis at the end.
func cut(text string, width int) string {
	if twwidth.Width(text) <= width {
		return text
	}
	kept, used := 0, 1 // the ellipsis takes one column
	for i, r := range text {
		if used += twwidth.Width(string(r)); used > width {
			break
		}
		kept = i + len(string(r))
	}
	return strings.TrimRight(text[:kept], " ") + "…"
}

// paint returns the text of a field in its style.
func (p *Printer) paint(f field) string {
	if !p.opts.Color {
		return f.text
	}
	return f.style.TabWidth(lipgloss.NoTabConversion).Render(f.text)
}

// trimmer removes the spaces at the end of each line, with which the
// tablewriter pads the last column. It keeps the first error, because the
// tablewriter ignores errors.
type trimmer struct {
	w   io.Writer
	err error
}

// Write implements [io.Writer]. The tablewriter calls it once for each line.
func (t *trimmer) Write(line []byte) (int, error) {
	if t.err == nil {
		_, t.err = t.w.Write(append(bytes.TrimRight(line, " \n"), '\n'))
	}
	return len(line), t.err
}

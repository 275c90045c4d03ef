package render

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/lipgloss"

	"github.com/watchhistory/watchhistory/pkg/diff"
	"github.com/watchhistory/watchhistory/pkg/internal/printable"
)

// changes writes changes. Consecutive changes with the same parent are written
// below one line with its path.
func (p *Printer) changes(changes []diff.Change) error {
	var b strings.Builder
	parent := ""
	for _, c := range changes {
		if c.Kind == diff.Reordered || len(c.Path) == 0 {
			p.reordered(&b, c)
			parent = c.Path.String()
			continue
		}
		if above := c.Path[:len(c.Path)-1].String(); above != parent {
			parent = above
			p.parent(&b, parent)
		}
		p.fieldChange(&b, c)
	}
	return p.write(b.String())
}

// parent writes the path of the changes below it. Top-level fields have no
// parent, and a smaller indentation.
func (p *Printer) parent(b *strings.Builder, parent string) {
	if parent != "" {
		p.line(b, " ", " "+parent, p.styles.parent)
	}
}

// reordered writes the old and the new order of a list.
func (p *Printer) reordered(b *strings.Builder, c diff.Change) {
	p.line(b, " ", " "+c.Path.String(), p.styles.parent)
	p.line(b, "-", "   order: "+fmt.Sprint(c.Old), p.styles.bad)
	p.line(b, "+", "   order: "+fmt.Sprint(c.New), p.styles.good)
}

// fieldChange writes one change as lines with - and +. If both values are texts
// of several lines, it writes only the lines that differ.
func (p *Printer) fieldChange(b *strings.Builder, c diff.Change) {
	label, indent := strings.TrimPrefix(c.Path[len(c.Path)-1:].String(), "."), " "
	if len(c.Path) > 1 {
		indent = "   "
	}
	before, isText := c.Old.(string)
	after, areTexts := c.New.(string)
	if isText && areTexts && strings.Contains(before, "\n") && strings.Contains(after, "\n") {
		p.line(b, " ", indent+label+":", lipgloss.NewStyle())
		p.textDiff(b, indent+"  ", before, after)
		return
	}
	if c.Kind != diff.Added {
		p.value(b, "-", indent, label, c.Old, p.styles.bad)
	}
	if c.Kind != diff.Removed {
		p.value(b, "+", indent, label, c.New, p.styles.good)
	}
}

// value writes a label and its value as YAML.
func (p *Printer) value(b *strings.Builder, sign, indent, label string, value any, style lipgloss.Style) {
	lines := yamlLines(value)
	if isInline(value) {
		p.line(b, sign, indent+label+": "+lines[0], style)
		lines = lines[1:]
	} else {
		p.line(b, sign, indent+label+":", style)
		indent += "  "
	}
	for _, line := range lines {
		p.line(b, sign, indented(indent, line), style)
	}
}

// yamlLines returns the lines of a value as YAML. Invisible characters are
// escaped, because two values may differ in nothing else.
func yamlLines(value any) []string {
	return strings.Split(strings.TrimSuffix(string(valueToYAML(value, true)), "\n"), "\n")
}

// isInline reports whether the YAML of a value starts on the line of its label,
// as scalars and empty containers do.
func isInline(value any) bool {
	switch v := value.(type) {
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	default:
		return true
	}
}

// indented returns a line with an indentation. An empty line stays empty.
func indented(indent, line string) string {
	if line == "" {
		return ""
	}
	return indent + line
}

// line writes a sign and one escaped line. Trailing white space is part of the
// line and is kept.
func (p *Printer) line(b *strings.Builder, sign, text string, style lipgloss.Style) {
	if text == "" {
		sign = strings.TrimRight(sign, " ")
	}
	b.WriteString(p.paint(field{sign + printable.Text(text), style}) + "\n")
}

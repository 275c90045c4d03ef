package render

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/lipgloss"

	"github.com/watchhistory/watchhistory/pkg/diff"
)

// changes writes changes, those with the same parent under it.
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
			p.place(&b, parent)
		}
		p.one(&b, c)
	}
	return p.write(b.String())
}

// place names the parent of the changes below it. Those of the object itself have none; they are not indented as far.
func (p *Printer) place(b *strings.Builder, parent string) {
	if parent != "" {
		p.line(b, " ", " "+parent, p.styles.place)
	}
}

func (p *Printer) reordered(b *strings.Builder, c diff.Change) {
	p.line(b, " ", " "+c.Path.String(), p.styles.place)
	p.line(b, "-", "   order: "+fmt.Sprint(c.Old), p.styles.bad)
	p.line(b, "+", "   order: "+fmt.Sprint(c.New), p.styles.good)
}

// one writes one change: lines with - and + or, for texts of several lines, their difference.
func (p *Printer) one(b *strings.Builder, c diff.Change) {
	label, indent := strings.TrimPrefix(c.Path[len(c.Path)-1:].String(), "."), " "
	if len(c.Path) > 1 {
		indent = "   "
	}
	before, isText := c.Old.(string)
	after, areTexts := c.New.(string)
	if isText && areTexts && strings.Contains(before, "\n") && strings.Contains(after, "\n") {
		p.line(b, " ", indent+label+":", lipgloss.NewStyle())
		p.texts(b, indent+"  ", before, after)
		return
	}
	if c.Kind != diff.Added {
		p.value(b, "-", indent, label, c.Old, p.styles.bad)
	}
	if c.Kind != diff.Removed {
		p.value(b, "+", indent, label, c.New, p.styles.good)
	}
}

// value writes a value as YAML.
func (p *Printer) value(b *strings.Builder, sign, indent, label string, value any, style lipgloss.Style) {
	lines := yamlLines(value)
	if inline(value) {
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

// yamlLines writes a value that came from JSON as YAML. Characters that can't be
// seen are escaped: they may be all that differs.
func yamlLines(value any) []string {
	return strings.Split(strings.TrimSuffix(string(valueToYAML(value, true)), "\n"), "\n")
}

// inline: the value's YAML begins on the line of its label.
func inline(value any) bool {
	switch v := value.(type) {
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	default:
		return true
	}
}

// indented leaves a line empty that is.
func indented(indent, line string) string {
	if line == "" {
		return ""
	}
	return indent + line
}

// line writes one escaped line behind its sign. White space at its end is part of it.
func (p *Printer) line(b *strings.Builder, sign, text string, style lipgloss.Style) {
	if text == "" {
		sign = strings.TrimRight(sign, " ")
	}
	b.WriteString(p.paint(field{sign + Escape(text), style}) + "\n")
}

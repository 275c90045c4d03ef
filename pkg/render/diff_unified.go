package render

import (
	"fmt"
	"strings"

	"github.com/aymanbagabas/go-udiff"
	"github.com/charmbracelet/lipgloss"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
)

// contextLines is the number of unchanged lines around a change.
const contextLines = 3

// Unified writes the unified diff of the YAML of two versions, including noise.
// If old is nil, it writes only the heading of [Printer.Diff]. It reports
// whether the versions differ.
func (p *Printer) Unified(old, new *v1.Event) (differs bool, err error) {
	if old == nil {
		return false, p.heading(nil, new)
	}
	before, err := yamlOf(old)
	if err != nil {
		return false, err
	}
	return p.unified(p.label(old), before, new)
}

// UnifiedCreated is [Printer.Unified] for an object that did not exist before:
// all of the version is added.
func (p *Printer) UnifiedCreated(e *v1.Event) (differs bool, err error) {
	return p.unified("/dev/null", "", e)
}

// unified writes the unified diff from a text, with its label, to a version.
func (p *Printer) unified(label, before string, new *v1.Event) (differs bool, err error) {
	after, err := yamlOf(new)
	if err != nil {
		return false, err
	}
	text, err := udiff.ToUnified(label, p.label(new), before, udiff.Lines(before, after), contextLines)
	if err != nil {
		return false, fmt.Errorf("compare %s: %w", fullName(new), err)
	}
	var b strings.Builder
	n := 0
	for line := range strings.Lines(text) {
		sign, rest := line[:1], strings.TrimRight(line[1:], "\n")
		style := p.signStyle(sign)
		if n++; n <= 2 { // the names of both versions
			style = p.styles.heading
		}
		p.line(&b, sign, rest, style)
	}
	return text != "", p.write(b.String())
}

// yamlOf returns the object of a version as YAML, with invisible characters
// escaped.
func yamlOf(e *v1.Event) (string, error) {
	text, err := toYAML(e.ObjectChanges, true)
	if err != nil {
		return "", fmt.Errorf("decode revision %d of %s: %w", e.Revision, fullName(e), err)
	}
	return string(text), nil
}

// label returns the name of a version in the first lines of a unified diff:
// "deployment.apps/web revision 13", a tab, and its time.
func (p *Printer) label(e *v1.Event) string {
	return fmt.Sprintf("%s revision %d\t%s", fullName(e), e.Revision,
		e.Timestamp.In(p.opts.Location).Format(timestampLayout))
}

// textDiff writes the unified diff of two texts, without its two header lines.
func (p *Printer) textDiff(b *strings.Builder, indent, before, after string) {
	text, err := udiff.ToUnified("", "", before, udiff.Lines(before, after), contextLines)
	if err != nil { // impossible: the edits are udiff's own
		return
	}
	n := 0
	for line := range strings.Lines(text) {
		if n++; n <= 2 { // the header
			continue
		}
		sign, rest := line[:1], strings.TrimRight(line[1:], "\n")
		if style := p.signStyle(sign); sign == "-" || sign == "+" {
			p.line(b, sign, indented(indent, rest), style)
		} else {
			p.line(b, " ", indented(indent, strings.TrimPrefix(sign, " ")+rest), style)
		}
	}
}

// signStyle returns the style of a diff line by its sign.
func (p *Printer) signStyle(sign string) lipgloss.Style {
	switch sign {
	case "-":
		return p.styles.bad
	case "+":
		return p.styles.good
	case "@", "\\":
		return p.styles.faint
	default:
		return lipgloss.NewStyle()
	}
}

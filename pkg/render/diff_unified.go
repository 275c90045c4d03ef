package render

import (
	"fmt"
	"strings"

	"github.com/aymanbagabas/go-udiff"
	"github.com/charmbracelet/lipgloss"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
)

// context is the number of lines around a change that a diff of texts shows.
const context = 3

// Unified writes the difference of two versions as a unified diff of their YAML, noise included. Where old is nil, it writes
// the heading only. It tells whether there is a difference.
func (p *Printer) Unified(old, new *v1.Event) (differs bool, err error) {
	if old == nil {
		return false, p.heading(nil, new)
	}
	before, err := document(old)
	if err != nil {
		return false, err
	}
	after, err := document(new)
	if err != nil {
		return false, err
	}
	text, err := udiff.ToUnified(p.label(old), p.label(new), before, udiff.Lines(before, after), context)
	if err != nil {
		return false, fmt.Errorf("compare %s: %w", fullName(new), err)
	}
	var b strings.Builder
	n := 0
	for line := range strings.Lines(text) {
		sign, rest := line[:1], strings.TrimRight(line[1:], "\n")
		style := p.signStyle(sign)
		if n++; n <= 2 {
			style = p.styles.heading
		}
		p.line(&b, sign, rest, style)
	}
	return text != "", p.write(b.String())
}

func document(e *v1.Event) (string, error) {
	text, err := toYAML(e.ObjectChanges, true)
	if err != nil {
		return "", fmt.Errorf("read revision %d of %s: %w", e.Revision, fullName(e), err)
	}
	return string(text), nil
}

// label names a version in a unified diff's first lines, as "deployment.apps/web revision 13" and its time.
func (p *Printer) label(e *v1.Event) string {
	return fmt.Sprintf("%s revision %d\t%s", fullName(e), e.Revision, e.Timestamp.In(p.opts.Location).Format(timestampLayout))
}

// texts writes the difference of two texts line by line.
func (p *Printer) texts(b *strings.Builder, indent, before, after string) {
	text, err := udiff.ToUnified("", "", before, udiff.Lines(before, after), context)
	if err != nil { // edits that udiff made itself fit
		return
	}
	n := 0
	for line := range strings.Lines(text) {
		if n++; n <= 2 { // the labels
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

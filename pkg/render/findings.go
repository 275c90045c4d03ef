package render

import (
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/olekukonko/tablewriter/pkg/twwidth"

	"github.com/watchhistory/watchhistory/pkg/internal/printable"
)

// FindingStatus is how good a finding is.
type FindingStatus string

// The statuses, from good to bad. A warning needs no action now.
const (
	FindingOK      FindingStatus = "ok"
	FindingWarning FindingStatus = "warning"
	FindingError   FindingStatus = "error"
)

// Finding is one line about a recorder.
type Finding struct {
	Name    string        `json:"name"` // what was checked, such as "connection"
	Status  FindingStatus `json:"status"`
	Message string        `json:"message"`
	// Hint is what to do next. It may have several lines.
	Hint string `json:"hint,omitempty"`
}

// Findings writes a line for each finding, with its hint below.
func (p *Printer) Findings(findings []Finding) error {
	width := 0
	for _, f := range findings {
		width = max(width, twwidth.Width(f.Name))
	}
	var b strings.Builder
	for _, f := range findings {
		mark, style := p.mark(f.Status)
		b.WriteString(style.Render(mark) + " " + f.Name + strings.Repeat(" ", width-twwidth.Width(f.Name)+2))
		b.WriteString(printable.Line(f.Message) + "\n")
		if f.Hint == "" {
			continue
		}
		for line := range strings.SplitSeq(strings.TrimSpace(f.Hint), "\n") {
			if line = printable.Line(line); line != "" {
				line = strings.Repeat(" ", width+4) + line
			}
			b.WriteString(line + "\n")
		}
	}
	return p.write(b.String())
}

// mark returns the character of a status, and its style.
func (p *Printer) mark(s FindingStatus) (string, lipgloss.Style) {
	switch s {
	case FindingOK:
		return "✓", p.styles.good
	case FindingWarning:
		return "!", p.styles.warn
	default:
		return "✗", p.styles.bad
	}
}

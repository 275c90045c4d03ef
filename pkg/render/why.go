package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/writer"
)

// likelyShare is the share of the best score from which on a likely cause is
// called so.
const likelyShare = 0.5

// Why writes what is wrong with an object, and the changes that may have caused
// it.
func (p *Printer) Why(w *v1.Why) error {
	var lines []string
	state := w.Text
	if state == "" {
		state = w.State
	}
	first := p.paint(field{text: cell(objectName(&w.Object)), style: p.styles.heading}) + "  " + cell(state)
	switch {
	case w.Onset == nil && len(w.Symptoms) == 0:
		first += ": nothing is wrong with it or with what it owns"
	case w.Onset != nil:
		first += ", failing since " + p.clock(*w.Onset)
		if w.HealthyUntil != nil {
			first += " (healthy before, at " + p.clock(*w.HealthyUntil) + ")"
		} else {
			first += ", and never healthy since it was recorded"
		}
	}
	lines = append(lines, first)
	for i := range w.Symptoms {
		s := &w.Symptoms[i]
		subject := objectName(&s.Object)
		if s.Count > 1 {
			subject = counted(s.Count, strings.ToLower(s.Object.Kind))
		}
		lines = append(lines, p.paint(field{
			text: fmt.Sprintf("  ✗ %s %s since %s", cell(subject), cell(s.Text), p.clock(s.Since)), style: p.styles.bad,
		}))
	}
	if w.Onset != nil {
		lines = append(lines, "")
		switch {
		case len(w.Causes) == 0:
			lines = append(lines, "No change is recorded since "+p.clock(*w.Searched)+" that may have caused it.")
		case !slices.ContainsFunc(w.Causes, func(c v1.Cause) bool { return c.Likely }):
			lines = append(lines,
				"No likely cause is recorded since "+p.clock(*w.Searched)+". Other changes before the onset:")
		}
	}
	for i := range w.Causes {
		lines = append(lines, p.cause(&w.Causes[i], w.Causes[0].Score, *w.Onset)...)
	}
	for _, what := range w.Unread {
		lines = append(lines, p.paint(field{text: "Not looked at: " + unread(what) + ".", style: p.styles.faint}))
	}
	return p.write(strings.Join(lines, "\n") + "\n")
}

// unread describes what was not looked at for an answer.
func unread(what string) string {
	known := map[string]string{
		"relations":        "some relations of the object, because it has too many",
		"earlierRelations": "some relations before the failure",
		"onsets":           "older problems of the object and of what it owns",
		"dangling":         "whether the reference led nowhere earlier",
		"changes":          "some changes of distant relatives",
	}
	return cmp.Or(known[what], cell(what))
}

// cause returns the lines of one cause.
func (p *Printer) cause(c *v1.Cause, best float64, onset time.Time) []string {
	likely, style := "less likely", p.styles.faint
	if c.Likely && c.Score >= best*likelyShare {
		likely, style = "likely", p.styles.heading
	}
	e := &c.Change
	name := shortName(e)
	if e.Verb != "delete" {
		name += fmt.Sprintf("#%d", e.Revision)
	}
	who := p.who(e).text
	if len(e.Managers) > 0 {
		who = cell(writer.Short(e.Managers[0].Manager))
	}
	relative := brief(onset.Sub(e.Timestamp).Abs()) + " before"
	if e.Timestamp.After(onset) {
		relative = brief(e.Timestamp.Sub(onset)) + " after the first failure"
	}
	lines := []string{
		p.paint(field{text: fmt.Sprintf(" %-12s", likely), style: style}) + fmt.Sprintf(" %s  %s  %s  %s",
			p.clock(e.Timestamp), cell(name), cell(who), relative),
		"                 " + cell(p.summary(e).text),
	}
	if len(c.Path) > 0 {
		var steps []string
		for i := range c.Path {
			steps = append(steps, c.Path[i].Rule+" → "+objectName(&c.Path[i].Object))
		}
		lines = append(lines, "                 "+p.paint(field{
			text: "related by " + cell(strings.Join(steps, ", ")), style: p.styles.faint,
		}))
	}
	for _, side := range []struct {
		mark    string
		reasons []string
	}{{"+", c.For}, {"-", c.Against}} {
		if len(side.reasons) > 0 {
			lines = append(lines, "                 "+p.paint(field{
				text: side.mark + " " + cell(strings.Join(side.reasons, ", ")), style: p.styles.faint,
			}))
		}
	}
	return lines
}

// objectName returns an object's kind and name: "deployment/web".
func objectName(o *v1.Object) string {
	kind := strings.ToLower(o.Kind)
	if kind == "" {
		kind = o.ResourceType
	}
	return kind + "/" + o.Name
}

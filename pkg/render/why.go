package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/writer"
)

// likelyShare is the share of the best score from which on a likely cause is
// called so.
const likelyShare = 0.5

// Why writes what is wrong with an object, and the changes that may have caused
// it. Texts that are wider than the terminal continue on further lines.
func (p *Printer) Why(w *v1.Why) error {
	var b strings.Builder
	state := w.Text
	if state == "" {
		state = w.State
	}
	switch {
	case w.Onset == nil && len(w.Symptoms) == 0:
		state = unaffected(w, state)
	case w.Onset != nil:
		state += ", failing since " + p.clock(*w.Onset)
		if w.HealthyUntil != nil {
			state += " (healthy before, at " + p.clock(*w.HealthyUntil) + ")"
		} else {
			state += ", and never healthy since it was recorded"
		}
	}
	p.hang(&b, field{text: cell(objectName(&w.Object)) + "  ", style: p.styles.heading}, field{text: cell(state)})
	for i := range w.Symptoms {
		s := &w.Symptoms[i]
		subject := objectName(&s.Object)
		if s.Count > 1 {
			subject = counted(s.Count, strings.ToLower(s.Object.Kind))
		}
		text := fmt.Sprintf("%s %s since %s", cell(subject), cell(s.Text), p.clock(s.Since))
		p.hang(&b, field{text: "  ✗ ", style: p.styles.bad}, field{text: text, style: p.styles.bad})
	}
	if w.Onset != nil {
		b.WriteString("\n")
		switch {
		case len(w.Causes) == 0:
			p.hang(&b, field{}, field{
				text: "No change is recorded since " + p.clock(*w.Searched) + " that may have caused it.",
			})
		case !slices.ContainsFunc(w.Causes, func(c v1.Cause) bool { return c.Likely }):
			p.hang(&b, field{}, field{
				text: "No likely cause is recorded since " + p.clock(*w.Searched) + ". Other changes before the onset:",
			})
		}
	}
	for i := range w.Causes {
		p.cause(&b, &w.Causes[i], w.Causes[0].Score, *w.Onset)
	}
	if command := p.undo(w); command != "" {
		p.hang(&b, field{text: " undo: "}, field{text: cell(command)})
	}
	for _, what := range w.Unread {
		p.hang(&b, field{}, field{text: "Not looked at: " + unread(what) + ".", style: p.styles.faint})
	}
	return p.write(b.String())
}

// undo returns the command that undoes the likeliest cause, or "" if there is
// none. Of Secrets, only hashes are recorded, and controllers maintain nodes.
func (p *Printer) undo(w *v1.Why) string {
	if p.opts.Program == "" || len(w.Causes) == 0 || !w.Causes[0].Likely {
		return ""
	}
	e := &w.Causes[0].Change
	object := schema.GroupResource{Group: e.Group, Resource: e.ResourceType}.String() + "/" + e.ResourceName
	switch {
	case e.Group == "" && slices.Contains([]string{"secrets", "nodes", "pods"}, e.ResourceType):
		return ""
	case e.Verb == "update" && e.Revision > 1:
		object += fmt.Sprintf("#%d", e.Revision-1)
	case e.Verb != "delete":
		return ""
	}
	if e.Namespace != "" {
		object += " -n " + e.Namespace
	}
	return p.opts.Program + " restore " + object
}

// unaffected returns what is known of an object without a problem. An object
// that is not ready yet may have one soon, and the health of others is unknown.
func unaffected(w *v1.Why, state string) string {
	switch w.State {
	case "progressing":
		return state + ": no problem yet; what is not ready for a minute is one"
	case "unknown":
		return "reports no health; no problem of it or of what it owns is recorded"
	case "failing":
		return state + ": since when is not recorded"
	default:
		return state + ": nothing is wrong with it or with what it owns"
	}
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

// maxHang is the indentation from which on texts continue at the beginning of
// the line, because little room is left.
const maxHang = 40

// hang writes a text after a prefix. If it is wider than the terminal, it
// continues below itself.
func (p *Printer) hang(b *strings.Builder, prefix, text field) {
	indent, room := twwidth.Width(prefix.text), 0
	if p.opts.Width > 0 {
		if indent > maxHang {
			text.text, prefix.text, indent = prefix.text+text.text, "", 0
		}
		room = max(p.opts.Width-indent, minLastWidth)
	}
	for i, line := range p.broken([]field{text}, room) {
		if i == 0 {
			b.WriteString(p.paint(prefix))
		} else {
			b.WriteString(strings.Repeat(" ", indent))
		}
		b.WriteString(p.paint(line) + "\n")
	}
}

// causeIndent is the indentation of what is written about a cause.
const causeIndent = 17

// cause writes one cause.
func (p *Printer) cause(b *strings.Builder, c *v1.Cause, best float64, onset time.Time) {
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
	p.hang(b, field{text: fmt.Sprintf(" %-12s ", likely), style: style}, field{
		text: strings.Join([]string{p.clock(e.Timestamp), cell(name), who, relative}, "  "),
	})
	below := func(text string, style lipgloss.Style) {
		p.hang(b, field{text: strings.Repeat(" ", causeIndent)}, field{text: cell(text), style: style})
	}
	below(p.summary(e).text, lipgloss.NewStyle())
	if len(c.Path) > 0 {
		var steps []string
		for i := range c.Path {
			steps = append(steps, c.Path[i].Rule+" → "+objectName(&c.Path[i].Object))
		}
		below("related by "+strings.Join(steps, ", "), p.styles.faint)
	}
	if len(c.For) > 0 {
		below("+ "+strings.Join(c.For, ", "), p.styles.faint)
	}
	if len(c.Against) > 0 {
		below("- "+strings.Join(c.Against, ", "), p.styles.faint)
	}
}

// objectName returns an object's kind and name: "deployment/web".
func objectName(o *v1.Object) string {
	kind := strings.ToLower(o.Kind)
	if kind == "" {
		kind = o.ResourceType
	}
	return kind + "/" + o.Name
}

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
	name, state := ObjectName(&w.Object), WhyState(w, p.clock)
	if p.opts.Namespaces && w.Object.Namespace != "" {
		name += " in " + w.Object.Namespace
	}
	p.hang(&b, field{text: cell(name) + "  ", style: p.styles.heading}, field{text: cell(state)})
	for i := range w.Symptoms {
		s := &w.Symptoms[i]
		text := fmt.Sprintf("%s %s %s", cell(SymptomSubject(s)), cell(s.Text), SymptomSince(s, p.clock))
		p.hang(&b, field{text: "  ✗ ", style: p.styles.bad}, field{text: text, style: p.styles.bad})
	}
	if w.Onset != nil {
		b.WriteString("\n")
		if text := WhyUnexplained(w, p.clock); text != "" {
			p.hang(&b, field{}, field{text: text})
		}
	}
	for i := range w.Causes {
		p.cause(&b, w, &w.Causes[i])
	}
	if command := p.undo(w); command != "" {
		p.hang(&b, field{text: " undo: "}, field{text: cell(command)})
	}
	for _, what := range w.Unread {
		p.hang(&b, field{}, field{text: "Not looked at: " + cell(WhyUnread(what)) + ".", style: p.styles.faint})
	}
	return p.write(b.String())
}

// WhyState describes the state of an object: what is wrong with it, and since
// when. clock writes times.
func WhyState(w *v1.Why, clock func(time.Time) string) string {
	state := cmp.Or(w.Text, w.State)
	switch {
	case w.Onset == nil && len(w.Symptoms) == 0:
		return unaffected(w, state)
	case w.Onset == nil:
		return state
	case w.Initial:
		return state + ", failing since before its recording began at " + clock(*w.Onset)
	case w.HealthyUntil != nil:
		return state + ", failing since " + clock(*w.Onset) + " (healthy before, at " + clock(*w.HealthyUntil) + ")"
	default:
		return state + ", failing since " + clock(*w.Onset) + ", and never healthy since it was recorded"
	}
}

// WhyUnexplained returns a sentence if the record has no likely cause of a
// problem, and otherwise "". clock writes times.
func WhyUnexplained(w *v1.Why, clock func(time.Time) string) string {
	switch {
	case w.Onset == nil || w.Searched == nil:
		return ""
	case len(w.Causes) == 0:
		return "No change is recorded since " + clock(*w.Searched) + " that may have caused it."
	case !slices.ContainsFunc(w.Causes, func(c v1.Cause) bool { return c.Likely }):
		when := "before"
		if slices.ContainsFunc(w.Causes, func(c v1.Cause) bool { return c.Change.Timestamp.After(*w.Onset) }) {
			when = "around"
		}
		return "No likely cause is recorded since " + clock(*w.Searched) + ". Other changes " + when + " the onset:"
	default:
		return ""
	}
}

// SymptomSubject returns the object that has a symptom, or how many have it.
func SymptomSubject(s *v1.Symptom) string {
	if s.Count > 1 {
		return counted(s.Count, strings.ToLower(s.Object.Kind))
	}
	return ObjectName(&s.Object)
}

// SymptomSince says since when a symptom exists. clock writes times.
func SymptomSince(s *v1.Symptom, clock func(time.Time) string) string {
	if s.Initial {
		return "since before " + clock(s.Since)
	}
	return "since " + clock(s.Since)
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
	return p.command("restore " + object)
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

// WhyUnread describes what was not looked at for an answer.
func WhyUnread(what string) string {
	known := map[string]string{
		"relations":        "some relations of the object, because it has too many",
		"earlierRelations": "some relations before the failure",
		"onsets":           "older problems of the object and of what it owns",
		"dangling":         "whether the reference led nowhere earlier",
		"changes":          "some changes of distant relatives",
	}
	return cmp.Or(known[what], what)
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

// CauseTexts are the texts about a cause.
type CauseTexts struct {
	Likely   bool   // among the likely ones, it is one of the best
	Name     string // of the changed object, with its revision
	Who      string
	Relative string // to the onset: "3s before"
	Related  string // how the object leads to the changed one; "" if it is the same, or an owner
}

// Cause returns the texts about a cause of w, which has an onset.
func Cause(w *v1.Why, c *v1.Cause) CauseTexts {
	e, onset := &c.Change, *w.Onset
	t := CauseTexts{
		Likely: c.Likely && c.Score >= w.Causes[0].Score*likelyShare,
		Name:   shortName(e), Who: unmanaged(e.Unmanaged, false),
		Relative: brief(onset.Sub(e.Timestamp).Abs()) + " before",
	}
	if e.Verb != "delete" {
		t.Name += fmt.Sprintf("#%d", e.Revision)
	}
	if len(e.Managers) > 0 {
		t.Who = writer.Short(e.Managers[0].Manager)
	}
	if e.Timestamp.After(onset) {
		t.Relative = brief(e.Timestamp.Sub(onset)) + " after the first failure"
	}
	var steps []string
	for i := range c.Path {
		steps = append(steps, c.Path[i].Rule+" → "+ObjectName(&c.Path[i].Object))
	}
	if len(steps) > 0 {
		t.Related = "related by " + strings.Join(steps, ", ")
	}
	return t
}

// cause writes one cause of w.
func (p *Printer) cause(b *strings.Builder, w *v1.Why, c *v1.Cause) {
	t, e := Cause(w, c), &c.Change
	likely, style := "less likely", p.styles.faint
	if t.Likely {
		likely, style = "likely", p.styles.heading
	}
	p.hang(b, field{text: fmt.Sprintf(" %-12s ", likely), style: style}, field{
		text: strings.Join([]string{p.clock(e.Timestamp), cell(t.Name), cell(t.Who), t.Relative}, "  "),
	})
	below := func(text string, style lipgloss.Style) {
		p.hang(b, field{text: strings.Repeat(" ", causeIndent)}, field{text: cell(text), style: style})
	}
	below(p.summary(e).text, lipgloss.NewStyle())
	if t.Related != "" {
		below(t.Related, p.styles.faint)
	}
	if len(c.For) > 0 {
		below("+ "+strings.Join(c.For, ", "), p.styles.faint)
	}
	if len(c.Against) > 0 {
		below("- "+strings.Join(c.Against, ", "), p.styles.faint)
	}
}

// ObjectName returns an object's kind and name: "deployment/web".
func ObjectName(o *v1.Object) string {
	kind := strings.ToLower(o.Kind)
	if kind == "" {
		kind = o.ResourceType
	}
	return kind + "/" + o.Name
}

package render

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/writer"
)

// versionTime is the layout of the time in the head of a version, as in git.
const versionTime = "Mon Jan _2 15:04:05 2006 -0700"

// Version writes the head of one version as git show does: who changed the
// object, when and how, by which release, and how it ended.
func (p *Printer) Version(e *v1.Event) error {
	var b strings.Builder
	b.WriteString(p.paint(field{text: "version " + cell(reference(e, fullName(e))), style: p.styles.warn}) + "\n")
	row := func(title, text string) { b.WriteString(p.indented(title, 11, text)) }
	if e.Namespace != "" {
		row("Namespace:", cell(e.Namespace))
	}
	if p.opts.Wide {
		row("UID:", cell(e.UID))
		row("RV:", cell(e.ResourceVersion))
	}
	row("Who:", p.writersOf(e))
	row("When:", p.dated(e))
	row("Change:", change(e))
	if e.Delivery != nil {
		row("Release:", cell(release(e.Delivery)))
	}
	if e.Outcome != nil {
		b.WriteString(p.styled("Outcome:", 11, p.ended(e)))
	}
	if text := p.summary(e).text; e.Summary != "" {
		b.WriteString("\n")
		for _, line := range p.broken([]field{{text: text}}, max(p.opts.Width-4, 0)) {
			b.WriteString("    " + line.text + "\n")
		}
	}
	return p.write(b.String())
}

// release returns a release in full: the tool, what it is of, its version, and
// its cause.
func release(d *v1.Delivery) string {
	var parts []string
	if d.Name != "" {
		name := d.Name
		if d.Namespace != "" {
			name = d.Namespace + "/" + name
		}
		parts = append(parts, strings.TrimSpace(d.Tool+" "+d.Kind)+" "+name)
	}
	for _, part := range []struct{ title, text string }{
		{"revision", d.Revision}, {"chart", d.Chart}, {"commit", d.Commit}, {"change-cause", d.Cause},
	} {
		if part.text != "" {
			parts = append(parts, part.title+" "+part.text)
		}
	}
	if len(parts) == 0 {
		return d.Text
	}
	return strings.Join(parts, ", ")
}

// indented returns a title and a text in two columns. A text that is wider than
// the terminal continues below itself.
func (p *Printer) indented(title string, width int, text string) string {
	return p.styled(title, width, field{text: text})
}

// styled is [Printer.indented] for a text with a style.
func (p *Printer) styled(title string, width int, text field) string {
	room := 0
	if p.opts.Width > 0 {
		room = max(p.opts.Width-width, minLastWidth)
	}
	var b strings.Builder
	for _, line := range p.broken([]field{text}, room) {
		fmt.Fprintf(&b, "%-*s%s\n", width, title, p.paint(line))
		title = ""
	}
	return b.String()
}

// reference returns an object's name with the revision of a version.
func reference(e *v1.Event, name string) string { return fmt.Sprintf("%s#%d", name, e.Revision) }

// dated returns when a version was recorded, or the interval of an inferred
// change.
func (p *Printer) dated(e *v1.Event) string {
	at := func(t time.Time) string {
		if p.opts.Timestamps {
			return p.when(t)
		}
		return t.In(p.opts.Location).Format(versionTime)
	}
	text := at(e.Timestamp)
	if e.Inferred != nil {
		text = "between " + at(e.Inferred.Start) + " and " + at(e.Inferred.End)
	}
	return text + " (" + duration.HumanDuration(max(p.opts.Now.Sub(e.Timestamp), 0)) + " ago)"
}

// change returns what happened to an object in a version, and whether it is a
// root change.
func change(e *v1.Event) string {
	text := map[string]string{"create": "created", "update": "updated", "delete": "deleted"}[e.Verb]
	switch {
	case e.Initial:
		return "none: the object existed when recording began"
	case text == "":
		text = cell(e.Verb)
	}
	switch e.Class {
	case v1.ClassRoot:
		text += ", a root change"
	case v1.ClassOnset:
		text += ", a consequence of another change, and the beginning of a problem"
	case v1.ClassConsequence:
		text += ", a consequence of another change"
	}
	if e.Inferred != nil {
		text += " (inferred: the recorder did not observe it)"
	}
	return text
}

// writersOf returns the managers of a version under the names that operators
// use, each with its subresource.
func (p *Printer) writersOf(e *v1.Event) string {
	if len(e.Managers) == 0 {
		return cell(unmanaged(e.Unmanaged, p.opts.Wide))
	}
	var names []string
	for i := range e.Managers {
		m := &e.Managers[i]
		name := writer.Short(m.Manager)
		if m.Subresource != "" {
			name += " (" + m.Subresource + ")"
		}
		if name != m.Manager && p.opts.Wide {
			name += " = " + m.Manager
		}
		names = append(names, name)
	}
	return cell(strings.Join(names, ", "))
}

// Writer returns the name under which operators know a manager.
func Writer(manager string) string { return writer.Short(manager) }

// shortWho returns the newest manager of a version under the name that
// operators use.
func (p *Printer) shortWho(e *v1.Event) field {
	if len(e.Managers) == 0 {
		return field{text: cell(unmanaged(e.Unmanaged, p.opts.Wide))}
	}
	f := field{text: cell(writer.Short(e.Managers[0].Manager))}
	switch writer.ClassOf(e.Managers[0].Manager) {
	case writer.Person:
		f.style = p.styles.heading
	case writer.System:
		f.style = p.styles.faint
	}
	return f
}

// Around writes a heading, and the rows of what else changed around a version.
// Without rows it writes nothing.
func (p *Printer) Around(place string, start, end time.Time, rows []v1.Row) error {
	if len(rows) == 0 {
		return nil
	}
	text := fmt.Sprintf("Around it in %s, %s–%s:", cell(place), p.clock(start), p.clock(end))
	if err := p.write("\n" + p.paint(field{text: text, style: p.styles.heading}) + "\n"); err != nil {
		return err
	}
	return p.Folded(rows, nil)
}

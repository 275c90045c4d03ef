package render

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/olekukonko/tablewriter/pkg/twwidth"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// Folded writes folded rows as a table without a header. Rows are oldest first,
// gaps in the order of their starts. Nothing is cut: texts that are wider than
// the terminal continue on further lines. On a narrow terminal, they begin
// below the other columns.
//
// A second call continues the table.
func (p *Printer) Folded(rows []v1.Row, gaps []v1.Gap) error {
	columns, texts := make([][]field, len(rows)), make([][]field, len(rows))
	for i := range rows {
		r := &rows[i]
		columns[i] = p.columns(r, r.Start, p.writers(r))
		texts[i] = append([]field{p.folded(r)}, p.outcome(r)...)
		if command := p.restoreCommand(r, rows[i+1:]); command != "" {
			texts[i] = append(texts[i], field{text: "  " + cell(command), style: p.styles.faint})
		}
	}
	return p.besides(columns, texts, func(lines [][]field, of []int) [][]field {
		lines, of = p.expanded(rows, lines, of)
		at := func(i int) time.Time { return rows[of[i]].Start }
		return p.insertGaps(lines, at, history.OldestFirst, gaps)
	})
}

// expanded adds the consequences of rows below their lines. of has the row of
// each line.
func (p *Printer) expanded(rows []v1.Row, lines [][]field, of []int) (all [][]field, ofAll []int) {
	for n, i := range of {
		all, ofAll = append(all, lines[n]), append(ofAll, i)
		if n < len(of)-1 && of[n+1] == i {
			continue
		}
		for _, line := range p.consequences(&rows[i]) {
			all, ofAll = append(all, []field{line}), append(ofAll, i)
		}
	}
	return all, ofAll
}

// maxNameWidth is the width of the names of consequences up to which their
// summaries are aligned.
const maxNameWidth = 48

// consequences returns a faint line for each consequence that a row has, and
// one with the number of the others.
func (p *Printer) consequences(r *v1.Row) (lines []field) {
	if len(r.Followed) == 0 {
		return nil
	}
	width, indent := 0, strings.Repeat(" ", expandedIndent)
	if p.stacked { // below the texts
		indent += "  "
	}
	names := make([]string, len(r.Followed))
	for i := range r.Followed {
		names[i] = cell(regardedName(&r.Followed[i]))
		if w := twwidth.Width(names[i]); w <= maxNameWidth {
			width = max(width, w)
		}
	}
	add := func(before, text string) {
		room := 0
		if p.opts.Width > 0 {
			room = p.opts.Width - twwidth.Width(before)
			if room < minFoldedWidth {
				before, text, room = indent, before+text, max(p.opts.Width-len(indent), 1)
			}
		}
		for _, line := range p.broken([]field{{text: text, style: p.styles.faint}}, room) {
			line.text = before + strings.TrimPrefix(line.text, indent)
			lines = append(lines, line)
			before = strings.Repeat(" ", twwidth.Width(before))
		}
	}
	for i := range r.Followed {
		e := &r.Followed[i]
		name := names[i] + strings.Repeat(" ", max(width-twwidth.Width(names[i]), 0))
		add(indent+p.clock(e.Timestamp)+"  "+name+"  ", cell(e.Summary))
	}
	if n := r.Consequences - len(r.Followed); n > 0 {
		more := ""
		if r.ConsequencesRelation != "" {
			more = "at least "
		}
		add(indent, fmt.Sprintf("… %s%d more", more, n))
	} else if r.ConsequencesRelation != "" {
		add(indent, "… perhaps more")
	}
	return lines
}

// expandedIndent is the indentation of consequences.
const expandedIndent = 4

// regardedName returns a version's object. The name of an Event is that of its
// target, without the hash after it.
func regardedName(e *v1.Event) string {
	name := shortName(e)
	if i := strings.LastIndexByte(name, '.'); e.ResourceType == "events" && i > 0 {
		return name[:i]
	}
	return name
}

// Followed is a row of a timeline that continues, or only its outcome.
type Followed struct {
	Row     *v1.Row
	At      time.Time // of the row's newest change, or of the outcome
	Outcome bool      // the row was written before: write only its outcome
}

// Followed continues a table of [Printer.Folded] with further rows, and with
// outcomes of rows that were written before. An outcome says how many
// consequences there are so far.
func (p *Printer) Followed(items []Followed) error {
	columns, texts := make([][]field, len(items)), make([][]field, len(items))
	for i, item := range items {
		if !item.Outcome {
			columns[i] = p.columns(item.Row, item.At, p.writers(item.Row))
			texts[i] = append([]field{p.folded(item.Row)}, p.outcome(item.Row)...)
			continue
		}
		columns[i] = p.columns(item.Row, item.At, field{})
		for _, text := range p.outcome(item.Row) {
			text.text = strings.TrimLeft(text.text, " ")
			if n := item.Row.Consequences; n > 0 {
				text.text += " (" + counted(n, "consequence") + ")"
			}
			texts[i] = append(texts[i], text)
		}
	}
	return p.besides(columns, texts, nil)
}

// columns returns the columns of a row before its texts.
func (p *Printer) columns(r *v1.Row, at time.Time, writers field) (columns []field) {
	if p.opts.Namespaces {
		columns = plain(cell(RowNamespaces(r)))
	}
	return append(columns, field{text: p.clock(at)}, writers, field{text: cell(RowSubject(r))})
}

// RowNamespaces returns the namespace of a row, or how many its objects are in.
func RowNamespaces(r *v1.Row) string {
	in := map[string]bool{}
	if r.Kind == "bulk" {
		for i := range r.Changes {
			in[r.Changes[i].Namespace] = true
		}
	}
	if len(in) > 1 {
		return counted(len(in), "namespace")
	}
	return r.Object.Namespace
}

// besides writes rows without a header: columns, and texts next to them. Texts
// that are wider than the terminal continue on further lines. On a narrow
// terminal, they begin below the columns. finish may add lines; of has the row
// of each line. It may be nil.
func (p *Printer) besides(columns, texts [][]field, finish func(lines [][]field, of []int) [][]field) error {
	headers := p.opts.NoHeaders
	p.opts.NoHeaders, p.clocks = true, true // of the gaps
	defer func() { p.opts.NoHeaders, p.clocks = headers, false }()
	if len(columns) == 0 {
		if finish == nil {
			return nil
		}
		return p.table(nil, finish(nil, nil))
	}
	room := p.room(columns)
	stacked := p.opts.Width > 0 && (room < minFoldedWidth || p.stacked)
	if stacked && !p.stacked { // the columns of a table that continues
		p.widths, p.stacked = nil, true
	}
	if stacked {
		room = max(p.opts.Width-stackedIndent, 1)
	}
	var lines [][]field
	var of []int
	for i := range columns {
		if stacked {
			lines = append(lines, columns[i])
		}
		for n, text := range p.broken(texts[i], room) {
			switch {
			case stacked:
				text.text = strings.Repeat(" ", stackedIndent) + text.text
				lines = append(lines, []field{text})
			case n == 0:
				lines = append(lines, append(columns[i], text))
			default:
				below := make([]field, len(columns[i])+1)
				below[len(columns[i])] = text
				lines = append(lines, below)
			}
		}
		for len(of) < len(lines) {
			of = append(of, i)
		}
	}
	if finish != nil {
		lines = finish(lines, of)
	}
	titles := len(columns[0])
	if !stacked {
		titles++
	}
	return p.table(make([]string, titles), lines)
}

// Limits of the layout of folded rows, in columns of the terminal.
const (
	// minFoldedWidth is the room for texts below which they are written below
	// the other columns.
	minFoldedWidth = 28
	// stackedIndent is their indentation then.
	stackedIndent = 4
)

// room returns the width of the terminal that some columns leave, or 0 if there
// is no terminal.
func (p *Printer) room(columns [][]field) int {
	if p.opts.Width <= 0 {
		return 0
	}
	widths := slices.Clone(p.widths)
	for _, row := range columns {
		for len(widths) < len(row) {
			widths = append(widths, 0)
		}
		for i := range row {
			widths[i] = max(widths[i], twwidth.Width(row[i].text))
		}
	}
	room := p.opts.Width
	for _, width := range widths {
		room -= width + gutter
	}
	return max(room, 1)
}

// broken breaks texts into lines of at most width columns. A width of 0 means
// no limit.
func (p *Printer) broken(texts []field, width int) (lines []field) {
	for _, text := range texts {
		if width == 0 || twwidth.Width(text.text) <= width {
			lines = append(lines, text)
			continue
		}
		for _, line := range broken(text.text, width) {
			lines = append(lines, field{text: line, style: text.style})
		}
	}
	return lines
}

// Heading is the first line of a folded page.
type Heading struct {
	Namespace  string
	Start, End time.Time // zero: that of the first row, and the present
	Only       string    // what selects the rows; empty: all are shown
}

// Heading writes the first line above rows: where, when, how many changes by
// how many writers, and how much is folded.
func (p *Printer) Heading(h *Heading, rows []v1.Row) error {
	start := h.Start
	if start.IsZero() {
		start = rows[0].Start
	}
	end := h.End
	if end.IsZero() {
		end = p.opts.Now
	}
	span := p.clock(start) + "–" + p.clock(end)
	text := cell(h.Namespace) + " · " + span + " · " + RowTotals(rows)
	if h.Only != "" {
		text += " · only " + cell(h.Only)
	}
	var out strings.Builder
	for _, line := range p.broken([]field{{text: text, style: p.styles.heading}}, p.opts.Width) {
		out.WriteString(p.paint(line) + "\n")
	}
	return p.write(out.String() + "\n")
}

// RowTotals returns how many changes by how many writers rows have, and how
// much is folded.
func RowTotals(rows []v1.Row) string {
	changes, consequences, more := 0, 0, ""
	writers := map[string]bool{}
	for i := range rows {
		r := &rows[i]
		changes += len(r.Changes)
		consequences += r.Consequences
		if r.ConsequencesRelation != "" {
			more = "at least "
		}
		for _, w := range r.Writers {
			writers[w.Name] = true
		}
	}
	by := " by " + counted(len(writers), "writer")
	switch {
	case changes == 0:
		by = ""
	case len(writers) == 0: // the API server leaves no manager for a creation without fields, or a deletion
		by = " by unknown writers"
	}
	return fmt.Sprintf("%s%s (%s%s folded)", counted(changes, "change"), by, more,
		counted(consequences, "consequence"))
}

// counted returns a number with a noun.
func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// clock returns a time of day, with the day if that is not today.
func (p *Printer) clock(t time.Time) string {
	if p.opts.Timestamps {
		return p.when(t)
	}
	t, now := t.In(p.opts.Location), p.opts.Now.In(p.opts.Location)
	if t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return t.Format(time.TimeOnly)
	}
	return t.Format("Jan _2 " + time.TimeOnly)
}

// writers returns who wrote the changes of a row. People stand out, and
// components of Kubernetes are faint.
func (p *Printer) writers(r *v1.Row) field {
	f := field{text: cell(rowWriters(r, p.opts.Wide))}
	switch RowClass(r) {
	case "person":
		f.style = p.styles.heading
	case "system":
		f.style = p.styles.faint
	case "automation":
	default:
		if len(r.Writers) > 0 {
			f.style = p.styles.faint
		}
	}
	return f
}

// RowWriters returns the names of those who wrote the changes of a row, as
// operators call them.
func RowWriters(r *v1.Row) string { return rowWriters(r, false) }

func rowWriters(r *v1.Row, wide bool) string {
	if len(r.Writers) == 0 {
		for i := range r.Changes {
			if u := r.Changes[i].Unmanaged; u != nil {
				return unmanaged(u, wide)
			}
		}
		return anonymous
	}
	var names []string
	for _, w := range r.Writers {
		if !slices.Contains(names, w.Short) {
			names = append(names, w.Short)
		}
	}
	if r.Kind == "fight" {
		return strings.Join(names, " / ")
	}
	return strings.Join(names, ", ")
}

// RowClass returns the class of a row's writers: "person" if there is one,
// otherwise "automation" or "system". It is "" if the class is not known.
func RowClass(r *v1.Row) (class string) {
	order := []string{"", "system", "automation", "person"}
	for _, w := range r.Writers {
		if slices.Index(order, w.Class) > slices.Index(order, class) {
			class = w.Class
		}
	}
	return class
}

// RowSubject returns what a row is about: an object with its newest revision,
// or the number of objects.
func RowSubject(r *v1.Row) string {
	word := strings.ToLower(r.Object.Kind)
	if word == "" {
		word = r.Object.ResourceType
	}
	if r.Kind == "bulk" {
		return fmt.Sprintf("%s ×%d", word, r.Objects)
	}
	name := word + "/" + r.Object.Name
	if n := len(r.Changes); n > 0 && r.Changes[n-1].Verb != "delete" {
		name += fmt.Sprintf("#%d", r.Changes[n-1].Revision)
	}
	return name
}

// folded returns the summary of a row, with how often it happened.
func (p *Printer) folded(r *v1.Row) field {
	text := RowSummary(r)
	if r.Kind == "problem" {
		return field{text: cell("✗ " + text), style: p.styles.bad}
	}
	if n := len(r.Changes); n > 0 && r.Changes[n-1].Inferred != nil {
		text += " (after " + p.clock(r.Changes[n-1].Inferred.Start) + ", not observed)"
	}
	return field{text: cell(text)}
}

// RowSummary returns what happened in a row, and how often, in words without a
// clock time.
func RowSummary(r *v1.Row) string {
	text := r.Summary
	switch r.Kind {
	case "bulk": // the subject has the number
		text = strings.TrimSuffix(text, fmt.Sprintf(" in %d %s", r.Objects, r.Object.ResourceType))
	case "repeat", "fight":
		text += fmt.Sprintf(" ×%d in %s", len(r.Changes), brief(r.Changes[len(r.Changes)-1].Timestamp.Sub(r.Start)))
		if r.Kind == "fight" {
			text += " FIGHT"
		}
	case "problem":
		if n := len(r.Problems); n > 1 {
			text += fmt.Sprintf(" ×%d in %s", n, brief(r.End.Sub(r.Start)))
		}
		return text
	}
	if text == "" {
		text = "changed"
	}
	if r.Again > 0 && r.Kind != "fight" { // a fight returns to each value all the time
		text += fmt.Sprintf(" = revision %d again", r.Again)
	}
	if r.Delivery != "" {
		text += " (" + r.Delivery + ")"
	}
	if n := len(r.UsedBy); n > 0 {
		var names []string
		for i := range r.UsedBy[:min(n, maxUsersShown)] {
			name := ObjectName(&r.UsedBy[i].Object)
			if n := r.UsedBy[i].OutdatedPods; n > 0 {
				name += fmt.Sprintf(" (STALE: %s older)", counted(n, "pod"))
			}
			names = append(names, name)
		}
		text += ", used by " + strings.Join(names, ", ")
		if n > maxUsersShown {
			text += fmt.Sprintf(" and %d more", n-maxUsersShown)
		}
	}
	return text
}

// outcome returns the lines below a row: how it ended.
func (p *Printer) outcome(r *v1.Row) []field {
	text := RowOutcome(r)
	if text == "" {
		return nil
	}
	mark, style := "… ", lipgloss.NewStyle()
	switch r.Outcome.State {
	case "ready", "done":
		mark, style = "✓ ", p.styles.good
	case "failing":
		mark, style = "✗ ", p.styles.bad
	}
	return []field{{text: "  " + cell(mark+text), style: style}}
}

// RowOutcome returns how the changes of a row ended, without a mark. It is ""
// if that is not known, and for problems, whose summary says it.
func RowOutcome(r *v1.Row) string {
	o := r.Outcome
	if o == nil || r.Kind == "problem" {
		return ""
	}
	text := o.Text
	if o.AfterSeconds != nil {
		text += " after " + brief(time.Duration(*o.AfterSeconds*float64(time.Second)))
	}
	if r.After != nil {
		text += fmt.Sprintf(", after %s#%d", ObjectName(&r.After.Object), r.After.Revision)
	}
	return text
}

// restoreCommand returns the command that brings a deleted ConfigMap back, or
// "" if the row is about something else, or if a later row is about an object
// with the same name.
func (p *Printer) restoreCommand(r *v1.Row, later []v1.Row) string {
	if p.opts.Program == "" || r.Kind != "change" || r.Object.ResourceType != "configmaps" || r.Object.Group != "" ||
		len(r.Changes) != 1 || r.Changes[0].Verb != "delete" {
		return ""
	}
	for i := range later {
		if o := &later[i].Object; o.ResourceType == r.Object.ResourceType && o.Group == "" &&
			o.Namespace == r.Object.Namespace && o.Name == r.Object.Name {
			return ""
		}
	}
	return p.command("restore cm/" + r.Object.Name + " -n " + r.Object.Namespace)
}

// maxUsersShown is how many users of a ConfigMap or a Secret a row names.
const maxUsersShown = 3

// brief returns a duration in one or two units: "4s", "9m", "1h20m".
func brief(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour && d%time.Minute != 0 && d < 10*time.Minute:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 24*time.Hour && int(d.Minutes())%60 != 0:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours())/24)
	}
}

// broken breaks a text into lines of at most width columns, between words if
// possible. Further lines are indented by two columns more than the first one.
func broken(text string, width int) []string {
	indent := len(text) - len(strings.TrimLeft(text, " "))
	var lines []string
	line := strings.Repeat(" ", indent)
	empty := true
	for word := range strings.FieldsSeq(text) {
		for {
			sep := " "
			if empty {
				sep = ""
			}
			if twwidth.Width(line+sep+word) <= width {
				line, empty = line+sep+word, false
				break
			}
			if empty { // the word alone is too wide
				room := width - twwidth.Width(line)
				head := cutExactly(word, max(room, 1))
				line, word = line+head, word[len(head):]
			}
			lines = append(lines, line)
			line, empty = strings.Repeat(" ", indent+2), true
			if word == "" {
				break
			}
		}
	}
	if !empty || len(lines) == 0 {
		lines = append(lines, line)
	}
	return lines
}

// cutExactly returns the longest beginning of a text that has at most width
// columns, and at least one rune.
func cutExactly(text string, width int) string {
	used := 0
	for i, r := range text {
		if used += twwidth.Width(string(r)); used > width && i > 0 {
			return text[:i]
		}
	}
	return text
}

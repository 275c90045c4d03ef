package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// bounds are the sizes of the sections of a report in Markdown, in bytes.
type bounds struct{ rules, gaps, problems, rows, diffs, stats, deleted int }

// summaryBounds are those of a job summary: GitHub rejects more than 1 MiB.
//
//nolint:gochecknoglobals // a constant
var summaryBounds = bounds{
	rules: 32 << 10, gaps: 32 << 10, problems: 192 << 10, rows: 320 << 10, diffs: 288 << 10, stats: 96 << 10,
	deleted: 48 << 10,
}

const (
	maxTextRunes = 400 // of one text
	maxSymptoms  = 20  // of one object
)

// WriteMarkdown writes a report as GitHub Flavored Markdown, of at most 1 MiB.
// If it is too large, it names how much was left out.
func WriteMarkdown(w io.Writer, r *Report) error {
	m := markdown{Report: r, bounds: summaryBounds}
	if _, err := io.WriteString(w, m.write()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// markdown writes one report.
type markdown struct {
	*Report

	bounds bounds
	out    strings.Builder
}

// write returns the report.
func (m *markdown) write() string {
	m.heading()
	if Matched(m.Rules) {
		m.rules()
	}
	m.coverage()
	if !Matched(m.Rules) {
		m.rules()
	}
	m.problems()
	m.rows()
	m.compared()
	m.deleted()
	return m.out.String()
}

// line writes a line of Markdown, whose parts are escaped.
func (m *markdown) line(parts ...string) {
	m.out.WriteString(strings.Join(parts, "") + "\n")
}

// note writes a paragraph.
func (m *markdown) note(text string) { m.line("\n", text) }

// clock returns a time of day, with the day unless the whole report is about
// one.
func (m *markdown) clock(t time.Time) string {
	t = t.In(m.Location)
	start, end := m.start().In(m.Location), m.End.In(m.Location)
	if day := t.Format(time.DateOnly); day == start.Format(time.DateOnly) && day == end.Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format("Jan 2 " + time.TimeOnly)
}

// start returns the time at which the report begins. Without a start, it is
// that of the oldest row.
func (r *Report) start() time.Time {
	switch {
	case (r.Cut || r.Start.IsZero()) && len(r.Rows) > 0:
		return r.Rows[0].Start
	case r.Start.IsZero():
		return r.End
	default:
		return r.Start
	}
}

// v1Rows returns the rows without the diffs.
func (r *Report) v1Rows() []v1.Row {
	rows := make([]v1.Row, len(r.Rows))
	for i := range r.Rows {
		rows[i] = r.Rows[i].Row
	}
	return rows
}

// heading writes the title, and what the report is about.
func (m *markdown) heading() {
	start, end := m.start().In(m.Location), m.End.In(m.Location)
	layout := "2006-01-02 15:04:05"
	until := end.Format(layout)
	if start.Format(time.DateOnly) == end.Format(time.DateOnly) {
		until = end.Format(time.TimeOnly)
	}
	m.line("# ", mdText(m.Title))
	m.line("\n**", mdText(place(m.Namespace)), "** · ", mdText(start.Format(layout)), "–",
		mdText(until+" "+end.Format("MST")), " · ", mdText(render.RowTotals(m.v1Rows())))
}

// rules writes which rules match changes. That none does is below what is not
// recorded, because that may be the reason.
func (m *markdown) rules() {
	if text := m.verdict(); text != "" {
		m.note(mdText(text))
	}
	matched := matchedRules(m.Rules)
	kept, omitted := fit(len(matched), m.bounds.rules, false, func(i int) string { return m.rule(&matched[i]) })
	for _, text := range kept {
		m.out.WriteString(text)
	}
	if omitted > 0 {
		m.note(counted(omitted, "further rule") + " left out.")
	}
}

// rule returns a rule with the changes that match it.
func (m *markdown) rule(r *Rule) string {
	b := markdown{Report: m.Report}
	b.note("✗ " + mdCode(r.Expression))
	b.line()
	for n := range r.Changes {
		e := &r.Changes[n]
		b.line("- ", mdText(m.clock(e.Timestamp)), " ", mdCode(m.versionName(e)), " ", mdText(matchText(e)))
	}
	if r.More {
		b.line("- Older changes match, too.")
	}
	return b.out.String()
}

// verdict says how many of the rules match a change. It returns "" if there are
// none.
func (r *Report) verdict() string {
	n, all := len(matchedRules(r.Rules)), len(r.Rules)
	switch {
	case all == 0:
		return ""
	case n == 0 && all == 1:
		return "✓ The rule matches no recorded change."
	case n == 0:
		return fmt.Sprintf("✓ None of %d rules matches a recorded change.", all)
	case all == 1:
		return "✗ The rule matches a change:"
	default:
		return fmt.Sprintf("✗ %d of %d rules match a change:", n, all)
	}
}

// versionName returns a version: "deployment/web#3", after its namespace if the
// report is about several.
func (r *Report) versionName(e *v1.Event) string {
	name := fmt.Sprintf("%s#%d", eventName(e), e.Revision)
	if _, one := r.Namespace.Namespace(); !one && e.Namespace != "" {
		return e.Namespace + " " + name
	}
	return name
}

// matchText describes a change that matches a rule.
func matchText(e *v1.Event) string {
	text := cmp.Or(e.Summary, e.Verb)
	if len(e.Managers) > 0 {
		text += " (" + render.Writer(e.Managers[0].Manager) + ")"
	}
	return text
}

// coverage writes what is not recorded. It is the first section: without it, an
// absence could be taken for a fact.
func (m *markdown) coverage() {
	m.line("\n## What is not recorded\n")
	texts := m.coverageTexts(m.clock)
	if len(texts) == 0 {
		m.line("No gap is known in this time, and no kind is known to be missing.")
	}
	kept, omitted := fit(len(texts), m.bounds.gaps, false, func(i int) string { return mdText(texts[i]) })
	for _, line := range kept {
		m.line("- ", line)
	}
	if omitted > 0 {
		m.note(counted(omitted, "further line") + " left out.")
	}
}

// coverageTexts returns what is not recorded. clock writes times.
func (r *Report) coverageTexts(clock func(time.Time) string) (texts []string) {
	c := &r.Coverage
	if c.Since.After(r.Start) {
		began := "Recording began at "
		if c.Trimmed {
			began = "History is kept since "
		}
		texts = append(texts, began+clock(c.Since)+".")
	}
	if c.Limit != "" {
		texts = append(texts, "The file has only "+c.Limit+".")
	}
	if c.Restricted {
		texts = append(texts, "Only what the author of the report may read in the cluster is shown.")
	}
	for _, g := range render.GapLines(c.Gaps) {
		texts = append(texts, gapText(&g, clock))
	}
	if len(c.NotRecorded) > 0 {
		texts = append(texts, "Not recorded: "+strings.Join(c.NotRecorded, ", ")+".")
	}
	if c.Ignored != "" {
		texts = append(texts, "The recorder is configured to ignore: "+c.Ignored+".")
	}
	if r.Cut {
		texts = append(texts, fmt.Sprintf("Only the newest %d rows of changes are shown, from %s on.",
			len(r.Rows), clock(r.start())))
	}
	return texts
}

// gapText describes a gap. clock writes times.
func gapText(g *render.GapLine, clock func(time.Time) string) string {
	switch {
	case g.End.IsZero():
		return fmt.Sprintf("Gap: %s are not observed since %s: %s.", g.Types, clock(g.Start), g.Reason)
	case g.Dropped:
		return fmt.Sprintf("Gap: %s were not kept from %s to %s (%s).", g.Types, clock(g.Start), clock(g.End), g.Reason)
	default:
		return fmt.Sprintf("Gap: %s were not observed from %s to %s (%s).", g.Types, clock(g.Start), clock(g.End),
			g.Reason)
	}
}

// fit returns the first of n texts, or the last ones, that have at most size
// bytes with some room for markup, and how many are left out. Only texts that
// fit are made.
func fit(n, size int, last bool, text func(i int) string) (kept []string, omitted int) {
	for i := range n {
		at := i
		if last {
			at = n - 1 - i
		}
		t := text(at)
		if size -= len(t) + len("\n- "); size < 0 {
			omitted = n - i
			break
		}
		kept = append(kept, t)
	}
	if last {
		slices.Reverse(kept)
	}
	return kept, omitted
}

// problems writes what is wrong, and which changes may have caused it.
func (m *markdown) problems() {
	m.line("\n## What is wrong")
	if len(m.Problems) == 0 {
		m.note("No object that changed in this time has a problem at its end, as far as it is recorded.")
		return
	}
	kept, omitted := fit(len(m.Problems), m.bounds.problems, false,
		func(i int) string { return m.problem(&m.Problems[i]) })
	for _, text := range kept {
		m.out.WriteString(text)
	}
	if omitted > 0 {
		m.note(counted(omitted, "further object") + " with a problem left out.")
	}
	if m.MoreProblems {
		m.note("There may be more objects with a problem.")
	}
	m.note("None of these changes is known to be the cause.")
}

// problem returns the section about one object.
func (m *markdown) problem(p *Problem) string {
	b := markdown{Report: m.Report}
	name := render.ObjectName(&p.Object)
	if p.Object.Namespace != "" {
		name += " in " + p.Object.Namespace
	}
	b.line("\n### ", mdText(name))
	b.note("**State**: " + mdText(render.WhyState(&p.Why, m.clock)) + ".")
	b.line()
	for i := range p.Symptoms[:min(len(p.Symptoms), maxSymptoms)] {
		s := &p.Symptoms[i]
		b.line("- ✗ ", mdText(render.SymptomSubject(s)), " ", mdText(s.Text), " ",
			mdText(render.SymptomSince(s, m.clock)))
	}
	if n := len(p.Symptoms) - maxSymptoms; n > 0 {
		b.line("- ", counted(n, "further symptom"), " left out")
	}
	if text := render.WhyUnexplained(&p.Why, m.clock); text != "" {
		b.note(mdText(text))
	}
	for i := range p.Causes {
		if p.Onset != nil {
			b.cause(p, i)
		}
	}
	for _, what := range p.Unread {
		b.note("Not looked at: " + mdText(render.WhyUnread(what)) + ".")
	}
	return b.out.String()
}

// cause writes a change that may have caused a problem, with its diff.
func (m *markdown) cause(p *Problem, i int) {
	c := &p.Causes[i]
	t := render.Cause(&p.Why, c)
	likely := "Less likely"
	if t.Likely {
		likely = "**Likely**"
	}
	m.line("\n", likely, ": ", mdText(m.clock(c.Change.Timestamp)), " ", mdCode(t.Name), " by ", mdText(t.Who), ", ",
		mdText(t.Relative), ": ", mdText(c.Change.Summary))
	for _, reasons := range []struct{ sign, text string }{
		{"", t.Related}, {"+ ", strings.Join(c.For, ", ")}, {"− ", strings.Join(c.Against, ", ")},
	} {
		if reasons.text != "" {
			m.line("<br>", reasons.sign, mdText(reasons.text))
		}
	}
	if p.Diffs[i] != "" {
		m.details("Diff", p.Diffs[i], "diff")
	}
}

// details writes a text in a fenced block that is folded below its title, which
// is escaped.
func (m *markdown) details(title, text, language string) {
	m.line("\n<details><summary>", title, "</summary>\n")
	m.line(mdFence(text, language))
	m.line("\n</details>")
}

// rows writes the table of changes, and their diffs below it.
func (m *markdown) rows() {
	m.line("\n## Changes")
	if len(m.Rows) == 0 {
		m.note("No changes are recorded in this time.")
		return
	}
	columns := []string{"Time", "Who", "What", "Change", "How it ended"}
	if len(m.namespaces()) > 1 {
		columns = append([]string{"Namespace"}, columns...)
	}
	several := len(columns) > 5
	kept, omitted := fit(len(m.Rows), m.bounds.rows, true,
		func(i int) string { return m.row(&m.Rows[i].Row, several) })
	if omitted > 0 {
		m.note(counted(omitted, "older row") + " left out.")
	}
	m.line("\n| ", strings.Join(columns, " | "), " |")
	m.line("|", strings.Repeat(" --- |", len(columns)))
	for _, text := range kept {
		m.line(text)
	}
	m.diffs()
}

// namespaces returns the namespaces of the rows.
func (r *Report) namespaces() map[string]bool {
	found := map[string]bool{}
	for i := range r.Rows {
		found[r.Rows[i].Object.Namespace] = true
	}
	return found
}

// row returns a line of the table of changes.
func (m *markdown) row(r *v1.Row, namespace bool) string {
	who := mdText(render.RowWriters(r))
	if render.RowClass(r) == "person" {
		who = "**" + who + "**"
	}
	cells := []string{
		mdText(m.clock(r.Start)), who, mdCode(render.RowSubject(r)), mdText(m.summary(r)), mdText(outcome(r)),
	}
	if namespace {
		cells = append([]string{mdText(render.RowNamespaces(r))}, cells...)
	}
	return "| " + strings.Join(cells, " | ") + " |"
}

// summary returns what happened in a row.
func (m *markdown) summary(r *v1.Row) string {
	text := render.RowSummary(r)
	if n := len(r.Changes); n > 0 && r.Changes[n-1].Inferred != nil {
		text += " (after " + m.clock(r.Changes[n-1].Inferred.Start) + ", not observed)"
	}
	if r.Kind == "problem" {
		return "✗ " + text
	}
	return text
}

// outcome returns how a row ended, with a mark.
func outcome(r *v1.Row) string {
	text := render.RowOutcome(r)
	if text == "" {
		return ""
	}
	switch r.Outcome.State {
	case "ready", "done":
		return "✓ " + text
	case "failing":
		return "✗ " + text
	default:
		return "… " + text
	}
}

// diffs writes the diffs of the rows.
func (m *markdown) diffs() {
	type shown struct{ row, position int }
	var all []shown
	for i := range m.Rows {
		for _, position := range shownChanges(&m.Rows[i].Row) {
			if m.Rows[i].Diffs[position] != "" {
				all = append(all, shown{i, position})
			}
		}
	}
	kept, omitted := fit(len(all), m.bounds.diffs, true, func(i int) string {
		r, position := &m.Rows[all[i].row], all[i].position
		e := &r.Changes[position]
		b := markdown{Report: m.Report}
		b.details(mdText(m.clock(e.Timestamp)+" "+m.versionName(e)+" "+e.Summary+bulkText(&r.Row)),
			r.Diffs[position], "diff")
		return b.out.String()
	})
	if omitted += m.MoreDiffs; omitted > 0 {
		m.note("Diffs of " + counted(omitted, "older change") + " left out.")
	}
	if len(kept) == 0 {
		return
	}
	m.line("\n<details><summary>Diffs of ", counted(len(kept), "change"), "</summary>")
	for _, text := range kept {
		m.out.WriteString(text)
	}
	m.line("\n</details>")
}

// bulkText says how many objects a row is about whose diff is that of the last
// one. It returns "" for other rows.
func bulkText(r *v1.Row) string {
	if r.Kind != "bulk" {
		return ""
	}
	return fmt.Sprintf(" (the last of %d objects with this change)", r.Objects)
}

// eventName returns a version's object: "deployment/web".
func eventName(e *v1.Event) string {
	return render.ObjectName(&v1.Object{Kind: e.Kind, ResourceType: e.ResourceType, Name: e.ResourceName})
}

// compared writes what differs between the start and the end.
func (m *markdown) compared() {
	m.line("\n## Before and after")
	c := m.Compared
	if c == nil {
		m.note("Nothing was recorded at the start of this time, so there is no comparison.")
		return
	}
	m.note(mdText(fmt.Sprintf("What differs between %s and %s:", m.clock(c.From), m.clock(c.To))))
	several := len(m.namespaces()) > 1
	kept, omitted := fit(len(c.Stats), m.bounds.stats, false, func(i int) string {
		s := &c.Stats[i]
		name := s.Name()
		if several && s.Difference.Namespace != "" {
			name = s.Difference.Namespace + " " + name
		}
		return "| " + mdText(s.Mark) + " | " + mdCode(name) + " | " + mdText(s.Text()) + " |"
	})
	if len(kept) > 0 {
		m.line("\n| | Object | What differs |\n| --- | --- | --- |")
	}
	for _, text := range kept {
		m.line(text)
	}
	if omitted > 0 {
		m.note(counted(omitted, "further object") + " left out.")
	}
	m.note(mdText(totals(c, m.clock)))
	if c.HiddenN > 0 {
		m.note(mdText(hiddenText(c)))
	}
}

// totals counts the objects of a comparison.
func totals(c *Compared, clock func(time.Time) string) string {
	text := render.StatTotals(c.Stats, c.Existed, clock(c.From)) + ". " + render.InitialNote(c.Existed, clock(c.From))
	return strings.TrimSpace(text)
}

// hiddenText describes the differences that only follow from others.
func hiddenText(c *Compared) string {
	return fmt.Sprintf("Not listed, because they only follow from others: %s (%s).", counted(c.HiddenN, "difference"),
		c.Hidden)
}

// deleted writes the objects that were deleted.
func (m *markdown) deleted() {
	m.line("\n## Deleted objects")
	if len(m.Deleted) == 0 {
		m.note("No object was deleted, apart from those that controllers delete.")
		return
	}
	kept, omitted := fit(len(m.Deleted), m.bounds.deleted, false, func(i int) string {
		e := &m.Deleted[i].Event
		name := eventName(e)
		if e.Namespace != "" {
			name += " in " + e.Namespace
		}
		return "- " + mdText(m.clock(e.Timestamp)) + " " + mdCode(name)
	})
	m.line()
	for _, text := range kept {
		m.line(text)
	}
	if omitted > 0 || m.MoreDeleted {
		m.note("Further deleted objects left out.")
	}
}

// counted returns a number with a noun.
func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

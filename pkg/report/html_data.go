package report

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/internal/printable"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// Bounds of the lists of one row.
const (
	maxRowChanges = 50
	maxRowTimes   = 500
)

// commentBounds are those of the Markdown that the page copies: a comment on
// GitHub has at most 65,536 characters.
//
//nolint:gochecknoglobals // a constant
var commentBounds = bounds{
	rules: 4 << 10, gaps: 4 << 10, problems: 20 << 10, rows: 20 << 10, stats: 8 << 10, deleted: 4 << 10,
}

// page is the data of a page. pkg/report/page/src/data.ts has the same types.
// Times are milliseconds since 1970.
type page struct {
	Coverage     []parts        `json:"coverage"` // first, as on the page
	Gaps         []pageGap      `json:"gaps,omitempty"`
	LeftOut      []string       `json:"leftOut,omitempty"`
	Title        string         `json:"title"`
	Place        string         `json:"place"`
	Totals       string         `json:"totals"`
	Start        int64          `json:"start"`
	End          int64          `json:"end"`
	Recorded     int64          `json:"recorded,omitempty"` // when recording began, if that is after the start
	Verdict      string         `json:"verdict,omitempty"`
	Rules        []pageRule     `json:"rules,omitempty"`
	Problems     []pageProblem  `json:"problems,omitempty"`
	MoreProblems bool           `json:"moreProblems,omitempty"`
	Rows         []pageRow      `json:"rows,omitempty"`
	Nodes        [][2]any       `json:"nodes,omitempty"`
	Warnings     [][2]any       `json:"warnings,omitempty"`
	Unready      [][2]int64     `json:"unready,omitempty"`
	Workloads    []pageWorkload `json:"workloads,omitempty"`
	Compared     *pageCompared  `json:"compared,omitempty"`
	Deleted      []pageDeleted  `json:"deleted,omitempty"`
	Writers      []*pageWriter  `json:"writers,omitempty"`
	Markdown     string         `json:"markdown"`
}

// parts is a sentence: texts, and times between them.
type parts []any

type pageGap struct {
	Start int64 `json:"start"`
	End   int64 `json:"end,omitempty"`
	Text  parts `json:"text"`
}

type pageRule struct {
	Text    string       `json:"text"`
	Changes []pageChange `json:"changes"`
	More    bool         `json:"more,omitempty"`
}

type pageProblem struct {
	Name        string        `json:"name"`
	Namespace   string        `json:"ns,omitempty"`
	State       parts         `json:"state"`
	Onset       int64         `json:"onset,omitempty"`
	Symptoms    []pageSymptom `json:"symptoms"`
	Unexplained parts         `json:"unexplained,omitempty"`
	Causes      []pageCause   `json:"causes"`
	Unread      []string      `json:"unread,omitempty"`
}

type pageSymptom struct {
	Who  string `json:"who"`
	Text string `json:"text"`
	Time int64  `json:"t"`
}

type pageCause struct {
	Likely   bool     `json:"likely"`
	Time     int64    `json:"t"`
	Name     string   `json:"name"`
	Who      string   `json:"who"`
	Relative string   `json:"relative"`
	Text     string   `json:"text"`
	Related  string   `json:"related,omitempty"`
	For      []string `json:"for,omitempty"`
	Against  []string `json:"against,omitempty"`
	Diff     string   `json:"diff,omitempty"`
}

type pageRow struct {
	Time      int64        `json:"t"`
	Times     []int64      `json:"times,omitempty"` // of all changes, if there are several
	Who       string       `json:"who"`
	Class     int          `json:"c"`
	What      string       `json:"what"`
	Kind      string       `json:"kind"`
	Namespace string       `json:"ns,omitempty"`
	Text      parts        `json:"text"`
	Outcome   string       `json:"end,omitempty"`
	State     int          `json:"z,omitempty"`
	Problem   bool         `json:"problem,omitempty"`
	Folded    int          `json:"folded,omitempty"`
	Changes   []pageChange `json:"changes"`
}

type pageChange struct {
	Time int64  `json:"t"`
	Name string `json:"name"`
	Text string `json:"text"`
	Who  string `json:"who,omitempty"`
	Diff string `json:"diff,omitempty"`
}

type pageWorkload struct {
	Name      string     `json:"name"`
	Namespace string     `json:"ns,omitempty"`
	Points    [][3]int64 `json:"points"`
}

type pageCompared struct {
	From   int64       `json:"from"`
	To     int64       `json:"to"`
	Stats  [][4]string `json:"stats"` // mark, name, text, namespace
	Totals parts       `json:"totals"`
	Hidden string      `json:"hidden,omitempty"`
}

type pageDeleted struct {
	Time      int64  `json:"t"`
	Name      string `json:"name"`
	Namespace string `json:"ns,omitempty"`
	Who       string `json:"who,omitempty"`
	Manifest  string `json:"manifest,omitempty"`
}

type pageWriter struct {
	Short string   `json:"short"`
	Names []string `json:"names"`
	Class int      `json:"c"`
	N     int      `json:"n"`
}

// pager makes the data of a page.
type pager struct {
	*Report

	bounds level
	page   page
}

// newPage returns the data of a page within bounds.
func newPage(r *Report, bounds level) *page {
	p := &pager{Report: r, bounds: bounds}
	small := markdown{Report: r, bounds: commentBounds}
	p.page = page{
		Title: printable.Line(r.Title), Place: printable.Line(place(r.Namespace)),
		Totals: printable.Line(render.RowTotals(r.v1Rows())), Start: ms(r.start()), End: ms(r.End),
		MoreProblems: r.MoreProblems, Markdown: small.write(),
	}
	if p.page.End <= p.page.Start {
		p.page.End = p.page.Start + 1000
	}
	if since := ms(r.Coverage.Since); since > p.page.Start && since < p.page.End {
		p.page.Recorded = since
	}
	p.coverage()
	p.rules()
	for i := range r.Problems {
		p.problem(&r.Problems[i])
	}
	p.rows()
	p.series()
	p.compared()
	p.deleted()
	p.writers()
	return &p.page
}

// namespace returns the namespace of an object, or "" if all objects of the
// report are in one.
func (p *pager) namespace(of string) string {
	if namespace, one := p.Namespace.Namespace(); one && namespace == of {
		return ""
	}
	return printable.Line(of)
}

// ms returns a time in milliseconds, and 0 for the zero time.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// line returns texts on one line each.
func lines(texts []string) (all []string) {
	for _, text := range texts {
		all = append(all, printable.Line(text))
	}
	return all
}

// sentence returns the parts of a text. write is called with a function that
// writes times.
//
// A character that the text does not have encloses the times.
func sentence(write func(clock func(time.Time) string) string) parts {
	mark := '\ue000'
	for without := write(func(time.Time) string { return "" }); strings.ContainsRune(without, mark); {
		mark++
	}
	var times []time.Time
	text := write(func(t time.Time) string {
		times = append(times, t)
		return string(mark)
	})
	var all parts
	for i, part := range strings.Split(text, string(mark)) {
		if i > 0 {
			all = append(all, ms(times[i-1]))
		}
		part = printable.Text(strings.NewReplacer("\n", " ", "\t", " ", "\r", " ").Replace(part))
		if part != "" {
			all = append(all, part)
		}
	}
	return all
}

// coverage adds what is not recorded.
func (p *pager) coverage() {
	clocked := func(write func(clock func(time.Time) string) []string) {
		n := len(write(func(time.Time) string { return "" }))
		for i := range n {
			p.page.Coverage = append(p.page.Coverage,
				sentence(func(clock func(time.Time) string) string { return write(clock)[i] }))
		}
	}
	p.page.Coverage = []parts{}
	clocked(p.coverageTexts)
	for _, g := range render.GapLines(p.Coverage.Gaps) {
		p.page.Gaps = append(p.page.Gaps, pageGap{
			ms(g.Start), ms(g.End), sentence(func(clock func(time.Time) string) string { return gapText(&g, clock) }),
		})
	}
}

// rules adds the rules that match changes.
func (p *pager) rules() {
	p.page.Verdict = p.verdict()
	for _, r := range matchedRules(p.Rules) {
		rule := pageRule{Text: printable.Line(r.Expression), More: r.More}
		for n := range r.Changes {
			e := &r.Changes[n]
			rule.Changes = append(rule.Changes, pageChange{
				Time: ms(e.Timestamp), Name: printable.Line(p.versionName(e)), Text: printable.Line(matchText(e)),
			})
		}
		p.page.Rules = append(p.page.Rules, rule)
	}
}

// leave adds a text about what was left out, unless n is 0.
func (p *pager) leave(n int, noun, rest string) {
	if n > 0 {
		p.page.LeftOut = append(p.page.LeftOut, counted(n, noun)+rest)
	}
}

// problem adds an object with a problem.
func (p *pager) problem(of *Problem) {
	w := &of.Why
	problem := pageProblem{
		Name: printable.Line(render.ObjectName(&w.Object)), Namespace: p.namespace(w.Object.Namespace),
		State:       sentence(func(clock func(time.Time) string) string { return render.WhyState(w, clock) + "." }),
		Unexplained: sentence(func(clock func(time.Time) string) string { return render.WhyUnexplained(w, clock) }),
		Symptoms:    []pageSymptom{}, Causes: []pageCause{},
	}
	for i := range w.Symptoms[:min(len(w.Symptoms), maxSymptoms)] {
		s := &w.Symptoms[i]
		problem.Symptoms = append(problem.Symptoms, pageSymptom{
			printable.Line(render.SymptomSubject(s)), printable.Line(s.Text), ms(s.Since),
		})
	}
	for _, what := range w.Unread {
		problem.Unread = append(problem.Unread, printable.Line(render.WhyUnread(what)))
	}
	if w.Onset != nil {
		problem.Onset = ms(*w.Onset)
		for i := range w.Causes {
			c := &w.Causes[i]
			t := render.Cause(w, c)
			problem.Causes = append(problem.Causes, pageCause{
				Likely: t.Likely, Time: ms(c.Change.Timestamp), Name: printable.Line(t.Name),
				Who:      printable.Line(t.Who),
				Relative: t.Relative, Text: printable.Line(c.Change.Summary), Related: printable.Line(t.Related),
				For: lines(c.For), Against: lines(c.Against), Diff: printable.Text(of.Diffs[i]),
			})
		}
	}
	p.page.Problems = append(p.page.Problems, problem)
}

// rows adds the rows: the newest ones, and their diffs, within the bounds.
func (p *pager) rows() {
	room, withoutDiff := p.bounds.diffs, 0
	all := p.Rows
	if n := len(all) - p.bounds.rows; n > 0 {
		p.leave(n, "older row", " of changes left out, because the page would be too large.")
		all = all[n:]
	}
	p.page.Rows = make([]pageRow, len(all))
	for i := range slices.Backward(all) {
		r := &all[i]
		row := p.row(&r.Row)
		for n := range slices.Backward(row.Changes) {
			position := len(r.Changes) - len(row.Changes) + n
			diff := ""
			if len(r.Changes) > 0 {
				diff = printable.Text(r.Diffs[position])
			}
			if room -= len(diff); room < 0 && diff != "" {
				withoutDiff++
				continue
			}
			row.Changes[n].Diff = diff
		}
		p.page.Rows[i] = row
	}
	p.leave(withoutDiff, "older change", " without the diff, because the page would be too large.")
	p.leave(p.MoreDiffs, "older change", " without the diff, because only the newest diffs are read.")
}

// row returns a row without diffs.
func (p *pager) row(r *v1.Row) pageRow {
	row := pageRow{
		Time: ms(r.Start), Who: printable.Line(render.RowWriters(r)), Class: classOf(render.RowClass(r)),
		What: printable.Line(render.RowSubject(r)), Kind: printable.Line(cmp.Or(r.Object.Kind, r.Object.ResourceType)),
		Namespace: p.namespace(r.Object.Namespace), Outcome: printable.Line(render.RowOutcome(r)),
		Problem: r.Kind == "problem", Folded: r.Consequences, Changes: []pageChange{},
	}
	row.Text = sentence(func(clock func(time.Time) string) string {
		text := render.RowSummary(r)
		if n := len(r.Changes); n > 0 && r.Changes[n-1].Inferred != nil {
			text += " (after " + clock(r.Changes[n-1].Inferred.Start) + ", not observed)"
		}
		return text
	})
	if r.Outcome != nil && row.Outcome != "" {
		row.State = map[string]int{"ready": 1, "done": 1, "progressing": 2, "failing": 3}[r.Outcome.State]
	}
	if len(r.Changes) == 0 {
		for i := range r.Problems[:min(len(r.Problems), maxRowChanges)] {
			x := &r.Problems[i]
			row.Changes = append(row.Changes, pageChange{
				Time: ms(x.Timestamp), Name: printable.Line(render.ObjectName(&x.Object)), Text: printable.Line(x.Text),
			})
		}
		return row
	}
	if len(r.Changes) > 1 {
		for i := range r.Changes[max(0, len(r.Changes)-maxRowTimes):] {
			row.Times = append(row.Times, ms(r.Changes[i].Timestamp))
		}
	}
	shown := r.Changes[max(0, len(r.Changes)-maxRowChanges):]
	for i := range shown {
		e := &shown[i]
		c := pageChange{Time: ms(e.Timestamp)}
		if len(r.Changes) > 1 { // otherwise, the row says the same
			c.Name = printable.Line(p.versionName(e))
			c.Text = printable.Line(e.Summary)
			if i == len(shown)-1 {
				c.Text += bulkText(r)
			}
			if len(e.Managers) > 0 {
				c.Who = printable.Line(render.Writer(e.Managers[0].Manager))
			}
		}
		row.Changes = append(row.Changes, c)
	}
	return row
}

// classOf returns a writer class as the page has it.
func classOf(class string) int {
	return map[string]int{"person": 1, "automation": 2, "system": 3}[class]
}

// series adds what charts show.
func (p *pager) series() {
	s := &p.Series
	marks := func(all []Mark) (found [][2]any) {
		for _, m := range all {
			found = append(found, [2]any{ms(m.Time), printable.Line(m.Text)})
		}
		return found
	}
	p.page.Nodes, p.page.Warnings = marks(s.Nodes), marks(s.Warnings)
	for _, l := range s.Unready {
		p.page.Unready = append(p.page.Unready, [2]int64{ms(l.Time), int64(l.N)})
	}
	for _, w := range s.Workloads {
		workload := pageWorkload{Name: printable.Line(w.Name), Namespace: p.namespace(w.Namespace)}
		for _, n := range w.Points {
			workload.Points = append(workload.Points, [3]int64{ms(n.Time), int64(n.Ready), int64(n.Desired)})
		}
		p.page.Workloads = append(p.page.Workloads, workload)
	}
	if s.MoreMarks {
		p.page.LeftOut = append(p.page.LeftOut, "The timeline has the newest changes of nodes and warnings only.")
	}
	if !s.Until.IsZero() {
		p.page.Coverage = append(p.page.Coverage, sentence(func(clock func(time.Time) string) string {
			return "The readiness of pods is shown until " + clock(s.Until) + ", because there are too many versions."
		}))
	}
}

// compared adds what differs between the start and the end.
func (p *pager) compared() {
	c := p.Compared
	if c == nil {
		return
	}
	compared := &pageCompared{From: ms(c.From), To: ms(c.To), Stats: [][4]string{}}
	for i := range c.Stats[:min(len(c.Stats), maxStats)] {
		s := &c.Stats[i]
		compared.Stats = append(compared.Stats, [4]string{
			s.Mark, printable.Line(s.Name()), printable.Line(s.Text()), p.namespace(s.Difference.Namespace),
		})
	}
	p.leave(len(c.Stats)-maxStats, "object", " of the comparison left out.")
	compared.Totals = sentence(func(clock func(time.Time) string) string { return totals(c, clock) })
	if c.HiddenN > 0 {
		compared.Hidden = printable.Line(hiddenText(c))
	}
	p.page.Compared = compared
}

// maxStats is how many objects of a comparison a page has.
const maxStats = 2_000

// deleted adds the objects that were deleted, with their manifests within the
// bounds.
func (p *pager) deleted() {
	room := p.bounds.manifests
	for i := range p.Deleted {
		d := &p.Deleted[i]
		e := &d.Event
		deleted := pageDeleted{
			Time: ms(e.Timestamp), Name: printable.Line(eventName(e)), Namespace: p.namespace(e.Namespace),
		}
		if len(e.Managers) > 0 {
			deleted.Who = printable.Line(render.Writer(e.Managers[0].Manager))
		}
		if manifest := d.text(); len(manifest) <= min(room, maxManifest) {
			deleted.Manifest = manifest
			room -= len(manifest)
		}
		p.page.Deleted = append(p.page.Deleted, deleted)
	}
	if p.MoreDeleted {
		p.page.LeftOut = append(p.page.LeftOut, "Older deleted objects left out.")
	}
}

// maxManifest is the size of a manifest, in bytes.
const maxManifest = 256 << 10

// text returns the manifest as YAML, or "" if there is none.
func (d *Deleted) text() string {
	if len(d.Manifest) == 0 {
		return ""
	}
	var out bytes.Buffer
	if err := render.New(&out, render.Options{Terminal: true}).YAML(d.Manifest); err != nil {
		return "" // not JSON: nothing that can be shown
	}
	return printable.Text(out.String())
}

// writers adds who wrote, those with the most changes first.
func (p *pager) writers() {
	by := map[string]*pageWriter{}
	for i := range p.Rows {
		r := &p.Rows[i]
		for n := range r.Changes {
			w := writerOf(&r.Row, &r.Changes[n])
			name := printable.Line(w.Short)
			if by[name] == nil {
				by[name] = &pageWriter{Short: name, Class: classOf(w.Class), Names: []string{}}
				p.page.Writers = append(p.page.Writers, by[name])
			}
			by[name].N++
			if full := printable.Line(w.Name); full != "" && !slices.Contains(by[name].Names, full) {
				by[name].Names = append(by[name].Names, full)
			}
		}
	}
	slices.SortStableFunc(p.page.Writers, func(a, b *pageWriter) int {
		return cmp.Or(b.N-a.N, strings.Compare(a.Short, b.Short))
	})
}

// writerOf returns who wrote a change of a row.
func writerOf(r *v1.Row, e *v1.Event) v1.Writer {
	if len(e.Managers) == 0 {
		return v1.Writer{Short: render.RowWriters(&v1.Row{Changes: []v1.Event{*e}})}
	}
	name := e.Managers[0].Manager
	i := slices.IndexFunc(r.Writers, func(w v1.Writer) bool { return w.Name == name })
	if i < 0 {
		return v1.Writer{Name: name, Short: render.Writer(name)}
	}
	return r.Writers[i]
}

package render

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/olekukonko/tablewriter/pkg/twwidth"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
)

// The marks of a [Stat], as git status has them. An object that is Same changed
// in between, and is as it was.
const (
	StatModified = "M"
	StatDeleted  = "D"
	StatAdded    = "A"
	StatSame     = "="
)

// Stat is one line about an object that differs between two times, or that
// changed in between.
type Stat struct {
	Mark       string
	Difference v1.Difference
	Changes    int      // root changes in between
	Writers    []string // of these, as operators call them
}

// Stats writes a line for each object, and the totals. Without objects, it
// writes nothing. existed is how many objects there were at the earlier time,
// from, without those that follow from others. It may be nil.
func (p *Printer) Stats(stats []Stat, from time.Time, existed *v1.ObjectCount) error {
	if len(stats) == 0 {
		return nil
	}
	columns, texts := make([][]field, len(stats)), make([][]field, len(stats))
	for i := range stats {
		s := &stats[i]
		columns[i] = []field{{text: s.Mark, style: p.markStyle(s.Mark)}}
		if p.opts.Namespaces {
			columns[i] = append(columns[i], field{text: cell(s.Difference.Namespace)})
		}
		columns[i] = append(columns[i], field{text: cell(s.Name())})
		texts[i] = []field{{text: cell(s.Text())}}
	}
	if err := p.besides(columns, texts, nil); err != nil {
		return err
	}
	text := StatTotals(stats, existed, p.minute(from))
	hint := "-p: full diff, -R: manifests that bring " + p.minute(from) + " back"
	var b strings.Builder
	b.WriteString(cell(text))
	switch {
	case !p.opts.Terminal:
	case twwidth.Width(text)+statHintGap+twwidth.Width(hint) <= p.opts.Width:
		b.WriteString(strings.Repeat(" ", statHintGap) + p.paint(field{hint, p.styles.faint}))
	default:
		b.WriteString("\n" + p.paint(field{hint, p.styles.faint}))
	}
	return p.write(b.String() + "\n")
}

// statHintGap is the space between the totals and the hint after them.
const statHintGap = 4

// StatTotals counts objects by their marks. existed is how many objects there
// were at the earlier time, which from is the text of. It may be nil.
func StatTotals(stats []Stat, existed *v1.ObjectCount, from string) string {
	totals := map[string]int{}
	for i := range stats {
		totals[stats[i].Mark]++
	}
	text := fmt.Sprintf("%d changed, %d deleted, %d created", totals[StatModified], totals[StatDeleted],
		totals[StatAdded])
	switch n := totals[StatSame]; {
	case existed != nil:
		text += "; " + sameOf(stats, from, existed)
	case n > 0:
		text += fmt.Sprintf("; %d changed in between, as before", n)
	}
	return text
}

// sameOf returns how many of the objects that existed are as they were: "31 of
// 36 as at 12:30".
func sameOf(stats []Stat, from string, existed *v1.ObjectCount) string {
	same, more := existed.Objects, ""
	for i := range stats {
		d := &stats[i].Difference
		if stats[i].Mark != StatSame && d.Change != "created" && !d.Derived {
			same--
		}
	}
	if existed.Relation != "" {
		more = "at least "
	}
	return fmt.Sprintf("%s%d of %s%d as at %s", more, max(same, 0), more, existed.Objects, from)
}

// InitialNote says how many objects of a comparison were first observed after
// the earlier time, which from is the text of. It returns "" if there are none.
func InitialNote(existed *v1.ObjectCount, from string) string {
	if existed == nil || existed.Initial == 0 {
		return ""
	}
	text := " objects were first observed after %s: they are compared with their first versions."
	if existed.Initial == 1 {
		text = " object was first observed after %s: it is compared with its first version."
	}
	return fmt.Sprintf("%d"+text, existed.Initial, from)
}

// minute is [Printer.clock] without the seconds of a full minute.
func (p *Printer) minute(t time.Time) string {
	text := p.clock(t)
	if p.opts.Timestamps || t.Second() != 0 {
		return text
	}
	return strings.TrimSuffix(text, ":00")
}

// Text returns what differs, and who wrote it.
func (s *Stat) Text() string {
	text := s.Difference.Summary
	switch {
	case s.Mark == StatSame:
		text = fmt.Sprintf("changed %s, as it was", times(s.Changes))
		if s.Difference.Remainder == "restart" {
			text += " except restartedAt"
		}
	case s.Difference.Change == "recreated":
		text = strings.TrimSuffix("deleted and created again: "+text, ": ")
	case text == "" && s.Mark == StatDeleted:
		text = "deleted"
	case text == "" && s.Mark == StatAdded:
		text = "created"
	}
	if len(s.Writers) > 0 {
		text += " (" + strings.Join(s.Writers, ", ") + ")"
	}
	return strings.TrimSpace(text)
}

// times returns "once", "twice" or "3 times".
func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	default:
		return fmt.Sprintf("%d times", n)
	}
}

// markStyle returns the style of a mark.
func (p *Printer) markStyle(mark string) lipgloss.Style {
	switch mark {
	case StatModified:
		return p.styles.warn
	case StatDeleted:
		return p.styles.bad
	case StatAdded:
		return p.styles.good
	default:
		return p.styles.faint
	}
}

// Name returns the object's kind and name: "deployment/web".
func (s *Stat) Name() string {
	d := &s.Difference
	return ObjectName(&v1.Object{Kind: d.Kind, ResourceType: d.ResourceType, Name: d.ResourceName})
}

package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/duration"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// maxGapDistance is how far apart the starts, and the ends, of gaps in one row
// may be. A gap starts at the last bookmark of its resource, and the API server
// sends bookmarks about once a minute.
const maxGapDistance = 2 * time.Minute

// A gap row names up to maxNames resources. If there are more, it names the
// first firstNames and the number of the others.
const (
	maxNames   = 3
	firstNames = 2
)

// gapGroup is the content of one gap row: gaps with one cause and nearly the
// same time. A restart of the recorder or of the API server leaves one gap for
// each resource.
type gapGroup struct {
	start, end time.Time // enclose all gaps; the end is zero while they are open
	gaps       []v1.Gap  // never empty
}

// groupGaps groups gaps. Both the gaps and the groups are in the order of their
// starts.
func groupGaps(gaps []v1.Gap) []*gapGroup {
	var groups []*gapGroup
	for _, gap := range gaps {
		i := slices.IndexFunc(groups, func(g *gapGroup) bool { return g.accepts(&gap) })
		if i < 0 {
			groups = append(groups, &gapGroup{start: gap.Start, end: gap.End, gaps: []v1.Gap{gap}})
			continue
		}
		g := groups[i]
		g.gaps = append(g.gaps, gap)
		if gap.End.After(g.end) {
			g.end = gap.End
		}
	}
	return groups
}

// accepts reports whether a gap belongs to the group. The gap starts no earlier
// than the group.
//
// The gap is compared with the group's first one, so that a group does not grow
// step by step. Open gaps end at the zero time, which is close to no other end.
func (g *gapGroup) accepts(gap *v1.Gap) bool {
	first := &g.gaps[0]
	return shareCause(gap.Reason, first.Reason) && (g.isOpen() || !gap.Start.After(g.end)) &&
		gap.Start.Sub(first.Start) <= maxGapDistance && gap.End.Sub(first.End).Abs() <= maxGapDistance
}

// shareCause reports whether gaps with two reasons may have one cause. A
// restart of the API server disconnects some watches, returns errors to others,
// and expires the resourceVersions of those that reconnect late.
func shareCause(a, b string) bool {
	restart := []string{string(history.GapDisconnected), string(history.GapServerError), string(history.GapExpired)}
	return a == b || slices.Contains(restart, a) && slices.Contains(restart, b)
}

// isOpen reports whether the gaps of the group have not ended yet.
func (g *gapGroup) isOpen() bool { return g.end.IsZero() }

// names returns the resources, pods first: "pods, services and 15 more". With
// wide it returns all of them, with their groups.
func (g *gapGroup) names(wide bool) string {
	resources := make([]schema.GroupResource, len(g.gaps))
	for i, gap := range g.gaps {
		resources[i] = schema.GroupResource{Group: gap.Group, Resource: gap.Resource}
	}
	slices.SortFunc(resources, func(a, b schema.GroupResource) int {
		return cmp.Or(rank(a)-rank(b), strings.Compare(a.Resource, b.Resource), strings.Compare(a.Group, b.Group))
	})
	var names []string
	for _, r := range resources {
		if wide {
			names = append(names, r.String())
		} else {
			names = append(names, r.Resource)
		}
	}
	names = slices.Compact(names)
	last := len(names) - 1
	switch {
	case last == 0:
		return names[0]
	case wide || last < maxNames:
		return strings.Join(names[:last], ", ") + " and " + names[last]
	default:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:firstNames], ", "), len(names)-firstNames)
	}
}

// rank orders resources by how often users look for them.
func rank(r schema.GroupResource) int {
	switch {
	case r.Group == "" && r.Resource == "pods":
		return 0
	case r.Group == "":
		return 1
	default:
		return 2
	}
}

// reason returns the most specific reason of the gaps. With wide it adds the
// detail, if all gaps with that reason have the same one.
func (g *gapGroup) reason(wide bool) string {
	specific := g.gaps[0]
	for _, gap := range g.gaps {
		if history.GapReason(gap.Reason).MoreSpecificThan(history.GapReason(specific.Reason)) {
			specific = gap
		}
	}
	reason := strings.ReplaceAll(specific.Reason, "_", " ")
	differs := slices.ContainsFunc(g.gaps, func(gap v1.Gap) bool {
		return gap.Reason == specific.Reason && gap.Detail != specific.Detail
	})
	if !wide || specific.Detail == "" || differs {
		return reason
	}
	return reason + ", " + specific.Detail
}

// gapRow returns the row of a group. It spans all columns.
func (p *Printer) gapRow(g *gapGroup) []field {
	text := ""
	switch names, reason := g.names(p.opts.Wide), g.reason(p.opts.Wide); {
	case g.isOpen():
		text = fmt.Sprintf("recorder sees no %s since %s: %s", names, p.when(g.start), reason)
	case g.gaps[0].Reason == string(history.GapDropped):
		text = fmt.Sprintf("recorder kept no %s %s (%s)", names, p.interval(g.start, g.end), reason)
	default:
		text = fmt.Sprintf("recorder saw no %s %s (%s)", names, p.interval(g.start, g.end), reason)
	}
	return []field{{text: "-- " + cell(text) + " --", style: p.styles.warn}}
}

// GapLine describes gaps with one cause and nearly the same time.
type GapLine struct {
	Start, End time.Time // End is zero while the gaps are open
	Types      string    // of objects: "pods, services and 15 more"
	Reason     string
	Dropped    bool // the recorder observed the changes, and did not keep them
}

// GapLines returns the lines about gaps, which are in the order of their
// starts.
func GapLines(gaps []v1.Gap) (lines []GapLine) {
	for _, g := range groupGaps(gaps) {
		lines = append(lines, GapLine{
			Start: g.start, End: g.end, Types: g.names(false), Reason: g.reason(true),
			Dropped: g.gaps[0].Reason == string(history.GapDropped),
		})
	}
	return lines
}

// Dismissed writes a row of a table about gaps that were open and do not exist
// any more. No gaps write nothing.
func (p *Printer) Dismissed(gaps []v1.Gap) error {
	if len(gaps) == 0 {
		return nil
	}
	g := gapGroup{gaps: gaps}
	text := fmt.Sprintf("-- recorder sees %s again, and no change is missing --", cell(g.names(p.opts.Wide)))
	return p.table(nil, [][]field{{{text: text, style: p.styles.good}}})
}

// interval returns "from 9m to 7m". If both ages are the same, it returns the
// length and the age: "for 20s, 3d ago".
func (p *Printer) interval(start, end time.Time) string {
	from, to := p.when(start), p.when(end)
	if from == to {
		return "for " + duration.HumanDuration(end.Sub(start)) + ", " + p.ago(end)
	}
	return "from " + from + " to " + to
}

// insertGaps returns rows with gap rows between them, each at the start of its
// group. Function at returns the time of a row, and order is the order of rows.
func (p *Printer) insertGaps(rows [][]field, at func(row int) time.Time, order history.Order, gaps []v1.Gap) [][]field {
	groups := groupGaps(gaps)
	newestFirst := order == history.NewestFirst
	if newestFirst {
		slices.Reverse(groups)
	}
	var all [][]field
	for i, row := range rows {
		// Write the groups that start before this row or, if the newest rows
		// come first, after it.
		for len(groups) > 0 && groups[0].start.After(at(i)) == newestFirst {
			all, groups = append(all, p.gapRow(groups[0])), groups[1:]
		}
		all = append(all, row)
	}
	for _, g := range groups {
		all = append(all, p.gapRow(g))
	}
	return all
}

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

// near is how far apart gaps may begin, and end, that share a row. What was last known of resources differs by as much as
// their bookmarks do, which the API server sends about once a minute.
const near = 2 * time.Minute

// The bounds of the names on a row: so many are all named; where there are more, the first ones and the number of the rest.
const (
	mostNames  = 3
	firstNames = 2
)

// blindSpot is what one row is about: gaps of one cause and over nearly the same time, as those are that a restart of the
// recorder or of the API server leaves, one for each resource.
type blindSpot struct {
	start, end time.Time // around all of its gaps; a zero end is none
	gaps       []v1.Gap  // never empty
}

// blindSpots merges gaps, which are in the order of their starts, as the blind spots are.
func blindSpots(gaps []v1.Gap) []*blindSpot {
	var spots []*blindSpot
	for _, g := range gaps {
		i := slices.IndexFunc(spots, func(s *blindSpot) bool { return s.takes(&g) })
		if i < 0 {
			spots = append(spots, &blindSpot{start: g.Start, end: g.End, gaps: []v1.Gap{g}})
			continue
		}
		s := spots[i]
		s.gaps = append(s.gaps, g)
		if g.End.After(s.end) {
			s.end = g.End
		}
	}
	return spots
}

// takes tells whether a gap, which begins no earlier than the spot, belongs to it. All are compared with the first, so that
// a spot does not creep. Open gaps have the zero time as their end, which is near to no other.
func (s *blindSpot) takes(g *v1.Gap) bool {
	first := &s.gaps[0]
	return oneCause(g.Reason, first.Reason) && (s.isOpen() || !g.Start.After(s.end)) &&
		g.Start.Sub(first.Start) <= near && g.End.Sub(first.End).Abs() <= near
}

// oneCause reports whether gaps for two reasons may have one cause. An API
// server that restarts cuts off some watches, has errors for others, and has
// forgotten the changes of those that come back late.
func oneCause(a, b string) bool {
	away := []string{string(history.GapDisconnected), string(history.GapServerError), string(history.GapExpired)}
	return a == b || slices.Contains(away, a) && slices.Contains(away, b)
}

func (s *blindSpot) isOpen() bool { return s.end.IsZero() }

// names are the resources, pods before all others: "pods, services and 15 more". With wide they are all there, with groups.
func (s *blindSpot) names(wide bool) string {
	resources := make([]schema.GroupResource, len(s.gaps))
	for i, g := range s.gaps {
		resources[i] = schema.GroupResource{Group: g.Group, Resource: g.Resource}
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
	case wide || last < mostNames:
		return strings.Join(names[:last], ", ") + " and " + names[last]
	default:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:firstNames], ", "), len(names)-firstNames)
	}
}

// rank puts first what people look for most.
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

// why returns the reason that says most and, with wide, the detail if all gaps for that reason have the same.
func (s *blindSpot) why(wide bool) string {
	most := s.gaps[0]
	for _, g := range s.gaps {
		if history.GapReason(g.Reason).Specific(history.GapReason(most.Reason)) {
			most = g
		}
	}
	reason := strings.ReplaceAll(most.Reason, "_", " ")
	differs := slices.ContainsFunc(s.gaps, func(g v1.Gap) bool { return g.Reason == most.Reason && g.Detail != most.Detail })
	if !wide || most.Detail == "" || differs {
		return reason
	}
	return reason + ", " + most.Detail
}

// blind is a row that goes across all columns.
func (p *Printer) blind(s *blindSpot) []field {
	text := ""
	switch what, why := s.names(p.opts.Wide), s.why(p.opts.Wide); {
	case s.isOpen():
		text = fmt.Sprintf("recorder sees no %s since %s: %s", what, p.when(s.start), why)
	case s.gaps[0].Reason == string(history.GapDropped):
		text = fmt.Sprintf("recorder kept no %s %s (%s)", what, p.span(s.start, s.end), why)
	default:
		text = fmt.Sprintf("recorder saw no %s %s (%s)", what, p.span(s.start, s.end), why)
	}
	return []field{{text: "-- " + cell(text) + " --", style: p.styles.warn}}
}

// span is "from 9m to 7m"; for a time that is too short for its distance, "for 20s, 3d ago".
func (p *Printer) span(start, end time.Time) string {
	from, to := p.when(start), p.when(end)
	if from == to {
		return "for " + duration.HumanDuration(end.Sub(start)) + ", " + p.ago(end)
	}
	return "from " + from + " to " + to
}

// among puts gaps between rows, each where it begins; at tells when a row's change was, and order in which order they are.
func (p *Printer) among(rows [][]field, at func(row int) time.Time, order history.Order, gaps []v1.Gap) [][]field {
	spots := blindSpots(gaps)
	newestFirst := order == history.NewestFirst
	if newestFirst {
		slices.Reverse(spots)
	}
	var all [][]field
	for i, row := range rows {
		for len(spots) > 0 && spots[0].start.After(at(i)) == newestFirst {
			all, spots = append(all, p.blind(spots[0])), spots[1:]
		}
		all = append(all, row)
	}
	for _, s := range spots {
		all = append(all, p.blind(s))
	}
	return all
}

package query

import (
	"context"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// related returns a page of the Events regarding an object of one of the resources, and its descendants. room is how many bytes of
// objects are left for it.
func (s *Service) related(ctx context.Context, q Object, resources []history.Resource, all history.Filter, room int) (Page, error) {
	about := targets(q, resources)
	uids, exact, err := s.incarnations(ctx, all, about)
	if err != nil {
		return Page{}, err
	}
	g := gathering{question: q, effort: s.options.Effort, exact: exact, counted: map[int64]bool{}, found: map[int64]*history.Record{}}
	of := family{targets: about, uids: uids}
	if err := g.gather(ctx, s.reader, of); err != nil {
		return Page{}, err
	}
	if q.Descendants {
		owned, complete, err := s.descendants(ctx, uids)
		if err != nil {
			return Page{}, err
		}
		g.exact = g.exact && complete
		if err := g.gather(ctx, s.reader, owned); err != nil {
			return Page{}, err
		}
	}
	return s.gathered(ctx, &g, room)
}

// family is a set of objects that Events may regard: by what Events name, and by the UIDs that are known. Where it is
// closed, no other UIDs belong to it.
type family struct {
	targets []history.Target
	uids    map[types.UID]bool
	closed  bool
}

// targets returns what an Event regarding the object names: its kind, and those that it had, once for each group that has it.
func targets(q Object, resources []history.Resource) []history.Target {
	namespace := q.Namespace
	if namespace == history.NoNamespace {
		namespace = ""
	}
	var targets []history.Target
	for _, r := range resources {
		for _, kind := range r.Kinds() {
			targets = append(targets, history.Target{Group: r.Group, Kind: kind, Namespace: namespace, Name: q.Name, UID: q.UID})
		}
	}
	return targets
}

// incarnations returns the UIDs under which the object lived: those of its own
// records or, if it has none, those that Events give it. It returns false if it
// stopped at the bound of effort.
func (s *Service) incarnations(ctx context.Context, own history.Filter, about []history.Target) (map[types.UID]bool, bool, error) {
	uids, effort := map[types.UID]bool{}, s.options.Effort
	collect := func(f history.Filter, uid func(*history.Record) types.UID) error {
		for r, err := range s.reader.Scan(ctx, history.Scan{Filter: f, Order: history.NewestFirst}) {
			if err != nil {
				return err
			}
			uids[uid(r)] = true
			if effort--; effort <= 0 {
				return nil
			}
		}
		return nil
	}
	if err := collect(own, func(r *history.Record) types.UID { return r.Ref.UID }); err != nil {
		return nil, false, err
	}
	if len(uids) > 0 {
		return uids, effort > 0, nil
	}
	for _, t := range about {
		named := func(r *history.Record) types.UID {
			if r.Regarding.Group != t.Group || string(r.Regarding.UID) == r.Regarding.Name {
				return ""
			}
			return r.Regarding.UID
		}
		if err := collect(history.Filter{Regarding: &t}, named); err != nil {
			return nil, false, err
		}
	}
	delete(uids, "")
	return uids, effort > 0, nil
}

// gathering collects a page from the Events of many targets. It goes through each target's in order, counts them, and
// keeps no more of them than two pages at a time.
type gathering struct {
	question Object
	effort   int

	exact   bool
	counted map[int64]bool            // by their time, which is unique: a record that several targets select is one
	found   map[int64]*history.Record // as counted, those that are kept
}

func (g *gathering) gather(ctx context.Context, reader Reader, of family) error {
	for _, target := range of.targets {
		if err := g.regarding(ctx, reader, target, of); err != nil {
			return err
		}
	}
	return nil
}

func (g *gathering) regarding(ctx context.Context, reader Reader, target history.Target, of family) error {
	scan := history.Scan{Order: g.question.Order}
	scan.Start, scan.End, scan.Regarding = g.question.Start, g.question.End, &target
	kept := 0
	for r, err := range reader.Scan(ctx, scan) {
		switch {
		case err != nil:
			return err
		case kept > g.question.Limit && len(g.counted) >= g.effort:
			g.exact = false
			return nil
		case g.counted[r.Time.UnixNano()] || !of.admits(target, r.Regarding):
			continue
		}
		g.counted[r.Time.UnixNano()] = true
		if kept <= g.question.Limit && g.ahead(r) {
			kept++
			g.keep(r)
		}
	}
	return nil
}

// admits tells an Event regarding one of the family from one regarding another incarnation, or another group's object of
// the same kind and name: by the UID where it is known, else by the group. Emitters may leave both out.
func (f family) admits(target history.Target, regarding *history.Target) bool {
	sameGroup := regarding.Group == target.Group
	switch {
	case regarding.UID == "" || string(regarding.UID) == regarding.Name:
		return sameGroup || regarding.Group == ""
	case f.uids[regarding.UID]:
		return true
	default:
		return sameGroup && !f.closed
	}
}

// ahead tells whether the record lies behind the page before this one.
func (g *gathering) ahead(r *history.Record) bool {
	after := g.question.RelatedAfter
	if g.question.Order == history.NewestFirst {
		return after.IsZero() || r.Time.Before(after.Time)
	}
	return after.IsZero() || r.Time.After(after.Time)
}

func (g *gathering) keep(r *history.Record) {
	g.found[r.Time.UnixNano()] = r
	if len(g.found) < 2*(g.question.Limit+1) {
		return
	}
	for _, late := range g.sorted()[g.question.Limit+1:] {
		delete(g.found, late.Time.UnixNano())
	}
}

func (g *gathering) sorted() []*history.Record {
	return slices.SortedFunc(maps.Values(g.found), func(a, b *history.Record) int {
		if g.question.Order == history.NewestFirst {
			a, b = b, a
		}
		return a.Time.Compare(b.Time)
	})
}

// gathered reads the objects of the page's records, one by one, if they are asked for.
func (s *Service) gathered(ctx context.Context, g *gathering, room int) (Page, error) {
	all := g.sorted()
	var records []*history.Record
	for _, r := range all[:min(len(all), g.question.Limit)] {
		if g.question.Bare {
			records = append(records, r)
			continue
		}
		scan := history.Scan{Filter: exactly(r.Ref), Limit: 1, Bodies: true}
		scan.Start, scan.End = r.Time, r.Time.Add(1)
		for whole, err := range s.reader.Scan(ctx, scan) {
			if err != nil {
				return Page{}, err
			}
			room -= len(whole.Object)
			records = append(records, whole)
		}
		if room < 0 {
			break
		}
	}
	more := len(records) > 0 && !records[len(records)-1].Time.Equal(all[len(all)-1].Time)
	page, err := s.page(ctx, records, g.question.Order, more)
	page.Total, page.Exact = len(g.counted), g.exact
	return page, err
}

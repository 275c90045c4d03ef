package query

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/selector"
)

// related returns a page of the Events regarding the object and, if the query
// includes them, its descendants. The object is of one of the resources, and
// own selects its own records. room bounds the page's objects, in bytes.
func (s *Service) related(
	ctx context.Context, q Object, seen objectSight, resources []history.Resource, own history.Filter, room int,
) (Page, error) {
	about := targets(q, resources)
	uids, exact, err := s.incarnations(ctx, own, about, seen.events.view)
	if err != nil {
		return Page{}, err
	}
	c := collector{
		question: q, events: q.Selector.OfEvents(), view: seen.events.view, effort: s.options.Effort,
		exact: exact, counted: map[int64]bool{}, found: map[int64]*history.Record{},
	}
	if deadline, limited := ctx.Deadline(); limited {
		c.stop = time.Now().Add(time.Until(deadline) / 2)
	}
	if q.Rest != nil { // the effort of the earlier page was bounded
		c.effort, c.stop = math.MaxInt, time.Time{}
	}
	of := family{targets: about, uids: uids}
	if err := c.collect(ctx, s.reader, of); err != nil {
		return Page{}, err
	}
	if q.Descendants {
		owned, complete, err := s.descendants(ctx, uids, seen.owned.view)
		if err != nil {
			return Page{}, err
		}
		c.exact = c.exact && complete
		if err := c.collect(ctx, s.reader, owned); err != nil {
			return Page{}, err
		}
	}
	return s.relatedPage(ctx, &c, room, q.each(cmp.Or(resources[0].Plural, q.Type), true))
}

// family is a set of objects that Events may regard, described by the targets
// that Events name and by the known UIDs. If it is closed, no other UID belongs
// to it.
type family struct {
	targets []history.Target
	uids    map[types.UID]bool
	closed  bool
}

// targets returns the targets that an Event regarding the object may have: one
// for each present and former kind of each resource.
func targets(q Object, resources []history.Resource) []history.Target {
	namespace, _ := q.Namespace.Namespace()
	var targets []history.Target
	for _, r := range resources {
		for _, kind := range r.Kinds() {
			targets = append(targets,
				history.Target{Group: r.Group, Kind: kind, Namespace: namespace, Name: q.Name, UID: q.UID})
		}
	}
	return targets
}

// incarnations returns the object's UIDs: those of its own records or, if it
// has none, those that Events name. It reports false if it stopped at the bound
// of effort.
func (s *Service) incarnations(
	ctx context.Context, own history.Filter, about []history.Target, events history.View,
) (map[types.UID]bool, bool, error) {
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
			// The kind of another group is another object. Kubelets write the
			// node's name into UID.
			if r.Regarding.Group != t.Group || string(r.Regarding.UID) == r.Regarding.Name {
				return ""
			}
			return r.Regarding.UID
		}
		if err := collect(history.Filter{Regarding: &t, View: events}, named); err != nil {
			return nil, false, err
		}
	}
	delete(uids, "")
	return uids, effort > 0, nil
}

// collector makes a page from the Events of many targets. It reads the Events
// of each target in order, counts them, and keeps at most two pages.
//
// If the Events are selected by their contents, it reads their objects, with a
// bound of effort: see [search]. The page then ends early where the effort for
// one of the targets ended.
type collector struct {
	question Object
	events   *selector.Selector // of the Events' contents
	view     history.View
	effort   int
	stop     time.Time // of reading Events' objects; zero: never

	exact   bool
	end     history.Cursor            // the page ends here at the latest; zero: no bound
	counted map[int64]bool            // by time, which is unique: several targets may select one record
	found   map[int64]*history.Record // the records that are kept, by time
}

// collect reads the Events of each of the family's targets. All targets have
// the same share of the effort, so that each page advances in all of them.
func (c *collector) collect(ctx context.Context, reader Reader, of family) error {
	share := max(c.effort/max(len(of.targets), 1), minChunk)
	for i := range of.targets {
		if c.events.IsZero() {
			if err := c.regarding(ctx, reader, &of.targets[i], of); err != nil {
				return err
			}
			continue
		}
		if err := c.selected(ctx, reader, &of.targets[i], of, share); err != nil {
			return err
		}
		if err := c.countBefore(ctx, reader, &of.targets[i], of, share/countFraction); err != nil {
			return err
		}
	}
	return nil
}

// scan returns the scan of the Events of one target.
func (c *collector) scan(target *history.Target) history.Scan {
	scan := history.Scan{Order: c.question.Order, Bodies: !c.events.IsZero()}
	scan.Start, scan.End, scan.Regarding, scan.View = c.question.Start, c.question.End, target, c.view
	return scan
}

// regarding reads the Events of one target. Once it has a page of them, it only
// counts, up to the bound of effort.
func (c *collector) regarding(ctx context.Context, reader Reader, target *history.Target, of family) error {
	kept := 0
	for r, err := range reader.Scan(ctx, c.scan(target)) {
		switch {
		case err != nil:
			return err
		case kept > c.question.Limit && (c.question.Rest != nil || len(c.counted) >= c.effort):
			c.exact = false
			return nil
		case c.counted[r.Time.UnixNano()] || !of.admits(*target, r.Regarding):
			continue
		}
		c.counted[r.Time.UnixNano()] = true
		if kept <= c.question.Limit && c.isAfter(r) {
			kept++
			c.keep(r)
		}
	}
	return nil
}

// selected is regarding for Events that are selected by their contents. It
// begins after the previous page. Once it has a page, it counts with a fraction
// of the effort.
func (c *collector) selected(
	ctx context.Context, reader Reader, target *history.Target, of family, effort int,
) error {
	scan, kept, left := c.scan(target), 0, effort
	scan.After = c.question.RelatedAfter
	var last history.Cursor
	for r, err := range reader.Scan(ctx, scan) {
		if err != nil {
			return err
		}
		if !last.IsZero() && c.exhausted(left) {
			if c.exact = false; kept <= c.question.Limit {
				c.endAt(last)
			}
			return nil
		}
		last = history.Cursor{Time: r.Time}
		left -= 1 + len(r.Object)/effortBytes
		if !c.selects(r, target, of) {
			continue
		}
		if kept <= c.question.Limit {
			if kept++; kept > c.question.Limit && c.question.Rest != nil {
				return nil // nothing is counted
			} else if kept > c.question.Limit {
				left = min(left, effort/countFraction)
			}
			r.Object = nil
			c.keep(r)
		}
	}
	return nil
}

// countBefore counts the Events of one target on the previous pages.
func (c *collector) countBefore(
	ctx context.Context, reader Reader, target *history.Target, of family, effort int,
) error {
	if c.question.RelatedAfter.IsZero() || c.question.Rest != nil {
		return nil
	}
	for r, err := range reader.Scan(ctx, upTo(c.scan(target), c.question.RelatedAfter)) {
		if err != nil {
			return err
		}
		if c.exhausted(effort) {
			c.exact = false
			return nil
		}
		effort -= 1 + len(r.Object)/effortBytes
		c.selects(r, target, of)
	}
	return nil
}

// selects reports whether an Event belongs to the answer, and was not counted
// before. It counts the Event then.
func (c *collector) selects(r *history.Record, target *history.Target, of family) bool {
	at := r.Time.UnixNano()
	if c.counted[at] || !of.admits(*target, r.Regarding) || !c.events.MatchesObject(r) {
		return false
	}
	c.counted[at] = true
	return true
}

// exhausted reports whether reading must end with this effort left.
func (c *collector) exhausted(left int) bool {
	return left <= 0 || !c.stop.IsZero() && time.Now().After(c.stop)
}

// endAt makes the page end at a position or before it.
func (c *collector) endAt(at history.Cursor) {
	if c.end.IsZero() || c.precedes(at.Time, c.end.Time) {
		c.end = at
	}
}

// precedes reports whether a time is before another one in the question's
// order.
func (c *collector) precedes(a, b time.Time) bool {
	if c.question.Order == history.NewestFirst {
		a, b = b, a
	}
	return a.Before(b)
}

// admits reports whether an Event regards an object of the family, and not
// another incarnation, or another group's object with the same kind and name.
// The UID decides if the Event has one, and otherwise the group. Emitters may
// omit both.
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

// isAfter reports whether the record is after the previous page.
func (c *collector) isAfter(r *history.Record) bool {
	after := c.question.RelatedAfter
	return after.IsZero() || c.precedes(after.Time, r.Time)
}

// keep stores a record. If there are two pages, it drops the second one. So
// memory is bounded, and records are sorted once per page.
func (c *collector) keep(r *history.Record) {
	c.found[r.Time.UnixNano()] = r
	if len(c.found) < 2*(c.question.Limit+1) {
		return
	}
	for _, late := range c.sorted()[c.question.Limit+1:] {
		delete(c.found, late.Time.UnixNano())
	}
}

// sorted returns the kept records in the question's order, up to the page's
// latest end.
func (c *collector) sorted() []*history.Record {
	kept := slices.DeleteFunc(slices.Collect(maps.Values(c.found)), func(r *history.Record) bool {
		return !c.end.IsZero() && c.precedes(c.end.Time, r.Time)
	})
	slices.SortFunc(kept, func(a, b *history.Record) int {
		if c.question.Order == history.NewestFirst {
			a, b = b, a
		}
		return a.Time.Compare(b.Time)
	})
	return kept
}

// relatedPage returns the collected page. Unless the question is Bare, it reads
// the records again, one by one, with their objects. The page ends early if
// these exceed room, in bytes, or if the collector's effort ended.
func (s *Service) relatedPage(ctx context.Context, c *collector, room int, each func(*Version) error) (Page, error) {
	all := c.sorted()
	b := s.newPage(c.question.Order, each)
	for _, r := range all[:min(len(all), c.question.Limit)] {
		if !c.question.Bare {
			var err error
			if r, err = s.whole(ctx, r); err != nil {
				return Page{}, err
			}
		}
		if r == nil {
			continue // dropped meanwhile
		}
		if b.add(r); b.isFull() {
			if err := b.flush(ctx); err != nil {
				return Page{}, err
			}
		}
		if b.page.bytes > room {
			break
		}
	}
	b.page.More = b.page.Count > 0 && !b.page.End.Equal(all[len(all)-1].Time)
	page, err := b.finish(ctx)
	page.Total, page.Exact = len(c.counted), c.exact
	if !page.More && !c.end.IsZero() {
		page.More, page.Next = true, c.end
	}
	return page, err
}

// whole reads a record with its object. It returns nil if the record is no
// longer in the log.
func (s *Service) whole(ctx context.Context, r *history.Record) (*history.Record, error) {
	scan := history.Scan{Filter: exactly(r.Ref), Limit: 1, Bodies: true}
	scan.Start, scan.End = r.Time, r.Time.Add(1)
	for whole, err := range s.reader.Scan(ctx, scan) {
		return whole, err
	}
	return nil, nil
}

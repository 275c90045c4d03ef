package query

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// count counts the consequences of a row. Those of an object belong to its
// newest root change before them. last is what follows from the newest change.
func (f *folding) count(ctx context.Context, row *FoldedRow, last sequel) error {
	row.Counted = true
	if len(row.Changes) == 0 {
		row.Consequences = len(row.Onsets)
		return nil
	}
	objects := map[types.UID]bool{}
	for i, c := range row.Changes {
		objects[c.Ref.UID] = true
		if len(objects) > maxRowObjects || row.Consequences >= f.most {
			row.Counted = false
			return nil
		}
		after := last
		if i < len(row.Changes)-1 {
			var err error
			if after, err = f.sequel(ctx, c.Record); err != nil {
				return err
			}
		}
		found, complete, err := f.consequences(ctx, c.Record, after, f.most-row.Consequences)
		if err != nil {
			return err
		}
		row.Consequences += found
		row.Counted = row.Counted && complete
	}
	return nil
}

// sequel is the time that follows a root change.
type sequel struct {
	// until is the time of the next root change of the object or of one of its
	// owners, or the end of the question. It is zero if there is neither.
	until time.Time
	// own is the number of the object's versions before that time. If there are
	// more than the folding's most, it is not exact.
	own int
}

// sequel returns what follows a root change.
func (f *folding) sequel(ctx context.Context, r *history.Record) (sequel, error) {
	chain, err := f.chain(ctx, r)
	if err != nil {
		return sequel{}, err
	}
	until := f.end
	var own []time.Time
	for i, o := range chain {
		scan := history.Scan{Filter: exactly(o.Ref), Limit: 1}
		scan.Start, scan.End, scan.View = r.Time.Add(1), until, f.view
		scan.Classes = []history.Class{history.Root}
		if i == 0 {
			root := false
			if own, root, err = f.own(ctx, relative{r, until}, scan.Start, f.most); err != nil {
				return sequel{}, err
			}
			switch {
			case root:
				until, own = own[len(own)-1], own[:len(own)-1]
				continue
			case len(own) <= f.most:
				continue
			default:
				scan.Start = own[len(own)-1].Add(1)
			}
		}
		for next, err := range f.service.reader.Scan(ctx, scan) {
			if err != nil {
				return sequel{}, err
			}
			until = next.Time
		}
	}
	n, _ := slices.BinarySearchFunc(own, until, time.Time.Compare)
	if until.IsZero() {
		n = len(own)
	}
	return sequel{until, n}, nil
}

// clockSlack is how much the recorder's clock may be behind that of the API
// server.
const clockSlack = time.Hour

// trace is what the log may have of an object besides its versions.
type trace struct {
	events bool // about the object, since the first row
	owned  bool // objects that it owns
}

// probe sets the traces of the objects that changed in rows: most objects own
// nothing, and no Event is about them. To find that out for all rows together
// costs less than a search for each. It must be called before the rows are
// completed.
func (f *folding) probe(ctx context.Context, rows []FoldedRow) error {
	var begin time.Time
	var changed []*history.Record
	seen := map[types.UID]bool{}
	for i := range rows {
		if start := rows[i].Start(); begin.IsZero() || start.Before(begin) {
			begin = start
		}
		for _, c := range rows[i].Changes {
			if !seen[c.Ref.UID] {
				seen[c.Ref.UID] = true
				changed = append(changed, c.Record)
			}
		}
	}
	var about, owned []history.Filter
	for _, r := range changed {
		about = append(about, history.Filter{Start: begin, End: f.end, Regarding: target(r)})
		owned = append(owned, history.Filter{End: f.end, Owner: r.Ref.UID})
	}
	var hasEvents, owns []bool
	both, inner := errgroup.WithContext(ctx)
	both.Go(func() (err error) { hasEvents, err = f.service.reader.MayMatch(inner, about); return err })
	both.Go(func() (err error) { owns, err = f.service.reader.MayMatch(inner, owned); return err })
	if err := both.Wait(); err != nil {
		return err
	}
	for i, r := range changed {
		f.traces[r.Ref.UID] = trace{events: hasEvents[i], owned: owns[i]}
	}
	return nil
}

// target returns an object as the target of Events.
func target(r *history.Record) *history.Target {
	return &history.Target{
		Group: r.Ref.Group, Kind: r.Kind, Namespace: r.Ref.Namespace, Name: r.Ref.Name, UID: r.Ref.UID,
	}
}

// relative is an object whose versions and Events may follow from a change.
type relative struct {
	*history.Record
	until time.Time // of its own next root change at the latest; zero: none
}

// consequences counts the versions of an object, of its descendants and of
// Events regarding any of them that follow from its change. It reports false if
// there are more than most.
func (f *folding) consequences(
	ctx context.Context, of *history.Record, after sequel, most int,
) (n int, complete bool, err error) {
	start := of.Time.Add(1)
	if !after.until.IsZero() && !start.Before(after.until) {
		return 0, true, nil
	}
	complete = true
	seen := map[types.UID]bool{of.Ref.UID: true}
	level := []relative{{of, after.until}}
	n = after.own
	for depth := 0; len(level) > 0 && depth < ownershipDepth; depth++ {
		var next []relative
		for _, o := range level {
			if depth > 0 {
				own, root, err := f.own(ctx, o, start, most-n)
				if err != nil {
					return 0, false, err
				}
				if n += len(own); root {
					n--
					o.until = own[len(own)-1]
				}
			}
			has, known := f.traces[o.Ref.UID]
			if has.events || !known {
				events, err := f.events(ctx, o, start, most-n)
				if err != nil {
					return 0, false, err
				}
				n += events
			}
			if n > most {
				return most, false, nil
			}
			if known && !has.owned {
				continue
			}
			children, all, err := f.children(ctx, o, start, seen)
			if err != nil {
				return 0, false, err
			}
			complete = complete && all
			next = append(next, children...)
		}
		level = next
	}
	return n, complete && len(level) == 0, nil
}

// own returns the times of the versions of an object that follow from a change,
// at most one more than most. If the object has a root change of its own among
// them, root is true, and that is the last one.
func (f *folding) own(
	ctx context.Context, of relative, start time.Time, most int,
) (times []time.Time, root bool, err error) {
	scan := history.Scan{Filter: exactly(of.Ref), Limit: max(most, 0) + 1}
	scan.Start, scan.End, scan.View = start, of.until, f.view
	for r, err := range f.service.reader.Scan(ctx, scan) {
		if err != nil {
			return nil, false, err
		}
		if times = append(times, r.Time); r.Class == history.Root {
			return times, true, nil
		}
	}
	return times, false, nil
}

// children returns the objects that an object owned at a time or later, without
// those that were seen before. It reports false if there may be others.
func (f *folding) children(
	ctx context.Context, of relative, start time.Time, seen map[types.UID]bool,
) (objects []relative, all bool, err error) {
	before := history.Scan{Filter: history.Filter{End: start, Owner: of.Ref.UID, View: f.view}}
	before.Order = history.NewestFirst
	if !of.Created.IsZero() {
		before.Start = of.Created.Add(-clockSlack) // nothing names an owner that does not exist yet
	}
	since := history.Scan{Filter: history.Filter{Start: start, End: of.until, Owner: of.Ref.UID, View: f.view}}
	all = true
	for _, scan := range []history.Scan{before, since} {
		found, complete, err := f.service.reader.Objects(ctx, scan, maxOwnedVersions)
		if err != nil {
			return nil, false, err
		}
		all = all && complete
		for _, r := range found {
			gone := scan.Order == history.NewestFirst && r.Verb == history.Delete
			if gone || seen[r.Ref.UID] {
				continue
			}
			if len(r.Owners) > 1 { // its versions follow from one of the owners only
				first, err := f.ownerOf(ctx, r)
				if err != nil {
					return nil, false, err
				}
				if first != nil && first.Ref.UID != of.Ref.UID {
					continue
				}
			}
			seen[r.Ref.UID] = true
			objects = append(objects, relative{r, of.until})
		}
	}
	return objects, all, nil
}

// events counts the Events regarding an object that follow from a change, at
// most one more than most.
func (f *folding) events(ctx context.Context, of relative, start time.Time, most int) (n int, err error) {
	regarding := history.Filter{Start: start, End: of.until, View: f.view, Regarding: target(of.Record)}
	scan := history.Scan{Filter: regarding, Limit: max(most, 0) + 1}
	for r, err := range f.service.reader.Scan(ctx, scan) {
		if err != nil {
			return 0, err
		}
		if r.Class != history.Root {
			n++
		}
	}
	return n, nil
}

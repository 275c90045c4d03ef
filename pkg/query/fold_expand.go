package query

import (
	"context"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// rowFilter removes the writers and the text from the selector of a question,
// and returns the function that selects rows by them, or nil. If they selected
// versions, a row would lose its problems and the other writer of a fight.
func rowFilter(q *Timeline) func(*FoldedRow) bool {
	if q.Selector == nil || q.Selector.Writers == nil && q.Selector.Text == nil {
		return nil
	}
	writers, text := q.Selector.Writers, q.Selector.Text
	q.Selector = q.Selector.WithoutWords()
	return func(row *FoldedRow) bool {
		written := writers == nil || len(row.Changes) == 0 && writers.OnlyExcludes()
		found := text == nil
		for i := range row.Changes {
			c := &row.Changes[i]
			written = written || writers.Matches(c.Managers)
			found = found || text.MatchesVersion(c.Record, history.Summary{Text: c.Summary})
		}
		for _, v := range row.Onsets {
			found = found || text.MatchesVersion(v.Record, history.Summary{Problem: v.Problem})
		}
		if !found && len(row.Changes) > 0 {
			found = text.Matches(row.Text())
		}
		return written && (found || text.MatchesVersion(row.Of, history.Summary{}))
	}
}

// kept returns the rows that the question selects.
func (f *folding) kept(rows []FoldedRow) []FoldedRow {
	if f.keep == nil {
		return rows
	}
	return slices.DeleteFunc(rows, func(row FoldedRow) bool { return !f.keep(&row) })
}

// expand adds the first consequences to a row, if the question is about them.
// until is when those of the newest change end.
func (f *folding) expand(ctx context.Context, row *FoldedRow, until time.Time) error {
	if f.expanded == 0 {
		return nil
	}
	found := map[time.Time]*history.Record{}
	for _, v := range row.Onsets { // some are beyond the owned objects
		found[v.Time] = v.Record
	}
	objects := map[types.UID]bool{}
	for i, c := range row.Changes {
		if objects[c.Ref.UID] = true; len(objects) > maxRowObjects || len(found) >= maxConsequences {
			break
		}
		end := until
		if i < len(row.Changes)-1 {
			after, err := f.sequel(ctx, c.Record)
			if err != nil {
				return err
			}
			end = after.until
		}
		if err := f.follow(ctx, c.Record, end, found); err != nil {
			return err
		}
	}
	all := slices.SortedFunc(maps.Values(found), func(a, b *history.Record) int { return a.Time.Compare(b.Time) })
	page := f.service.newPage(history.OldestFirst, func(v *Version) error {
		if len(row.Followed) < f.expanded && (v.Verb == history.Create || v.Summary != "") {
			row.Followed = append(row.Followed, *v)
		}
		return nil
	})
	for some := range slices.Chunk(all, f.expanded) {
		for _, r := range some {
			page.add(r)
		}
		if err := page.flush(ctx); err != nil {
			return err
		}
		if len(row.Followed) == f.expanded {
			break
		}
	}
	return nil
}

// follow adds the versions that follow from a root change to found, by their
// times: those that [folding.consequences] counts. It ends with about
// maxConsequences.
func (f *folding) follow(
	ctx context.Context, of *history.Record, until time.Time, found map[time.Time]*history.Record,
) error {
	start := of.Time.Add(1)
	if !until.IsZero() && !start.Before(until) {
		return nil
	}
	seen := map[types.UID]bool{of.Ref.UID: true}
	level := []relative{{of, until}}
	for depth := 0; len(level) > 0 && depth < ownershipDepth; depth++ {
		var next []relative
		for _, o := range level {
			own, about := exactly(o.Ref), history.Filter{Regarding: target(o.Record)}
			for i, filter := range []*history.Filter{&own, &about} {
				filter.Start, filter.End, filter.View = start, o.until, f.view
				scan := history.Scan{Filter: *filter, Limit: maxConsequences}
				for r, err := range f.service.reader.Scan(ctx, scan) {
					if err != nil {
						return err
					}
					if r.Class != history.Root {
						found[r.Time] = r
						continue
					}
					if i == 0 { // its further versions follow from this change
						o.until = r.Time
						break
					}
				}
			}
			if len(found) >= maxConsequences {
				return nil
			}
			children, _, err := f.children(ctx, o, start, seen)
			if err != nil {
				return err
			}
			next = append(next, children...)
		}
		level = next
	}
	return nil
}

package query

import (
	"context"
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
	if f.most == 0 {
		return nil
	}
	var found []*history.Record
	if len(row.Changes) == 0 {
		for _, v := range row.Onsets {
			found = append(found, v.Record)
		}
	}
	objects := map[types.UID]bool{}
	for i, c := range row.Changes {
		if objects[c.Ref.UID] = true; len(objects) > maxRowObjects || len(found) >= maxConsequences {
			break
		}
		end := until
		if i < len(row.Changes)-1 {
			var err error
			if end, err = f.until(ctx, c.Record); err != nil {
				return err
			}
		}
		some, _, err := f.consequences(ctx, c.Record, end, maxConsequences-len(found))
		if err != nil {
			return err
		}
		found = append(found, some...)
	}
	slices.SortFunc(found, func(a, b *history.Record) int { return a.Time.Compare(b.Time) })
	page := f.service.newPage(history.OldestFirst, func(v *Version) error {
		if len(row.Followed) < f.most && (v.Verb == history.Create || v.Summary != "") {
			row.Followed = append(row.Followed, *v)
		}
		return nil
	})
	for len(found) > 0 && len(row.Followed) < f.most {
		for _, r := range found[:min(f.most, len(found))] {
			page.add(r)
		}
		found = found[min(f.most, len(found)):]
		if err := page.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

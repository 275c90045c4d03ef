package query

import (
	"context"
	"fmt"
	"slices"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/summary"
)

// narrate puts records, which are in order, into words. Most records have theirs; others cost a read for an update whose
// version before is not among them, and another where the records were read without objects.
func (s *Service) narrate(ctx context.Context, records []*history.Record, order history.Order) ([]Version, error) {
	n := narrator{reader: s.reader, room: s.options.PageBytes, newest: map[history.ObjectRef]*history.Record{}}
	versions := make([]Version, 0, len(records))
	if order == history.NewestFirst {
		records = slices.Clone(records)
		slices.Reverse(records)
	}
	for _, r := range records {
		words, err := n.words(ctx, r)
		if err != nil {
			return nil, fmt.Errorf("compare %s with the version before: %w", r.Ref, err)
		}
		versions = append(versions, Version{Record: r, Summary: words.Text, Problem: words.Problem})
	}
	if order == history.NewestFirst {
		slices.Reverse(versions)
	}
	return versions, nil
}

// narrator goes through records, oldest first, and remembers each object's newest version for the next one, as long as
// there is room.
type narrator struct {
	reader Reader
	room   int // in bytes
	newest map[history.ObjectRef]*history.Record
	size   int
}

func (n *narrator) words(ctx context.Context, r *history.Record) (history.Summary, error) {
	if r.Summary != nil {
		n.remember(r)
		return *r.Summary, nil
	}
	whole, err := n.whole(ctx, r)
	if err != nil {
		return history.Summary{}, err
	}
	before, err := n.before(ctx, whole)
	if err != nil {
		return history.Summary{}, err
	}
	n.remember(whole)
	var c *summary.Comparison
	if before != nil {
		c = summary.Compare(before.Object, whole.Object)
	}
	return summary.Of(whole, c), nil
}

func (n *narrator) remember(r *history.Record) {
	if n.size > n.room {
		clear(n.newest)
		n.size = 0
	}
	if r.Object != nil {
		n.newest[r.Ref] = r
		n.size += len(r.Object)
	}
}

// whole returns the record with its object. One that is gone by now stays as it is.
func (n *narrator) whole(ctx context.Context, r *history.Record) (*history.Record, error) {
	if r.Object != nil {
		return r, nil
	}
	scan := history.Scan{Filter: exactly(r.Ref), Limit: 1, Bodies: true}
	scan.Start, scan.End = r.Time, r.Time.Add(1)
	for whole, err := range n.reader.Scan(ctx, scan) {
		return whole, err
	}
	return r, nil
}

// before returns the version before an update; nil where it is not kept, and for everything that is compared with nothing.
func (n *narrator) before(ctx context.Context, r *history.Record) (*history.Record, error) {
	if r.Revision <= 1 || !summary.Compared(r) {
		return nil, nil
	}
	if last := n.newest[r.Ref]; last != nil && last.Revision+1 == r.Revision {
		return last, nil
	}
	scan := history.Scan{Filter: exactly(r.Ref), Order: history.NewestFirst, Limit: 1, Bodies: true}
	scan.End = r.Time
	for before, err := range n.reader.Scan(ctx, scan) {
		if err != nil || before.Revision+1 != r.Revision { // a day in between may be lost
			return nil, err
		}
		return before, nil
	}
	return nil, nil
}

// exactly returns the filter of one incarnation.
func exactly(ref history.ObjectRef) history.Filter {
	f := history.Filter{Namespace: ref.Namespace, Name: ref.Name, UID: ref.UID}
	f.Resources = append(f.Resources, ref.GroupResource())
	if f.Namespace == "" {
		f.Namespace = history.NoNamespace
	}
	return f
}

package query

import (
	"context"
	"errors"
	"slices"
	"sort"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/selector"
)

// pages is what a folded page has to know of the others of its question.
type pages struct {
	// filter and selector select the records of the question, with the caller's
	// rights. anything is false if the question names only types that do not
	// exist. Then the filter is not valid.
	filter   history.Filter
	selector *selector.Selector
	anything bool
	// later is whether changes may be on another page that are older than
	// problems on this one.
	later bool
	// oldest has the time of the oldest change of each object in the question
	// that was looked up. Zero means that the question has no change of it.
	oldest map[types.UID]time.Time
}

// newPages returns what is known of a question before its first page is read.
func newPages(seen sight, q Timeline) pages {
	q.narrow()
	p := pages{selector: q.Selector, oldest: map[types.UID]time.Time{}}
	p.filter, p.anything = withResources(q.Filter, seen.catalogue, q.Types, q.Group)
	p.filter.View = inNamespaces(seen, q.Namespaces)
	return p
}

// isNarrow reports whether the question selects some of the objects in its
// namespaces only.
func (q *Timeline) isNarrow() bool {
	return len(q.Types) > 0 || q.Group != "" || q.Name != "" || q.UID != "" || q.Selector != nil
}

// page returns the rows of a page with their changes and onsets.
func (f *folding) page(ctx context.Context, q Timeline) (folded FoldedPage, err error) {
	rows := q.Limit
	q.Classes = []history.Class{history.Root, history.Onset}
	q.Bare, q.Each, q.Rest, q.Endings = true, nil, history.Cursor{}, false
	deletions, err := f.deletionsOfNamespace(ctx, q)
	if err != nil {
		return FoldedPage{}, err
	}
	f.pages.later = q.Order == history.OldestFirst && !q.After.IsZero()
	// Most rows have few versions, so few are read at first.
	for q.Limit = min(rows+rows/2+1, maxFolded); ; q.Limit = min(4*q.Limit, maxFolded) {
		if folded.Page, err = f.service.Timeline(ctx, q); err != nil {
			return FoldedPage{}, err
		}
		folded.add(deletions, q.After, q.Order)
		if q.Order == history.NewestFirst {
			f.pages.later = folded.More
		}
		if folded.Rows, err = f.rows(ctx, folded.Versions, q.Order); err != nil {
			return FoldedPage{}, err
		}
		if len(folded.Rows) > rows || !folded.More || q.Limit == maxFolded {
			break
		}
	}
	f.narrowed = f.narrowed || folded.More || !q.After.IsZero()
	if len(folded.Rows) <= rows {
		return folded, nil
	}
	f.narrowed, f.pages.later = true, f.pages.later || q.Order == history.NewestFirst
	// Further versions may add to any row, so the longest beginning of the page
	// is searched that has few enough rows.
	n := sort.Search(len(folded.Versions), func(n int) bool {
		some, failed := f.rows(ctx, folded.Versions[:n+1], q.Order)
		err = errors.Join(err, failed)
		return len(some) > rows
	})
	if err != nil {
		return FoldedPage{}, err
	}
	folded.Versions, folded.More = folded.Versions[:n], true
	folded.Count, folded.End = n, history.Cursor{Time: folded.Versions[n-1].Time}
	folded.Next = folded.End
	folded.Rows, err = f.rows(ctx, folded.Versions, q.Order)
	return folded, err
}

// isElsewhere reports whether a problem without a change on the page follows
// from one on another page of the question. It is counted in that row. chain is
// the object with the problem and its owners.
func (f *folding) isElsewhere(ctx context.Context, problem *Version, chain []*history.Record) (bool, error) {
	if !f.pages.later {
		return false, nil
	}
	for _, o := range slices.Backward(chain) { // few objects have many onsets
		oldest, known := f.pages.oldest[o.Ref.UID]
		if !known {
			var err error
			if oldest, err = f.oldestInQuestion(ctx, o.Ref); err != nil {
				return false, err
			}
			f.pages.oldest[o.Ref.UID] = oldest
		}
		if !oldest.IsZero() && oldest.Before(problem.Time) {
			return true, nil
		}
	}
	return false, nil
}

// oldestInQuestion returns the time of the oldest change of an object that the
// question selects. Zero means that it selects no change of the object.
func (f *folding) oldestInQuestion(ctx context.Context, of history.ObjectRef) (oldest time.Time, err error) {
	filter := f.pages.filter
	resource := of.GroupResource()
	if !f.pages.anything || filter.UID != "" && filter.UID != of.UID || filter.Name != "" && filter.Name != of.Name ||
		len(filter.Resources) > 0 && !slices.Contains(filter.Resources, resource) {
		return oldest, nil
	}
	filter.Resources, filter.Name, filter.UID = []schema.GroupResource{resource}, of.Name, of.UID
	filter.Classes = []history.Class{history.Root}
	scan := history.Scan{Filter: filter, Limit: 1}
	if !f.pages.selector.IsZero() {
		_, err := f.service.scan(ctx, scan, f.pages.selector, history.Cursor{}, func(v *Version) error {
			oldest = v.Time
			return nil
		})
		return oldest, err
	}
	for r, err := range f.service.reader.Scan(ctx, scan) {
		if err != nil {
			return oldest, err
		}
		oldest = r.Time
	}
	return oldest, nil
}

// deletionsOfNamespace returns the deletions of the only namespace that a
// question is about, oldest first: those that the caller may read, at most the
// newest 10. The namespace is not an object in itself, but its deletion is why
// everything in it is gone. A question about some of the objects only has none.
func (f *folding) deletionsOfNamespace(ctx context.Context, q Timeline) ([]Version, error) {
	q.narrow()
	namespace, one := q.Namespace.Namespace()
	deleted := len(q.Verbs) == 0 || slices.Contains(q.Verbs, history.Delete)
	if !one || namespace == "" || !deleted || q.isNarrow() || q.Owner != "" || q.Regarding != nil ||
		len(q.Managers)+len(q.Revisions) > 0 {
		return nil, nil
	}
	of := Timeline{
		Filter: history.Filter{
			Start: q.Start, End: q.End, Namespace: history.ClusterScoped, Name: namespace,
			Verbs: []history.Verb{history.Delete}, Classes: []history.Class{history.Root},
		},
		Types: []string{namespacesOf.Resource}, Group: CoreGroup,
		Order: history.NewestFirst, Limit: maxTerminations, Bare: true,
	}
	page, err := f.service.Timeline(ctx, of)
	slices.Reverse(page.Versions)
	return page.Versions, err
}

// add adds further versions of the question to a page of versions after a
// cursor: those that belong on it. They must be oldest first.
func (p *FoldedPage) add(others []Version, after history.Cursor, order history.Order) {
	p.Total += len(others)
	compare := func(a, b time.Time) int {
		if order == history.NewestFirst {
			a, b = b, a
		}
		return a.Compare(b)
	}
	for _, v := range others {
		before := !after.IsZero() && compare(v.Time, after.Time) <= 0
		if before || p.More && compare(v.Time, p.End.Time) > 0 {
			continue
		}
		n, _ := slices.BinarySearchFunc(p.Versions, v, func(a, b Version) int { return compare(a.Time, b.Time) })
		p.Versions = slices.Insert(p.Versions, n, v)
		p.Count++
	}
	if n := len(p.Versions); n > 0 {
		p.End = history.Cursor{Time: p.Versions[n-1].Time}
	}
}

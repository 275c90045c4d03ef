package query

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sort"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/fold"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// The bounds of one folded page.
const (
	// maxFolded is the number of root changes and onsets.
	maxFolded = 5_000
	// maxConsequences is the number of consequences of one row that are read.
	// If a row has more, they are not all counted.
	maxConsequences = 1_000
	// maxChildVersions is the number of versions before a change in which
	// objects are searched that the changed object owned then.
	maxChildVersions = 200
	// concurrentRows is the number of rows that are completed concurrently.
	concurrentRows = 4
	// maxRowObjects is the number of objects of one row whose consequences are
	// read.
	maxRowObjects = 20
)

// FoldedPage is a page of folded rows.
type FoldedPage struct {
	// Page is about the root changes and onsets of the rows. It has no
	// Versions.
	Page
	// Rows are in the question's order, by their first or last changes.
	Rows []FoldedRow
}

// FoldedRow is a row of a folded page. A row without changes is about a problem
// of which the page has no root change.
type FoldedRow struct {
	fold.Row

	// Of is the object that the row is about: that of the newest change, or the
	// one that owns the objects with the problem.
	Of *history.Record
	// Onsets are the problems that began after the changes, oldest first. They
	// are also counted as consequences.
	Onsets []*Version
	// Outcome is how the newest change ended, or what the problem is. It is nil
	// if the record does not show it.
	Outcome *Outcome
	// Delivery is the release that made the newest change, in a few words, or
	// empty.
	Delivery string
	// Again is the revision of an earlier version with the same contents as the
	// newest change, or 0.
	Again uint64
	// UsedBy are the objects that use the changed ConfigMap or Secret at the
	// end of the question.
	UsedBy []Subject
	// AfterChange is an earlier change on the page, of configuration that the
	// failing object of this row uses. It is nil if there is none.
	AfterChange *history.Record
	// Followed are the first consequences, oldest first, without those that are
	// only noise: at most [Timeline.Consequences]. They have no objects.
	Followed []Version
	// Consequences is the number of versions that follow from the changes, up
	// to the next root change of the same object or the end of the question. If
	// it is not Counted, there are more.
	Consequences int
	Counted      bool
}

// Start returns the time of the row's first change or problem.
func (r *FoldedRow) Start() time.Time {
	if len(r.Changes) == 0 {
		return r.Onsets[0].Time
	}
	return r.First().Time
}

// Folded returns a page of folded rows. The question's Classes, Each and Rest
// are ignored, and its Limit is the number of rows. The writers and the text of
// its selector select rows, and not versions.
//
// Each root change of the question is in exactly one row of one page.
func (s *Service) Folded(ctx context.Context, q Timeline) (FoldedPage, error) {
	rows := q.Limit
	q.Classes = []history.Class{history.Root, history.Onset}
	q.Limit, q.Bare, q.Each, q.Rest = maxFolded, true, nil, history.Cursor{}
	keep := rowFilter(&q)
	page, err := s.Timeline(ctx, q)
	if err != nil {
		return FoldedPage{}, err
	}
	view, err := s.viewOfConsequences(ctx, q)
	if err != nil {
		return FoldedPage{}, err
	}
	f := folding{
		service: s, view: view, end: q.End, keep: keep, most: q.Consequences,
		owners: map[types.UID]*history.Record{}, uses: map[string]map[subjectKey][]Subject{},
		terminating: map[string]time.Time{},
	}
	folded := FoldedPage{Page: page}
	if folded.Rows, err = f.rows(ctx, folded.Versions, q.Order); err != nil {
		return FoldedPage{}, err
	}
	if len(folded.Rows) > rows {
		// Further versions may add to any row, so the longest beginning of the
		// page is searched that has few enough rows.
		n := sort.Search(len(page.Versions), func(n int) bool {
			some, failed := f.rows(ctx, page.Versions[:n+1], q.Order)
			err = errors.Join(err, failed)
			return len(some) > rows
		})
		if err != nil {
			return FoldedPage{}, err
		}
		folded.Versions, folded.More = page.Versions[:n], true
		folded.Count, folded.End = n, history.Cursor{Time: page.Versions[n-1].Time}
		folded.Next = folded.End
		if folded.Rows, err = f.rows(ctx, folded.Versions, q.Order); err != nil {
			return FoldedPage{}, err
		}
	}
	folded.Versions = nil
	rowsOf, inner := errgroup.WithContext(ctx)
	rowsOf.SetLimit(concurrentRows)
	for i := range folded.Rows {
		rowsOf.Go(func() error { return f.complete(inner, &folded.Rows[i]) })
	}
	if err := rowsOf.Wait(); err != nil {
		return FoldedPage{}, err
	}
	mention(folded.Rows)
	return folded, nil
}

// complete adds to a row what follows from its changes and what surrounds them.
// Rows may be completed concurrently.
func (f *folding) complete(ctx context.Context, row *FoldedRow) (err error) {
	until := f.end
	if len(row.Changes) > 0 {
		if until, err = f.until(ctx, row.Last().Record); err != nil {
			return err
		}
	}
	if err = f.count(ctx, row, until); err != nil {
		return err
	}
	if row.Outcome, err = f.outcome(ctx, row, until); err != nil {
		return err
	}
	if err = f.surround(ctx, row, until); err != nil {
		return err
	}
	return f.expand(ctx, row, until)
}

// viewOfConsequences returns what the caller may read in the namespaces of a
// question: consequences may be of any type.
func (s *Service) viewOfConsequences(ctx context.Context, q Timeline) (history.View, error) {
	q.narrow()
	q.Types, q.Group = nil, ""
	all, err := s.everything(ctx)
	if err != nil {
		return nil, err
	}
	seen, err := s.see(ctx, all, "", q.scopes()...)
	return seen.view, err
}

// folding makes the rows of one page. Its rows may be completed concurrently.
type folding struct {
	service *Service
	view    history.View
	end     time.Time             // of the question; zero: none
	keep    func(*FoldedRow) bool // whether a row is selected; nil: all are
	most    int                   // consequences of a row that are returned
	mu      sync.Mutex            // guards owners and uses
	// owners has the newest version of each owner that was looked up. It is nil
	// if there is none.
	owners map[types.UID]*history.Record
	// terminating is when the deletion of each namespace was requested whose
	// deletion is on the page.
	terminating map[string]time.Time
	// uses has the users of ConfigMaps and Secrets by namespace.
	uses map[string]map[subjectKey][]Subject
}

// rows folds versions, which are in the given order, into rows in that order.
func (f *folding) rows(ctx context.Context, versions []Version, order history.Order) ([]FoldedRow, error) {
	if order == history.NewestFirst {
		versions = slices.Clone(versions)
		slices.Reverse(versions)
	}
	var changes []fold.Change
	var onsets []*Version
	for i := range versions {
		v := &versions[i]
		if v.Class == history.Onset {
			onsets = append(onsets, v)
			continue
		}
		c := fold.Change{Record: v.Record, Summary: v.Summary}
		if v.Verb == history.Delete && v.Ref.Resource == "namespaces" && v.Ref.Group == "" {
			full, err := newSummarizer(f.service.reader).withObject(ctx, v.Record)
			if err != nil {
				return nil, err
			}
			c.Terminating = deletionRequested(full.Object)
			f.terminating[v.Ref.Name] = c.Terminating
		}
		changes = append(changes, c)
	}
	var rows []FoldedRow
	for _, row := range fold.Rows(changes) {
		rows = append(rows, FoldedRow{Row: row, Of: row.Last().Record})
	}
	rows, err := f.attribute(ctx, rows, onsets)
	if err != nil {
		return nil, err
	}
	rows = f.kept(rows)
	slices.SortStableFunc(rows, func(a, b FoldedRow) int {
		if order == history.NewestFirst {
			a, b = b, a
		}
		return a.Start().Compare(b.Start())
	})
	return rows, nil
}

// deletionRequested returns the deletionTimestamp of an object, or zero.
func deletionRequested(object []byte) time.Time {
	var o struct {
		Metadata struct{ DeletionTimestamp time.Time }
	}
	if json.Unmarshal(object, &o) != nil {
		return time.Time{}
	}
	return o.Metadata.DeletionTimestamp
}

// attribute adds each onset to the newest row before it with a change of the
// object or of one of its owners. The other onsets get rows of their own, one
// for each outermost owner.
func (f *folding) attribute(ctx context.Context, rows []FoldedRow, onsets []*Version) ([]FoldedRow, error) {
	type place struct {
		at  time.Time
		row int
	}
	changed := map[types.UID][]place{} // ascending
	for i := range rows {
		for _, c := range rows[i].Changes {
			changed[c.Ref.UID] = append(changed[c.Ref.UID], place{c.Time, i})
		}
	}
	for _, places := range changed {
		slices.SortFunc(places, func(a, b place) int { return a.at.Compare(b.at) })
	}
	alone := map[types.UID]int{}
	for _, v := range onsets {
		chain, err := f.chain(ctx, v.Record)
		if err != nil {
			return nil, err
		}
		cause := place{row: -1}
		for _, o := range chain {
			places := changed[o.Ref.UID]
			n, _ := slices.BinarySearchFunc(places, v.Time, func(p place, t time.Time) int { return p.at.Compare(t) })
			if n > 0 && !places[n-1].at.Before(cause.at) {
				cause = places[n-1]
			}
		}
		top := chain[len(chain)-1]
		i, known := alone[top.Ref.UID]
		switch {
		case cause.row >= 0:
			i = cause.row
		case !known:
			i = len(rows)
			alone[top.Ref.UID] = i
			rows = append(rows, FoldedRow{Of: top})
		}
		rows[i].Onsets = append(rows[i].Onsets, v)
	}
	return rows, nil
}

// chain returns an object with its controllers or owners, the object first. For
// an Event it begins with the target, if that is known.
func (f *folding) chain(ctx context.Context, r *history.Record) ([]*history.Record, error) {
	if r.Regarding != nil && r.Regarding.UID != "" {
		target, err := f.owner(ctx, r.Regarding.UID)
		if err != nil {
			return nil, err
		}
		if target != nil {
			r = target
		}
	}
	chain := []*history.Record{r}
	for range ownershipDepth {
		var next *history.Record
		for _, uid := range chain[len(chain)-1].Owners {
			owner, err := f.owner(ctx, uid)
			if err != nil {
				return nil, err
			}
			next = cmp.Or(next, owner)
		}
		circular := func(o *history.Record) bool { return o.Ref.UID == next.Ref.UID }
		if next == nil || slices.ContainsFunc(chain, circular) {
			break
		}
		chain = append(chain, next)
	}
	return chain, nil
}

// owner returns the newest version of an object by its UID, or nil if the
// caller can see none.
func (f *folding) owner(ctx context.Context, uid types.UID) (*history.Record, error) {
	f.mu.Lock()
	owner, known := f.owners[uid]
	f.mu.Unlock()
	if known {
		return owner, nil
	}
	scan := history.Scan{Filter: history.Filter{UID: uid, View: f.view}, Order: history.NewestFirst, Limit: 1}
	for r, err := range f.service.reader.Scan(ctx, scan) {
		if err != nil {
			return nil, err
		}
		owner = r
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.owners[uid] = owner
	return owner, nil
}

// count counts the consequences of a row. Those of an object belong to its
// newest root change before them. last is when those of the newest change end.
func (f *folding) count(ctx context.Context, row *FoldedRow, last time.Time) error {
	row.Counted = true
	if len(row.Changes) == 0 {
		row.Consequences = len(row.Onsets)
		return nil
	}
	objects := map[types.UID]bool{}
	for i, c := range row.Changes {
		objects[c.Ref.UID] = true
		if len(objects) > maxRowObjects || row.Consequences >= maxConsequences {
			row.Counted = false
			return nil
		}
		until := last
		if i < len(row.Changes)-1 {
			var err error
			if until, err = f.until(ctx, c.Record); err != nil {
				return err
			}
		}
		found, complete, err := f.consequences(ctx, c.Record, until, maxConsequences-row.Consequences)
		if err != nil {
			return err
		}
		row.Consequences += len(found)
		row.Counted = row.Counted && complete
	}
	return nil
}

// until returns the time of the next root change of an object or of one of its
// owners, or the end of the question.
func (f *folding) until(ctx context.Context, r *history.Record) (time.Time, error) {
	chain, err := f.chain(ctx, r)
	if err != nil {
		return time.Time{}, err
	}
	until := f.end
	for _, o := range chain {
		scan := history.Scan{Filter: exactly(o.Ref), Limit: 1}
		scan.Start, scan.End, scan.View = r.Time.Add(1), until, f.view
		scan.Classes = []history.Class{history.Root}
		for next, err := range f.service.reader.Scan(ctx, scan) {
			if err != nil {
				return time.Time{}, err
			}
			until = next.Time
		}
	}
	return until, nil
}

// relative is an object whose versions and Events may follow from a change.
type relative struct {
	*history.Record
	until time.Time // of its own next root change at the latest; zero: none
}

// consequences returns the versions of an object, of its descendants and of
// Events regarding any of them that follow from its change and were recorded
// before a time, in no particular order. It reports false if there are more
// than most.
func (f *folding) consequences(
	ctx context.Context, of *history.Record, until time.Time, most int,
) (found []*history.Record, complete bool, err error) {
	start := of.Time.Add(1)
	if !until.IsZero() && !start.Before(until) {
		return nil, true, nil
	}
	complete = true
	seen := map[types.UID]bool{of.Ref.UID: true}
	level := []relative{{of, until}}
	for depth := 0; len(level) > 0 && depth < ownershipDepth; depth++ {
		var next []relative
		for _, o := range level {
			within := history.Filter{Start: start, End: o.until, View: f.view}
			var versions, events []*history.Record
			own, regarding := exactly(o.Ref), within
			own.Start, own.End, own.View = within.Start, within.End, within.View
			regarding.Regarding = &history.Target{
				Group: o.Ref.Group, Kind: o.Kind, Namespace: o.Ref.Namespace, Name: o.Ref.Name, UID: o.Ref.UID,
			}
			if versions, err = f.scan(ctx, own, most-len(found)); err != nil {
				return nil, false, err
			}
			if events, err = f.scan(ctx, regarding, most-len(found)-len(versions)); err != nil {
				return nil, false, err
			}
			for _, r := range append(versions, events...) {
				if r.Class != history.Root {
					found = append(found, r)
				}
			}
			if len(found) > most {
				return found[:most], false, nil
			}
			children, all, err := f.children(ctx, o, start, most)
			if err != nil {
				return nil, false, err
			}
			complete = complete && all
			next = append(next, relatives(children, o.until, seen)...)
		}
		level = next
	}
	return found, complete && len(level) == 0, nil
}

// children returns versions of the objects that an object owned at a time or
// later: the newest versions before the time, and those since then. It reports
// false if there may be more objects.
func (f *folding) children(
	ctx context.Context, of relative, start time.Time, most int,
) (versions []*history.Record, all bool, err error) {
	before := history.Filter{End: start, Owner: of.Ref.UID, View: f.view}
	scan := history.Scan{Filter: before, Order: history.NewestFirst, Limit: maxChildVersions}
	read, known := 0, map[types.UID]bool{}
	for r, err := range f.service.reader.Scan(ctx, scan) {
		if err != nil {
			return nil, false, err
		}
		if read++; !known[r.Ref.UID] && r.Verb != history.Delete {
			one := *r
			one.Class = history.Consequence // what it was before the time does not matter
			versions = append(versions, &one)
		}
		known[r.Ref.UID] = true
	}
	since := history.Filter{Start: start, End: of.until, Owner: of.Ref.UID, View: f.view}
	later, err := f.scan(ctx, since, most)
	return append(versions, later...), read < maxChildVersions && len(later) <= most, err
}

// relatives returns the objects of some versions that were not seen before. The
// versions after an object's own root change don't belong to an owner's.
func relatives(versions []*history.Record, until time.Time, seen map[types.UID]bool) (objects []relative) {
	index := map[types.UID]int{}
	for _, r := range versions {
		i, known := index[r.Ref.UID]
		switch {
		case known:
		case seen[r.Ref.UID]:
			continue
		default:
			seen[r.Ref.UID] = true
			i = len(objects)
			index[r.Ref.UID] = i
			objects = append(objects, relative{r, until})
		}
		if o := &objects[i]; r.Class == history.Root && (o.until.IsZero() || r.Time.Before(o.until)) {
			o.until = r.Time
		}
	}
	return objects
}

// scan returns the records of a filter, oldest first: at most one more than
// most.
func (f *folding) scan(ctx context.Context, filter history.Filter, most int) (found []*history.Record, err error) {
	for r, err := range f.service.reader.Scan(ctx, history.Scan{Filter: filter, Limit: max(most, 0) + 1}) {
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, nil
}

package query

import (
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/diff"
	"github.com/watchhistory/watchhistory/pkg/fold"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/summary"
)

// Compare is a query for one page of the differences between the states at two
// times.
type Compare struct {
	Objects

	From  time.Time           // inclusive; must not be after To
	To    time.Time           // inclusive; zero: now
	After history.StateCursor // of the previous page; it replaces From and To
	Limit int                 // differences; must be positive
	// Noise includes objects of which only noise differs.
	Noise bool
	// Count counts the objects that existed at From, on the first page.
	Count bool
}

// ComparePage is a page of differences, in the order of
// [history.ObjectRef.Compare] without the UID.
type ComparePage struct {
	Moments

	Differences []Difference
	// Existed is the number of objects that existed at From, without those that
	// follow from others. It is nil unless the question asked for it, and on
	// later pages.
	Existed *ObjectCount
}

// DifferenceKind is the kind of a [Difference].
type DifferenceKind string

// The kinds of differences. The texts are part of the REST API.
const (
	Created   DifferenceKind = "created"   // only the later state has the object
	Deleted   DifferenceKind = "deleted"   // only the earlier state has the object
	Recreated DifferenceKind = "recreated" // both have an object of that name, with different UIDs
	Changed   DifferenceKind = "changed"   // both have the object, in different versions
)

// Difference is what differs under one name between two states.
type Difference struct {
	Kind DifferenceKind
	// Before is the version in the earlier state, and After the one in the
	// later state. They have no bodies. Before is nil if the object was
	// Created, and later than From if it is the object's first version, and
	// [history.Record.Initial]. If the object was Deleted, After is the
	// deletion, or nil if that is not known.
	Before, After *history.Record
	// Versions is the number of versions between the states: those after From
	// and Before, up to To, of all incarnations with this name.
	Versions int
	// Changes are complete, including noise. They are empty if the object was
	// Created or Deleted.
	Changes []diff.Change
	// Summary is the summary of the changes: of those of the status only if no
	// others differ. It is empty if only noise differs.
	Summary string
	// Noise means that only noise differs.
	Noise bool
	// Remainder is what differs if the object is as it was in everything else:
	// see [fold.Remainder].
	Remainder string
	// Derived means that the object follows from another one.
	Derived bool
}

// compareEffort bounds the objects that are read for one page, in bytes, as a
// multiple of [Options.PageBytes]. Objects of which only noise differs are
// read, and may not be on the page.
const compareEffort = 4

// Compare returns the page. A resource that was not recorded at both times is
// left out, and is in the coverage. The rules of [Service.State] apply. A page
// also ends early, with fewer differences or none, if it took too much effort.
//
// An object that existed at From and was first observed later, when its
// recording began, has its first version in the earlier state: it was not
// created in between. So a comparison may begin with a recording, whose
// resources begin within [startupSpread].
func (s *Service) Compare(ctx context.Context, q Compare) (ComparePage, error) {
	m, filter, until, err := s.moments(ctx, q.Objects, q.From, q.To, &q.After)
	page := ComparePage{Moments: m}
	if err != nil {
		return page, err
	}
	c := comparer{
		service: s, page: &page, noise: q.Noise, limit: q.Limit, last: q.After.After,
		between: history.Filter{View: filter.View, Start: m.From.Add(1), End: until.Add(1)},
	}
	scan := history.CompareScan{Filter: filter, From: m.From, To: until, After: q.After.After, Bodies: true}
	if scan.From.After(until) {
		scan.From = until // nothing has changed since
	}
	if q.Count && q.After.IsZero() {
		if page.Existed, err = s.existed(ctx, filter, scan.From, until); err != nil {
			return ComparePage{Moments: m}, tooOld(m.From, err)
		}
	}
	more := false
	for d, err := range s.reader.Compare(ctx, scan) {
		if err != nil {
			return ComparePage{Moments: m}, tooOld(m.From, err)
		}
		if more, err = c.add(ctx, d); err != nil {
			return ComparePage{Moments: m}, err
		}
		if more {
			break
		}
	}
	if !more {
		if err := c.flush(ctx); err != nil {
			return ComparePage{Moments: m}, err
		}
	}
	page.finish(len(page.Differences), &q.After, until, c.last, more)
	return page, nil
}

// comparer makes a page of differences. The incarnations of one name follow
// each other, and become one difference.
type comparer struct {
	service *Service
	page    *ComparePage
	noise   bool
	limit   int
	between history.Filter // selects the versions between the states

	group []history.Difference // of one name
	last  history.ObjectRef    // the last object of the page
	kept  int                  // bytes of the objects on the page
	read  int                  // bytes of the objects that were read
}

// add adds the next object. It reports whether the page is full without it.
func (c *comparer) add(ctx context.Context, d history.Difference) (full bool, err error) {
	if len(c.group) > 0 && !sameName(c.group[0].Ref(), d.Ref()) {
		if err := c.flush(ctx); err != nil {
			return false, err
		}
		room := c.service.options.PageBytes
		if len(c.page.Differences) >= c.limit || c.kept > room || c.read > compareEffort*room {
			return true, nil
		}
	}
	c.group = append(c.group, d)
	return false, nil
}

// sameName reports whether two objects have the same name and place.
func sameName(a, b history.ObjectRef) bool {
	a.UID, b.UID = "", ""
	return a == b
}

// flush adds the differences of the objects with one name to the page.
func (c *comparer) flush(ctx context.Context) error {
	var before, after []*history.Record
	existed := slices.ContainsFunc(c.group, func(d history.Difference) bool { return !c.isInitial(d.Before) })
	for _, d := range c.group {
		c.last = d.Ref()
		if existed && c.isInitial(d.Before) {
			d.Before = nil // another object had the name
		}
		if d.Before != nil && d.After != nil {
			if err := c.append(ctx, Difference{Kind: Changed, Before: d.Before, After: d.After}); err != nil {
				return err
			}
			continue
		}
		if d.Before != nil {
			before = append(before, d.Before)
		} else if d.After != nil {
			after = append(after, d.After)
		}
	}
	c.group = c.group[:0]
	for i := range max(len(before), len(after)) {
		var d Difference
		switch {
		case i >= len(before):
			d = Difference{Kind: Created, After: after[i]}
		case i >= len(after):
			d = Difference{Kind: Deleted, Before: before[i]}
		default:
			d = Difference{Kind: Recreated, Before: before[i], After: after[i]}
		}
		if err := c.append(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// isInitial reports whether a version of the earlier state is later than that,
// or is missing.
func (c *comparer) isInitial(before *history.Record) bool {
	return before == nil || !before.Time.Before(c.between.Start)
}

// append completes a difference, and adds it to the page unless it is unwanted
// noise.
func (c *comparer) append(ctx context.Context, d Difference) error {
	size, records := 0, []*history.Record{}
	for _, r := range []*history.Record{d.Before, d.After} {
		if r != nil {
			records = append(records, r)
			size += len(r.Object)
		}
	}
	c.read += size
	if err := c.service.hideRecordHashes(ctx, records); err != nil {
		return err
	}
	if d.Before != nil {
		d.Before = records[0]
	}
	if d.After != nil {
		d.After = records[len(records)-1]
	}
	if d.Before != nil && d.After != nil {
		d.compare()
	}
	if d.Noise && !c.noise {
		return nil
	}
	d.Derived = slices.ContainsFunc(records, fold.IsDerived)
	if err := c.complete(ctx, &d); err != nil {
		return err
	}
	d.Before, d.After = withoutBody(d.Before), withoutBody(d.After)
	c.kept += size
	c.page.Differences = append(c.page.Differences, d)
	return nil
}

// compare sets what differs between the two versions.
func (d *Difference) compare() {
	compared := summary.Compare(d.Before.Object, d.After.Object)
	resource := d.After.Ref.GroupResource()
	d.Changes = compared.Changes()
	d.Summary = diff.Summary(fold.Intent(resource, compared))
	if d.Kind != Changed {
		return // the status is that of another object
	}
	if d.Summary == "" {
		d.Summary = diff.Summary(d.Changes)
	}
	d.Remainder = fold.Remainder(resource, compared)
	d.Noise = !slices.ContainsFunc(d.Changes, func(c diff.Change) bool { return !c.Noise() })
}

// complete sets the number of versions, and the deletion.
func (c *comparer) complete(ctx context.Context, d *Difference) error {
	if d.Kind == Changed {
		d.Versions = int(d.After.Revision - d.Before.Revision)
		return nil
	}
	ref := d.After
	if ref == nil {
		ref = d.Before
	}
	between := c.between
	if d.Before != nil && !d.Before.Time.Before(between.Start) {
		between.Start = d.Before.Time.Add(1)
	}
	between.View = narrowed(between.View, &ref.Ref)
	between.Resources = []schema.GroupResource{ref.Ref.GroupResource()}
	between.Namespace, between.Name = ref.Ref.Scope(), ref.Ref.Name
	var err error
	if d.Versions, _, err = c.service.reader.Count(ctx, between, c.service.options.Effort); err != nil {
		return err
	}
	if d.Kind != Deleted {
		return nil
	}
	between.UID = ref.Ref.UID
	for r, err := range c.service.reader.Scan(ctx, history.Scan{
		Filter: between, Order: history.NewestFirst, Limit: 1,
	}) {
		if err != nil {
			return err
		}
		d.After = r
	}
	return nil
}

// narrowed returns the part of a view that contains an object's resource in its
// namespace. The log resolves all of a view for each scan.
func narrowed(view history.View, ref *history.ObjectRef) history.View {
	if view == nil {
		return nil
	}
	grant := view[ref.GroupResource()]
	if since, granted := grant.Namespaces[ref.Namespace]; granted && !grant.All {
		grant.Namespaces = map[string]time.Time{ref.Namespace: since}
	}
	return history.View{ref.GroupResource(): grant}
}

// withoutBody returns a copy of a record without its body.
func withoutBody(r *history.Record) *history.Record {
	if r == nil {
		return nil
	}
	c := *r
	c.Object = nil
	return &c
}

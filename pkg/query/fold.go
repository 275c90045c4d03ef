package query

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/fold"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/symptom"
)

// The bounds of one folded page.
const (
	// maxFolded is the number of root changes and onsets.
	maxFolded = 5_000
	// maxConsequences is the number of consequences of one row that are read.
	// If a row has more, they are not all counted.
	maxConsequences = 1_000
	// maxPageConsequences is the number of consequences of a page that are
	// read. Rows of a page with many have equal parts of it.
	maxPageConsequences = 50_000
	// maxOwnedVersions is the number of versions before a change, and of those
	// after it, in which objects are searched that the changed object owned.
	maxOwnedVersions = 1_000
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
	UsedBy []User
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

	// beyond is the number of Onsets of objects that use those of the row.
	beyond int
	// left are the times of the onsets of objects of the row that belong to
	// another row in that way, ascending.
	left []time.Time
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
	seen, err := s.seeConsequences(ctx, q)
	if err != nil {
		return FoldedPage{}, err
	}
	f := newFolding(s, seen.view, q.End)
	f.keep, f.expanded = rowFilter(&q), q.Consequences
	f.pages = newPages(seen, q)
	f.narrowed = q.isNarrow()
	folded, err := f.page(ctx, q)
	if err != nil {
		return FoldedPage{}, err
	}
	folded.Versions = nil
	f.most = min(maxConsequences, maxPageConsequences/max(len(folded.Rows), 1))
	if err := f.probe(ctx, folded.Rows); err != nil {
		return FoldedPage{}, err
	}
	for i := range folded.Rows {
		if err := f.readTerminations(ctx, folded.Rows[i].Of.Ref); err != nil {
			return FoldedPage{}, err
		}
	}
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
	last := sequel{until: f.end}
	if len(row.Changes) > 0 {
		if last, err = f.sequel(ctx, row.Last().Record); err != nil {
			return err
		}
	}
	if err = f.count(ctx, row, last); err != nil {
		return err
	}
	row.Consequences = max(row.Consequences-len(row.left), 0) + row.beyond
	ends := last.until
	if len(row.left) > 0 && (ends.IsZero() || row.left[0].Before(ends)) {
		ends = row.left[0]
	}
	if row.Outcome, err = f.outcome(ctx, row, ends); err != nil {
		return err
	}
	if f.narrowed && row.Outcome.unclear() && len(row.Changes) > 0 && row.Kind != fold.Bulk {
		if row.Outcome, err = f.unselected(ctx, row, ends); err != nil {
			return err
		}
	}
	if err = f.surround(ctx, row, last.until); err != nil {
		return err
	}
	return f.expand(ctx, row, last.until)
}

// viewOfConsequences returns what the caller may read in the namespaces of a
// question: consequences may be of any type.
func (s *Service) viewOfConsequences(ctx context.Context, q Timeline) (history.View, error) {
	seen, err := s.seeConsequences(ctx, q)
	return seen.view, err
}

// seeConsequences returns what the caller can see in the namespaces of a
// question.
func (s *Service) seeConsequences(ctx context.Context, q Timeline) (sight, error) {
	q.narrow()
	q.Types, q.Group = nil, ""
	all, err := s.everything(ctx)
	if err != nil {
		return sight{}, err
	}
	return s.see(ctx, all, "", q.scopes()...)
}

// folding makes the rows of one page. Its rows may be completed concurrently.
type folding struct {
	service  *Service
	view     history.View
	end      time.Time             // of the question; zero: none
	extra    *symptom.Extra        // configured rules
	keep     func(*FoldedRow) bool // whether a row is selected; nil: all are
	expanded int                   // consequences of a row that are returned
	narrowed bool                  // whether problems of what rows' objects own may be missing on the page
	pages    pages                 // of the question
	mu       sync.Mutex            // guards owners, owning, uses and pods
	// owners has the newest version of each owner or target that was looked up.
	// It is nil if there is none.
	owners map[ownerKey]*history.Record
	// owning has the resources of the owners of objects, by their resource.
	owning map[schema.GroupResource][]schema.GroupResource
	// terminations are the deletions of each namespace that were read for the
	// page, ascending.
	terminations map[string][]termination
	read         map[string]bool // the namespaces whose deletions were read
	// most is the number of consequences of one row that are counted.
	most int
	// traces has what may follow from changes of the rows' objects.
	traces map[types.UID]trace
	// uses has the users of ConfigMaps and Secrets by namespace.
	uses map[string]map[subjectKey][]use
	// pods has when the pods of the namespaces were created, by their outermost
	// owner.
	pods map[string]map[types.UID][]time.Time
	// used has what objects used when a problem of theirs began. Only rows uses
	// it.
	used map[problemKey][]usedObject
}

// ownerKey identifies an object that is looked up. The name is empty unless it
// is known: an Event may have the UID of one object and the name of another.
type ownerKey struct {
	uid  types.UID
	name string
}

// newFolding returns a folding of versions before a time. Zero means no end.
func newFolding(s *Service, view history.View, end time.Time) *folding {
	return &folding{
		service: s, view: view, end: end, extra: s.options.Symptoms(),
		owners: map[ownerKey]*history.Record{}, owning: map[schema.GroupResource][]schema.GroupResource{},
		terminations: map[string][]termination{}, read: map[string]bool{}, traces: map[types.UID]trace{},
		uses: map[string]map[subjectKey][]use{}, used: map[problemKey][]usedObject{},
		pods: map[string]map[types.UID][]time.Time{},
	}
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
		if v.Verb == history.Delete && v.Ref.GroupResource() == namespacesOf {
			var err error
			if c.Terminating, err = f.requested(ctx, v.Record); err != nil {
				return nil, err
			}
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

// termination is the deletion of a namespace.
type termination struct {
	deleted   time.Time
	requested time.Time // zero if it is not known
}

// requested returns when the deletion of a deleted namespace was requested. A
// page that is cut folds the same version several times, and reads it once.
func (f *folding) requested(ctx context.Context, r *history.Record) (time.Time, error) {
	all := f.terminations[r.Ref.Name]
	i, known := slices.BinarySearchFunc(all, r.Time, func(t termination, at time.Time) int {
		return t.deleted.Compare(at)
	})
	if known {
		return all[i].requested, nil
	}
	full, err := newSummarizer(f.service.reader).withObject(ctx, r)
	if err != nil {
		return time.Time{}, err
	}
	requested := deletionRequested(full.Object)
	f.terminations[r.Ref.Name] = slices.Insert(all, i, termination{r.Time, requested})
	return requested, nil
}

// terminating returns when the deletion of the namespace was requested that
// existed at a time. It is zero if the page does not have its deletion, and if
// it was requested before.
func (f *folding) terminating(namespace string, at time.Time) time.Time {
	for _, t := range f.terminations[namespace] {
		if t.deleted.After(at) {
			if t.requested.After(at) {
				return t.requested
			}
			break
		}
	}
	return time.Time{}
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
// object or of one of its owners, unless that was long before and a change
// [beyond] its owners was not. The others get rows of their own, one for each
// outermost owner, except for those that belong to a row of another page.
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
	chains, err := f.chains(ctx, onsets)
	if err != nil {
		return nil, err
	}
	alone, others := map[types.UID]int{}, f.newBeyond(rows)
	for i, v := range onsets {
		chain := chains[i]
		cause := place{row: -1}
		for _, o := range chain {
			places := changed[o.Ref.UID]
			n, _ := slices.BinarySearchFunc(places, v.Time, func(p place, t time.Time) int { return p.at.Compare(t) })
			if n > 0 && !places[n-1].at.Before(cause.at) {
				cause = places[n-1]
			}
		}
		if cause.row < 0 || v.Time.Sub(cause.at) > ownEffect {
			other, err := others.row(ctx, v.Record, chain, cause.at)
			if err != nil {
				return nil, err
			}
			if other >= 0 {
				if cause.row >= 0 {
					rows[cause.row].left = append(rows[cause.row].left, v.Time)
				}
				cause.row = other
				rows[other].beyond++
			}
		}
		top := chain[len(chain)-1]
		i, known := alone[top.Ref.UID]
		if cause.row < 0 {
			elsewhere, err := f.isElsewhere(ctx, v, chain)
			if err != nil {
				return nil, err
			}
			if elsewhere {
				continue
			}
		}
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

// chains returns the chain of each version. It reads them concurrently.
func (f *folding) chains(ctx context.Context, of []*Version) ([][]*history.Record, error) {
	chains := make([][]*history.Record, len(of))
	read, inner := errgroup.WithContext(ctx)
	read.SetLimit(concurrentRows)
	for i, v := range of {
		read.Go(func() (err error) {
			chains[i], err = f.chain(inner, v.Record)
			return err
		})
	}
	return chains, read.Wait()
}

// chain returns an object with its controllers or owners, the object first. For
// an Event it begins with the target, if that is known.
func (f *folding) chain(ctx context.Context, r *history.Record) ([]*history.Record, error) {
	if t := r.Regarding; t != nil && t.UID != "" {
		target, err := f.newestOf(ctx, history.Filter{Name: t.Name, UID: t.UID})
		if err != nil {
			return nil, err
		}
		if target != nil {
			r = target
		}
	}
	chain := []*history.Record{r}
	for range ownershipDepth {
		next, err := f.ownerOf(ctx, chain[len(chain)-1])
		if err != nil {
			return nil, err
		}
		circular := func(o *history.Record) bool { return o.Ref.UID == next.Ref.UID }
		if next == nil || slices.ContainsFunc(chain, circular) {
			break
		}
		chain = append(chain, next)
	}
	return chain, nil
}

// ownerOf returns the newest version of the first owner of an object that the
// caller can see, or nil. The object's other owners are not in its chain.
func (f *folding) ownerOf(ctx context.Context, of *history.Record) (*history.Record, error) {
	for _, uid := range of.Owners {
		owner, err := f.owner(ctx, uid, of.Ref.GroupResource())
		if owner != nil || err != nil {
			return owner, err
		}
	}
	return nil, nil
}

// owner returns the newest version of an object by its UID, or nil if the
// caller can see none. The object owns one of a resource. The log finds a UID
// within a resource, so those are tried first that own others of the resource.
func (f *folding) owner(ctx context.Context, uid types.UID, owned schema.GroupResource) (*history.Record, error) {
	f.mu.Lock()
	likely := slices.Clone(f.owning[owned])
	f.mu.Unlock()
	if len(likely) > 0 {
		owner, err := f.newestOf(ctx, history.Filter{UID: uid, Resources: likely})
		if owner != nil || err != nil {
			return owner, err
		}
	}
	owner, err := f.newestOf(ctx, history.Filter{UID: uid})
	if owner == nil || err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if of := owner.Ref.GroupResource(); !slices.Contains(f.owning[owned], of) {
		f.owning[owned] = append(f.owning[owned], of)
	}
	return owner, nil
}

// newestOf returns the newest version of the object that a filter selects by
// its UID, or nil if the caller can see none.
func (f *folding) newestOf(ctx context.Context, filter history.Filter) (*history.Record, error) {
	of := ownerKey{filter.UID, filter.Name}
	f.mu.Lock()
	newest, known := f.owners[of]
	if other := f.owners[ownerKey{uid: of.uid}]; !known && other != nil && other.Ref.Name == of.name {
		newest, known = other, true
	}
	f.mu.Unlock()
	if known {
		return newest, nil
	}
	filter.View = f.view
	for r, err := range f.service.reader.Scan(ctx, history.Scan{Filter: filter, Order: history.NewestFirst, Limit: 1}) {
		if err != nil {
			return nil, err
		}
		newest = r
	}
	if newest == nil && len(filter.Resources) > 0 {
		return nil, nil // it may be of another resource
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.owners[of] = newest
	if newest != nil {
		f.owners[ownerKey{uid: of.uid}] = newest
	}
	return newest, nil
}

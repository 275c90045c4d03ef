package query

import (
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/delivery"
	"github.com/watchhistory/watchhistory/pkg/fold"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// Ending is what a folded row shows of one root change.
type Ending struct {
	// Outcome is how the change ended, or nil if the record does not show it.
	Outcome *Outcome
	// Delivery is the release that made the change, or nil.
	Delivery *delivery.Delivery
	// Consequences is the number of versions that follow from the change, up to
	// the next root change of the object. No more than 1,000 are counted.
	Consequences int
}

// The bounds of the work on one ending.
const (
	maxEndingOnsets = 500 // in the namespace, among which those of a change are searched
	maxTerminations = 10  // of one namespace
)

// endings finds how the root changes of a question ended, as far as the record
// shows at the question's end.
type endings struct{ *folding }

// endingsOf returns the endings of a question.
func (s *Service) endingsOf(ctx context.Context, q Timeline) (*endings, error) {
	view, err := s.viewOfConsequences(ctx, q)
	if err != nil {
		return nil, err
	}
	f := newFolding(s, view, q.End)
	f.most = maxConsequences
	return &endings{f}, nil
}

// of returns the ending of a version, or nil if it is not a root change.
func (e *endings) of(ctx context.Context, v *Version) (*Ending, error) {
	if v.Class != history.Root || v.Initial {
		return nil, nil
	}
	if err := e.readTerminations(ctx, v.Ref); err != nil {
		return nil, err
	}
	row := FoldedRow{Of: v.Record}
	row.Kind, row.Changes = fold.Single, []fold.Change{{Record: v.Record, Summary: v.Summary}}
	clear(e.traces) // those of the previous version begin at its time
	if err := e.probe(ctx, []FoldedRow{row}); err != nil {
		return nil, err
	}
	after, err := e.sequel(ctx, v.Record)
	if err != nil {
		return nil, err
	}
	ending := &Ending{}
	if ending.Consequences, _, err = e.consequences(ctx, v.Record, after, maxConsequences); err != nil {
		return nil, err
	}
	if ending.Outcome, err = e.ended(ctx, &row, after); err != nil {
		return nil, err
	}
	full, err := newSummarizer(e.service.reader).withObject(ctx, v.Record)
	if err != nil || full.Object == nil {
		return ending, err
	}
	if d, ok := delivery.Of(full.Object, v.Managers); ok {
		ending.Delivery = &d
	}
	if v.Ref.GroupResource() == services && ending.Outcome == nil && v.Verb != history.Delete {
		ending.Outcome, err = e.selected(ctx, full, after.until)
	}
	return ending, err
}

// ended returns the outcome of a row with one change. The problems of what the
// object owns are read only if its own state does not show the outcome.
func (e *endings) ended(ctx context.Context, row *FoldedRow, after sequel) (*Outcome, error) {
	outcome, err := e.outcome(ctx, row, after.until)
	if err != nil || !outcome.unclear() {
		return outcome, err
	}
	row.Outcome = outcome
	return e.unselected(ctx, row, after.until)
}

// unselected returns the outcome of a row that also depends on problems of what
// the object owns, although the page does not select them. until is when the
// consequences of the newest change end.
func (f *folding) unselected(ctx context.Context, row *FoldedRow, until time.Time) (*Outcome, error) {
	if has := f.traces[row.Of.Ref.UID]; !has.events && !has.owned {
		return row.Outcome, nil
	}
	all := *row
	var err error
	if all.Onsets, err = f.onsets(ctx, row.Last().Record, until); err != nil || len(all.Onsets) == 0 {
		return row.Outcome, err
	}
	return f.outcome(ctx, &all, until)
}

// onsets returns the onsets that follow from a change, oldest first: those of
// the object, of what it owns, and of Events about them.
func (f *folding) onsets(ctx context.Context, of *history.Record, until time.Time) (found []*Version, err error) {
	filter := history.Filter{Start: of.Time.Add(1), End: until, View: f.view}
	if of.Ref.Namespace != "" { // Events about other objects are in any namespace
		filter.Namespace = of.Ref.Scope()
	}
	filter.Classes = []history.Class{history.Onset}
	var all []*history.Record
	for r, err := range f.service.reader.Scan(ctx, history.Scan{Filter: filter, Limit: maxEndingOnsets}) {
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	for _, r := range all {
		chain, err := f.chain(ctx, r)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(chain, func(o *history.Record) bool { return o.Ref.UID == of.Ref.UID }) {
			found = append(found, &Version{Record: r})
		}
	}
	return found, nil
}

// readTerminations reads the newest deletions of the namespace that an object
// is, or is in.
func (f *folding) readTerminations(ctx context.Context, of history.ObjectRef) error {
	name := of.Namespace
	if of.GroupResource() == namespacesOf {
		name = of.Name
	}
	if name == "" || f.read[name] {
		return nil
	}
	f.read[name] = true
	filter := history.Filter{
		Resources: []schema.GroupResource{namespacesOf}, Namespace: history.ClusterScoped, Name: name,
		Verbs: []history.Verb{history.Delete}, End: f.end, View: f.view,
	}
	var all []*history.Record
	scan := history.Scan{Filter: filter, Order: history.NewestFirst, Limit: maxTerminations}
	for r, err := range f.service.reader.Scan(ctx, scan) {
		if err != nil {
			return err
		}
		all = append(all, r)
	}
	for _, r := range all {
		if _, err := f.requested(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// each returns a function that sets the ending of a version before it calls
// another function. Without another one, the versions are collected in all.
func (e *endings) each(ctx context.Context, next func(*Version) error, all *[]Version) func(*Version) error {
	return func(v *Version) (err error) {
		if v.Ending, err = e.of(ctx, v); err != nil {
			return err
		}
		if next != nil {
			return next(v)
		}
		*all = append(*all, *v)
		return nil
	}
}

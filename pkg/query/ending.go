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

// endings finds how the root changes of a question ended, as far as the record
// shows at the question's end.
type endings struct{ *folding }

// endingsOf returns the endings of a question.
func (s *Service) endingsOf(ctx context.Context, q Timeline) (*endings, error) {
	view, err := s.viewOfConsequences(ctx, q)
	if err != nil {
		return nil, err
	}
	return &endings{s.newFolding(view, q.End)}, nil
}

// of returns the ending of a version, or nil if it is not a root change.
func (e *endings) of(ctx context.Context, v *Version) (*Ending, error) {
	if v.Class != history.Root || v.Initial {
		return nil, nil
	}
	if err := e.readTerminating(ctx, v.Ref.Namespace); err != nil {
		return nil, err
	}
	row := FoldedRow{Of: v.Record}
	row.Kind, row.Changes = fold.Single, []fold.Change{{Record: v.Record, Summary: v.Summary}}
	until, err := e.until(ctx, v.Record)
	if err != nil {
		return nil, err
	}
	found, _, err := e.consequences(ctx, v.Record, until, maxConsequences)
	if err != nil {
		return nil, err
	}
	for _, r := range found {
		if r.Class == history.Onset {
			row.Onsets = append(row.Onsets, &Version{Record: r})
		}
	}
	slices.SortFunc(row.Onsets, func(a, b *Version) int { return a.Time.Compare(b.Time) })
	ending := &Ending{Consequences: len(found)}
	if ending.Outcome, err = e.outcome(ctx, &row, until); err != nil {
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
		ending.Outcome, err = e.selected(ctx, full, until)
	}
	return ending, err
}

// readTerminating reads when the newest deletion of a namespace was requested.
func (e *endings) readTerminating(ctx context.Context, namespace string) error {
	if _, known := e.terminating[namespace]; known || namespace == "" {
		return nil
	}
	e.terminating[namespace] = time.Time{}
	filter := history.Filter{
		Resources: []schema.GroupResource{{Resource: "namespaces"}}, Namespace: history.ClusterScoped, Name: namespace,
		Verbs: []history.Verb{history.Delete}, End: e.end, View: e.view,
	}
	scan := history.Scan{Filter: filter, Order: history.NewestFirst, Limit: 1, Bodies: true}
	for r, err := range e.service.reader.Scan(ctx, scan) {
		if err != nil {
			return err
		}
		e.terminating[namespace] = deletionRequested(r.Object)
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

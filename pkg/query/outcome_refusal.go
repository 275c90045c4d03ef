package query

import (
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/symptom"
)

// refusedInEvents are the resources whose controllers write only an Event if
// the API server refuses a pod. Others have a condition, too.
var refusedInEvents = []schema.GroupResource{ //nolint:gochecknoglobals // a constant table
	{Group: "apps", Resource: "statefulsets"},
	{Group: "apps", Resource: "daemonsets"},
	{Group: "batch", Resource: "jobs"},
}

// maxRefusals is the number of Events in which a refusal is searched.
const maxRefusals = 50

// refusal is why the API server refuses the pods of an object.
type refusal struct {
	symptom.Symptom

	event *history.Record // the newest one with it
	since time.Time       // of the first one since a pod was created
}

// refusal returns why the API server refused the pods of an object, according
// to the Events of a time. It returns nil if it did not, or if a pod was
// created since.
func (f *folding) refusal(ctx context.Context, of *history.Record, start, end time.Time) (*refusal, error) {
	if !slices.Contains(refusedInEvents, of.Ref.GroupResource()) {
		return nil, nil
	}
	scan := history.Scan{Order: history.NewestFirst, Limit: maxRefusals, Bodies: true}
	scan.Start, scan.End, scan.View = start, end, f.view
	scan.Regarding = &history.Target{
		Group: of.Ref.Group, Kind: of.Kind, Namespace: of.Ref.Namespace, Name: of.Ref.Name, UID: of.Ref.UID,
	}
	var newest *refusal
	for r, err := range f.service.reader.Scan(ctx, scan) {
		if err != nil {
			return nil, err
		}
		found, refused, created := symptom.Refusal(r)
		switch {
		case created:
			return newest, nil
		case refused && newest == nil:
			newest = &refusal{found, r, r.Time}
		case refused:
			newest.since = r.Time
		}
	}
	return newest, nil
}

// refused returns the outcome of a change after which the API server refuses
// the pods of the changed object. It returns nil if it does not. own is the
// outcome that the object itself shows, or nil.
func (f *folding) refused(ctx context.Context, of *history.Record, own *Outcome, at time.Time) (*Outcome, error) {
	r, err := f.refusal(ctx, of, of.Time, at)
	if r == nil || err != nil {
		return nil, err
	}
	state := ""
	if own != nil {
		state = own.Text
	}
	return &Outcome{State: symptom.Failing, Text: r.after(state), Reached: r.since}, nil
}

// after returns the text of the refusal after the state of the object.
func (r *refusal) after(state string) string {
	if state == "" {
		return r.Text
	}
	return state + ": " + r.Text
}

// withoutRefusals removes the Events about refused pods of an object, which are
// over: unlike a status, an Event does not end with what it reports.
func (f *folding) withoutRefusals(
	ctx context.Context, of *history.Record, onsets []*Version, at time.Time,
) (kept []*Version, err error) {
	for _, v := range onsets {
		if v.Regarding != nil && v.Regarding.UID == of.Ref.UID &&
			slices.Contains(refusedInEvents, of.Ref.GroupResource()) {
			newest, err := f.newest(ctx, v.Ref, at)
			if err != nil {
				return nil, err
			}
			if newest != nil {
				if _, refused, _ := symptom.Refusal(newest); refused {
					continue
				}
			}
		}
		kept = append(kept, v)
	}
	return kept, nil
}

// observeRefusal adds to the answer that the API server refuses the pods of the
// object, unless the object is healthy or the symptom is known. The refusal may
// be nil.
func (w *investigation) observeRefusal(newest *history.Record, r *refusal) {
	health := &w.answer.Health
	if r == nil || health.State == symptom.Ready || health.State == symptom.Done {
		return
	}
	if health.State != symptom.Failing {
		*health = symptom.Health{State: symptom.Failing, Text: r.after(health.Text)}
	}
	if slices.ContainsFunc(w.answer.Symptoms, func(s ObservedSymptom) bool { return s.Code == r.Code }) {
		return
	}
	w.answer.Symptoms = append(w.answer.Symptoms, ObservedSymptom{
		Symptom: r.Symptom, Of: Subject{newest.Ref, newest.Kind}, Since: r.since, Count: 1,
	})
}

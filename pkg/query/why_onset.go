package query

import (
	"cmp"
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/symptom"
)

// diagnose finds the symptoms of the object and of what it owns, and when they
// began.
func (w *investigation) diagnose(ctx context.Context) error {
	newest, err := w.newest(ctx, w.answer.Of.Ref, w.end)
	if err != nil || newest == nil {
		return err
	}
	w.newestOf = newest
	if w.answer.Health, err = w.extra.HealthAt(ctx, newest, w.end); err != nil {
		return err
	}
	refusal, err := w.refusal(ctx, newest, w.end.Add(-w.lookback), w.end)
	if err != nil {
		return err
	}
	own, err := w.ownVersions(ctx)
	if err != nil {
		return err
	}
	onsets, err := w.onsets(ctx)
	if err != nil {
		return err
	}
	w.noteInitial(own)
	w.noteInitial(onsets)
	begin, err := w.episode(ctx, own, onsets)
	if err != nil {
		return err
	}
	onsets = slices.DeleteFunc(onsets, func(r *history.Record) bool { return r.Time.Before(begin) })
	if begin.IsZero() {
		before, err := w.failedBefore(ctx)
		if err != nil {
			return err
		}
		w.noteInitial(before)
		onsets = append(onsets, before...)
	}
	ready, err := w.readyUntil(ctx, own)
	if err != nil {
		return err
	}
	if err := w.observe(ctx, newest, onsets, ready); err != nil {
		return err
	}
	w.observeRefusal(newest, refusal)
	if len(w.answer.Symptoms) == 0 && w.answer.Health.State == symptom.Unknown {
		return w.dangling(ctx)
	}
	if len(w.answer.Symptoms) == 0 {
		return nil
	}
	// The symptoms began with the first of those onsets that no long healthy
	// time separates from the newest one.
	w.answer.Onset = w.answer.Symptoms[0].Since
	for _, s := range w.answer.Symptoms {
		if s.Since.Before(w.answer.Onset) {
			w.answer.Onset = s.Since
		}
	}
	if err := w.narrow(ctx, own, newest); err != nil {
		return err
	}
	for i := range w.answer.Symptoms {
		s := &w.answer.Symptoms[i]
		s.Initial = w.initial[s.Since]
	}
	w.answer.Initial = w.initial[w.answer.Onset]
	return w.healthyBefore(ctx)
}

// noteInitial notes when the recording of objects began.
func (w *investigation) noteInitial(records []*history.Record) {
	for _, r := range records {
		if r.Initial {
			w.initial[r.Time] = true
		}
	}
}

// ownVersions returns the newest versions of the object, newest first, with
// their objects.
func (w *investigation) ownVersions(ctx context.Context) (all []*history.Record, err error) {
	scan := history.Scan{
		Filter: exactly(w.answer.Of.Ref), Order: history.NewestFirst, Limit: healthyBeforeOnset, Bodies: true,
	}
	scan.Start, scan.End, scan.View = w.end.Add(-w.lookback), w.end, w.view
	for r, err := range w.service.reader.Scan(ctx, scan) {
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// recovery is how long an object must have been healthy before a change of its
// own, so that a problem after the change is another one than before. A
// container that crashes is healthy for a few seconds after each start.
const recovery = 10 * time.Second

// episode returns when the newest episode of the problem may have begun: with
// the newest change of the object's own that has an onset after it, and before
// which the object was healthy. It is zero if there is none.
func (w *investigation) episode(ctx context.Context, own, onsets []*history.Record) (time.Time, error) {
	if len(onsets) == 0 {
		return time.Time{}, nil
	}
	for i, r := range own {
		if r.Class != history.Root || r.Initial || r.Time.After(onsets[0].Time.Add(slack)) {
			continue
		}
		for _, before := range own[i+1:] {
			h, err := w.extra.HealthAt(ctx, before, before.Time)
			if err != nil {
				return time.Time{}, err
			}
			if h.State != symptom.Ready {
				break
			}
			if r.Time.Sub(before.Time) >= recovery {
				return r.Time.Add(-slack), nil
			}
		}
	}
	return time.Time{}, nil
}

// readyUntil returns the end of the newest time in which the object was ready
// for as long as [recovery]. It is zero if there is none.
func (w *investigation) readyUntil(ctx context.Context, own []*history.Record) (time.Time, error) {
	end, next := time.Time{}, w.end // of a time in which it was ready, and of the version
	for _, r := range own {
		h, err := w.extra.HealthAt(ctx, r, r.Time)
		if err != nil {
			return time.Time{}, err
		}
		switch {
		case h.State != symptom.Ready:
			end = time.Time{}
		case end.IsZero():
			end = next
		}
		if !end.IsZero() && end.Sub(r.Time) >= recovery {
			return end, nil
		}
		next = r.Time
	}
	return time.Time{}, nil
}

// slack is how much later than its effect a change may be recorded.
const slack = 2 * time.Second

// narrow sets the onset to the time since when the object has had one of its
// present symptoms, if another symptom of the same code was before.
func (w *investigation) narrow(ctx context.Context, own []*history.Record, newest *history.Record) error {
	if len(w.answer.Symptoms) != 1 || w.answer.Symptoms[0].Of != subjectOf(newest) {
		return nil
	}
	now, err := w.extra.At(ctx, newest, w.end)
	if err != nil {
		return err
	}
	since := w.answer.Onset
	for _, r := range own {
		if r.Time.Before(w.answer.Onset) {
			break
		}
		then, err := w.extra.At(ctx, r, r.Time)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(then, func(s symptom.Symptom) bool {
			return slices.ContainsFunc(now, func(n symptom.Symptom) bool {
				return n.Code == s.Code && n.Subject == s.Subject
			})
		}) {
			break
		}
		since = r.Time
	}
	w.answer.Onset, w.answer.Symptoms[0].Since = since, since
	return nil
}

// onsets returns the onsets of the object, of what it owns, and of Events about
// them, newest first.
func (w *investigation) onsets(ctx context.Context) ([]*history.Record, error) {
	family := map[types.UID]bool{}
	for _, o := range w.graph.family() {
		if ref := w.graph.Objects[o].Ref; ref.UID != "" {
			family[ref.UID] = true
		}
	}
	filter := history.Filter{Start: w.end.Add(-w.lookback), End: w.end, View: w.view}
	filter.Classes = []history.Class{history.Onset, history.Root}
	filter.Namespace = w.answer.Of.Ref.Scope()
	var found []*history.Record
	scan := history.Scan{Filter: filter, Order: history.NewestFirst}
	read := 0
	for r, err := range w.service.reader.Scan(ctx, scan) {
		if err != nil {
			return nil, err
		}
		if read++; read > min(whyEffort, w.service.options.Effort) || len(found) == onsetsOfOwned {
			w.unread(UnreadOnsets, true)
			break
		}
		if r.Class == history.Root && (r.Summary == nil || r.Summary.Problem == "") {
			continue
		}
		if family[r.Ref.UID] || r.Regarding != nil && family[r.Regarding.UID] || w.owns(family, r) {
			found = append(found, r)
		}
	}
	return found, nil
}

// failedBefore returns the first versions of the object and of what it owns, if
// they had a problem when their recording began. The problem began earlier, so
// the log has no onset of it.
func (w *investigation) failedBefore(ctx context.Context) (found []*history.Record, err error) {
	for _, i := range w.graph.family() {
		o := &w.graph.Objects[i]
		if o.Version == nil || len(found) == onsetsOfOwned {
			continue
		}
		scan := history.Scan{Filter: exactly(o.Ref), Limit: 1, Bodies: true}
		scan.View = w.view
		for r, err := range w.service.reader.Scan(ctx, scan) {
			if err != nil {
				return nil, err
			}
			if !r.Initial || r.Time.Before(w.end.Add(-w.lookback)) {
				continue
			}
			had, err := w.extra.At(ctx, r, r.Time)
			if err != nil {
				return nil, err
			}
			if len(had) > 0 {
				found = append(found, r)
			}
		}
	}
	slices.SortFunc(found, func(a, b *history.Record) int { return b.Time.Compare(a.Time) })
	return found, nil
}

// owns reports whether an object of the family owns the record's object.
func (w *investigation) owns(family map[types.UID]bool, r *history.Record) bool {
	return slices.ContainsFunc(r.Owners, func(uid types.UID) bool { return family[uid] })
}

// observe sets the symptoms: those that objects still have, or else those of
// the newest onsets that are not over. ready is a result of readyUntil.
func (w *investigation) observe(
	ctx context.Context, newest *history.Record, onsets []*history.Record, ready time.Time,
) error {
	groups := map[string]*ObservedSymptom{}
	having := map[string]map[string]map[string]bool{} // the names of the objects that have a symptom, by code and kind
	var order []string
	add := func(found []symptom.Symptom, r *history.Record, since time.Time) {
		of := subjectOf(r)
		kind := of.Kind + "." + of.Ref.Group
		for _, s := range found {
			g := groups[s.Code]
			if g == nil {
				g = &ObservedSymptom{Symptom: s, Of: of, Since: since}
				groups[s.Code], having[s.Code] = g, map[string]map[string]bool{}
				order = append(order, s.Code)
			}
			if having[s.Code][kind] == nil {
				having[s.Code][kind] = map[string]bool{}
			}
			having[s.Code][kind][of.Ref.Name] = true
			if since.Before(g.Since) {
				g.Since, g.Of = since, of
			}
		}
	}
	first := map[types.UID]time.Time{} // of the episode
	var objects []*history.Record
	var last time.Time
	for _, o := range onsets { // newest first
		if !last.IsZero() && last.Sub(o.Time) > episodePause {
			break
		}
		last = o.Time
		if _, known := first[o.Ref.UID]; !known {
			objects = append(objects, o)
		}
		first[o.Ref.UID] = o.Time
	}
	own, err := w.extra.At(ctx, newest, w.end)
	if err != nil {
		return err
	}
	if len(own) > 0 {
		since := newest.Time
		if at, known := first[newest.Ref.UID]; known {
			since = at
		}
		add(own, newest, since)
	}
	// What the status of objects says comes first, because Events repeat it.
	slices.SortStableFunc(objects, func(a, b *history.Record) int {
		return cmp.Compare(rankOf(a), rankOf(b))
	})
	for _, o := range objects {
		if o.Ref.UID == newest.Ref.UID {
			continue
		}
		version, err := w.newest(ctx, o.Ref, w.end)
		if err != nil {
			return err
		}
		if version == nil {
			continue
		}
		found, err := w.extra.At(ctx, version, w.end)
		if err != nil {
			return err
		}
		over, err := w.isOver(ctx, o, version, len(found) > 0, ready)
		if err != nil {
			return err
		}
		if over {
			continue
		}
		if len(found) == 0 || version.Verb == history.Delete {
			full, err := newSummarizer(w.service.reader).withObject(ctx, o)
			if err != nil {
				return err
			}
			if found, err = w.extra.At(ctx, full, full.Time); err != nil {
				return err
			}
		}
		add(found, version, first[o.Ref.UID])
	}
	codes := symptom.Codes()
	slices.SortStableFunc(order, func(a, b string) int {
		return cmp.Compare(slices.Index(codes, a), slices.Index(codes, b))
	})
	for _, code := range order {
		g := groups[code]
		g.Count = len(having[code][g.Of.Kind+"."+g.Of.Ref.Group])
		w.answer.Symptoms = append(w.answer.Symptoms, *g)
	}
	return nil
}

// isOver reports whether the problem of an owned object, or the one that an
// Event reports, does not exist any more. onset is the newest onset of the
// object or Event, and version its newest version. has reports whether that
// version has a symptom. ready is a result of readyUntil.
//
// A container that crashes has no symptom for a few seconds after each start.
// So a problem without a symptom is over only after a healthy time, or if the
// object was deleted and that did not make its owner fail.
func (w *investigation) isOver(
	ctx context.Context, onset, version *history.Record, has bool, ready time.Time,
) (bool, error) {
	of, last, state := version, onset.Time, w.answer.Health.State
	if onset.Regarding != nil { // an Event does not end with what it reports
		last = version.Time
		var err error
		if of, err = w.target(ctx, onset.Regarding); err != nil {
			return false, err
		}
	} else if has && version.Verb != history.Delete {
		return false, nil
	}
	switch gone := of != nil && of.Verb == history.Delete; {
	case ready.Sub(last) >= recovery:
		return true, nil
	case (!has || gone || version.Verb == history.Delete) && (state == symptom.Ready || state == symptom.Done):
		return true, nil
	case gone:
		return state != symptom.Failing, nil
	case of == nil || w.end.Sub(of.Time) < recovery || w.end.Sub(last) < recovery:
		return false, nil
	}
	h, err := w.extra.HealthAt(ctx, of, w.end)
	return h.State == symptom.Ready || h.State == symptom.Done, err
}

// target returns the newest version of the target of an Event, or nil.
func (w *investigation) target(ctx context.Context, of *history.Target) (*history.Record, error) {
	if of.UID == "" {
		return nil, nil
	}
	scan := history.Scan{Order: history.NewestFirst, Limit: 1, Bodies: true}
	scan.Namespace, scan.Name, scan.UID = history.ScopeOf(of.Namespace), of.Name, of.UID
	scan.End, scan.View = w.end, w.view
	for r, err := range w.service.reader.Scan(ctx, scan) {
		return r, err
	}
	return nil, nil
}

// rankOf orders Events after other records.
func rankOf(r *history.Record) int {
	if r.Regarding != nil {
		return 1
	}
	return 0
}

// healthyBefore finds the newest healthy version of the object before the
// onset.
func (w *investigation) healthyBefore(ctx context.Context) error {
	scan := history.Scan{
		Filter: exactly(w.answer.Of.Ref), Order: history.NewestFirst, Limit: healthyBeforeOnset, Bodies: true,
	}
	scan.End, scan.View = w.answer.Onset.Add(1), w.view
	for r, err := range w.service.reader.Scan(ctx, scan) {
		if err != nil {
			return err
		}
		h, err := w.extra.HealthAt(ctx, r, r.Time)
		if err != nil {
			return err
		}
		if h.State == symptom.Ready || h.State == symptom.Done {
			w.answer.HealthyUntil = r.Time
			return nil
		}
	}
	return nil
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// A folded timeline that continues reads its newest rows again whenever
// something was recorded.
const (
	// askDelay is the time between a record and the question, so that what
	// belongs together is in one answer.
	askDelay = 300 * time.Millisecond
	// askShare bounds the part of the time in which the recorder answers
	// questions of one command: 1 in askShare.
	askShare = 5
	// tailTime is how long the outcome of a change is followed, and tailRows is
	// for how many rows. It is longer than the default progress deadline of a
	// Deployment.
	tailTime = 20 * time.Minute
	tailRows = 200
	// maxAskDelay is the longest time between two questions that fail.
	maxAskDelay = 15 * time.Second
	// maxUnauthorized is how many questions in a row may be rejected because of
	// the caller's credentials, which may just have expired.
	maxUnauthorized = 3
	// failuresNoted is after how many failures in a row there is a note.
	failuresNoted = 3
)

// live collects what the streams of a folded timeline deliver. Its methods may
// be used concurrently.
//
// Streams must never wait for a question: both may share a tunnel, in which a
// stream that is not read holds up the answer.
type live struct {
	wake chan struct{} // has an element if something was collected

	mu       sync.Mutex
	recorded bool           // something was recorded, or a stream is open again
	newest   time.Time      // of the records
	beats    bool           // a heartbeat was received
	updates  []streamUpdate // others, in their order
}

// add collects an update.
func (l *live) add(u *streamUpdate) {
	l.mu.Lock()
	switch {
	case u.err != nil:
		l.updates = append(l.updates, *u)
	case u.Type == client.Recorded:
		l.recorded = true
		if u.Event.Timestamp.After(l.newest) {
			l.newest = u.Event.Timestamp
		}
	case u.Type == client.Heartbeat:
		l.beats = true
	default:
		l.recorded = l.recorded || u.Type == client.Connected
		l.updates = append(l.updates, *u)
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// take returns what was collected since the last call. newest is that of all
// records.
func (l *live) take() (recorded, beats bool, updates []streamUpdate, newest time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	recorded, beats, updates = l.recorded, l.beats, l.updates
	l.recorded, l.beats, l.updates = false, false, nil
	return recorded, beats, updates, l.newest
}

// tail is the newest part of the rows of one query.
//
// The invariant: every change of the query up to covered was either written or
// is not to be written, and no later one was. The recorder's times are unique
// and increase with each record, so a change is new if it is later.
type tail struct {
	query   client.EventsQuery
	covered time.Time
}

// rowFollower writes the further rows of a folded timeline, and the outcomes of
// its rows as they change.
type rowFollower struct {
	follower

	session  *session
	tails    []tail
	start    time.Time              // of the timeline; zero: none
	outcomes map[string]*outcomesOf // of the rows, by [keyOf]
	newest   time.Time              // up to which the streams have delivered records
}

// outcomesOf are the outcomes of a row that were written.
type outcomesOf struct {
	change      time.Time       // the last one of the row
	written     map[string]bool // since the row was last in good order
	progressing bool
}

// followRows is [getOptions.follow] for folded rows. It reports false if the
// timeline is not folded, as [getOptions.runFolded] does, and then has written
// nothing.
func (o *getOptions) followRows(
	ctx context.Context, s *session, subjects []subject, queries []client.EventsQuery,
) (folded bool, err error) {
	f := &rowFollower{
		follower: follower{
			o: o, env: &o.env, queries: triggers(queries), gaps: map[gapID]time.Time{}, lost: map[int]bool{},
		},
		session: s, outcomes: map[string]*outcomesOf{}, start: o.start,
	}
	for _, sub := range subjects {
		if f.only == nil {
			f.only = map[schema.GroupResource]bool{}
		}
		f.only[sub.GroupResource()] = true
	}
	if err := f.locate(ctx, s); err != nil {
		return false, err
	}
	covered, err := f.present(ctx)
	if err != nil {
		return false, err
	}
	for _, q := range queries {
		q.Summary = false
		f.tails = append(f.tails, tail{q, covered})
	}
	f.printer = o.printer(&o.env, o.allNamespaces, false)
	if o.watchOnly {
		f.start = covered.Add(1)
		if folded, err = f.hasRows(ctx, subjects); !folded || err != nil {
			return false, err
		}
	} else if folded, err = f.firstPage(ctx, subjects); !folded || err != nil {
		return false, err
	}
	return true, f.run(ctx)
}

// triggers returns the queries of the streams whose records change the rows of
// queries. What follows from a change can be of any type, so there is a query
// for each scope.
func triggers(queries []client.EventsQuery) (streams []client.EventsQuery) {
	for i := range queries {
		q := client.EventsQuery{Namespace: queries[i].Namespace, Summary: true}
		same := func(other client.EventsQuery) bool { return other.Namespace == q.Namespace }
		if !slices.ContainsFunc(streams, same) {
			streams = append(streams, q)
		}
	}
	return streams
}

// present returns the time of the newest record of the streams.
func (f *rowFollower) present(ctx context.Context) (newest time.Time, err error) {
	for _, q := range f.queries {
		q.Cursor, q.Order, q.Limit = "", history.NewestFirst, 1
		page, err := f.session.Events(ctx, q)
		if err != nil {
			return newest, err
		}
		for i := range page.Events {
			if at := page.Events[i].Timestamp; at.After(newest) {
				newest = at
			}
		}
	}
	return newest, nil
}

// hasRows reports whether a timeline without its first page is folded: the
// recorder folds, and the timeline is about all types, or about some with a
// root change.
func (f *rowFollower) hasRows(ctx context.Context, subjects []subject) (bool, error) {
	for _, t := range f.tails {
		q := t.query
		q.Start, q.Limit = f.start, 1
		if _, err := f.session.Folded(ctx, q); errors.Is(err, client.ErrNoFolding) {
			return false, nil
		} else if err != nil {
			return false, err
		}
		q.Start, q.Order, q.Classes, q.Summary = time.Time{}, history.NewestFirst, []history.Class{history.Root}, true
		found, err := f.session.Events(ctx, q)
		if err != nil {
			return false, err
		}
		if len(subjects) == 0 || len(found.Events) > 0 {
			return true, nil
		}
	}
	return false, nil
}

// firstPage writes the page of the timeline so far. It reports false, and
// writes nothing, if the timeline is not folded.
func (f *rowFollower) firstPage(ctx context.Context, subjects []subject) (folded bool, err error) {
	queries := make([]client.EventsQuery, len(f.tails))
	for i := range f.tails {
		queries[i] = f.tails[i].query
	}
	found, err := f.session.newestRows(ctx, queries, &f.o.window)
	switch {
	case errors.Is(err, client.ErrNoFolding):
		return false, nil
	case err != nil:
		return false, err
	case len(found.rows) == 0 || len(subjects) > 0 && !hasChange(found.rows):
		return f.emptyPage(ctx, subjects, queries)
	}
	for i := range f.tails {
		f.tails[i].covered = latest(f.tails[i].covered, found.newestOf[i])
	}
	if f.start.IsZero() || found.cut {
		f.start = found.rows[0].Start
	}
	for i := range found.rows {
		f.settle(&found.rows[i])
	}
	for i := range found.gaps {
		f.gaps[idOfGap(&found.gaps[i])] = found.gaps[i].End
	}
	if err := f.o.showRows(f.session, found, f.printer); err != nil {
		return false, err
	}
	return true, f.o.reportMissing(ctx, f.session, subjects, &found.result, false)
}

// emptyPage writes the notes about a timeline without rows. It reports false if
// the timeline has consequences of the given types.
func (f *rowFollower) emptyPage(
	ctx context.Context, subjects []subject, queries []client.EventsQuery,
) (folded bool, err error) {
	for i := range queries {
		queries[i].Summary = true
	}
	found, err := f.session.newest(ctx, queries, &f.o.window)
	switch {
	case err != nil:
		return false, err
	case len(found.events) == 0:
		if _, err := f.o.show(f.session, subjects, found, f.printer); err != nil {
			return false, err
		}
		return true, f.o.reportMissing(ctx, f.session, subjects, found, true)
	case len(subjects) > 0 || f.o.selects():
		return false, nil
	}
	f.o.noteConsequences(f.session, found)
	for i := range found.gaps {
		f.gaps[idOfGap(&found.gaps[i])] = found.gaps[i].End
	}
	return true, nil
}

// latest returns the later of two times.
func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// run writes rows and gaps until a stream ends with an error.
func (f *rowFollower) run(ctx context.Context) error {
	var streams sync.WaitGroup
	defer streams.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := &live{wake: make(chan struct{}, 1)}
	for i, q := range f.queries {
		streams.Go(func() {
			for update, err := range f.session.Watch(ctx, q) {
				l.add(&streamUpdate{Update: update, query: i, err: err})
			}
		})
	}
	grouped, ask := time.NewTimer(gapDelay), time.NewTimer(0)
	defer grouped.Stop()
	defer ask.Stop()
	<-ask.C
	asking, pause, failures := false, askDelay, 0
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-l.wake:
			recorded, beats, updates, newest := l.take()
			f.newest = newest
			for i := range updates {
				if updates[i].err != nil {
					return updates[i].err
				}
				if err := f.write(&updates[i]); err != nil {
					return err
				}
				grouped.Reset(gapDelay)
			}
			if !asking && (recorded || beats && f.isProgressing()) {
				asking = true
				ask.Reset(pause)
			}
		case <-grouped.C:
			if err := f.flushGaps(); err != nil {
				return err
			}
		case <-ask.C:
			began := time.Now()
			items, err := f.ask(ctx)
			switch {
			case err == nil:
				asking, failures = false, 0
				pause = max(askDelay, (askShare-1)*time.Since(began))
				if err := f.writeItems(items); err != nil {
					return err
				}
				continue
			case ctx.Err() != nil, client.IsPermanent(err),
				history.CodeOf(err) == history.Unauthorized && failures+1 >= maxUnauthorized:
				return err
			}
			// The streams report that a recorder is away.
			if failures++; failures == failuresNoted && len(f.lost) == 0 {
				f.env.note(fmt.Sprintf("Warning: %v; retrying", err))
			}
			ask.Reset(min(askDelay<<min(failures, 10), maxAskDelay))
		}
	}
}

// isProgressing reports whether a row has no outcome yet. Time alone can change
// that: a rollout that takes too long has failed.
func (f *rowFollower) isProgressing() bool {
	for _, o := range f.outcomes {
		if o.progressing {
			return true
		}
	}
	return false
}

// ask reads the newest rows, and returns what is new. If it fails, nothing has
// changed.
func (f *rowFollower) ask(ctx context.Context) (items []render.Followed, err error) {
	since := f.env.recorderNow().Add(-tailTime)
	newest := f.newest
	read := make([][]v1.Row, len(f.tails))
	for i := range f.tails {
		if read[i], err = f.readTail(ctx, &f.tails[i], since); err != nil {
			return nil, err
		}
	}
	for i, rows := range read {
		t := &f.tails[i]
		until := latest(t.covered, newest)
		for n := range rows {
			if item, ok := f.changed(&rows[n], t.covered, since); ok {
				items = append(items, item)
			}
			until = latest(until, newestIn(&rows[n]))
		}
		t.covered = until
	}
	for key, o := range f.outcomes {
		if o.change.Before(since) {
			delete(f.outcomes, key)
		}
	}
	slices.SortStableFunc(items, func(a, b render.Followed) int { return a.At.Compare(b.At) })
	return items, nil
}

// writeItems writes rows and outcomes, after the gaps that wait.
func (f *rowFollower) writeItems(items []render.Followed) error {
	if len(items) == 0 {
		return nil
	}
	if err := f.flushGaps(); err != nil {
		return err
	}
	f.printer.SetNow(f.env.recorderNow())
	return f.printer.Followed(items)
}

// readTail reads the rows of a tail since a time, and all with a change that is
// not covered.
func (f *rowFollower) readTail(ctx context.Context, t *tail, since time.Time) (rows []v1.Row, err error) {
	q := t.query
	q.Order, q.Limit, q.Start = history.NewestFirst, tailRows, since
	if t.covered.Before(since) {
		q.Start = t.covered.Add(1)
	}
	q.Start = latest(q.Start, f.start)
	for {
		page, err := f.session.Folded(ctx, q)
		if err != nil {
			return nil, err
		}
		rows = append(rows, page.Rows...)
		reached := slices.ContainsFunc(page.Rows, func(r v1.Row) bool { return !r.Start.After(t.covered) })
		if !page.HasMore || reached {
			return rows, nil
		}
		q.Cursor = page.Next
	}
}

// newestIn returns the time of a row's newest change or problem.
func newestIn(r *v1.Row) (newest time.Time) {
	for i := range r.Changes {
		newest = latest(newest, r.Changes[i].Timestamp)
	}
	for i := range r.Problems {
		newest = latest(newest, r.Problems[i].Timestamp)
	}
	return newest
}

// keyOf identifies the last change of a row, or the object of its problems.
func keyOf(r *v1.Row) string {
	if n := len(r.Changes); n > 0 {
		return r.Changes[n-1].Timestamp.UTC().Format(time.RFC3339Nano)
	}
	o := &r.Object
	return o.UID + " " + o.Group + "/" + o.ResourceType + "/" + o.Namespace + "/" + o.Name
}

// settle notes the outcome of a row, and reports whether it is to be written:
// it is known, and was not written since the row was last in good order.
// Otherwise two reasons of one failure, which alternate, would be written again
// and again.
func (f *rowFollower) settle(r *v1.Row) (changed bool) {
	key := keyOf(r)
	o, known := f.outcomes[key]
	if !known {
		o = &outcomesOf{written: map[string]bool{}}
		f.outcomes[key] = o
	}
	o.change, o.progressing = newestIn(r), false
	text := r.Summary
	if n := len(r.Changes); n > 0 {
		o.change = r.Changes[n-1].Timestamp
		switch {
		case r.Outcome == nil:
			return false
		case r.Outcome.State == "progressing":
			o.progressing = true
			return false
		}
		text = r.Outcome.State + " " + r.Outcome.Text
	} else if r.Outcome == nil { // the problem is over
		clear(o.written)
		return !known
	}
	changed = !o.written[text]
	if r.Outcome.State != "failing" {
		clear(o.written)
	}
	o.written[text] = true
	return changed
}

// changed returns what is to be written of a row whose changes up to a time
// were written: the row, if it has others, or else its outcome. It reports
// false if nothing is. Outcomes of changes before since are not followed.
func (f *rowFollower) changed(r *v1.Row, covered, since time.Time) (render.Followed, bool) {
	settled := f.settle(r)
	last := newestIn(r)
	if len(r.Changes) == 0 {
		return render.Followed{Row: r, At: last}, settled && last.After(covered)
	}
	last = r.Changes[len(r.Changes)-1].Timestamp
	switch {
	case last.After(covered):
		item := render.Followed{Row: r, At: last}
		if r.Changes[0].Timestamp.After(covered) {
			item.At = r.Start // none of its changes was written
		}
		if f.outcomes[keyOf(r)].progressing { // the outcome is written when it is known
			row := *r
			row.Outcome, item.Row = nil, &row
		}
		return item, true
	case settled && !last.Before(since):
		item := render.Followed{Row: r, At: f.env.recorderNow(), Outcome: true}
		if s := r.Outcome.AfterSeconds; s != nil {
			item.At = last.Add(time.Duration(*s * float64(time.Second)))
		}
		return item, true
	default:
		return render.Followed{}, false
	}
}

// flushGaps writes the gaps that wait, with clock times.
func (f *rowFollower) flushGaps() error {
	return f.flush(func(gaps []v1.Gap) error { return f.printer.Folded(nil, gaps) })
}

package query

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Objects selects objects in the questions about states.
type Objects struct {
	Types     []string // as in [Timeline]
	Group     string   // as in [Timeline]
	Namespace history.NamespaceScope
	Name      string
	UID       types.UID
}

// Moments is what the pages of a state and of a comparison, and the answers
// about relations, have in common.
type Moments struct {
	// From is zero in a state. At is the time of the state, or the later time
	// of a comparison. Both are the question's times; if the question asked for
	// the present, At is that time.
	From, At time.Time
	// Total is the number of elements on this page and the pages before it. If
	// it is not Exact, there are more.
	Total int
	Exact bool
	More  bool
	Next  history.StateCursor
	// Final means that the page can't change: its times are in the past, and
	// none of its gaps is open. The caller's rights, the retention, and repairs
	// of the log may still change the answer.
	Final bool

	Gaps     []history.Gap
	Ignored  []history.IgnoreRule
	Coverage Coverage
	// Restricted is as in [Page].
	Restricted bool
}

// TimeError means that there is no state at one of the question's times: it is
// in the future, or nothing was recorded then.
type TimeError struct {
	Time time.Time
	Err  error // with a code
}

// Error returns the text of the cause.
func (e *TimeError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *TimeError) Unwrap() error { return e.Err }

// UnknownTypeError means that the question's types and group name no resource
// that is or was recorded.
type UnknownTypeError struct{ text string }

// Error returns the text.
func (e *UnknownTypeError) Error() string { return e.text }

const (
	// clockTolerance is how far a question's time may be in the future, because
	// clocks differ. Such a time means the present.
	clockTolerance = time.Minute
	// commitTolerance is longer than any commit takes. A version that becomes
	// visible after a question has a later time than the question's minus this.
	commitTolerance = time.Minute
)

// moments prepares the answer about the states at one or two times. from is
// zero for one, and at is zero for the present. It returns what the answer is
// about, and the filter that selects the objects. The last result is the time
// of the state to read. An error may come with the coverage that explains it.
func (s *Service) moments(
	ctx context.Context, q Objects, from, at time.Time, after *history.StateCursor,
) (m Moments, f history.Filter, until time.Time, err error) {
	asked := scope{q.Types, q.Group, q.Namespace}
	all, err := s.everything(ctx)
	if err != nil {
		return m, f, until, err
	}
	seen, err := s.see(ctx, all, q.Name, asked)
	if err != nil {
		return m, f, until, err
	}
	if m.Restricted, err = s.restricted(ctx, all, seen.view, q.Name, asked); err != nil {
		return m, f, until, err
	}
	now, newest, err := s.present(ctx, seen.view, q.Name)
	if err != nil {
		return m, f, until, err
	}
	if m.From, m.At, until, err = pin(from, at, after, now, newest); err != nil {
		return m, f, until, err
	}
	first, spread := m.At, time.Duration(0)
	if !m.From.IsZero() {
		first, spread = m.From, startupSpread
	}
	var recorded []schema.GroupResource
	m.Ignored = seen.ignored(asked)
	m.Coverage, recorded = seen.coverageAt(first, spread, asked)
	f = history.Filter{Resources: recorded, Namespace: q.Namespace, Name: q.Name, UID: q.UID, View: seen.view}
	if len(recorded) == 0 {
		return m, f, until, notRecorded(q, first, m.Coverage)
	}
	if m.Gaps, err = s.reader.Gaps(ctx, recorded, first, m.At.Add(1)); err != nil {
		return m, f, until, err
	}
	m.Gaps = seen.restrict(m.Gaps)
	m.Final = !m.At.After(newest) || m.At.Before(now.Add(-commitTolerance))
	for _, g := range m.Gaps {
		m.Final = m.Final && !g.Open()
	}
	return m, f, until, nil
}

// present returns the present time, and the time of the newest record of a
// view. That may be later than the clock, and is then the present. It is zero
// if there is no record. Both get into cursors, so other records must not
// influence them. The view of a question about a name has all names, and the
// caller may have rights on this one only.
func (s *Service) present(ctx context.Context, view history.View, name string) (now, newest time.Time, err error) {
	now = s.options.Now().UTC()
	scan := history.Scan{Filter: history.Filter{View: view}, Order: history.NewestFirst, Limit: 1}
	if view != nil {
		scan.Name = name
	}
	for r, err := range s.reader.Scan(ctx, scan) {
		if err != nil {
			return now, newest, err
		}
		newest = r.Time
	}
	if newest.After(now) {
		now = newest
	}
	return now, newest, nil
}

// pin returns the times that all pages of a question are about. until is the
// time of the state to read: versions with later times may become visible
// between two pages.
func pin(from, at time.Time, after *history.StateCursor, now, newest time.Time) (_, _, until time.Time, err error) {
	if !after.IsZero() {
		return after.From, after.At, after.Until, nil
	}
	if at.IsZero() {
		at = now
	}
	for _, t := range []time.Time{from, at} {
		if t.After(now.Add(clockTolerance)) {
			return from, at, until, &TimeError{t, history.Errorf(history.Invalid,
				"%s is in the future: it is %s now", t.Format(time.RFC3339), now.Format(time.RFC3339))}
		}
	}
	if at.After(now) {
		at = now
	}
	if from.After(at) {
		from = at // both are in the future
	}
	until = at
	if settled := at.Add(-commitTolerance); newest.Before(at) && !newest.IsZero() {
		until = newest
		if newest.Before(settled) {
			until = settled
		}
	}
	return from, at, until, nil
}

// coverageAt returns the coverage of a scope at a time, and the resources that
// were recorded then. Those count that began to be recorded within spread after
// the first one. If there are some, Late has all others.
func (s sight) coverageAt(
	at time.Time, spread time.Duration, of scope,
) (c Coverage, recorded []schema.GroupResource) {
	c = s.coverage(at, of)
	latest := at
	if started := c.Since.Add(spread); !c.Since.IsZero() && !c.Since.After(at) && started.After(at) {
		latest = started
	}
	var late []history.Resource
	for _, r := range recordedIn([]scope{of}, s.catalogue, s.unrecorded) {
		if r.Since.After(latest) {
			late = append(late, r)
		} else {
			recorded = append(recorded, r.GroupResource())
		}
	}
	if len(recorded) > 0 {
		c.Late = late
	}
	return c, recorded
}

// notRecorded returns the error of a question about resources of which none was
// recorded at a time.
func notRecorded(q Objects, at time.Time, c Coverage) error {
	narrowed := len(q.Types) > 0 || q.Group != ""
	if narrowed && c.Since.IsZero() {
		if len(c.Unrecorded) > 0 {
			u := c.Unrecorded[0]
			return &UnknownTypeError{u.Resource.GroupResource().String() + " is not recorded: " + u.Reason}
		}
		return &UnknownTypeError{"no such resource is or was recorded in the namespace"}
	}
	text := "nothing is recorded"
	if !c.Since.IsZero() {
		text = "nothing was recorded at " + at.Format(time.RFC3339Nano) + ": history begins at " +
			c.Since.Format(time.RFC3339Nano)
	}
	return &TimeError{at, history.Errorf(history.NotFound, "%s", text)}
}

// tooOld adds the time to the error of a state that is not kept any more.
func tooOld(at time.Time, err error) error {
	if history.CodeOf(err) == history.NotFound {
		return &TimeError{at, err}
	}
	return err
}

// finish sets the position after a page with n elements.
func (m *Moments) finish(n int, before *history.StateCursor, until time.Time, last history.ObjectRef, more bool) {
	m.Total, m.Exact, m.More = before.Seen+n, !more, more
	if more {
		m.Next = history.StateCursor{From: m.From, At: m.At, Until: until, Seen: m.Total, After: last}
		m.Total++
	}
}

package recorder

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// This file decides the order of commits across resources.
//
// All resources of one etcd take their resourceVersions from one counter. So
// the order of resourceVersions is the order of the writes. But each resource
// has a watch of its own, and a watch may be late. The queue therefore sorts
// entries by resourceVersion, and commits one only when its predecessors have
// probably arrived:
//
//   - An entry waits for the skew of the watches, unless it is the first after
//     silence. Entries with a lower resourceVersion are committed together with
//     one that waited. The skew grows if entries are later than that, as on
//     busy machines, and then shrinks again.
//   - An entry that creates an object waits for the object's owners, and an
//     Event for its target, for at most maxSkew. All entries with higher
//     resourceVersions wait with it.
//   - An entry waits for watches that broke off, until they have read their
//     missed changes up to its resourceVersion. It waits for at most maxHold.
//
// Invariant: the entries of one lane are committed in the order in which they
// were put, whatever their resourceVersions are.

const (
	// maxHold bounds how long an entry waits for other lanes.
	maxHold = time.Second
	// maxSkew bounds how long an entry waits for others that may be late.
	maxSkew = 400 * time.Millisecond
	// lostFor is how long other lanes wait for a lane whose watch broke off.
	lostFor = 10 * time.Second
)

// pace is how long entries wait. It does not change.
type pace struct {
	batch    time.Duration // for the rest of a batch, after silence
	skew     time.Duration // at least, for entries that were written earlier and arrive later
	interval time.Duration // between two commits under load
	idle     time.Duration // of an entry without a record, for one with a record
}

// laneState is how complete a lane is.
type laneState uint8

const (
	live     laneState = iota // the watch delivers changes as they happen
	lost                      // the watch broke off, and will be resumed
	resuming                  // the watch reads the missed changes
	resumed                   // the watch has read them, and may be late for a moment
	listing                   // the lane gets the current state, in no order
)

// lane is the queue's state for one stream. The lock of the queue guards it.
type lane struct {
	resource schema.GroupResource
	kind     schema.GroupKind
	state    laneState
	since    time.Time // when the state began
	top      uint64    // key of the newest entry
	waiting  int       // entries in the queue
	pending  int       // entries that are not durable; includes waiting

	anchor         bool    // the resource certainly uses the main counter
	apart          bool    // the resource does not use the main counter
	contradictions int     // consecutive windows that contradict the main counter
	spans          [3]span // resourceVersions by window, the current one first
}

// holdsUntil returns until when newer entries of other lanes have to wait for
// this lane. It returns zero if they need not wait.
func (l *lane) holdsUntil(skew time.Duration, now time.Time) time.Time {
	until := time.Time{}
	switch l.state {
	case lost:
		until = l.since.Add(lostFor)
	case resuming:
		until = now.Add(maxHold)
	case resumed:
		until = l.since.Add(skew)
	case live, listing:
	}
	if l.apart || !until.After(now) {
		return time.Time{}
	}
	return until
}

// starving reports whether other lanes may be waiting for this one while the
// queue is full of their entries. One entry of the lane is accepted then.
func (l *lane) starving() bool { return l.waiting == 0 && l.state == resuming }

// open adds a lane that resumes from a resourceVersion, or "" if a list comes
// first. A lane that is open already is reset; all its entries must be durable.
func (q *queue) open(l *lane, r history.Resource, rv string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l.resource.Empty() {
		l.resource, l.kind = r.GroupResource(), schema.GroupKind{Group: r.Group, Kind: r.Kind}
		l.anchor = builtIn(l.resource)
		q.lanes = append(q.lanes, l)
	}
	l.top, _ = number(rv)
	l.state, l.since = live, time.Now()
	if rv != "" {
		l.state = lost
	}
}

// enter changes the state of a lane. A lane that is live does not become
// resumed: its watch was not interrupted.
func (q *queue) enter(l *lane, state laneState) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l.state == state || state == resumed && l.state == live {
		return
	}
	now := time.Now()
	l.state, l.since = state, now
	if state == listing && l.pending == 0 {
		l.top, q.newest = 0, position{} // the server may have been restored from a backup
	}
	q.reconsider(now)
}

// rank sets an entry's key, and when it is due. The caller holds the lock.
func (q *queue) rank(e *entry, now time.Time) {
	l := &e.stream.lane
	initial := isInitial(e.records)
	watched := len(e.records) > 0 && l.state != listing && !initial
	rv, ok := number(e.rv)
	switch {
	case e.rv == "":
	case !ok && !l.apart:
		q.setApart(l)
	case watched && (l.state == live || l.state == resumed):
		q.compare(l, rv, now)
	}
	if l.apart {
		rv = q.counter.high() // its position is the time of its arrival
	}
	if initial {
		rv = 0 // lists are in no order
	}
	// The key never decreases within a lane, so that the lane's order is kept.
	e.at, e.key = now, max(l.top, rv)
	l.top = e.key
	q.schedule(e, watched)
}

// schedule sets when an entry is due. The caller holds the lock.
func (q *queue) schedule(e *entry, watched bool) {
	if e.idle {
		e.due = e.at.Add(q.pace.idle)
		return
	}
	if e.at.Sub(q.lastPut) >= 2*q.pace.interval { // watches are read at intervals, and silent in between
		q.first, q.calm = &e.stream.lane, e.at.Add(q.pace.batch)
	}
	q.lastPut = e.at
	// The first write after silence is probably no effect of another one, so it
	// need not wait for the skew.
	first := q.first == &e.stream.lane && !e.at.After(q.calm)
	e.first = watched && first && !isEffect(e.records)
	e.ordinary = watched && !e.first
	if !e.ordinary {
		e.due = e.at.Add(q.pace.batch)
		return
	}
	e.due = later(e.at.Add(q.skew), q.lastCut.Add(q.pace.interval*3/4))
}

// position is the key of an entry, and when the entry was put.
type position struct {
	key uint64
	at  time.Time
}

// learn increases the skew if an entry is late by more than a third of it. An
// entry is late if it was put after queued or committed entries with higher
// keys. newer are the queued ones. The caller holds the lock.
func (q *queue) learn(e *entry, newer []*entry) {
	l := &e.stream.lane
	// A lane that was resumed a moment ago is late anyway, and does not count.
	if !e.ordinary && !e.first || l.apart || l.state != live && e.at.Sub(l.since) < maxHold {
		return
	}
	late := time.Duration(0)
	if e.key < q.newest.key {
		late = e.at.Sub(q.newest.at)
	}
	for _, n := range newer {
		if n.ordinary || n.first {
			late = max(late, e.at.Sub(n.at))
		}
	}
	q.skew = max(q.skew, min(3*late, maxSkew))
}

// hasten makes a lane's entries due because a caller waits for them. The caller
// holds the lock.
func (q *queue) hasten(l *lane, now time.Time) {
	for _, e := range q.entries {
		if &e.stream.lane != l {
			continue
		}
		due := now
		if e.ordinary {
			due = e.at.Add(q.skew)
		}
		if due.Before(e.due) {
			e.due = due
			q.wake(now, due)
		}
	}
}

// gate decides which entries may be committed at one moment.
type gate struct {
	all      bool   // every entry
	pressed  bool   // entries need not be due
	due      bool   // there will be a commit, which idle entries can join
	frontier uint64 // entries up to this key have been waited for
	complete uint64 // entries up to this key need not wait for other lanes
}

// passes reports whether an entry may be committed, provided that the earlier
// entries of its lane may.
func (g *gate) passes(e *entry) bool {
	switch {
	case g.all:
		return true
	case !g.pressed && (e.ordinary || e.first) && e.key > g.frontier, !g.pressed && !g.due:
		return false
	}
	return len(e.records) == 0 || e.key <= g.complete
}

// gate returns the gate at the time now. The caller holds the lock.
func (q *queue) gate(now time.Time) gate {
	g := gate{all: q.closed != nil, pressed: q.pressed(), complete: math.MaxUint64}
	// Entries newer than a lane that is catching up wait for that lane.
	for _, l := range q.lanes {
		if !l.holdsUntil(q.skew, now).IsZero() {
			g.complete = min(g.complete, l.top)
		}
	}
	// An entry that waits for its causes blocks all newer entries.
	q.holding = false
	for _, e := range q.entries {
		if q.lacksCause(e, now) {
			g.complete, q.holding = min(g.complete, e.key-1), true
			break // entries are sorted by key
		}
	}
	// If an ordinary entry is due, those that have waited for half the skew are
	// committed with it.
	waited := time.Duration(math.MaxInt64)
	for _, e := range q.entries {
		if e.due.After(now) {
			continue
		}
		g.due = true
		if e.ordinary {
			waited = q.skew / 2
			break
		}
	}
	// All entries up to the newest one that has waited long enough may be
	// committed. No entry waits for other lanes longer than maxHold.
	for _, e := range q.entries {
		age := now.Sub(e.at)
		if e.ordinary && age >= waited || e.first && !e.due.After(now) {
			g.frontier = max(g.frontier, e.key)
		}
		if age >= maxHold {
			g.complete = max(g.complete, e.key)
		}
	}
	return g
}

// afterCut updates the schedule after a batch was removed. The caller holds the
// lock.
func (q *queue) afterCut(now time.Time, batch []*entry) {
	ordinary := false
	for _, e := range batch {
		ordinary = ordinary || e.ordinary
		if (e.ordinary || e.first) && e.key > q.newest.key {
			q.newest = position{e.key, e.at}
		}
	}
	if !ordinary {
		return
	}
	// The skew shrinks by 1/32 of its excess per commit, and the remaining
	// entries wait for a full interval.
	q.lastCut = now
	q.skew -= (q.skew - q.pace.skew) / 32
	for _, e := range q.entries {
		if e.ordinary && e.due.After(now) {
			e.due = later(e.due, now.Add(q.pace.interval))
		}
	}
}

// next returns when the first entry is due, or no longer has to wait for other
// lanes. It returns zero if there is no such time. The caller holds the lock.
func (q *queue) next(now time.Time) (next time.Time) {
	first := func(at time.Time) {
		if at.After(now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	held := false
	for _, e := range q.entries {
		first(e.due)
		if !e.due.After(now) {
			held = true
			first(e.at.Add(maxHold))
		}
		if q.lacksCause(e, now) {
			first(e.at.Add(maxSkew))
		}
	}
	if held {
		for _, l := range q.lanes {
			first(l.holdsUntil(q.skew, now))
		}
	}
	return next
}

// windowLength is the length of the windows in which resourceVersions are
// compared. No watch is late by a whole window. So the writes that one lane
// reports in a window come after all that other lanes reported two windows
// earlier, if both use the same counter.
const windowLength = 10 * time.Second

// maxContradictions is how many consecutive windows may contradict the main
// counter.
const maxContradictions = 2

// span is a range of resourceVersions. The zero span is empty.
type span struct{ low, high uint64 }

// add extends the span to a resourceVersion.
func (s *span) add(rv uint64) {
	if s.high == 0 || rv < s.low {
		s.low = rv
	}
	s.high = max(s.high, rv)
}

// contradicts reports whether s contains a resourceVersion that is newer than
// one of later. known is false if one of the spans is empty.
func (s span) contradicts(later span) (contradicts, known bool) {
	known = s.high != 0 && later.high != 0
	return known && s.high > later.low, known
}

// counter finds the lanes whose resourceVersions come from another counter than
// those of the API server's built-in types. Events may have an etcd of their
// own, and aggregated API servers may use any counter.
type counter struct {
	began time.Time // of the current window
	spans [3]span   // of all anchors, by window, the current one first
}

// high returns the highest recent resourceVersion of the main counter.
func (c *counter) high() uint64 { return max(c.spans[0].high, c.spans[1].high) }

// compare adds the resourceVersion of a write that a lane reported as it
// happened. The caller holds the lock.
func (q *queue) compare(l *lane, rv uint64, now time.Time) {
	if now.Sub(q.counter.began) >= windowLength {
		q.nextWindow(now)
	}
	l.spans[0].add(rv)
	if l.anchor {
		q.counter.spans[0].add(rv)
	}
}

// nextWindow evaluates the last windows of all lanes and begins a new one. The
// caller holds the lock.
func (q *queue) nextWindow(now time.Time) {
	c := &q.counter
	for _, l := range q.lanes {
		if !l.anchor && !l.apart && l.isContradicted(c) {
			q.setApart(l)
		}
		l.spans = [3]span{{}, l.spans[0], l.spans[1]}
	}
	c.spans = [3]span{{}, c.spans[0], c.spans[1]}
	c.began = now
}

// isContradicted counts whether the last windows of the lane contradict the
// main counter. It reports whether they did so too often.
func (l *lane) isContradicted(c *counter) bool {
	late, known := l.spans[2].contradicts(c.spans[0])
	early, alsoKnown := c.spans[2].contradicts(l.spans[0])
	switch {
	case late || early:
		l.contradictions++
	case known || alsoKnown:
		l.contradictions = 0
	}
	return l.contradictions >= maxContradictions
}

// setApart removes a lane from the order of resourceVersions. Its entries are
// ordered by their arrival. The caller holds the lock.
func (q *queue) setApart(l *lane) {
	l.apart, l.top = true, q.counter.high()
	for _, e := range q.entries {
		if &e.stream.lane == l {
			e.key = l.top
		}
	}
	slices.SortStableFunc(q.entries, func(a, b *entry) int { return cmp.Compare(a.key, b.key) })
}

// builtIn reports whether a resource certainly takes its resourceVersions from
// the API server's main etcd.
func builtIn(r schema.GroupResource) bool {
	if history.IsEventResource(r) {
		return false
	}
	return !strings.Contains(r.Group, ".") || strings.HasSuffix(r.Group, ".k8s.io")
}

// isInitial reports whether there are records, and all of them are initial.
func isInitial(records []history.NewVersion) bool {
	for _, r := range records {
		if !r.Initial {
			return false
		}
	}
	return len(records) > 0
}

// isEffect reports whether a record implies an earlier write: an object with an
// owner, or an Event, was created because of another object.
func isEffect(records []history.NewVersion) bool {
	for _, r := range records {
		if r.Verb == history.Create && (len(r.Owners) > 0 || r.Regarding != nil) {
			return true
		}
	}
	return false
}

// number parses a resourceVersion as a positive number.
func number(rv string) (uint64, bool) {
	n, err := strconv.ParseUint(rv, 10, 64)
	return n, err == nil && n > 0
}

// later returns the later one of two times.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

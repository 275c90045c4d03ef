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

// The resources of one etcd share the counter that resourceVersions are taken
// from, so their order is the order of the writes, across resources too. Each
// resource has a watch of its own, though, and one watch may be late. So the
// queue orders entries by resourceVersion, and commits one only when its
// predecessors have probably arrived:
//
//   - An entry waits for the skew of the watches, unless it is the first after
//     silence. What has a lower resourceVersion than an entry that waited goes
//     with it. The skew grows when entries are later than that, as they are on
//     machines that are busy, and shrinks again.
//   - An entry that creates an object waits for the object's owners, and an
//     Event for its involved object, for at most maxSkew. All entries with
//     higher resourceVersions wait with it.
//   - An entry waits for watches that have broken off and that read what they
//     missed, up to its own resourceVersion, but not longer than maxHold.
//
// Invariant: the entries of one lane are committed in the order in which they
// were put, whatever their resourceVersions are.

const (
	// maxHold bounds how long an entry waits for other lanes.
	maxHold = time.Second
	// maxSkew bounds how long an entry waits for others that may be late.
	maxSkew = 400 * time.Millisecond
	// lostFor is for how long a lane whose watch broke off makes others wait.
	lostFor = 10 * time.Second
)

// pace is how long entries wait.
type pace struct {
	batch    time.Duration // for the rest of a batch, after silence
	skew     time.Duration // at least, for entries that were written earlier and arrive later
	interval time.Duration // between two commits under load
	idle     time.Duration // for a record, if the entry has none
}

// laneState is how complete a lane is.
type laneState uint8

const (
	live     laneState = iota // the lane gets changes as they happen
	lost                      // the watch broke off, and will be resumed
	resuming                  // the watch reads what the lane missed
	resumed                   // it has read that, and may be late for a moment
	listing                   // the lane gets the present state, in no order
)

// lane is a stream's part of the queue. The queue's lock guards it.
type lane struct {
	resource schema.GroupResource
	kind     schema.GroupKind
	state    laneState
	since    time.Time // when the state began
	top      uint64    // the key of the newest entry
	waiting  int       // entries in the queue
	pending  int       // entries that are not durable; includes waiting

	anchor bool    // the resource surely uses the main counter
	apart  bool    // its resourceVersions are not of the main counter
	odds   int     // windows in a row that contradict the main counter
	spans  [3]span // resourceVersions by window, the current one first
}

// holdsUntil returns until when entries that are newer than the lane have to
// wait for it; zero if they need not.
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

// starving reports whether others may wait for this lane while the queue is
// full of their entries. One entry of the lane finds room nevertheless.
func (l *lane) starving() bool { return l.waiting == 0 && l.state == resuming }

// open adds a lane that goes on from a resourceVersion; "" if a sync comes
// first. An open lane is reset; all its entries have to be durable.
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

// enter changes a lane's state.
func (q *queue) enter(l *lane, state laneState) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l.state == state || state == resumed && l.state == live {
		return
	}
	now := time.Now()
	l.state, l.since = state, now
	if state == listing && l.pending == 0 {
		l.top, q.newest = 0, place{} // the server may have been restored from a backup
	}
	q.reconsider(now)
}

// rank sets an entry's place and when it is due. The lock has to be held.
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
		rv = q.counter.high()
	}
	if initial {
		rv = 0 // lists are in no order
	}
	e.at, e.key = now, max(l.top, rv)
	l.top = e.key
	q.schedule(e, watched)
}

// schedule sets when an entry is due. The lock has to be held.
func (q *queue) schedule(e *entry, watched bool) {
	if e.idle {
		e.due = e.at.Add(q.pace.idle)
		return
	}
	if e.at.Sub(q.lastPut) >= 2*q.pace.interval { // watches that are read at intervals are silent in between
		q.first, q.calm = &e.stream.lane, e.at.Add(q.pace.batch)
	}
	q.lastPut = e.at
	first := q.first == &e.stream.lane && !e.at.After(q.calm)
	e.first = watched && first && !isEffect(e.records)
	e.ordinary = watched && !e.first
	if !e.ordinary {
		e.due = e.at.Add(q.pace.batch)
		return
	}
	e.due = later(e.at.Add(q.skew), q.lastCut.Add(q.pace.interval*3/4))
}

// place is an entry's, and when it was put.
type place struct {
	key uint64
	at  time.Time
}

// learn lets entries wait longer if one is late by more than a third of the skew:
// behind others in the queue, or those that are committed. The lock has to be
// held.
func (q *queue) learn(e *entry, newer []*entry) {
	l := &e.stream.lane
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

// hasten makes a lane's entries due, because someone waits for them. The lock
// has to be held.
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

// gate says which entries may be committed.
type gate struct {
	all      bool   // everything may
	pressed  bool   // entries need not be due
	due      bool   // there is a commit, so that what waits for one may come along
	frontier uint64 // what is not newer has been waited for
	complete uint64 // what is not newer need not wait for other lanes
}

// passes reports whether an entry may be committed, unless its own lane has an
// earlier one that may not.
func (g *gate) passes(e *entry) bool {
	switch {
	case g.all:
		return true
	case !g.pressed && (e.ordinary || e.first) && e.key > g.frontier, !g.pressed && !g.due:
		return false
	}
	return len(e.records) == 0 || e.key <= g.complete
}

// gate returns the gate of this moment. The lock has to be held.
func (q *queue) gate(now time.Time) gate {
	g := gate{all: q.closed != nil, pressed: q.pressed(), complete: math.MaxUint64}
	for _, l := range q.lanes {
		if !l.holdsUntil(q.skew, now).IsZero() {
			g.complete = min(g.complete, l.top)
		}
	}
	q.holding = false
	for _, e := range q.entries {
		if q.lacks(e, now) {
			g.complete, q.holding = min(g.complete, e.key-1), true
			break // entries are sorted by key
		}
	}
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

// leave schedules what a batch left for the next one. The lock has to be held.
func (q *queue) leave(now time.Time, batch []*entry) {
	ordinary := false
	for _, e := range batch {
		ordinary = ordinary || e.ordinary
		if (e.ordinary || e.first) && e.key > q.newest.key {
			q.newest = place{e.key, e.at}
		}
	}
	if !ordinary {
		return
	}
	q.lastCut = now
	q.skew -= (q.skew - q.pace.skew) / 32
	for _, e := range q.entries {
		if e.ordinary && e.due.After(now) {
			e.due = later(e.due, now.Add(q.pace.interval))
		}
	}
}

// next returns when the first entry is due, or need not wait for other lanes
// any longer; zero if there is none. The lock has to be held.
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
		if q.lacks(e, now) {
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

// windowLength is the length of a window in which resourceVersions are
// compared. What one lane gets in a window comes after all that other lanes
// got two windows earlier: no watch is late by that much.
const windowLength = 10 * time.Second

// maxOdds is how many windows in a row may contradict the main counter.
const maxOdds = 2

// span is a range of resourceVersions; the zero span is empty.
type span struct{ low, high uint64 }

func (s *span) add(rv uint64) {
	if s.high == 0 || rv < s.low {
		s.low = rv
	}
	s.high = max(s.high, rv)
}

// contradicts reports whether s has a resourceVersion that is newer than one of
// later, and whether both have any.
func (s span) contradicts(later span) (contradicts, known bool) {
	known = s.high != 0 && later.high != 0
	return known && s.high > later.low, known
}

// counter finds out which lanes have resourceVersions of another counter than
// the API server's built-in types: Events may have an etcd of their own, and
// aggregated API servers have what they like.
type counter struct {
	began time.Time // of the current window
	spans [3]span   // of all anchors, by window, the current one first
}

// high returns the highest resourceVersion of late.
func (c *counter) high() uint64 { return max(c.spans[0].high, c.spans[1].high) }

// compare notes that a lane reported a write as it happened. The lock has to
// be held.
func (q *queue) compare(l *lane, rv uint64, now time.Time) {
	if now.Sub(q.counter.began) >= windowLength {
		q.turn(now)
	}
	l.spans[0].add(rv)
	if l.anchor {
		q.counter.spans[0].add(rv)
	}
}

// turn begins a new window, after it has judged the lanes by the last ones.
func (q *queue) turn(now time.Time) {
	c := &q.counter
	for _, l := range q.lanes {
		if !l.anchor && !l.apart && l.odd(c) {
			q.setApart(l)
		}
		l.spans = [3]span{{}, l.spans[0], l.spans[1]}
	}
	c.spans = [3]span{{}, c.spans[0], c.spans[1]}
	c.began = now
}

// odd reports whether the last windows of a lane contradict the main counter.
func (l *lane) odd(c *counter) bool {
	late, known := l.spans[2].contradicts(c.spans[0])
	early, alsoKnown := c.spans[2].contradicts(l.spans[0])
	switch {
	case late || early:
		l.odds++
	case known || alsoKnown:
		l.odds = 0
	}
	return l.odds >= maxOdds
}

// setApart takes a lane out of the order of resourceVersions. Its entries have
// their places by when they arrive.
func (q *queue) setApart(l *lane) {
	l.apart, l.top = true, q.counter.high()
	for _, e := range q.entries {
		if &e.stream.lane == l {
			e.key = l.top
		}
	}
	slices.SortStableFunc(q.entries, func(a, b *entry) int { return cmp.Compare(a.key, b.key) })
}

// builtIn reports whether a resource surely has its resourceVersions from the
// API server's main etcd.
func builtIn(r schema.GroupResource) bool {
	if history.IsEventResource(r) {
		return false
	}
	return !strings.Contains(r.Group, ".") || strings.HasSuffix(r.Group, ".k8s.io")
}

// isInitial reports whether there are records, all of objects that existed
// before.
func isInitial(records []*history.Record) bool {
	for _, r := range records {
		if !r.Initial {
			return false
		}
	}
	return len(records) > 0
}

// isEffect reports whether a record tells by itself that another write came
// before: somebody made the object because of another object.
func isEffect(records []*history.Record) bool {
	for _, r := range records {
		if r.Verb == history.Create && (len(r.Owners) > 0 || r.Regarding != nil) {
			return true
		}
	}
	return false
}

// number returns a resourceVersion as a number, if it is one.
func number(rv string) (uint64, bool) {
	n, err := strconv.ParseUint(rv, 10, 64)
	return n, err == nil && n > 0
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

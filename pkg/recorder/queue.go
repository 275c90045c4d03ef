package recorder

import (
	"context"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// entry contains the changes of one watch event, which are committed in one
// transaction.
type entry struct {
	stream     *Stream
	records    []history.NewVersion
	checkpoint *history.Checkpoint // nil if it does not move
	gap        *history.Gap        // opens before the records, or closes after them
	// idle entries wait for others: a moved checkpoint alone is not worth a
	// transaction of its own.
	idle bool
	rv   string // of the write that the entry reports; "" for the lane's newest
	// causes must be recorded before the object that the entry creates.
	causes []cause

	// The queue sets the fields below.

	key      uint64    // position in the order of commits
	at       time.Time // of put
	due      time.Time // when the entry is worth a commit
	first    bool      // the first write after silence
	ordinary bool      // any other write that is reported as it happens
	bytes    int       // see size
}

// size estimates the memory that the entry uses, in bytes.
func (e *entry) size() int {
	size := 100
	for _, r := range e.records {
		size += 400 + len(r.Object)
	}
	return size
}

// queue holds accepted entries until they are committed, in the order of
// resourceVersions as far as these are comparable. See queue_order.go.
//
// It is bounded by records and by bytes, and put blocks while it is full. After
// it was closed, it accepts no more entries, but take still returns those that
// it holds. One goroutine takes, any number of goroutines put.
type queue struct {
	maxRecords, maxBytes     int // of the queue
	batchRecords, batchBytes int // of one batch

	pace  pace
	ready chan struct{} // has a token if the committer must call take again

	mu      sync.Mutex // guards the fields below
	lanes   []*lane
	entries []*entry // sorted by key, then by arrival
	records int      // of the entries
	bytes   int      // of the entries
	counter counter
	live    map[uint64]struct{} // digests of the UIDs of live objects, recorded or queued
	holding bool                // at the last take, an entry was waiting for its causes
	skew    time.Duration       // how long entries wait for others that may be late
	newest  position            // of the newest committed entry
	lastPut time.Time           // of the last entry that was not idle
	first   *lane               // the lane that ended the last silence
	calm    time.Time           // until when its entries count as the first after silence
	lastCut time.Time           // of the last batch with an ordinary entry
	wakeAt  time.Time           // when the committer calls take next; zero: when it is signaled
	recheck time.Time           // when held entries are checked again; zero: not scheduled
	closed  error               // why no entries are accepted any more
	changed chan struct{}       // closed at the next change that may unblock put or wait
}

// newQueue returns an empty queue with the bounds of the options. The committer
// may call take at once.
func newQueue(o Options) *queue {
	return &queue{
		maxRecords: o.QueueRecords, maxBytes: o.QueueBytes, batchRecords: o.BatchRecords, batchBytes: o.BatchBytes,
		pace:  pace{batch: o.BatchDelay, skew: o.SkewDelay, interval: o.BatchInterval, idle: o.IdleDelay},
		skew:  o.SkewDelay,
		live:  map[uint64]struct{}{},
		ready: make(chan struct{}, 1), changed: make(chan struct{}),
	}
}

// put queues the entry. It blocks until there is room. An entry that is larger
// than the queue has room if the queue is empty. The error is the reason of
// close, or the cause of ctx.
func (q *queue) put(ctx context.Context, e *entry) error {
	e.bytes = e.size()
	for {
		changed, err := q.tryPut(e)
		if err != nil || changed == nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// tryPut queues the entry if there is room. Otherwise it returns a channel that
// is closed at the next change.
func (q *queue) tryPut(e *entry) (changed <-chan struct{}, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed != nil {
		return nil, q.closed
	}
	// A starving lane is exempt from the bounds. Otherwise the queue could be
	// full of entries that wait for one that has no room.
	l := &e.stream.lane
	if len(q.entries) > 0 && !l.starving() &&
		(q.records+len(e.records) > q.maxRecords || q.bytes+e.bytes > q.maxBytes) {
		return q.changed, nil
	}
	// The order matters: insert needs the key, and wake the due time.
	now := time.Now()
	q.rank(e, now)
	q.resolveCauses(e, now)
	q.insert(e)
	l.waiting++
	l.pending++
	switch {
	case q.pressed():
		q.wake(now, now)
	case !e.idle:
		q.wake(now, e.due)
	}
	if l.state == resuming { // entries of other lanes may be waiting for this one
		q.reconsider(now)
	}
	return nil, nil
}

// insert adds an entry in the order of keys. The caller holds the lock.
func (q *queue) insert(e *entry) {
	at := sort.Search(len(q.entries), func(i int) bool { return q.entries[i].key > e.key })
	q.learn(e, q.entries[at:])
	q.entries = slices.Insert(q.entries, at, e)
	q.records += len(e.records)
	q.bytes += e.bytes
}

// wake makes the committer call take at the time at, unless it does so earlier.
// The caller holds the lock.
func (q *queue) wake(now, at time.Time) {
	if q.wakeAt.IsZero() || at.Before(q.wakeAt) {
		q.wakeAt = later(at, now)
		signal(q.ready)
	}
}

// reconsider makes the committer check soon whether held entries may be
// committed. The caller holds the lock.
func (q *queue) reconsider(now time.Time) {
	if len(q.entries) == 0 || !q.recheck.IsZero() {
		return
	}
	q.recheck = now.Add(q.pace.batch)
	q.wake(now, q.recheck)
}

// pressed reports whether the queue is so full that entries are committed
// without waiting for late ones. The caller holds the lock.
func (q *queue) pressed() bool {
	return q.records >= max(q.batchRecords, q.maxRecords/2) || q.bytes >= max(q.batchBytes, q.maxBytes/2)
}

// take removes the entries that are committed now, at most one batch. A batch
// exceeds its bounds only if it consists of one entry.
//
// If there are none, take must be called again at the time next, or earlier if
// ready has a token. A zero next means that only a token counts.
func (q *queue) take() (batch []*entry, next time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	if now.Before(q.wakeAt) && q.closed == nil {
		return nil, q.wakeAt
	}
	q.recheck = time.Time{}
	batch = q.cut(q.gate(now))
	if len(batch) == 0 {
		q.wakeAt = q.next(now)
		return nil, q.wakeAt
	}
	q.afterCut(now, batch)
	q.wakeAt = now
	q.broadcast()
	return batch, now
}

// cut removes the entries that pass the gate, at most one batch. If an entry of
// a lane does not pass, the later ones of that lane don't either. The caller
// holds the lock.
func (q *queue) cut(g gate) (batch []*entry) {
	records, bytes := 0, 0
	rest := q.entries[:0]
	blocked := map[*lane]bool{}
	full := false
	for _, e := range q.entries {
		l := &e.stream.lane
		over := len(batch) > 0 && (records+len(e.records) > q.batchRecords || bytes+e.bytes > q.batchBytes)
		full = full || over
		if full || blocked[l] || !g.passes(e) {
			blocked[l] = true
			rest = append(rest, e)
			continue
		}
		batch = append(batch, e)
		records, bytes = records+len(e.records), bytes+e.bytes
		l.waiting--
	}
	clear(q.entries[len(rest):]) // or the array retains the committed records
	q.entries = rest
	q.records -= records
	q.bytes -= bytes
	return batch
}

// commit notes that entries returned by take are durable.
func (q *queue) commit(entries []*entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range entries {
		e.stream.lane.pending--
	}
	q.broadcast()
}

// wait blocks until all entries of the lane are durable. If the queue is closed
// before that, it returns the reason.
func (q *queue) wait(ctx context.Context, l *lane) error {
	for {
		done, changed, err := q.durable(l)
		if err != nil || done {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// durable reports whether all entries of a lane are durable. If they are not,
// it makes them due, and returns a channel that is closed at the next change.
func (q *queue) durable(l *lane) (bool, <-chan struct{}, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l.pending == 0 || q.closed != nil {
		return l.pending == 0, q.changed, q.closed
	}
	if l.waiting > 0 {
		q.hasten(l, time.Now())
	}
	return false, q.changed, nil
}

// close makes put return the reason from now on. Later calls have no effect.
func (q *queue) close(reason error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed == nil {
		q.closed = reason
		q.broadcast()
	}
}

// depth returns the queued records and their bytes.
func (q *queue) depth() (records, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.records, q.bytes
}

// broadcast unblocks all calls of put and wait. The caller holds the lock.
func (q *queue) broadcast() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// signal puts a token into the channel unless it has one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

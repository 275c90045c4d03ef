package recorder

import (
	"context"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// entry is what one frame leads to. It goes into one transaction as a whole.
type entry struct {
	stream     *Stream
	records    []*history.Record
	checkpoint *history.Checkpoint
	gap        *history.Gap // that opens before the records, or ends with them
	// idle entries wait for others: a moved checkpoint alone is not worth a transaction of its own.
	idle bool
	rv   string // of the write that the entry reports; "" for the lane's newest
	// causes must be recorded before the object that the entry creates.
	causes []cause

	// The queue sets the fields below.

	key      uint64 // the entry's place in the order of commits
	at       time.Time
	due      time.Time // when the entry is worth a commit
	first    bool      // the entry reports the first write after silence
	ordinary bool      // the entry reports another write as it happens
	bytes    int
}

// size estimates the memory that the entry holds, in bytes.
func (e *entry) size() int {
	size := 100
	for _, r := range e.records {
		size += 400 + len(r.Object)
	}
	return size
}

// queue holds accepted entries until they are committed, in the order of
// resourceVersions as far as these are comparable. It is bounded by records
// and by bytes, and a put blocks while it is full. Once it is closed it
// accepts nothing, and still gives out what it has.
type queue struct {
	maxRecords, maxBytes int // what it holds
	cutRecords, cutBytes int // what one batch takes

	pace  pace
	ready chan struct{} // holds a token when the committer has to look again

	mu      sync.Mutex // guards the fields below
	lanes   []*lane
	entries []*entry // in the order of key, and of arrival within a key
	records int
	bytes   int
	counter counter
	known   map[uint64]struct{} // digests of the UIDs of live objects, recorded or queued
	holding bool                // at the last take, an entry was waiting for its causes
	skew    time.Duration       // how long entries wait for others that may be late
	newest  place               // that was committed
	lastPut time.Time           // of the last entry that was not idle
	first   *lane               // the one that ended the last silence
	calm    time.Time           // until when its entries count as the first after that
	lastCut time.Time           // of the last batch that reported writes as they happen
	wakeAt  time.Time           // when the committer looks next; zero: when it is signaled
	look    time.Time           // when held entries may have become free; zero: unknown
	closed  error               // why nothing is accepted any more
	changed chan struct{}
}

func newQueue(o Options) *queue {
	return &queue{
		maxRecords: o.QueueRecords, maxBytes: o.QueueBytes, cutRecords: o.BatchRecords, cutBytes: o.BatchBytes,
		pace:  pace{batch: o.BatchDelay, skew: o.SkewDelay, interval: o.BatchInterval, idle: o.IdleDelay},
		skew:  o.SkewDelay,
		known: map[uint64]struct{}{},
		ready: make(chan struct{}, 1), changed: make(chan struct{}),
	}
}

// put accepts the entry, or blocks until there is room. An entry that is
// larger than the queue finds room when the queue is empty.
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

// tryPut returns a channel to wait for if there is no room.
func (q *queue) tryPut(e *entry) (changed <-chan struct{}, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed != nil {
		return nil, q.closed
	}
	l := &e.stream.lane
	if len(q.entries) > 0 && !l.starving() && (q.records+len(e.records) > q.maxRecords || q.bytes+e.bytes > q.maxBytes) {
		return q.changed, nil
	}
	now := time.Now()
	q.rank(e, now)
	q.meet(e, now)
	q.insert(e)
	l.waiting++
	l.pending++
	switch {
	case q.pressed():
		q.wake(now, now)
	case !e.idle:
		q.wake(now, e.due)
	}
	if l.state == resuming {
		q.reconsider(now)
	}
	return nil, nil
}

func (q *queue) insert(e *entry) {
	at := sort.Search(len(q.entries), func(i int) bool { return q.entries[i].key > e.key })
	q.learn(e, q.entries[at:])
	q.entries = slices.Insert(q.entries, at, e)
	q.records += len(e.records)
	q.bytes += e.bytes
}

// wake makes the committer look at this time, unless it does so earlier
// anyway. The lock has to be held.
func (q *queue) wake(now, at time.Time) {
	if q.wakeAt.IsZero() || at.Before(q.wakeAt) {
		q.wakeAt = later(at, now)
		signal(q.ready)
	}
}

// reconsider makes the committer look soon whether held entries are free. The
// lock has to be held.
func (q *queue) reconsider(now time.Time) {
	if len(q.entries) == 0 || !q.look.IsZero() {
		return
	}
	q.look = now.Add(q.pace.batch)
	q.wake(now, q.look)
}

// pressed reports whether so much waits that it is committed without waiting
// for stragglers. The lock has to be held.
func (q *queue) pressed() bool {
	return q.records >= max(q.cutRecords, q.maxRecords/2) || q.bytes >= max(q.cutBytes, q.maxBytes/2)
}

// take gives out the entries to commit now, up to a batch, and when to look
// again if there are none; zero: when ready has a token. Only an entry that is
// larger than a batch makes one that is too large.
func (q *queue) take() (batch []*entry, next time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	if now.Before(q.wakeAt) && q.closed == nil {
		return nil, q.wakeAt
	}
	q.look = time.Time{}
	batch = q.cut(q.gate(now))
	if len(batch) == 0 {
		q.wakeAt = q.next(now)
		return nil, q.wakeAt
	}
	q.leave(now, batch)
	q.wakeAt = now
	q.broadcast()
	return batch, now
}

// cut removes the entries that pass the gate, up to a batch.
func (q *queue) cut(g gate) (batch []*entry) {
	records, bytes := 0, 0
	rest := q.entries[:0]
	blocked := map[*lane]bool{}
	full := false
	for _, e := range q.entries {
		l := &e.stream.lane
		over := len(batch) > 0 && (records+len(e.records) > q.cutRecords || bytes+e.bytes > q.cutBytes)
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
	clear(q.entries[len(rest):])
	q.entries = rest
	q.records -= records
	q.bytes -= bytes
	return batch
}

// commit notes that entries that were given out are durable.
func (q *queue) commit(entries []*entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range entries {
		e.stream.lane.pending--
	}
	q.broadcast()
}

// wait blocks until everything that the lane put is durable. Once the queue is
// closed it only returns the reason.
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

// durable makes a lane's entries due if they are not durable.
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

// close makes the queue accept nothing more, for this reason; the first reason stands.
func (q *queue) close(reason error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed == nil {
		q.closed = reason
		q.broadcast()
	}
}

func (q *queue) depth() (records, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.records, q.bytes
}

// broadcast wakes everyone who waits for a change. The lock has to be held.
func (q *queue) broadcast() {
	close(q.changed)
	q.changed = make(chan struct{})
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

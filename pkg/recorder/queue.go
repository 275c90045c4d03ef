package recorder

import (
	"context"
	"sync"

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
}

// size estimates the memory that the entry holds, in bytes.
func (e *entry) size() int {
	size := 100
	for _, r := range e.records {
		size += 400 + len(r.Object)
	}
	return size
}

// queue holds accepted entries until they are committed, in the order in which they were accepted. It is bounded by
// records and by bytes, and blocks who puts more. Once it is closed it accepts nothing, and still gives out what it has.
type queue struct {
	maxRecords, maxBytes int // what it holds
	cutRecords, cutBytes int // what one batch takes

	ready chan struct{} // holds a token while entries wait that are not idle
	full  chan struct{} // may hold a token when a whole batch waits

	mu        sync.Mutex // guards what follows
	entries   []entry
	records   int
	bytes     int
	accepted  uint64        // entries put so far
	committed uint64        // entries of these that are durable
	closed    error         // why nothing is accepted any more
	changed   chan struct{} // closed when room was made, entries became durable, or the queue was closed
}

func newQueue(o Options) *queue {
	return &queue{
		maxRecords: o.QueueRecords, maxBytes: o.QueueBytes, cutRecords: o.BatchRecords, cutBytes: o.BatchBytes,
		ready: make(chan struct{}, 1), full: make(chan struct{}, 1), changed: make(chan struct{}),
	}
}

// put accepts the entry and returns its number, or blocks until there is room. An entry that is larger than the queue
// finds room when the queue is empty.
func (q *queue) put(ctx context.Context, e entry) (uint64, error) {
	size := e.size()
	for {
		number, changed, err := q.tryPut(e, size)
		if err != nil || changed == nil {
			return number, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// tryPut returns a channel to wait for where there is no room.
func (q *queue) tryPut(e entry, size int) (number uint64, changed <-chan struct{}, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed != nil {
		return 0, nil, q.closed
	}
	if len(q.entries) > 0 && (q.records+len(e.records) > q.maxRecords || q.bytes+size > q.maxBytes) {
		return 0, q.changed, nil
	}
	q.entries = append(q.entries, e)
	q.records += len(e.records)
	q.bytes += size
	q.accepted++
	if !e.idle {
		signal(q.ready)
	}
	if q.records >= q.cutRecords || q.bytes >= q.cutBytes {
		signal(q.full)
	}
	return q.accepted, nil, nil
}

// take gives out the oldest entries, up to a batch: at least one where there is any. Only an entry that is larger than a
// batch makes one that is too large.
func (q *queue) take() []entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, records, bytes := 0, 0, 0
	for ; n < len(q.entries); n++ {
		more, size := len(q.entries[n].records), q.entries[n].size()
		if n > 0 && (records+more > q.cutRecords || bytes+size > q.cutBytes) {
			break
		}
		records, bytes = records+more, bytes+size
	}
	batch := append([]entry(nil), q.entries[:n]...)
	rest := copy(q.entries, q.entries[n:])
	clear(q.entries[rest:])
	q.entries = q.entries[:rest]
	q.records -= records
	q.bytes -= bytes
	if rest > 0 {
		signal(q.ready)
	}
	q.broadcast()
	return batch
}

// whole tells whether a whole batch waits.
func (q *queue) whole() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.records >= q.cutRecords || q.bytes >= q.cutBytes
}

// commit notes that the n oldest entries that were given out are durable.
func (q *queue) commit(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.committed += uint64(n)
	q.broadcast()
}

// wait blocks until the entry with this number is durable. Once the queue is closed it only tells why.
func (q *queue) wait(ctx context.Context, number uint64) error {
	for {
		done, changed, err := q.durable(number)
		if err != nil || done {
			return err
		}
		signal(q.ready)
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (q *queue) durable(number uint64) (bool, <-chan struct{}, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.committed >= number, q.changed, q.closed
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

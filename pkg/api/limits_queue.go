package api

import (
	"context"
	"slices"
	"sync"
	"time"
)

// queue gives slots to queries. The queries of one client wait in the order in
// which they came, and clients take turns. It is safe for concurrent use.
//
// So the first query of a client waits for at most one query of a client that
// sends many. If the queue reserves a slot, it does not wait at all.
type queue struct {
	slots     int           // queries that run at once
	perClient int           // slots that one client can hold
	backlog   int           // queries of one client that can wait
	capacity  int           // queries of all clients that can wait
	patience  time.Duration // how long a query waits at most

	mu      sync.Mutex // guards the fields below
	running int
	waiting int
	mean    time.Duration     // for which a query has a slot; 0 before the first one
	clients map[string]*turns // clients with a query that runs or waits
	ring    []*turns          // clients with a query that waits; the next one is first
}

// turns are the queries of one client.
type turns struct {
	running int
	waiting []*turn
}

// turn is a query that waits.
type turn struct {
	granted chan struct{} // closed when the query may run
}

// newQueue returns a queue without queries. If reserve is set and there are
// several slots, one client can't hold all of them.
func newQueue(slots int, reserve bool, backlog, capacity int, patience time.Duration) *queue {
	perClient := slots
	if reserve {
		perClient = max(1, slots-1)
	}
	return &queue{
		slots: slots, perClient: perClient, backlog: backlog, capacity: capacity, patience: patience,
		clients: map[string]*turns{},
	}
}

// acquire waits for a slot, which the caller must release. It returns a
// [refusal] at once if too many queries wait, or if they are expected to take
// longer than the queue's patience, and in any case after that time. If the
// context ends first, it returns the cause.
func (q *queue) acquire(ctx context.Context, client string) (release func(), err error) {
	t, err := q.enter(client)
	if err != nil {
		return nil, err
	}
	patience := time.NewTimer(q.patience)
	defer patience.Stop()
	select {
	case <-t.granted:
		return q.slot(client), nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-patience.C:
		err = errWait
	}
	if err = q.leave(client, t, err); err != nil {
		return nil, err
	}
	return q.slot(client), nil
}

// resume waits for a slot for an answer that has begun, before the client's
// other queries. It never refuses: the answer could not be completed then.
func (q *queue) resume(ctx context.Context, client string) (release func(), err error) {
	t := q.enterFirst(client)
	select {
	case <-t.granted:
	case <-ctx.Done():
		if err := q.leave(client, t, context.Cause(ctx)); err != nil {
			return nil, err
		}
	}
	return q.slot(client), nil
}

// enter adds a query that waits, unless too many do.
func (q *queue) enter(client string) (*turn, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c, t := q.client(client), &turn{granted: make(chan struct{})}
	c.waiting = append(c.waiting, t)
	q.addLocked(c)
	switch {
	case t.isGranted():
		return t, nil
	case len(c.waiting) > q.backlog:
		q.removeLocked(client, t)
		return nil, errBacklog
	case q.waiting > q.capacity:
		q.removeLocked(client, t)
		return nil, errCapacity
	}
	if wait := q.expectedLocked(c); wait > q.patience {
		q.removeLocked(client, t)
		return nil, errWait.retryAfter(wait - q.patience)
	}
	return t, nil
}

// expectedLocked returns how long the client's last query will wait, if the
// queries before it take as long as earlier ones.
func (q *queue) expectedLocked(c *turns) time.Duration {
	before, slots := min(q.waiting, len(c.waiting)*len(q.ring)), q.slots
	if len(q.clients) == 1 {
		slots = q.perClient
	}
	return time.Duration(before) * q.mean / time.Duration(slots)
}

// enterFirst adds a query that waits before the client's other ones.
func (q *queue) enterFirst(client string) *turn {
	q.mu.Lock()
	defer q.mu.Unlock()
	c, t := q.client(client), &turn{granted: make(chan struct{})}
	c.waiting = slices.Insert(c.waiting, 0, t)
	q.addLocked(c)
	return t
}

// client returns the queries of a client. The caller holds mu.
func (q *queue) client(name string) *turns {
	c := q.clients[name]
	if c == nil {
		c = &turns{}
		q.clients[name] = c
	}
	return c
}

// addLocked counts the query that the client has just added.
func (q *queue) addLocked(c *turns) {
	q.waiting++
	if len(c.waiting) == 1 {
		q.ring = append(q.ring, c)
	}
	q.grantLocked()
}

// grantLocked gives free slots to queries that wait. The clients with the
// fewest running queries come first, and among them the one that has waited
// longest for its turn.
func (q *queue) grantLocked() {
	for q.running < q.slots {
		next := -1
		for i, c := range q.ring {
			if c.running < q.perClient && (next < 0 || c.running < q.ring[next].running) {
				next = i
			}
		}
		if next < 0 {
			return
		}
		c := q.ring[next]
		q.ring = slices.Delete(q.ring, next, next+1)
		close(c.waiting[0].granted)
		if c.waiting = slices.Delete(c.waiting, 0, 1); len(c.waiting) > 0 {
			q.ring = append(q.ring, c)
		}
		c.running++
		q.running++
		q.waiting--
	}
}

// leave removes a query that stops waiting because of err, which it returns. If
// the query has got a slot meanwhile, it keeps the slot, and leave returns nil.
func (q *queue) leave(client string, t *turn, err error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.isGranted() {
		return nil
	}
	q.removeLocked(client, t)
	return err
}

// removeLocked removes a query that waits.
func (q *queue) removeLocked(client string, t *turn) {
	c := q.clients[client]
	q.waiting--
	if c.waiting = slices.DeleteFunc(c.waiting, func(o *turn) bool { return o == t }); len(c.waiting) == 0 {
		q.ring = slices.DeleteFunc(q.ring, func(o *turns) bool { return o == c })
	}
	q.forgetLocked(client, c)
}

// slot returns the function that releases the slot that the client has got.
func (q *queue) slot(client string) func() {
	start := time.Now()
	return func() { q.release(client, time.Since(start)) }
}

// release returns a slot that a query had for some time.
func (q *queue) release(client string, took time.Duration) {
	const weight = 8 // of the earlier queries together
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mean == 0 {
		q.mean = took
	}
	q.mean += (took - q.mean) / weight
	c := q.clients[client]
	c.running--
	q.running--
	q.forgetLocked(client, c)
	q.grantLocked()
}

// forgetLocked removes a client without queries.
func (q *queue) forgetLocked(name string, c *turns) {
	if c.running == 0 && len(c.waiting) == 0 {
		delete(q.clients, name)
	}
}

// lengths returns the numbers of queries that run and that wait.
func (q *queue) lengths() (running, waiting int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.running, q.waiting
}

// isGranted reports whether the query has a slot.
func (t *turn) isGranted() bool {
	select {
	case <-t.granted:
		return true
	default:
		return false
	}
}

package store

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// Limits of a prefetcher. It begins with one record and doubles, so that it
// reads few unused records if the caller stops early.
const (
	maxPrefetch      = 32      // records
	maxPrefetchBytes = 4 << 20 // of JSON; no further body is begun beyond it
)

// records yields the records that a scan selects among the hits, in their
// order, up to its limit. The records before an error are yielded.
func (r *reader) records(ctx context.Context, sc *history.Scan, hits hitSeq, yield func(*history.Record) error) error {
	p, n := prefetcher{r: r, most: 1, yield: yield}, 0
	err := hits(func(h indexHit) error {
		rec, parts, err := r.match(&sc.Filter, h)
		if err != nil || rec == nil {
			return err
		}
		if sc.Bodies {
			err = p.add(ctx, &pendingBody{rec: rec, hit: h, parts: parts})
		} else {
			err = yield(rec)
		}
		if n++; err == nil && n == sc.Limit {
			err = errStop
		}
		return err
	})
	return cmp.Or(p.flush(ctx), err)
}

// prefetcher holds a scan's records until there are several, and then reads
// their bodies concurrently. It must be used by one goroutine. It runs no
// goroutine between two calls.
type prefetcher struct {
	r       *reader
	most    int            // how many records it holds
	pending []*pendingBody // in the scan's order
	yield   func(*history.Record) error
}

// pendingBody is a record whose body is not read yet.
type pendingBody struct {
	rec   *history.Record
	hit   indexHit
	parts uint16
	done  bool  // the body was read, or err is set
	err   error // of reading it
}

// add adds the next record, and flushes the prefetcher if it is full.
func (p *prefetcher) add(ctx context.Context, b *pendingBody) error {
	if p.pending = append(p.pending, b); len(p.pending) < p.most {
		return nil
	}
	p.most = min(2*p.most, maxPrefetch)
	return p.flush(ctx)
}

// flush yields all records that the prefetcher holds, up to the first error.
func (p *prefetcher) flush(ctx context.Context) error {
	pending := p.pending
	p.pending = p.pending[:0]
	for i, b := range pending {
		if !b.done {
			p.r.readBodies(pending[i:])
		}
		if err := cmp.Or(p.r.s.checkOpen(ctx), b.err); err != nil {
			return err
		}
		pending[i] = nil // lets the collector free the object
		if err := p.yield(b.rec); err != nil {
			return err
		}
	}
	return nil
}

// readBodies reads the body of the first record, and concurrently those of the
// following ones, as far as maxPrefetchBytes allows.
func (r *reader) readBodies(pending []*pendingBody) {
	var size atomic.Int64
	parallel(len(pending), countObjects(pending), func(i int) {
		if size.Load() >= maxPrefetchBytes {
			return
		}
		b := pending[i]
		b.rec.Object, b.err = r.hitBody(b.hit, b.parts)
		b.done = true
		size.Add(int64(len(b.rec.Object)))
	})
}

// countObjects returns the number of different objects. More goroutines are
// useless, because the bodies of one object depend on each other.
func countObjects(pending []*pendingBody) int {
	objects := map[uint64]bool{}
	for _, b := range pending {
		objects[b.hit.Object] = true
	}
	return len(objects)
}

// hitBody reads the body of a hit. It returns [errDropped] if the body may be
// incomplete because its day is being dropped.
func (r *reader) hitBody(h indexHit, parts uint16) (json []byte, err error) {
	if h.baseline {
		json, err = r.readBaselineBody(h.Entry, parts)
	} else {
		json, err = r.body(h.Entry, parts)
	}
	if r.droppedMeanwhile(key.Day(h.TS)) {
		return nil, errDropped
	}
	return json, err
}

// maxGoroutines bounds the goroutines of one scan or one batch.
const maxGoroutines = 4

// parallel calls work with every number below n and returns once all calls have
// returned. It uses the calling goroutine and others: as many as there are
// processors, but at most "most" and maxGoroutines. If work panics, parallel
// panics in the calling goroutine.
func parallel(n, most int, work func(i int)) {
	var next atomic.Int64
	var failure atomic.Pointer[string]
	run := func() {
		defer func() {
			if p := recover(); p != nil {
				text := fmt.Sprintf("%v\n%s", p, debug.Stack())
				failure.Store(&text)
			}
		}()
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			work(i)
		}
	}
	var others sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), maxGoroutines, n, most) - 1 {
		others.Go(run)
	}
	run()
	others.Wait()
	if text := failure.Load(); text != nil {
		panic(*text)
	}
}

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

// How far a scan reads bodies ahead of what it yields. It begins with one, so that little is read in vain for whoever stops soon, and
// doubles.
const (
	maxAhead      = 32      // records
	maxAheadBytes = 4 << 20 // of JSON, from where on no further body is begun
)

// records yields the records that a scan selects of hits, in their order, and goes no further than to its limit.
func (r *reader) records(ctx context.Context, sc *history.Scan, hits hits, yield func(*history.Record) error) error {
	a, n := ahead{r: r, most: 1, yield: yield}, 0
	err := hits(func(h hit) error {
		rec, parts, err := r.match(&sc.Filter, h)
		if err != nil || rec == nil {
			return err
		}
		if sc.Bodies {
			err = a.add(ctx, &bodiless{rec: rec, hit: h, parts: parts})
		} else {
			err = yield(rec)
		}
		if n++; err == nil && n == sc.Limit {
			err = errStop
		}
		return err
	})
	return cmp.Or(a.flush(ctx), err) // what was found before an error is yielded before it
}

// ahead holds a scan's records back until there are several, whose bodies it then reads at the same time. It is for one goroutine; while
// none of its methods runs, no other one does.
type ahead struct {
	r       *reader
	most    int         // how many records are held back
	waiting []*bodiless // in the scan's order
	yield   func(*history.Record) error
}

// bodiless is a record that waits for its body.
type bodiless struct {
	rec   *history.Record
	hit   hit
	parts uint16
	built bool  // the body is there, or err
	err   error // of reading it
}

// add takes in the next record.
func (a *ahead) add(ctx context.Context, b *bodiless) error {
	if a.waiting = append(a.waiting, b); len(a.waiting) < a.most {
		return nil
	}
	a.most = min(2*a.most, maxAhead)
	return a.flush(ctx)
}

// flush yields all records that are held back, up to the first error.
func (a *ahead) flush(ctx context.Context) error {
	waiting := a.waiting
	a.waiting = a.waiting[:0]
	for i, b := range waiting {
		if !b.built {
			a.r.build(waiting[i:])
		}
		if err := cmp.Or(a.r.s.goesOn(ctx), b.err); err != nil {
			return err
		}
		waiting[i] = nil // so that nothing keeps its object
		if err := a.yield(b.rec); err != nil {
			return err
		}
	}
	return nil
}

// build reads the bodies of the first one of the records and of as many of those behind it as may be read ahead.
func (r *reader) build(waiting []*bodiless) {
	var size atomic.Int64
	parallel(len(waiting), objectsOf(waiting), func(i int) {
		if size.Load() >= maxAheadBytes {
			return
		}
		b := waiting[i]
		b.rec.Object, b.err = r.whole(b.hit, b.parts)
		b.built = true
		size.Add(int64(len(b.rec.Object)))
	})
}

// objectsOf is of how many objects the records are. Bodies of one object lead through one another, so that there is nothing to do for a
// second goroutine.
func objectsOf(waiting []*bodiless) int {
	objects := map[uint64]bool{}
	for _, b := range waiting {
		objects[b.hit.Object] = true
	}
	return len(objects)
}

// whole reads the body of a hit. What could not be read whole because its day is being dropped is [errDropped].
func (r *reader) whole(h hit, parts uint16) (json []byte, err error) {
	if h.carried {
		json, err = r.carriedBody(h.Entry, parts)
	} else {
		json, err = r.body(h.Entry, parts)
	}
	if r.lost(key.Day(h.TS)) {
		return nil, errDropped
	}
	return json, err
}

// maxGoroutines bounds what one scan or one batch takes of the processors.
const maxGoroutines = 4

// parallel calls work with every number below n, by as many goroutines as there are processors and no more than most, this one
// among them, and returns once none runs any more. A panic of any of them is one of the caller's, who may catch it.
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

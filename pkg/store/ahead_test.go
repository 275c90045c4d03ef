package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// parallel lets as many goroutines run at a time as a scan has for bodies at the most, however many processors the machine has.
func parallel(t *testing.T) {
	t.Helper()
	before := runtime.GOMAXPROCS(4)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

// herd appends rounds of versions of so many objects, which are deltas against the ones before, and returns all bodies.
func herd(t *testing.T, s *store.Store, objects, rounds int) (all [][]byte) {
	t.Helper()
	for round := range rounds {
		for object := range objects {
			r := pod(fmt.Sprint("web-", object), fmt.Sprint(len(all)+1), history.Update)
			r.Object = large(len(all) + 1)
			if round > 0 {
				r.Before = all[len(all)-objects]
			}
			appendTo(t, s, r)
			all = append(all, r.Object)
		}
	}
	return all
}

// TestBodiesComeInOrder reads pages of every length, of many objects and of few, and stops in the middle of each.
func TestBodiesComeInOrder(t *testing.T) {
	parallel(t)
	for _, objects := range []int{1, 3, 40} {
		s := open(t, t.TempDir(), store.Options{})
		want := herd(t, s, objects, 120/objects)
		newestFirst := slices.Clone(want)
		slices.Reverse(newestFirst)
		for limit := range len(want) + 2 {
			for _, stop := range []int{limit/2 + 1, len(want) + 1} {
				inOrder(t, s, history.Scan{Order: history.OldestFirst, Limit: limit, Bodies: true}, stop, want)
				inOrder(t, s, history.Scan{Order: history.NewestFirst, Limit: limit, Bodies: true}, stop, newestFirst)
			}
		}
	}
}

// inOrder reads a scan's records up to a number of them, and compares the bodies with what they have to begin with.
func inOrder(t *testing.T, s *store.Store, sc history.Scan, stop int, want [][]byte) {
	t.Helper()
	n := 0
	for r, err := range s.Scan(t.Context(), sc) {
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(r.Object, want[n]) {
			t.Fatalf("%+v: record %d is %s %s, or has another one's body", sc, n, r.Ref, r.RV)
		}
		r.Object[0] = '#' // it is the caller's
		if n++; n == stop {
			break
		}
	}
	most := len(want)
	if sc.Limit > 0 {
		most = min(most, sc.Limit)
	}
	if n != min(most, stop) {
		t.Errorf("%+v: %d records", sc, n)
	}
}

// TestADamagedBodyEndsAScanInItsPlace damages the oldest body: what comes before it is answered, and where that is all that is asked
// for, nobody is told.
func TestADamagedBodyEndsAScanInItsPlace(t *testing.T) {
	parallel(t)
	const objects = 50
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	for i := range objects {
		r := pod(fmt.Sprint("web-", i), fmt.Sprint(i), history.Create)
		r.Object = random(500 + i) // unlike any other
		appendTo(t, s, r)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	change(t, dir, func(txn *badger.Txn, k, v []byte) error { v[len(v)/2] ^= 1; return txn.Set(k, v) })
	s = open(t, dir, store.Options{})
	for limit := range objects + 1 {
		n := 0
		var failure error
		for r, err := range s.Scan(t.Context(), history.Scan{Order: history.NewestFirst, Limit: limit, Bodies: true}) {
			if failure = err; err != nil {
				continue
			}
			if n++; !bytes.Equal(r.Object, random(500+objects-n)) {
				t.Fatalf("record %d of %d has another body", n, limit)
			}
		}
		if damaged := limit == 0 || limit == objects; damaged != (failure != nil) {
			t.Errorf("limit %d: %v", limit, failure)
		} else if damaged && n != objects-1 || !damaged && n != limit {
			t.Errorf("limit %d: %d records", limit, n)
		}
	}
}

// TestAScanEndsWithItsContext cancels scans after each number of records: what was read ahead is not answered any more.
func TestAScanEndsWithItsContext(t *testing.T) {
	parallel(t)
	s := open(t, t.TempDir(), store.Options{})
	herd(t, s, 10, 4)
	for most := 1; most < 40; most++ {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		var failure error
		for _, err := range s.Scan(ctx, history.Scan{Bodies: true}) {
			if failure = err; err == nil {
				n++
			}
			if n == most {
				cancel()
			}
		}
		cancel()
		if n != most || !errors.Is(failure, context.Canceled) {
			t.Errorf("canceled after %d records, a scan goes on to %d: %v", most, n, failure)
		}
	}
}

// TestLargeBodiesAreNotReadFarAhead holds the memory of a scan of large objects to a bound: they are as many as are read ahead of
// small ones, and 3 MB each.
func TestLargeBodiesAreNotReadFarAhead(t *testing.T) {
	parallel(t)
	const objects, size, bound = 70, 3 << 20, 40 << 20
	s := open(t, t.TempDir(), store.Options{})
	for i := range objects {
		r := pod(fmt.Sprint("web-", i), fmt.Sprint(i), history.Create)
		r.Object = bytes.Repeat(fmt.Appendf(nil, "%07d ", i), size/8)
		appendTo(t, s, r)
	}
	before, most, n := heap(), uint64(0), 0
	for _, err := range s.Scan(t.Context(), history.Scan{Bodies: true}) {
		if err != nil {
			t.Fatal(err)
		}
		n, most = n+1, max(most, heap())
	}
	if n != objects || most > before+bound {
		t.Errorf("%d objects, and at most %d MB in memory, of which %d MB were there before", n, most>>20, before>>20)
	}
}

// heap returns how many bytes of the heap are in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// parallel raises GOMAXPROCS to the largest number of goroutines that a scan
// uses, for the duration of the test.
func parallel(t *testing.T) {
	t.Helper()
	before := runtime.GOMAXPROCS(4)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

// herd appends rounds of versions of n objects, as deltas, and returns all
// bodies.
func herd(t *testing.T, s *store.Store, objects, rounds int) (all [][]byte) {
	t.Helper()
	for round := range rounds {
		for object := range objects {
			r := history.NewVersion{Record: pod(fmt.Sprint("web-", object), fmt.Sprint(len(all)+1), history.Update)}
			r.Object = large(len(all) + 1)
			if round > 0 {
				r.Before = all[len(all)-objects]
			}
			appendVersions(t, s, r)
			all = append(all, r.Object)
		}
	}
	return all
}

// TestScan_YieldsBodiesInOrder reads pages of every length, of many objects and
// of few, and stops in the middle of each.
func TestScan_YieldsBodiesInOrder(t *testing.T) {
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

// inOrder reads up to stop records of a scan, and compares their bodies with
// the beginning of want.
func inOrder(t *testing.T, s *store.Store, sc history.Scan, stop int, want [][]byte) {
	t.Helper()
	n := 0
	for r, err := range s.Scan(t.Context(), sc) {
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(r.Object, want[n]) {
			t.Fatalf("%+v: record %d: got %s %s with body %.50q, want body %.50q",
				sc, n, r.Ref, r.RV, r.Object, want[n])
		}
		r.Object[0] = '#' // the caller owns it
		if n++; n == stop {
			break
		}
	}
	most := len(want)
	if sc.Limit > 0 {
		most = min(most, sc.Limit)
	}
	if n != min(most, stop) {
		t.Errorf("%+v: got %d records, want %d", sc, n, min(most, stop))
	}
}

// TestScan_EndsAtDamagedBody damages the oldest body. The scan yields the
// records before it, and ends with an error only if it reaches the damaged one.
func TestScan_EndsAtDamagedBody(t *testing.T) {
	parallel(t)
	const objects = 50
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	for i := range objects {
		r := pod(fmt.Sprint("web-", i), fmt.Sprint(i), history.Create)
		r.Object = random(500 + i) // not a delta
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
				t.Fatalf("limit %d: record %d: got body %.20x, want %.20x", limit, n, r.Object, random(500+objects-n))
			}
		}
		damaged, want := limit == 0 || limit == objects, limit
		if damaged {
			want = objects - 1
		}
		if damaged != (failure != nil) {
			t.Errorf("limit %d: got error %v, want one: %v", limit, failure, damaged)
		} else if n != want {
			t.Errorf("limit %d: got %d records, want %d", limit, n, want)
		}
	}
}

// TestScan_EndsWithContext cancels scans after each number of records.
// Prefetched records are not yielded any more.
func TestScan_EndsWithContext(t *testing.T) {
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
			t.Errorf("canceled after %d records: got %d records and %v, want %v", most, n, failure, context.Canceled)
		}
	}
}

// TestScan_BoundsPrefetchedBytes bounds the memory of a scan of objects of 3
// MB. There are more than twice as many as a scan prefetches small ones.
func TestScan_BoundsPrefetchedBytes(t *testing.T) {
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
		t.Errorf("got %d objects and at most %d MB of memory, want %d objects and at most %d MB",
			n, most>>20, objects, (before+bound)>>20)
	}
}

// heap returns the number of used bytes of the heap after a garbage collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestScan_SkipsDaysBeforeTheOldestVersion checks that a scan by owner, which
// also looks for baselines before the retention, visits no empty days. Visiting
// every day since 1970 allocates an iterator for each of them.
func TestScan_SkipsDaysBeforeTheOldestVersion(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	r := pod("web", "1", history.Create)
	r.Owners = append(r.Owners, "owner")
	appendBatch(t, s, &history.Batch{Versions: newVersions(r)})
	for _, name := range []string{"new", "reopened"} {
		scan := history.Scan{Filter: history.Filter{Owner: "owner"}}
		allocations := testing.AllocsPerRun(5, func() {
			if got := all(t, s, scan); len(got) != 1 {
				t.Fatalf("%s: got %d records, want 1", name, len(got))
			}
		})
		if most := 2000.0; allocations > most {
			t.Errorf("%s: got %v allocations, want at most %v", name, allocations, most)
		}
		s = reopen(t, s, dir, store.Options{})
	}
}

// A view of a few places is read from ranges of its own, one of many is not.
// Both contain the same records.
func TestScan_ViewOfAnySize(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	const namespaces = 300
	for round := range 2 {
		for i := range namespaces {
			r := pod("web", fmt.Sprint(round*namespaces+i+1), history.Update)
			r.Ref.Namespace = fmt.Sprint("ns-", i)
			appendVersions(t, s, history.NewVersion{Record: r})
		}
	}
	node := pod("node", "9999", history.Update)
	node.Ref.Resource, node.Ref.Namespace = "nodes", ""
	appendVersions(t, s, history.NewVersion{Record: node})
	for _, n := range []int{0, 1, 10, 255, 256, 299} {
		places := map[string]time.Time{}
		for i := range n {
			places[fmt.Sprint("ns-", i)] = time.Time{}
		}
		f := history.Filter{
			View: history.View{{Resource: "pods"}: {Namespaces: places}, {Resource: "nodes"}: {All: true}},
		}
		for _, order := range []history.Order{history.OldestFirst, history.NewestFirst} {
			got := 0
			for r, err := range s.Scan(t.Context(), history.Scan{Filter: f, Order: order}) {
				if err != nil {
					t.Fatal(err)
				}
				if !f.Matches(r) {
					t.Errorf("view of %d places: got %s, which is not in it", n, r.Ref)
				}
				got++
			}
			counted, exact, err := s.Count(t.Context(), f, 10_000)
			if want := 2*n + 1; got != want || counted != want || !exact || err != nil {
				t.Errorf("view of %d places: got %d records, counted %d (exact: %t, error %v), want %d",
					n, got, counted, exact, err, want)
			}
		}
	}
}

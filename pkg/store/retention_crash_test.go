package store_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// crashPruning is the environment variable that makes the child process of a
// crash test prune too. Its value is the time of resourceVersion 0.
const crashPruning = "WATCHHISTORY_CRASH_PRUNING"

// pruneOptions returns the options of parent and child process. The clock
// follows the resourceVersion: one hour each.
func pruneOptions(rv *int, zero string) store.Options {
	began, err := time.Parse(time.RFC3339, zero)
	if err != nil {
		panic(err)
	}
	return store.Options{
		NoSync: true, Retention: 48 * time.Hour,
		Now: func() time.Time { return began.Add(time.Duration(*rv) * time.Hour) },
	}
}

// reached returns the resourceVersion of the newest record, or 0.
func reached(ctx context.Context, s *store.Store) (int, error) {
	for r, err := range s.Scan(ctx, history.Scan{Order: history.NewestFirst, Limit: 1}) {
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(r.RV)
	}
	return 0, nil
}

// pruneChild continues a log: it appends a version, and prunes every six hours
// of its clock. It ends like [crashChild].
func pruneChild(dir string) {
	ctx, rv := context.Background(), 0
	opts := pruneOptions(&rv, os.Getenv(crashPruning))
	s, err := store.Open(dir, opts)
	if err != nil {
		panic(err)
	}
	if rv, err = reached(ctx, s); err != nil {
		panic(err)
	}
	for {
		if rv%6 == 0 {
			if err := s.Prune(ctx); err != nil {
				panic(err)
			}
		}
		rv++
		if err := s.Append(ctx, &history.Batch{Versions: newVersions(pruneRecord(rv))}); err != nil {
			panic(err)
		}
		if _, err := fmt.Fprintln(os.Stdout, rv); err != nil {
			return
		}
	}
}

// pruneRecord returns the version with a resourceVersion. The first ten are of
// objects that never change, and the others of 40 objects in turn.
func pruneRecord(rv int) *history.Record {
	r := pod(fmt.Sprint("web-", rv%40), strconv.Itoa(rv), history.Update)
	if rv <= 10 {
		r = pod(fmt.Sprint("still-", rv), strconv.Itoa(rv), history.Create)
	}
	r.Object = append(random(3_000+rv%7), r.RV...)
	if rv%97 == 0 || rv == 3 {
		r.Object = append(random(700_000), r.RV...)
	}
	return r
}

// TestPrune_SurvivesKill repeatedly kills a process that appends and prunes.
// After each kill, every object must have its newest version, all kept days
// must be complete, and the next pruning must remove the others.
func TestPrune_SurvivesKill(t *testing.T) {
	l, zero, rounds := &life{rng: chance(t), dir: t.TempDir()}, time.Now().UTC().Format(time.RFC3339), 12
	if testing.Short() {
		rounds = 4
	}
	for range rounds {
		acknowledged, rv := 0, 0
		l.run(t, crashPruning+"="+zero, func(line []byte) (err error) {
			acknowledged, err = strconv.Atoi(string(line))
			return err
		})
		opts := pruneOptions(&rv, zero)
		s := open(t, l.dir, opts)
		var err error
		if rv, err = reached(t.Context(), s); err != nil || rv < acknowledged {
			t.Fatalf("got newest resourceVersion %d, %v, want at least the acknowledged %d", rv, err, acknowledged)
		}
		for range 2 {
			checkKept(t, s, rv)
			if err := s.Prune(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		audit(t, l.dir, opts.Retention, true)
	}
}

// checkKept checks the contents of a log whose newest record has a
// resourceVersion.
func checkKept(t *testing.T, s *store.Store, rv int) {
	t.Helper()
	for n := rv; n > max(rv-40, 10); n-- {
		checkNewest(t, s, n)
	}
	for n := 1; n <= min(10, rv); n++ {
		checkNewest(t, s, n)
	}
	next := rv
	for r, err := range s.Scan(t.Context(), history.Scan{Bodies: true, Order: history.NewestFirst}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.RV != strconv.Itoa(next) || !bytes.Equal(r.Object, pruneRecord(next).Object) {
			t.Fatalf("got resourceVersion %s with %d bytes, want %d with %d bytes",
				r.RV, len(r.Object), next, len(pruneRecord(next).Object))
		}
		next--
	}
	if kept := rv - next; kept < min(rv, 48) || kept > 49 {
		t.Errorf("got %d versions, want one for each of 48 hours", kept)
	}
}

func checkNewest(t *testing.T, s *store.Store, rv int) {
	t.Helper()
	want := pruneRecord(rv)
	got, err := s.Latest(t.Context(), want.Ref)
	if err != nil || got.RV != want.RV || !bytes.Equal(got.Object, want.Object) {
		t.Fatalf("newest version of %s: got %v, %v, want %s", want.Ref, got, err, want.RV)
	}
}

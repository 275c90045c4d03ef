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

// crashPruning is the environment variable that makes the child of a crash test prune too. Its text is when resourceVersion 0 was.
const crashPruning = "WATCHHISTORY_CRASH_PRUNING"

// pruneOptions are the child's and the parent's. The clock is where a resourceVersion says: it moves on by an hour with each.
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

// reached returns the resourceVersion of the newest record; 0 where there is none.
func reached(ctx context.Context, s *store.Store) (int, error) {
	for r, err := range s.Scan(ctx, history.Scan{Order: history.NewestFirst, Limit: 1}) {
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(r.RV)
	}
	return 0, nil
}

// pruneChild goes on from where the log ends: a version, and every six hours of its clock a pruning. It ends as [crashChild] does.
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
		if err := s.Append(ctx, &history.Batch{Records: []*history.Record{pruneRecord(rv)}}); err != nil {
			panic(err)
		}
		if _, err := fmt.Fprintln(os.Stdout, rv); err != nil {
			return
		}
	}
}

// pruneRecord is the version of a resourceVersion: the first ten are objects that never change, the others are of 40 objects in turn.
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

// TestKillPruning kills a process that appends and prunes, again and again. Whenever it is opened, every object has its newest
// version, the days that are kept have all of theirs, and the next pruning leaves nothing of the others.
func TestKillPruning(t *testing.T) {
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
			t.Fatalf("acknowledged %d, there is %d, %v", acknowledged, rv, err)
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

// checkKept checks what a log has to have that reached a resourceVersion.
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
			t.Fatalf("RV %s with %d bytes stands where %d has to", r.RV, len(r.Object), next)
		}
		next--
	}
	if kept := rv - next; kept < min(rv, 48) || kept > 49 {
		t.Errorf("%d versions of 48 hours, want one an hour", kept)
	}
}

func checkNewest(t *testing.T, s *store.Store, rv int) {
	t.Helper()
	want := pruneRecord(rv)
	got, err := s.Latest(t.Context(), want.Ref)
	if err != nil || got.RV != want.RV || !bytes.Equal(got.Object, want.Object) {
		t.Fatalf("newest version of %s is %v, %v; want %s", want.Ref, got, err, want.RV)
	}
}

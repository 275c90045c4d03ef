package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// fuse is a context that ends at the nth time that it is asked.
type fuse struct {
	context.Context //nolint:containedctx // what it does not answer itself

	left int
}

func (f *fuse) Err() error {
	if f.left--; f.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestPruneInterrupted interrupts pruning at places throughout, in the end behind the last one, and checks that all that
// is answered stays right, before and after the log is opened again, and that the next pruning ends what was begun.
func TestPruneInterrupted(t *testing.T) {
	for _, limit := range []int64{0, 1} {
		step := 3
		if testing.Short() {
			step = 11
		}
		for n := 0; ; n += step {
			dir, c := t.TempDir(), &clock{noon(1)}
			opts := store.Options{Now: c.now, Retention: 36 * time.Hour, MaxBytes: limit}
			s := open(t, dir, opts)
			calendar(t, s, c)
			c.t = day(noon(5)).Add(12*time.Hour + time.Second)
			err := s.Prune(&fuse{t.Context(), n})
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			check := checkCalendar
			if limit > 0 {
				check = checkNewestDay
			}
			check(t, s, fmt.Sprintf("interrupted at %d", n))
			opts.MaxBytes = 0 // what was begun by size is ended without a limit, too
			s = reopen(t, s, dir, opts)
			check(t, s, fmt.Sprintf("opened again after %d", n))
			if err := s.Prune(t.Context()); err != nil {
				t.Fatal(err)
			}
			check(t, s, fmt.Sprintf("pruned after %d", n))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			audit(t, dir, opts.Retention, false)
			if t.Failed() {
				return
			}
			if err == nil {
				t.Logf("pruning can be interrupted at fewer than %d places", n)
				break
			}
		}
	}
}

// checkNewestDay checks every object's state at the beginning of the fifth day.
func checkNewestDay(t *testing.T, s *store.Store, when string) {
	t.Helper()
	for name, want := range map[string]string{"still": "1", "web": "45", "late": "4", "back": "4", "again": "4", "gone": ""} {
		if got := asOf(t, s, name, day(noon(5))); got != want {
			t.Errorf("%s, %s is %q, want %q", when, name, got, want)
		}
	}
}

// A crowd is days of versions of one object that don't compress: about a megabyte a day.
const crowdDays, crowdVersions = 12, 60

func crowd(t *testing.T, s *store.Store, c *clock) {
	t.Helper()
	for d := range crowdDays {
		c.t = noon(d)
		for i := range crowdVersions {
			r := pod("web", fmt.Sprint(d*crowdVersions+i), history.Update)
			r.Object = append(random(20_000+d*crowdVersions+i), []byte(r.RV)...) // unlike any other
			appendTo(t, s, r)
		}
	}
}

// TestPruneBelowAScan drops days that a scan is reading. The scan says that it has to be made again, answers no half of a record, and
// does not make more days go, though it holds on to the tables of those that did.
func TestPruneBelowAScan(t *testing.T) {
	for _, order := range []history.Order{history.OldestFirst, history.NewestFirst} {
		dir, c := t.TempDir(), &clock{noon(1)}
		opts := store.Options{Now: c.now}
		s := open(t, dir, opts)
		crowd(t, s, c)
		opts.MaxBytes = 10 << 20
		s = reopen(t, s, dir, opts)
		sc := history.Scan{Filter: history.Filter{End: noon(0).Add(time.Hour)}, Bodies: true, Order: order}
		next, stop := iter.Pull2(s.Scan(t.Context(), sc))
		if r, err, _ := next(); err != nil || len(r.Object) == 0 {
			t.Fatal(r, err)
		}
		if err := s.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := s.Usage().Dropped[store.BySize].Days; n == 0 || n > crowdDays/2 {
			t.Errorf("%d of %d days were dropped while a scan held their tables", n, crowdDays)
		}
		if r, err, ok := next(); history.CodeOf(err) != history.Unavailable {
			t.Errorf("the scan goes on over a day that is dropped: %v, %v, %v", r, err, ok)
		}
		stop()
		if n := len(all(t, s, sc)); n != 0 {
			t.Errorf("made again, the scan answers %d records of a day that is dropped", n)
		}
	}
}

// TestPruneBesideOthers reads and appends while days are dropped: no commit fails, and a scan answers all that it should, or
// says that it can't.
func TestPruneBesideOthers(t *testing.T) {
	dir, c := t.TempDir(), &clock{noon(1)}
	opts := store.Options{Now: c.now}
	s := open(t, dir, opts)
	crowd(t, s, c)
	opts.MaxBytes = 1
	s = reopen(t, s, dir, opts)
	done, ctx := make(chan struct{}), t.Context()
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			for again := true; again; {
				select {
				case <-done:
					again = false
				default:
				}
				readBesidePrune(ctx, t, s, i)
			}
		})
	}
	wg.Go(func() {
		for i := range 200 {
			if err := s.Append(ctx, &history.Batch{Records: []*history.Record{pod("db", fmt.Sprint(i), history.Update)}}); err != nil {
				t.Error(err)
			}
		}
	})
	if err := s.Prune(ctx); err != nil {
		t.Error(err)
	}
	close(done)
	wg.Wait()
	if u := s.Usage(); u.Dropped[store.BySize].Days != crowdDays-1 {
		t.Errorf("usage is %+v, want %d days by size", u, crowdDays-1)
	}
}

// readBesidePrune scans once: the versions of the object have to be without a hole, from some version on to the newest.
func readBesidePrune(ctx context.Context, t *testing.T, s *store.Store, i int) {
	t.Helper()
	sc := history.Scan{Filter: history.Filter{Name: "web"}, Order: history.Order(i % 2), Bodies: i != 2}
	last := uint64(0)
	for r, err := range s.Scan(ctx, sc) {
		if history.CodeOf(err) == history.Unavailable {
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
		step := r.Revision - last
		if sc.Order == history.NewestFirst {
			step = last - r.Revision
		}
		if last != 0 && step != 1 || sc.Bodies && !bytes.HasSuffix(r.Object, []byte(r.RV)) {
			t.Errorf("revision %d follows %d, with %d bytes", r.Revision, last, len(r.Object))
		}
		last = r.Revision
	}
	if sc.Order == history.OldestFirst && last != crowdDays*crowdVersions {
		t.Errorf("a scan ends with revision %d without an error", last)
	}
}

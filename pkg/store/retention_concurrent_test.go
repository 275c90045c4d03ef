package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

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

// slowly is a writer that does something before it takes its first bytes.
type slowly struct {
	io.Writer
	first func()
}

func (w *slowly) Write(b []byte) (int, error) {
	if w.first != nil {
		w.first()
		w.first = nil
	}
	return w.Writer.Write(b)
}

// TestBackupBelowAPruning drops a day when a backup has begun, and its reader has taken nothing yet.
func TestBackupBelowAPruning(t *testing.T) {
	c := &clock{noon(0)}
	opts := store.Options{Now: c.now, Retention: 24 * time.Hour}
	s := open(t, t.TempDir(), opts)
	appendTo(t, s, pod("idle", "1", history.Create), pod("idle", "2", history.Update))
	c.t = noon(1)
	appendTo(t, s, pod("other", "3", history.Create))
	c.t = noon(3)
	var b bytes.Buffer
	w := &slowly{&b, func() {
		if err := s.Prune(t.Context()); err != nil {
			t.Error(err)
		}
	}}
	if _, err := s.Backup(t.Context(), w, store.Position{}, nil); err != nil {
		t.Fatal(err)
	}
	if s.Usage().Dropped[store.ByAge].Days != 1 {
		t.Fatalf("%+v", s.Usage())
	}
	r := restored(t, opts, b.Bytes())
	verified(t, r)
	if got := asOf(t, r, "idle", c.t); got != "2" {
		t.Errorf("it is %q, want what stood", got)
	}
}

// TestVerifyBelowAPruning drops a day while it is verified, whose versions have phrases.
func TestVerifyBelowAPruning(t *testing.T) {
	dir, c := t.TempDir(), &clock{noon(0)}
	opts := store.Options{Now: c.now, Retention: 24 * time.Hour}
	s := open(t, dir, opts)
	for i := range 3000 {
		r := pod(fmt.Sprint("web-", i%10), fmt.Sprint(i), history.Update)
		r.Summary = &history.Summary{Text: fmt.Sprint("phrase ", i%20)}
		r.Managers = []history.Manager{{Name: fmt.Sprint("manager ", i%7)}}
		appendTo(t, s, r)
	}
	c.t = noon(1)
	appendTo(t, s, pod("other", "9999", history.Create))
	s = reopen(t, s, dir, opts) // nothing is remembered
	c.t = noon(3)
	pruned := false
	v, err := s.Verify(t.Context(), func(d store.Damage) { t.Errorf("%.300v", d) }, func(entries, _ int64) {
		if !pruned {
			pruned = true
			if err := s.Prune(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil || !pruned || s.Usage().Dropped[store.ByAge].Days == 0 {
		t.Errorf("%v, pruned %v, %+v, %+v", err, pruned, v, s.Usage())
	}
}

// TestWhatStandsBelowAPruning drops, while it is read of, the day in which an object came that has not changed since. Whoever
// reads has to ask again, or is answered: that there is no such object, nobody may say.
func TestWhatStandsBelowAPruning(t *testing.T) {
	c := &clock{noon(0)}
	opts := store.Options{Now: c.now, Retention: 24 * time.Hour}
	for _, owner := range []bool{false, true} {
		c.t = noon(0)
		s := open(t, t.TempDir(), opts)
		first, second := pod("web", "1", history.Create), pod("web", "2", history.Create)
		second.Ref.UID = "another"
		first.Owners, second.Owners = []types.UID{"o"}, []types.UID{"o"}
		appendTo(t, s, first)
		c.t = noon(3)
		appendTo(t, s, second)
		sc := history.Scan{Filter: history.Filter{Name: "web"}, Order: history.NewestFirst}
		if owner {
			sc.Filter = history.Filter{Owner: "o"}
		}
		var got []string
		var failed error
		for r, err := range s.Scan(t.Context(), sc) {
			if failed = err; err != nil {
				break
			}
			if got = append(got, r.RV); len(got) == 1 {
				if err := s.Prune(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
		if s.Usage().Dropped[store.ByAge].Days != 1 {
			t.Fatalf("%+v", s.Usage())
		}
		if len(got) != 2 && history.CodeOf(failed) != history.Unavailable {
			t.Errorf("by owner: %v: got %q, %v", owner, got, failed)
		}
	}
}

// meanwhile is a context that does something when it is asked first.
type meanwhile struct {
	context.Context //nolint:containedctx // what it does not answer itself

	first func()
}

func (m *meanwhile) Err() error {
	if f := m.first; f != nil {
		m.first = nil
		f()
	}
	return m.Context.Err()
}

// TestTheLatestVersionBelowAPruning drops the day of an object's only version while that is read. The recorder, which needs it to go
// on, is answered.
func TestTheLatestVersionBelowAPruning(t *testing.T) {
	c := &clock{noon(0)}
	s := open(t, t.TempDir(), store.Options{Now: c.now, Retention: 24 * time.Hour})
	web := pod("web", "1", history.Create)
	appendTo(t, s, web)
	c.t = noon(3)
	appendTo(t, s, pod("other", "2", history.Create))
	ctx := &meanwhile{t.Context(), func() {
		if err := s.Prune(t.Context()); err != nil {
			t.Error(err)
		}
	}}
	r, err := s.Latest(ctx, web.Ref)
	if err != nil || r.RV != "1" || string(r.Object) != string(web.Object) || s.Usage().Dropped[store.ByAge].Days != 1 {
		t.Errorf("%+v, %v; %+v", r, err, s.Usage())
	}
}

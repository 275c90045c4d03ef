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

// fuse is a context that is canceled after its error was read "left" times.
type fuse struct {
	context.Context //nolint:containedctx // for the other methods

	left int
}

func (f *fuse) Err() error {
	if f.left--; f.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestPrune_Interrupted interrupts pruning in many places. All answers must
// stay right, also after the log is opened again, and the next pruning must
// complete the drop.
func TestPrune_Interrupted(t *testing.T) {
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
			opts.MaxBytes = 0 // a drop by size is completed even without a limit
			s = reopen(t, s, dir, opts)
			check(t, s, fmt.Sprintf("reopened after interruption %d", n))
			if err := s.Prune(t.Context()); err != nil {
				t.Fatal(err)
			}
			check(t, s, fmt.Sprintf("pruned after interruption %d", n))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			audit(t, dir, opts.Retention, false)
			if t.Failed() {
				return
			}
			if err == nil {
				t.Logf("pruning reads its context fewer than %d times", n)
				break
			}
		}
	}
}

// checkNewestDay checks every object's state at the beginning of day 5.
func checkNewestDay(t *testing.T, s *store.Store, when string) {
	t.Helper()
	for name, want := range map[string]string{
		"still": "1", "web": "45", "late": "4", "back": "4", "again": "4", "gone": "",
	} {
		if got := asOf(t, s, name, day(noon(5))); got != want {
			t.Errorf("%s: %s: got %q, want %q", when, name, got, want)
		}
	}
}

// A crowd is many incompressible versions of one object on several days: about
// a megabyte a day.
const crowdDays, crowdVersions = 12, 60

func crowd(t *testing.T, s *store.Store, c *clock) {
	t.Helper()
	for d := range crowdDays {
		c.t = noon(d)
		for i := range crowdVersions {
			r := pod("web", fmt.Sprint(d*crowdVersions+i), history.Update)
			r.Object = append(random(20_000+d*crowdVersions+i), []byte(r.RV)...) // not a delta
			appendTo(t, s, r)
		}
	}
}

// TestPrune_DuringScan drops days that a scan is reading. The scan ends with an
// error, and yields no incomplete record. The dropped tables that it still
// holds must not cause more days to be dropped.
func TestPrune_DuringScan(t *testing.T) {
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
			t.Fatalf("first record: got %v, %v, want a record with a body", r, err)
		}
		if err := s.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := s.Usage().Dropped[store.BySize].Days; n == 0 || n > crowdDays/2 {
			t.Errorf("got %d of %d days dropped while a scan held their tables, want from 1 to %d",
				n, crowdDays, crowdDays/2)
		}
		if r, err, ok := next(); history.CodeOf(err) != history.Unavailable {
			t.Errorf("next record of a dropped day: got %v, %v, %v, want an Unavailable error", r, err, ok)
		}
		stop()
		if n := len(all(t, s, sc)); n != 0 {
			t.Errorf("repeated scan of dropped days: got %d records, want 0", n)
		}
	}
}

// TestPrune_DuringScansAndAppends reads and appends while days are dropped. No
// commit may fail. A scan must be complete, or end with an error.
func TestPrune_DuringScansAndAppends(t *testing.T) {
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
			for repeat := true; repeat; {
				select {
				case <-done:
					repeat = false
				default:
				}
				scanDuringPrune(ctx, t, s, i)
			}
		})
	}
	wg.Go(func() {
		for i := range 200 {
			err := s.Append(ctx, &history.Batch{Versions: newVersions(pod("db", fmt.Sprint(i), history.Update))})
			if err != nil {
				t.Errorf("append %d: got %v, want no error", i, err)
			}
		}
	})
	if err := s.Prune(ctx); err != nil {
		t.Errorf("prune: got %v, want no error", err)
	}
	close(done)
	wg.Wait()
	if u := s.Usage(); u.Dropped[store.BySize].Days != crowdDays-1 {
		t.Errorf("got usage %+v, want %d days dropped by size", u, crowdDays-1)
	}
}

// scanDuringPrune scans the object once. The versions must be consecutive, from
// some version to the newest.
func scanDuringPrune(ctx context.Context, t *testing.T, s *store.Store, i int) {
	t.Helper()
	sc := history.Scan{Filter: history.Filter{Name: "web"}, Order: history.Order(i % 2), Bodies: i != 2}
	last := uint64(0)
	for r, err := range s.Scan(ctx, sc) {
		if history.CodeOf(err) == history.Unavailable {
			return
		}
		if err != nil {
			t.Errorf("scan: got %v, want no error or an Unavailable one", err)
			return
		}
		step := r.Revision - last
		if sc.Order == history.NewestFirst {
			step = last - r.Revision
		}
		if last != 0 && step != 1 || sc.Bodies && !bytes.HasSuffix(r.Object, []byte(r.RV)) {
			t.Errorf("got revision %d with %d bytes after revision %d, want consecutive revisions with their bodies",
				r.Revision, len(r.Object), last)
		}
		last = r.Revision
	}
	if sc.Order == history.OldestFirst && last != crowdDays*crowdVersions {
		t.Errorf("scan without an error: got last revision %d, want %d", last, crowdDays*crowdVersions)
	}
}

// slowly is a writer that calls first before its first write.
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

// TestPrune_DuringBackup drops a day between the beginning and the first write
// of a backup.
func TestPrune_DuringBackup(t *testing.T) {
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
			t.Errorf("prune: got %v, want no error", err)
		}
	}}
	if _, err := s.Backup(t.Context(), w, store.Position{}, nil); err != nil {
		t.Fatal(err)
	}
	if s.Usage().Dropped[store.ByAge].Days != 1 {
		t.Fatalf("got usage %+v, want one day dropped by age", s.Usage())
	}
	r := restored(t, opts, b.Bytes())
	verified(t, r)
	if got := asOf(t, r, "idle", c.t); got != "2" {
		t.Errorf("baseline in the restored log: got %q, want 2", got)
	}
}

// TestPrune_DuringVerify drops a day with phrases while it is verified. That
// must not be damage.
func TestPrune_DuringVerify(t *testing.T) {
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
	s = reopen(t, s, dir, opts) // empties the caches
	c.t = noon(3)
	pruned := false
	damaged := func(d store.Damage) { t.Errorf("got damage %.300v, want none", d) }
	v, err := s.Verify(t.Context(), damaged, func(entries, _ int64) {
		if !pruned {
			pruned = true
			if err := s.Prune(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil || !pruned || s.Usage().Dropped[store.ByAge].Days == 0 {
		t.Errorf("verify: got %v, pruned %v, %+v, usage %+v, want no error and a dropped day",
			err, pruned, v, s.Usage())
	}
}

// TestPrune_DuringScanOfBaselines drops the day of an object's only version
// during a scan. The scan must yield the object, or end with an error.
func TestPrune_DuringScanOfBaselines(t *testing.T) {
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
			t.Fatalf("got usage %+v, want one day dropped by age", s.Usage())
		}
		if len(got) != 2 && history.CodeOf(failed) != history.Unavailable {
			t.Errorf("by owner %v: got %q, %v, want two records or an Unavailable error", owner, got, failed)
		}
	}
}

// meanwhile is a context that calls first when its error is read for the first
// time.
type meanwhile struct {
	context.Context //nolint:containedctx // for the other methods

	first func()
}

func (m *meanwhile) Err() error {
	if f := m.first; f != nil {
		m.first = nil
		f()
	}
	return m.Context.Err()
}

// TestPrune_DuringLatest drops the day of an object's only version while Latest
// reads it. Latest must return the version, because the recorder depends on it.
func TestPrune_DuringLatest(t *testing.T) {
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
		t.Errorf("latest: got %+v, %v, usage %+v, want resourceVersion 1 and one dropped day", r, err, s.Usage())
	}
}

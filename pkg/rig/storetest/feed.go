package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// followersMissNothing appends concurrently: single records, and batches that
// are larger than a transaction. Meanwhile, several readers follow the log. The
// clock is set back now and then. Each follower gets what an ascending scan
// returns afterwards, in the same order.
func followersMissNothing(s *subject) {
	const writers, batches, followers = 4, 40, 3
	var reads atomic.Int64
	s.Log = s.open(s.t, s.t.TempDir(), Options{Now: func() time.Time {
		n := reads.Add(1)
		if n%10 == 0 {
			n -= 1000
		}
		return s.now.Add(time.Duration(n) * time.Microsecond)
	}})
	log := s.Log
	s.t.Cleanup(func() {
		if err := log.Close(); err != nil {
			s.t.Error(err)
		}
	})
	ctx, cancel := context.WithCancel(s.t.Context())
	got := make([][]time.Time, followers)
	var following, writing sync.WaitGroup
	for i := range followers {
		following.Go(func() {
			var err error
			if got[i], err = follow(ctx, s.Log); err != nil {
				s.t.Errorf("follower %d: got error %v, want none", i, err)
			}
		})
	}
	for w := range writers {
		writing.Go(func() {
			for n := range batches {
				batch := &history.Batch{}
				size := 1 + n%3
				if n == batches/2 && w == 0 {
					size = 20_000
				}
				for v := range size {
					batch.Versions = append(batch.Versions,
						newVersion(version(fmt.Sprintf("w%d-%d", w, v%50), fmt.Sprint(n), history.Update)))
				}
				if err := s.Append(s.t.Context(), batch); err != nil {
					s.t.Errorf("writer %d: got error %v, want none", w, err)
				}
			}
		})
	}
	writing.Wait()
	cancel()
	following.Wait()
	var want []time.Time
	for _, r := range s.all(history.Scan{}) {
		want = append(want, r.Time)
	}
	for i := range followers {
		if len(got[i]) != len(want) {
			s.t.Errorf("follower %d: got %d records, want %d", i, len(got[i]), len(want))
		}
		for n := range min(len(got[i]), len(want)) {
			if !got[i][n].Equal(want[n]) {
				s.t.Errorf("follower %d: got record %d at %v, want %v", i, n, got[i][n], want[n])
				break
			}
		}
	}
}

// follow returns the times of the records of a log that it follows, until ctx
// ends and it has caught up.
func follow(ctx context.Context, log Log) (times []time.Time, err error) {
	var at history.Cursor
	for ended := false; ; {
		upTo, next := log.Committed()
		sc := history.Scan{Filter: history.Filter{End: upTo.Add(1)}, After: at}
		for r, err := range log.Scan(context.WithoutCancel(ctx), sc) {
			if err != nil {
				return times, err
			}
			times = append(times, r.Time)
		}
		at = upTo
		if ended {
			return times, nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			ended = true // and what was committed before
		}
	}
}

// committedSurvives reopens the log after its clock was set back. The position
// is at least that of before, and later records have later times.
func committedSurvives(s *subject) {
	s.put(version("web", "1", history.Create))
	before, _ := s.Committed()
	s.now = s.now.Add(-time.Hour)
	s.reopen()
	if after, _ := s.Committed(); after.Before(before.Time) {
		s.t.Errorf("position after a restart: got %v, want at least %v", after, before)
	}
	r := version("web", "2", history.Update)
	if s.put(r); !r.Time.After(before.Time) {
		s.t.Errorf("record after a restart: got time %v, want one after the position %v", r.Time, before)
	}
}

// committedAnnounces waits for commits of records, and of gaps only.
func committedAnnounces(s *subject) {
	gap := history.Gap{Resource: "pods", Start: s.now, Reason: history.GapExpired}
	for _, tt := range []struct {
		what  string
		batch *history.Batch
	}{
		{"a record", &history.Batch{Versions: newVersions(version("web", "1", history.Create))}},
		{"a gap", &history.Batch{Gaps: []history.Gap{gap}}},
	} {
		before, next := s.Committed()
		select {
		case <-next:
			s.t.Errorf("%s: got a commit before it was appended, want none", tt.what)
		default:
		}
		s.commit(tt.batch)
		select {
		case <-next:
		default:
			s.t.Errorf("%s: got no commit after it was appended, want one", tt.what)
		}
		want := before
		if len(tt.batch.Versions) > 0 {
			want = history.Cursor{Time: tt.batch.Versions[0].Time}
		}
		if after, _ := s.Committed(); !after.Equal(want.Time) {
			s.t.Errorf("%s: got position %v, want %v", tt.what, after, want)
		}
	}
	if gaps := s.gaps(time.Time{}, time.Time{}, schema.GroupResource{Resource: "pods"}); len(gaps) != 1 {
		s.t.Errorf("got %d gaps, want 1", len(gaps))
	}
}

// activeHasNamespaces appends records of several namespaces, and reads those
// after each position. After a restart, earlier ones may be unknown.
func activeHasNamespaces(s *subject) {
	in := func(namespace string) *history.Record {
		r := version("web-"+namespace, fmt.Sprint(len(namespace)), history.Create)
		r.Ref.Namespace = namespace
		return r
	}
	node := in("")
	node.Ref.Resource = "nodes"
	start, _ := s.Committed()
	records := []*history.Record{in("a"), in("bb"), node, in("a")}
	records[3].RV = "2"
	s.put(records...)
	check := func(what string, after history.Cursor, want map[string]time.Time) {
		s.t.Helper()
		got := s.Active(after)
		unknown := got.Unknown.After(after.Time)
		for namespace, at := range want {
			if newest, known := got.Newest[namespace]; known && !newest.Equal(at) || !known && !unknown {
				s.t.Errorf("%s: got namespace %s at %v, want %v", what, namespace, newest, at)
			}
		}
		if len(got.Newest) > len(want) {
			s.t.Errorf("%s: got namespaces %v, want %v", what, got.Newest, want)
		}
	}
	a, b := records[3].Time, records[1].Time
	check("from the start", start, map[string]time.Time{"a": a, "bb": b})
	check("after the second record", history.Cursor{Time: b}, map[string]time.Time{"a": a})
	check("after all", history.Cursor{Time: a}, nil)
	if got := s.Active(start); !got.Unknown.IsZero() {
		s.t.Errorf("since the log was opened: got namespaces that are unknown until %v, want none", got.Unknown)
	}
	s.reopen()
	check("after a restart, from the start", start, map[string]time.Time{"a": a, "bb": b})
	check("after a restart, after all", history.Cursor{Time: a}, nil)
}

// keptEnds advances the clock past the retention of two records.
func keptEnds(s *subject) {
	s = s.another(s.t, Options{Retention: time.Hour})
	start, _ := s.Committed()
	s.checkKept("an empty log", start, true)
	s.now = s.now.Add(2 * time.Hour)
	s.checkKept("an empty log, later than its retention", start, true)
	first := version("web", "1", history.Create)
	s.put(first)
	s.now = s.now.Add(time.Minute)
	second := version("web", "2", history.Update)
	s.put(second)
	for _, tt := range []struct {
		now                           time.Time
		start, before, between, after bool
	}{
		{first.Time.Add(time.Hour), true, true, true, true},
		{first.Time.Add(time.Hour + 1), false, false, true, true},
		{second.Time.Add(time.Hour), false, false, true, true},
		{second.Time.Add(time.Hour + 1), false, false, false, true},
		{second.Time.Add(1000 * time.Hour), false, false, false, true},
	} {
		s.now = tt.now
		what := fmt.Sprint("at ", tt.now)
		s.checkKept(what+", from the start", start, tt.start)
		s.checkKept(what+", before the first record", history.Cursor{Time: first.Time.Add(-1)}, tt.before)
		s.checkKept(what+", between the records", history.Cursor{Time: first.Time}, tt.between)
		s.checkKept(what+", after both", history.Cursor{Time: second.Time}, tt.after)
	}
}

// checkKept checks whether all records after a position are kept. If not, they
// must be from the position that Kept returns.
func (s *subject) checkKept(what string, at history.Cursor, want bool) {
	s.t.Helper()
	from, err := s.Kept(s.t.Context(), at)
	if err != nil {
		s.t.Fatal(err)
	}
	if got := from.Equal(at.Time); got != want || from.Before(at.Time) {
		s.t.Errorf("%s: position %v: got kept from %v, want kept: %t", what, at, from, want)
	}
	if again, err := s.Kept(s.t.Context(), from); err != nil || !again.Equal(from.Time) {
		s.t.Errorf("%s: position %v: got kept from %v, error %v, want all of it", what, from, again, err)
	}
}

// keptEndsWithDays drops days.
func keptEndsWithDays(s *subject) {
	s = s.another(s.t, Options{Retention: 36 * time.Hour})
	var days []*history.Record
	for d := range 4 {
		s.now = s.noon(d)
		r := version("web", fmt.Sprint(d), history.Update)
		s.put(r)
		days = append(days, r)
	}
	if err := s.Prune(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	for d, r := range days {
		// Days 0 and 1 are dropped. Records may have followed that of day 1.
		s.checkKept(fmt.Sprint("after the record of day ", d), history.Cursor{Time: r.Time}, d >= 2)
	}
}

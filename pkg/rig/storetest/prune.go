package storetest

import (
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// crowded returns a log of a week that is larger than its limit, and its
// records.
func (s *subject) crowded() (*subject, []*history.Record) {
	s.t.Helper()
	s = s.another(s.t, Options{})
	records := s.week()
	s.opts.MaxBytes = 1
	s.reopen()
	return s, records
}

// prune prunes the log.
func (s *subject) prune() {
	s.t.Helper()
	if err := s.Prune(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// pruneBySizeAddsGaps prunes a log that is too large. Some records are dropped,
// but not the newest. A gap covers each dropped record. Baselines and heads
// remain.
func pruneBySizeAddsGaps(s *subject) {
	s, records := s.crowded()
	heads := s.heads(pods())
	s.prune()
	for range 2 {
		left := s.all(history.Scan{Bodies: true})
		kept := len(left)
		if kept == 0 || kept == len(records) {
			s.t.Fatalf("got %d of %d records, want some dropped and some kept", kept, len(records))
		}
		dropped := records[:len(records)-kept]
		s.same("the remaining records", read(true, records[len(dropped):]...), left)
		for _, r := range dropped {
			gaps := s.gaps(r.Time, r.Time.Add(1), pods())
			if len(gaps) != 1 || gaps[0].Reason != history.GapDropped || gaps[0].End.After(left[0].Time) {
				s.t.Errorf("dropped %s at %v: got gaps %+v, want one that covers it", r.Ref, r.Time, gaps)
			}
		}
		for _, name := range names() {
			f := history.Filter{Name: name, End: left[0].Time}
			s.same(name+" at the first remaining record", read(true, baseline(f, dropped)...),
				s.all(history.Scan{Filter: f, Bodies: true}))
		}
		if d := cmp.Diff(heads, s.heads(pods())); d != "" {
			s.t.Errorf("heads (-want +got):\n%s", d)
		}
		s.reopen()
	}
}

// baseline returns the last record that a filter selects, unless it is a
// deletion.
func baseline(f history.Filter, records []*history.Record) []*history.Record {
	last := matching(f, history.NewestFirst, records)
	if len(last) == 0 || last[0].Verb == history.Delete {
		return nil
	}
	return last[:1]
}

// cursorValidDuringPrune drops records between two pages. The pages continue
// with the remaining records, without duplicates.
func cursorValidDuringPrune(s *subject) {
	for _, order := range []history.Order{history.OldestFirst, history.NewestFirst} {
		s, records := s.crowded()
		got := s.pages(history.Scan{Order: order, Limit: 2}, s.prune)
		left := len(s.all(history.Scan{}))
		want := matching(history.Filter{}, order, records)
		if dropped := len(records) - left; order == history.OldestFirst {
			want = slices.Concat(want[:2], want[dropped:])
		} else {
			want = want[:max(2, left)]
		}
		s.same(fmt.Sprintf("order %d", order), read(false, want...), got)
	}
}

// scanCompleteOrFails drops the records that a scan reads. The scan returns all
// records of its beginning, or fails with an unavailable error. It never ends
// early without an error.
func scanCompleteOrFails(s *subject) {
	for _, order := range []history.Order{history.OldestFirst, history.NewestFirst} {
		s, records := s.crowded()
		next, stop := iter.Pull2(s.Scan(s.t.Context(), history.Scan{Order: order, Bodies: true}))
		var got []*history.Record
		r, err, ok := next()
		for s.prune(); ok && err == nil; r, err, ok = next() {
			got = append(got, r)
		}
		stop()
		want := read(true, matching(history.Filter{}, order, records)...)
		if err != nil && history.CodeOf(err) == history.Unavailable {
			want = want[:min(len(got), len(want))]
		} else if err != nil {
			s.t.Error(err)
		}
		s.same(fmt.Sprintf("order %d, ended with error %v", order, err), want, got)
	}
}

// unchangedObjectsStay lets a log grow older than its retention without a
// record. All heads remain, and so does the baseline of each live object.
func unchangedObjectsStay(s *subject) {
	s = s.another(s.t, Options{Retention: 36 * time.Hour})
	records := s.week()
	s.now = s.noon(100)
	for range 2 {
		s.prune()
		for _, name := range names() {
			f := history.Filter{Name: name}
			s.same(name, read(true, baseline(f, records)...), s.all(history.Scan{Filter: f, Bodies: true}))
		}
		if n := len(s.all(history.Scan{})); n != 0 {
			s.t.Errorf("got %d records without a filter, want 0", n)
		}
		s.reopen()
	}
}

// appendsDuringPrune appends and reads while records are dropped. All appended
// records are there. Scans have no holes, or end with an unavailable error.
func appendsDuringPrune(s *subject) {
	s, records := s.crowded()
	newest := matching(history.Filter{Name: "web"}, history.NewestFirst, records)[0].Revision
	var appended []*history.Record
	s.concurrently(3, func(reader int) bool {
		if reader > 0 {
			return s.readAllRevisions(history.Order(reader-1), newest)
		}
		r := version("arrives", fmt.Sprint(len(appended)), history.Update)
		if err := s.Append(s.t.Context(), &history.Batch{Versions: newVersions(r)}); err != nil {
			s.t.Error(err)
			return false
		}
		appended = append(appended, r)
		return true
	}, s.prune)
	s.same("the appended records", read(true, appended...),
		s.all(history.Scan{Filter: history.Filter{Name: "arrives"}, Bodies: true}))
}

// readAllRevisions reads the object that changes continuously, up to its newest
// version. It reports whether the revisions are consecutive.
func (s *subject) readAllRevisions(order history.Order, newest uint64) bool {
	var got []uint64
	for r, err := range s.Scan(s.t.Context(), history.Scan{Filter: history.Filter{Name: "web"}, Order: order}) {
		switch {
		case history.CodeOf(err) == history.Unavailable:
			return true
		case err != nil:
			s.t.Error(err)
			return false
		}
		got = append(got, r.Revision)
	}
	if order == history.NewestFirst {
		slices.Reverse(got)
	}
	for i, revision := range got {
		if want := newest + 1 - uint64(len(got)-i); revision != want {
			s.t.Errorf("order %d: got revisions %d, want consecutive ones up to %d", order, got, newest)
			return false
		}
	}
	return len(got) > 0
}

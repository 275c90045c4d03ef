package storetest

import (
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// crowded returns a log of a week that is larger than its limit, and its records.
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

// pruningBySizeIsTold prunes a log that is too large: something goes, but not the newest; a gap covers each record that went, and the
// versions that stood when it ends are still there, and so are all heads.
func pruningBySizeIsTold(s *subject) {
	s, records := s.crowded()
	heads := s.heads(pods())
	s.prune()
	for range 2 {
		left := s.all(history.Scan{Bodies: true})
		kept := len(left)
		if kept == 0 || kept == len(records) {
			s.t.Fatalf("of %d records, %d are left", len(records), kept)
		}
		dropped := records[:len(records)-kept]
		s.same("what is left", read(true, records[len(dropped):]...), left)
		for _, r := range dropped {
			gaps := s.gaps(r.Time, r.Time.Add(1), pods())
			if len(gaps) != 1 || gaps[0].Reason != history.GapDropped || gaps[0].End.After(left[0].Time) {
				s.t.Errorf("%s at %v was dropped, and the gaps are %+v", r.Ref, r.Time, gaps)
			}
		}
		for _, name := range names() {
			f := history.Filter{Name: name, End: left[0].Time}
			s.same(name+" when what is left begins", read(true, standing(f, dropped)...), s.all(history.Scan{Filter: f, Bodies: true}))
		}
		if d := cmp.Diff(heads, s.heads(pods())); d != "" {
			s.t.Error(d)
		}
		s.reopen()
	}
}

// standing returns the last record that a filter selects, unless it is a deletion.
func standing(f history.Filter, records []*history.Record) []*history.Record {
	last := matching(f, history.NewestFirst, records)
	if len(last) == 0 || last[0].Verb == history.Delete {
		return nil
	}
	return last[:1]
}

// cursorsOutliveDrops drops records between two pages: the pages go on with what is left, and have nothing twice.
func cursorsOutliveDrops(s *subject) {
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

// scansOutliveDrops drops what a scan is reading: it goes on to the end of all that it began with, or fails with an error that
// says to ask again. It never ends as if what is left had been all.
func scansOutliveDrops(s *subject) {
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
		s.same(fmt.Sprintf("order %d, which ended with %v", order, err), want, got)
	}
}

// idleLogsStay lets a log grow older than its retention without a record: all heads stay, and so does each object that is
// alive, as it is.
func idleLogsStay(s *subject) {
	s = s.another(s.t, Options{Retention: 36 * time.Hour})
	records := s.week()
	s.now = s.noon(100)
	for range 2 {
		s.prune()
		for _, name := range names() {
			f := history.Filter{Name: name}
			s.same(name, read(true, standing(f, records)...), s.all(history.Scan{Filter: f, Bodies: true}))
		}
		if n := len(s.all(history.Scan{})); n != 0 {
			s.t.Errorf("%d records of a page of everything", n)
		}
		s.reopen()
	}
}

// pruningHoldsNobodyUp appends and reads while records are dropped: all that is appended is there, and what is read has no hole,
// or ends with an error that says to ask again.
func pruningHoldsNobodyUp(s *subject) {
	s, records := s.crowded()
	newest := matching(history.Filter{Name: "web"}, history.NewestFirst, records)[0].Revision
	var arrived []*history.Record
	s.beside(3, func(reader int) bool {
		if reader > 0 {
			return s.readWithoutHole(history.Order(reader-1), newest)
		}
		r := version("arrives", fmt.Sprint(len(arrived)), history.Update)
		if err := s.Append(s.t.Context(), &history.Batch{Records: []*history.Record{r}}); err != nil {
			s.t.Error(err)
			return false
		}
		arrived = append(arrived, r)
		return true
	}, s.prune)
	s.same("what arrived", read(true, arrived...), s.all(history.Scan{Filter: history.Filter{Name: "arrives"}, Bodies: true}))
}

// readWithoutHole reads the object that changes all the time, up to its newest version, and tells whether that was as it should be.
func (s *subject) readWithoutHole(order history.Order, newest uint64) bool {
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
			s.t.Errorf("order %d: the revisions %d, up to %d", order, got, newest)
			return false
		}
	}
	return len(got) > 0
}

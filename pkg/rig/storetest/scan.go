package storetest

import (
	"fmt"
	"iter"
	"slices"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// matching returns the records that a filter matches, in an order.
func matching(f history.Filter, order history.Order, records []*history.Record) (list []*history.Record) {
	for _, r := range records {
		if f.Matches(r) {
			list = append(list, r)
		}
	}
	if order == history.NewestFirst {
		slices.Reverse(list)
	}
	return list
}

// filtersSelect compares scans with the records that their filters match, in
// both orders.
func filtersSelect(s *subject) {
	records := s.population()
	for what, f := range filters(records) {
		for _, order := range []history.Order{history.OldestFirst, history.NewestFirst} {
			want := read(false, matching(f, order, records)...)
			s.same(fmt.Sprintf("records %s, order %d", what, order), want, s.all(history.Scan{Filter: f, Order: order}))
		}
	}
}

// pagesAreComplete reads filters page by page, with limits from one record to
// more than exist. The pages together are complete, and each but the last one
// is as long as its limit.
func pagesAreComplete(s *subject) {
	records := s.population()
	for what, f := range filters(records) {
		for _, order := range []history.Order{history.OldestFirst, history.NewestFirst} {
			want := read(true, matching(f, order, records)...)
			for _, limit := range []int{1, 3, len(records), len(records) + 1} {
				s.same(fmt.Sprintf("records %s, order %d, by %d", what, order, limit), want,
					s.pages(history.Scan{Filter: f, Order: order, Limit: limit, Bodies: true}, func() {}))
			}
		}
	}
}

// pages reads a scan page by page, and calls between after each page. Cursors
// are converted to text and back.
func (s *subject) pages(sc history.Scan, between func()) (list []*history.Record) {
	s.t.Helper()
	return readPages(s, sc.Limit, func(last *history.Record) []*history.Record {
		if last != nil {
			var err error
			if sc.After, err = history.ParseCursor(history.Cursor{Time: last.Time}.String()); err != nil {
				s.t.Fatal(err)
			}
			between()
		}
		return s.all(sc)
	})
}

// readPages reads pages until one is shorter than the limit. next returns the
// page after an element, or the first page if that is zero.
func readPages[T any](s *subject, limit int, next func(last T) []T) (list []T) {
	s.t.Helper()
	var last T
	for range 1000 {
		page := next(last)
		if len(page) > limit {
			s.t.Fatalf("got a page of %d elements, want at most %d", len(page), limit)
		}
		list = append(list, page...)
		if len(page) < limit {
			return list
		}
		last = page[len(page)-1]
	}
	s.t.Fatalf("got %d elements in 1000 pages, want an end", len(list))
	return nil
}

// countEqualsScan counts filters up to limits below and above the number of
// records. A count never exceeds that number.
func countEqualsScan(s *subject) {
	records := s.population()
	for what, f := range filters(records) {
		want := len(matching(f, history.OldestFirst, records))
		if n, exact, err := s.Count(s.t.Context(), f, 1_000_000); n != want || !exact || err != nil {
			s.t.Errorf("records %s: got count %d, exact %t, error %v, want exactly %d", what, n, exact, err, want)
		}
		for _, most := range []int{1, 2, 5} {
			n, exact, err := s.Count(s.t.Context(), f, most)
			if err != nil || n > min(want, most) || exact && n != want {
				s.t.Errorf("records %s, up to %d: got count %d, exact %t, error %v, want %d",
					what, most, n, exact, err, want)
			}
		}
	}
}

// objectsAreFirst compares the objects of every filter with the records that
// match. Neither a limit nor a bound on the versions changes the first ones.
func objectsAreFirst(s *subject) {
	records := s.population()
	for what, f := range filters(records) {
		for _, order := range []history.Order{history.OldestFirst, history.NewestFirst} {
			seen := map[history.ObjectRef]bool{}
			var want []*history.Record
			matches := matching(f, order, records)
			for _, r := range matches {
				if !seen[r.Ref] {
					want = append(want, read(false, r)...)
				}
				seen[r.Ref] = true
			}
			for _, tt := range []struct{ limit, most int }{
				{0, len(records)}, {2, len(records)}, {0, 3}, {2, 1}, {1, 0},
			} {
				sc := history.Scan{Filter: f, Order: order, Limit: tt.limit, Bodies: true}
				got, complete, err := s.Objects(s.t.Context(), sc, tt.most)
				if err != nil || len(got) > len(want) || tt.limit > 0 && len(got) > tt.limit || len(got) > tt.most {
					s.t.Fatalf("objects %s, limit %d, up to %d: got %d records, error %v, want at most %d",
						what, tt.limit, tt.most, len(got), err, len(want))
				}
				s.same(fmt.Sprintf("objects %s, limit %d, up to %d", what, tt.limit, tt.most), want[:len(got)], got)
				enough := tt.most >= len(records) && (tt.limit == 0 || tt.limit >= len(want))
				if complete && len(got) < len(want) || enough && !complete {
					s.t.Errorf("objects %s, limit %d, up to %d: got %d of %d, complete %t",
						what, tt.limit, tt.most, len(got), len(want), complete)
				}
			}
		}
	}
}

// mayMatchMissesNothing compares what the log may have with the records of
// every filter, one by one and together.
func mayMatchMissesNothing(s *subject) {
	records := s.population()
	var names []string
	var all []history.Filter
	for what, f := range filters(records) {
		names, all = append(names, what), append(all, f)
	}
	together, err := s.MayMatch(s.t.Context(), all)
	if err != nil || len(together) != len(all) {
		s.t.Fatalf("got %d results, error %v, want %d", len(together), err, len(all))
	}
	for i, f := range all {
		alone, err := s.MayMatch(s.t.Context(), []history.Filter{f})
		if err != nil {
			s.t.Fatal(err)
		}
		n := len(matching(f, history.OldestFirst, records))
		if n > 0 && (!together[i] || !alone[0]) {
			s.t.Errorf("records %s: got that there is none: %t together, %t alone, want %d",
				names[i], !together[i], !alone[0], n)
		}
	}
}

// cursorValidDuringAppends appends between two pages of every filter. Oldest
// first, the pages include the new records. Newest first, they don't. No record
// is missing or duplicated. A cursor of a closed log is valid after it is
// reopened.
func cursorValidDuringAppends(s *subject) {
	records := s.population()
	asked := conditions(records)
	asked["everything"] = func(*history.Filter) {}
	for what, narrow := range asked {
		for _, order := range []history.Order{history.OldestFirst, history.NewestFirst} {
			var f history.Filter
			narrow(&f)
			before, added := slices.Clone(records), 0
			got := s.pages(history.Scan{Filter: f, Order: order, Limit: 2}, func() {
				if added++; added > 3 {
					return
				}
				r := version("web", fmt.Sprint(len(records)), history.Update)
				s.put(r)
				if records = append(records, r); what == "everything" {
					s.reopen()
				}
			})
			want := matching(f, order, before)
			if order == history.OldestFirst {
				want = matching(f, order, records)
			}
			s.same(fmt.Sprintf("records %s, order %d", what, order), read(false, want...), got)
		}
	}
}

// scanIsSnapshot appends during scans. The scans don't return the new records,
// and later scans do.
func scanIsSnapshot(s *subject) {
	records := s.population()
	for _, order := range []history.Order{history.OldestFirst, history.NewestFirst} {
		for _, f := range []history.Filter{{}, {Namespace: "shop"}, {Name: "web"}} {
			want := read(false, matching(f, order, records)...)
			next, stop := iter.Pull2(s.Scan(s.t.Context(), history.Scan{Filter: f, Order: order}))
			var got []*history.Record
			for r, err, ok := next(); ok; r, err, ok = next() {
				if err != nil {
					s.t.Fatal(err)
				}
				got = append(got, r)
				if len(got) > 2 {
					continue
				}
				added := version("web", fmt.Sprint(len(records)), history.Update)
				s.put(added)
				records = append(records, added)
			}
			stop()
			s.same(fmt.Sprintf("order %d of %+v", order, f), want, got)
		}
	}
	s.same("afterwards", read(false, records...), s.all(history.Scan{}))
}

// resultsBelongToCaller changes the records that were read, and reads them
// again.
func resultsBelongToCaller(s *subject) {
	want := read(true, s.population()...)
	for range 2 {
		for i, r := range s.all(history.Scan{Bodies: true}) {
			s.same(fmt.Sprint("the record ", i), want[i:i+1], []*history.Record{r})
			spoil(r)
		}
		last := want[len(want)-1]
		r, err := s.Latest(s.t.Context(), last.Ref)
		if err != nil {
			s.t.Fatal(err)
		}
		s.same("the latest", []*history.Record{last}, []*history.Record{r})
		spoil(r)
	}
}

// spoil changes everything that a record refers to.
func spoil(r *history.Record) {
	clear(r.Object)
	clear(r.Owners)
	clear(r.Managers)
	if r.Regarding != nil {
		*r.Regarding = history.Target{}
	}
	if r.Summary != nil {
		*r.Summary = history.Summary{}
	}
	r.Ref, r.RV, r.Revision = history.ObjectRef{}, "", 0
}

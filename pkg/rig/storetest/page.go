package storetest

import (
	"fmt"
	"iter"
	"slices"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// matching returns the records that a filter selects by its definition, in an order.
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

// filtersSelect compares scans with what their filters select by definition, in both orders.
func filtersSelect(s *subject) {
	records := s.population()
	for what, f := range filters(records) {
		for _, order := range []history.Order{history.OldestFirst, history.NewestFirst} {
			want := read(false, matching(f, order, records)...)
			s.same(fmt.Sprintf("records %s, order %d", what, order), want, s.all(history.Scan{Filter: f, Order: order}))
		}
	}
}

// pagesAreTheWhole reads filters page by page, with limits from one record to more than there are: together the pages are the whole,
// and each but the last is as long as its limit.
func pagesAreTheWhole(s *subject) {
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

// pages reads a scan page by page, and calls a function between two of them. Cursors take the way over their text.
func (s *subject) pages(sc history.Scan, between func()) (list []*history.Record) {
	s.t.Helper()
	for range 1000 {
		page := s.all(sc)
		if len(page) > sc.Limit {
			s.t.Fatalf("a page has %d records, its limit is %d", len(page), sc.Limit)
		}
		list = append(list, page...)
		if len(page) < sc.Limit {
			return list
		}
		var err error
		if sc.After, err = history.ParseCursor(history.Cursor{Time: page[len(page)-1].Time}.String()); err != nil {
			s.t.Fatal(err)
		}
		between()
	}
	s.t.Fatal("the pages have no end")
	return nil
}

// countsAreThoseOfScans counts filters up to less than there is, and up to more. A count never promises more than there is.
func countsAreThoseOfScans(s *subject) {
	records := s.population()
	for what, f := range filters(records) {
		want := len(matching(f, history.OldestFirst, records))
		if n, exact, err := s.Count(s.t.Context(), f, 1_000_000); n != want || !exact || err != nil {
			s.t.Errorf("records %s: %d, exact %v, %v; want %d", what, n, exact, err, want)
		}
		for _, most := range []int{1, 2, 5} {
			n, exact, err := s.Count(s.t.Context(), f, most)
			if err != nil || n > min(want, most) || exact && n != want {
				s.t.Errorf("records %s, up to %d: %d, exact %v, %v; want %d", what, most, n, exact, err, want)
			}
		}
	}
}

// cursorsOutliveAppends appends between two pages, of everything that can be asked for. Oldest first, the pages go on to what has
// arrived; newest first, they have nothing of it. In neither is a record missing or there twice. A cursor of a log that was closed
// goes on in the one opened again.
func cursorsOutliveAppends(s *subject) {
	records := s.population()
	asked := conditions(records)
	asked["everything"] = func(*history.Filter) {}
	for what, narrow := range asked {
		for _, order := range []history.Order{history.OldestFirst, history.NewestFirst} {
			var f history.Filter
			narrow(&f)
			before, arrivals := slices.Clone(records), 0
			got := s.pages(history.Scan{Filter: f, Order: order, Limit: 2}, func() {
				if arrivals++; arrivals > 3 {
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

// scansSeeOneMoment appends while scans are under way: they have nothing of it. Those that begin later do.
func scansSeeOneMoment(s *subject) {
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
				arrives := version("web", fmt.Sprint(len(records)), history.Update)
				s.put(arrives)
				records = append(records, arrives)
			}
			stop()
			s.same(fmt.Sprintf("order %d of %+v", order, f), want, got)
		}
	}
	s.same("afterwards", read(false, records...), s.all(history.Scan{}))
}

// whatIsReadIsTheReaders changes all that was read, and reads it again.
func whatIsReadIsTheReaders(s *subject) {
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

// spoil changes whatever a record refers to.
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

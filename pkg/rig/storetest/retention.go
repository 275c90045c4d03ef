package storetest

import (
	"fmt"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// recordsExpire advances the clock past the retention of records, to the
// nanosecond. Nothing has to be pruned.
func recordsExpire(s *subject) {
	s = s.another(s.t, Options{Retention: time.Hour})
	first, second := version("web", "1", history.Create), version("db", "2", history.Delete)
	s.put(first, second)
	everything := history.Scan{Bodies: true}
	for _, tt := range []struct {
		now  time.Time
		want []*history.Record
	}{
		{first.Time.Add(time.Hour), []*history.Record{first, second}},
		{first.Time.Add(time.Hour + 1), []*history.Record{second}},
		{second.Time.Add(time.Hour), []*history.Record{second}},
		{second.Time.Add(time.Hour + 1), nil},
	} {
		s.now = tt.now
		for _, sc := range []history.Scan{
			everything, {Filter: history.Filter{Namespace: "shop", Resources: nil}, Bodies: true},
		} {
			s.same(fmt.Sprint("at ", tt.now), read(true, tt.want...), s.all(sc))
		}
		if n, exact, err := s.Count(s.t.Context(), history.Filter{}, 100); n != len(tt.want) || !exact || err != nil {
			s.t.Errorf("at %v: got count %d, exact %t, error %v, want exactly %d", tt.now, n, exact, err, len(tt.want))
		}
	}
	if r, err := s.Latest(s.t.Context(), second.Ref); history.CodeOf(err) != history.NotFound {
		s.t.Errorf("object that was deleted before the retention: got %v, error %v, want not found", r, err)
	}
	s.put(version("web", "3", history.Update))
	if n := len(s.all(everything)); n != 1 {
		s.t.Errorf("got %d records after the retention and one append, want 1", n)
	}
}

// baselinesAreReturned reads objects by name, UID and owner. Before the
// retained versions of an object comes its baseline, unless that is a deletion.
// Scans of more than one object return no baselines.
func baselinesAreReturned(s *subject) {
	s = s.another(s.t, Options{Retention: time.Hour})
	old := version("web", "1", history.Create)
	base := version("web", "2", history.Update)
	later := version("web", "3", history.Update)
	deleted, back := version("db", "4", history.Delete), version("db", "5", history.Create)
	still := version("still", "6", history.Create)
	for _, r := range []*history.Record{old, base, later, deleted, back, still} {
		r.Owners = []types.UID{"of " + types.UID(r.Ref.Name), "of all", "of all"}
	}
	old.Owners = append(old.Owners, "once")
	s.put(still, version("db", "7", history.Create), old, base, deleted)
	s.now = s.now.Add(40 * time.Minute)
	s.put(later, back)
	s.now = s.now.Add(40 * time.Minute)
	for range 2 {
		for _, tt := range []struct {
			of   history.ObjectRef
			want []*history.Record
		}{
			{later.Ref, []*history.Record{base, later}},
			{back.Ref, []*history.Record{back}},
			{still.Ref, []*history.Record{still}},
		} {
			for _, order := range []history.Order{history.OldestFirst, history.NewestFirst} {
				for _, f := range []history.Filter{
					{Name: tt.of.Name},
					{UID: tt.of.UID},
					{Name: tt.of.Name, Namespace: "shop"},
					{Owner: "of " + types.UID(tt.of.Name)},
				} {
					want := read(true, matching(f, order, tt.want)...)
					s.same(fmt.Sprintf("%+v", f), want, s.all(history.Scan{Filter: f, Order: order, Bodies: true}))
					s.same(fmt.Sprintf("pages of %+v", f), want,
						s.pages(history.Scan{Filter: f, Order: order, Bodies: true, Limit: 1}, func() {}))
				}
			}
			r, err := s.Latest(s.t.Context(), tt.of)
			if err != nil {
				s.t.Fatal(err)
			}
			s.same("the latest", read(true, tt.want[len(tt.want)-1]), []*history.Record{r})
		}
		s.same("of one owner", read(false, still, base, later, back),
			s.all(history.Scan{Filter: history.Filter{Owner: "of all"}}))
		s.same("of a former owner", nil, s.all(history.Scan{Filter: history.Filter{Owner: "once"}}))
		s.same("of more than one object", read(false, later, back),
			s.all(history.Scan{Filter: history.Filter{Namespace: "shop"}}))
		if n := len(s.heads(pods())); n != 3 {
			s.t.Errorf("got %d heads, want 3", n)
		}
		s.reopen()
	}
}

// names are the names of the objects of [subject.week].
func names() []string { return []string{"still", "web", "gone", "back"} }

// week appends and returns the records of six days. One object is large and
// never changes, and one changes three times a day. One is deleted on the
// second day. One is deleted on that day, and created again on the fourth.
func (s *subject) week() (all []*history.Record) {
	s.t.Helper()
	put := func(r *history.Record) {
		s.put(r)
		all = append(all, r)
	}
	for day := range 6 {
		s.now = s.noon(day)
		if day == 0 {
			still := version("still", "0", history.Create)
			still.Object = noise(600_000)
			put(still)
		}
		for i := range 3 {
			r := version("web", fmt.Sprint(3*day+i), history.Update)
			r.Object = append(noise(20_000), r.RV...)
			put(r)
		}
		switch day {
		case 0:
			put(version("gone", "1", history.Create))
			put(version("back", "1", history.Create))
		case 1:
			put(version("gone", "2", history.Delete))
			put(version("back", "2", history.Delete))
		case 3:
			put(version("back", "3", history.Create))
		}
	}
	return all
}

// answers reads what pruning must not change: all records, each object, and the
// state of each at some times.
func (s *subject) answers(at ...time.Time) map[string][]*history.Record {
	s.t.Helper()
	m := map[string][]*history.Record{"all": s.all(history.Scan{Bodies: true})}
	for _, name := range names() {
		f := history.Filter{Name: name}
		m[name] = s.all(history.Scan{Filter: f, Bodies: true})
		for _, f.End = range at {
			what := fmt.Sprintf("%s at %s", name, f.End)
			m[what] = s.all(history.Scan{Filter: f, Order: history.NewestFirst, Limit: 1, Bodies: true})
		}
	}
	return m
}

// pruneByAgeChangesNothing prunes twice after three days, and reopens the log.
// Results don't change, and there are no gaps.
func pruneByAgeChangesNothing(s *subject) {
	s = s.another(s.t, Options{Retention: 36 * time.Hour})
	if err := s.Prune(s.t.Context()); err != nil {
		s.t.Errorf("empty log: got error %v, want none", err)
	}
	s.week()
	s.now = s.noon(5).Add(time.Hour)
	at := []time.Time{s.now.Add(-s.opts.Retention + 1), s.midnight(5), s.now}
	want, heads := s.answers(at...), s.heads(pods())
	check := func(when string) {
		s.t.Helper()
		if d := cmp.Diff(heads, s.heads(pods())); d != "" {
			s.t.Errorf("%s, heads (-want +got):\n%s", when, d)
		}
		got := s.answers(at...)
		for what := range want {
			s.same(when+", "+what, want[what], got[what])
		}
		if len(got) != len(want) {
			s.t.Errorf("%s: got %d results, want %d", when, len(got), len(want))
		}
		if gaps := s.everyGap(); len(gaps) > 0 {
			s.t.Errorf("%s: got gaps %+v, want none", when, gaps)
		}
	}
	for range 2 {
		if err := s.Prune(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
		check("after pruning")
	}
	s.reopen()
	check("after reopening")
	r := version("web", "100", history.Update)
	if s.put(r); r.Revision != 3*6+1 {
		s.t.Errorf("next version: got revision %d, want %d", r.Revision, 3*6+1)
	}
}

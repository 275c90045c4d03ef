package storetest

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// recordsReadAsAppended compares every field of records of every kind, in both
// orders, with and without bodies.
func recordsReadAsAppended(s *subject) {
	want := s.population()
	for _, bodies := range []bool{false, true} {
		expected := read(bodies, want...)
		s.same("oldest first", expected, s.all(history.Scan{Bodies: bodies}))
		slices.Reverse(expected)
		s.same("newest first", expected, s.all(history.Scan{Bodies: bodies, Order: history.NewestFirst}))
	}
}

// timesIncrease stops the clock, runs it and lets it jump back, within and
// between batches, and reopens the log. If the clock is later than the log,
// records have the clock's time.
func timesIncrease(s *subject) {
	var last time.Time
	var appended []*history.Record
	for i, step := range []time.Duration{0, 0, -time.Hour, 0, 2 * time.Hour, time.Second, -aDay, 0} {
		s.now = s.now.Add(step)
		batch := []*history.Record{
			version("web", fmt.Sprint(2*i), history.Update), version("web", fmt.Sprint(2*i+1), history.Update),
		}
		s.put(batch...)
		if first := batch[0].Time; s.now.After(last) && !first.Equal(s.now) {
			s.t.Errorf("step %d: got time %v, want %v", i, first, s.now)
		}
		for _, r := range batch {
			if !r.Time.After(last) || r.Time.Location() != time.UTC {
				s.t.Fatalf("step %d: got time %v, want one in UTC after %v", i, r.Time, last)
			}
			last = r.Time
		}
		appended = append(appended, batch...)
		if i%2 == 1 {
			s.reopen()
		}
	}
	s.same("read again", read(true, appended...), s.all(history.Scan{Bodies: true}))
}

// revisionsCount counts the versions of incarnations that differ in only one
// part of their identity, within and between batches. An incarnation that is
// deleted and observed again continues its count.
func revisionsCount(s *subject) {
	alike := []func(*history.ObjectRef){
		func(*history.ObjectRef) {},
		func(o *history.ObjectRef) { o.UID = "another" },
		func(o *history.ObjectRef) { o.Name = "another" },
		func(o *history.ObjectRef) { o.Namespace = "another" },
		func(o *history.ObjectRef) { o.Namespace = "" },
		func(o *history.ObjectRef) { o.Resource = "others" },
		func(o *history.ObjectRef) { o.Group = "example.com" },
	}
	want := uint64(0)
	for round, verb := range []history.Verb{history.Create, history.Update, history.Delete, history.Create} {
		var batch []*history.Record
		for range 2 {
			for _, change := range alike {
				r := version("web", fmt.Sprint(len(batch)), verb)
				change(&r.Ref)
				batch = append(batch, r)
			}
		}
		s.put(batch...)
		for i, r := range batch {
			if n := want + 1 + uint64(i/len(alike)); r.Revision != n {
				s.t.Errorf("round %d: %s (%s): got revision %d, want %d", round, r.Ref, r.Ref.UID, r.Revision, n)
			}
		}
		want += 2
		s.reopen()
	}
	for _, uid := range []types.UID{"uid-web", "another"} {
		f := history.Filter{UID: uid, Name: "web", Namespace: "shop", Resources: nil}
		f.Resources = append(f.Resources, pods())
		for i, r := range s.all(history.Scan{Filter: f}) {
			if r.Revision != uint64(i+1) {
				s.t.Errorf("%s: got revision %d, want %d", uid, r.Revision, i+1)
			}
		}
	}
}

package storetest

import (
	"reflect"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// TestConditions_NarrowByEveryFilterField fails if the suite would not notice
// that a log ignores a field of history.Filter: no condition sets it, or each
// one that does selects all or none of the records.
func TestConditions_NarrowByEveryFilterField(t *testing.T) {
	s := newSubject(t, func(tb testing.TB, dir string, o Options) Log {
		tb.Helper()
		log, err := store.Open(dir, store.Options{Now: o.Now, NoSync: true})
		if err != nil {
			tb.Fatal(err)
		}
		return log
	}, Options{})
	records := s.population()
	narrowed := map[string]bool{}
	for _, narrow := range conditions(records) {
		var f history.Filter
		narrow(&f)
		n := len(matching(f, history.OldestFirst, records))
		for field, value := range reflect.ValueOf(f).Fields() {
			if !value.IsZero() && 0 < n && n < len(records) {
				narrowed[field.Name] = true
			}
		}
	}
	for field := range reflect.TypeFor[history.Filter]().Fields() {
		if !narrowed[field.Name] {
			t.Errorf("history.Filter.%s: got no condition that selects some records and not others, want one",
				field.Name)
		}
	}
}

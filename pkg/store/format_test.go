package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// asFormat1 turns a log into one that the previous program wrote. Its versions
// must be root changes, because it knew no class.
func asFormat1(t *testing.T, dir string) {
	t.Helper()
	db := raw(t, dir)
	err := db.Update(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{key.History}})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			e, err := key.Decode(it.Item().Key())
			if err != nil {
				return err
			}
			if e.Class == key.ByRoot {
				if err := txn.Delete(it.Item().KeyCopy(nil)); err != nil {
					return err
				}
			}
		}
		return errors.Join(txn.Delete(key.RootsSince()), txn.Set(key.Format(), []byte{0, 1}))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestOpen_UpgradesFormat1 checks that root changes are found before and after
// an upgrade, across it, and after a repair that lost when it was.
func TestOpen_UpgradesFormat1(t *testing.T) {
	dir, c := t.TempDir(), &clock{time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)}
	opts := store.Options{Now: c.now}
	s := open(t, dir, opts)
	var all []*history.Record
	add := func(n int, classes ...history.Class) {
		for i := range n {
			r := &history.Record{
				Ref:     history.ObjectRef{Resource: "pods", Namespace: "shop", Name: fmt.Sprint("p", i), UID: "u"},
				Version: "v1", Kind: "Pod", Verb: history.Create, Class: classes[i%len(classes)], Object: []byte(`{}`),
			}
			c.t = c.t.Add(time.Minute)
			appendTo(t, s, r)
			all = append(all, r)
		}
	}
	check := func(when string) {
		t.Helper()
		for name, f := range map[string]history.Filter{
			"everything":        {},
			"from the old part": {Start: all[3].Time},
			"from the new part": {Start: all[14].Time},
			"a namespace":       {Namespace: "shop", Start: all[14].Time},
		} {
			for _, classes := range [][]history.Class{
				{history.Root},
				{history.Onset},
				{history.Root, history.Onset},
				{history.Consequence},
				history.Classes(),
			} {
				f.Classes = classes
				want := 0
				for _, r := range all {
					if f.Matches(r) {
						want++
					}
				}
				got := 0
				for _, err := range s.Scan(t.Context(), history.Scan{Filter: f}) {
					if err != nil {
						t.Fatal(err)
					}
					got++
				}
				counted, _, err := s.Count(t.Context(), f, 1000)
				if got != want || counted != want || err != nil {
					t.Errorf("%s: %v of %s: got %d records and count %d, error %v, want %d",
						when, classes, name, got, counted, err, want)
				}
			}
		}
		verified(t, s)
	}
	add(10, history.Root)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	asFormat1(t, dir)
	s = open(t, dir, opts)
	add(12, history.Root, history.Onset, history.Consequence)
	check("after the upgrade")
	s = reopen(t, s, dir, opts)
	check("opened again")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	asFormat1(t, dir) // the classes are kept
	s = open(t, dir, opts)
	check("upgraded again")
}

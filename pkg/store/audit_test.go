package store_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// dump is all that a closed database holds.
type dump struct {
	values  map[string][]byte
	expires map[string]uint64 // seconds since 1970; 0: never
}

func dumped(tb testing.TB, dir string) dump {
	tb.Helper()
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		tb.Fatal(err)
	}
	d := dump{values: map[string][]byte{}, expires: map[string]uint64{}}
	err = db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			k := string(it.Item().Key())
			if d.values[k], err = it.Item().ValueCopy(nil); err != nil {
				return err
			}
			d.expires[k] = it.Item().ExpiresAt()
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	if err := db.Close(); err != nil {
		tb.Fatal(err)
	}
	return d
}

// audit checks a closed database key by key: every record has its body, its index entries and its object's identity,
// every index entry and body has its record, and exactly what has to expire expires, when it has to. A process that was killed
// may leave parts of a body whose record never came: keys of the classes orphans may belong to none. It returns the number of
// records.
func audit(tb testing.TB, dir string, retention time.Duration, orphans ...key.Class) int {
	tb.Helper()
	d := dumped(tb, dir)
	want := map[string]bool{} // the historical keys that there have to be
	newest := map[uint64]uint64{}
	records := 0
	for k, v := range d.values {
		e, err := key.Decode([]byte(k))
		if k[0] != key.History {
			continue
		}
		if err != nil {
			tb.Errorf("key %q: %v", k, err)
		}
		if seconds := (e.TS + uint64(retention+48*time.Hour)) / uint64(time.Second); d.expires[k] != seconds {
			tb.Errorf("class %c of object %d at %d expires at %d, want %d", e.Class, e.Object, e.TS, d.expires[k], seconds)
		}
		if e.Class == key.Record {
			records++
			newest[e.Object] = max(newest[e.Object], e.TS)
			d.expect(tb, e, v, want)
		}
	}
	for k := range d.values {
		if k[0] != key.History || want[k] {
			continue
		}
		if e, err := key.Decode([]byte(k)); err != nil || !slices.Contains(orphans, e.Class) {
			tb.Errorf("key %q belongs to no record", k)
		}
	}
	for k := range want {
		if _, ok := d.values[k]; !ok {
			tb.Errorf("key %q is missing", k)
		}
	}
	d.auditObjects(tb, newest, retention)
	return records
}

// expect adds the keys that a record's version has to have.
func (d dump) expect(tb testing.TB, e key.Entry, meta []byte, want map[string]bool) {
	tb.Helper()
	var r history.Record
	m, err := codec.DecodeMeta(meta, &r)
	if err != nil {
		tb.Fatal(err)
	}
	id, err := codec.DecodeIdentity(d.values[string(key.Identity(e.Object))])
	if err != nil {
		tb.Fatalf("identity of object %d: %v", e.Object, err)
	}
	e.Resource, e.Namespace, e.Verb = id.Resource, id.Namespace, byte(r.Verb)
	for _, c := range []key.Class{key.Record, key.ByTime, key.ByResource, key.ByNamespace} {
		want[string(e.In(c))] = true
	}
	for _, o := range r.Owners {
		e.Hash = key.Sum(string(o))
		want[string(e.In(key.ByOwner))] = true
	}
	if g := r.Regarding; g != nil {
		e.Hash = key.Sum(g.Kind, g.Namespace, g.Name)
		want[string(e.In(key.ByTarget))] = true
	}
	for e.Part = range m.Parts {
		want[string(e.In(key.Body))] = true
	}
}

// auditObjects checks what is kept once an object: it expires with the last version of an object that is deleted, and
// never before.
func (d dump) auditObjects(tb testing.TB, newest map[uint64]uint64, retention time.Duration) {
	tb.Helper()
	objects := 0
	for k, v := range d.values {
		if k[0] != 'h' {
			continue
		}
		objects++
		head, err := codec.DecodeHead(v)
		if err != nil {
			tb.Fatal(err)
		}
		id, err := codec.DecodeIdentity(d.values[string(key.Identity(head.Object))])
		if err != nil {
			tb.Fatalf("identity of object %d: %v", head.Object, err)
		}
		var expires uint64
		if !head.Alive {
			expires = (newest[head.Object] + uint64(retention+48*time.Hour)) / uint64(time.Second)
		}
		for _, own := range [][]byte{
			[]byte(k), key.Identity(head.Object), key.Name(id.Name, id.Resource, id.Namespace, head.Object),
		} {
			got, ok := d.expires[string(own)]
			if !ok || got != expires {
				tb.Errorf("key %q of object %d (alive: %v) is there: %v, expires at %d, want %d", own, head.Object, head.Alive, ok, got, expires)
			}
		}
	}
	if n := d.count('i'); n != objects {
		tb.Errorf("%d identities of %d objects", n, objects)
	}
	if n := d.count('n'); n != objects {
		tb.Errorf("%d names of %d objects", n, objects)
	}
}

func (d dump) count(prefix byte) int {
	n := 0
	for k := range d.values {
		if bytes.HasPrefix([]byte(k), []byte{prefix}) {
			n++
		}
	}
	return n
}

// dropDay drops a day of a closed database.
func dropDay(tb testing.TB, dir string, day time.Time) {
	tb.Helper()
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		tb.Fatal(err)
	}
	err = db.DropPrefix(key.DayPrefix(key.Day(uint64(day.UnixNano()))))
	if err := errors.Join(err, db.Close()); err != nil {
		tb.Fatal(err)
	}
}

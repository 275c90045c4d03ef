package store_test

import (
	"errors"
	"testing"
	"time"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/watchhistory/watchhistory/pkg/store"
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
	db := raw(tb, dir)
	d := dump{values: map[string][]byte{}, expires: map[string]uint64{}}
	err := db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			k := string(it.Item().Key())
			v, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			d.values[k] = v
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

// audit verifies a closed database, and checks that exactly what has to expire expires, when it has to. A process that was killed
// may leave parts of a body whose record never came. It returns the number of records.
func audit(tb testing.TB, dir string, retention time.Duration, killed bool) int {
	tb.Helper()
	s := mustOpen(tb, dir, store.Options{NoSync: true, Retention: retention})
	v := verified(tb, s)
	if v.Leftovers > 0 && !killed {
		tb.Errorf("%d parts of bodies belong to no record", v.Leftovers)
	}
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
	d := dumped(tb, dir)
	newest := map[uint64]uint64{}
	for k := range d.values {
		e, err := key.Decode([]byte(k))
		if err != nil {
			continue
		}
		if seconds := (e.TS + uint64(retention+48*time.Hour)) / uint64(time.Second); d.expires[k] != seconds {
			tb.Errorf("class %c of object %d at %d expires at %d, want %d", e.Class, e.Object, e.TS, d.expires[k], seconds)
		}
		if e.Class == key.Record {
			newest[e.Object] = max(newest[e.Object], e.TS)
		}
	}
	d.auditObjects(tb, newest, retention)
	return int(v.Versions)
}

// verified verifies a log that has to be whole.
func verified(tb testing.TB, s *store.Store) store.Verification {
	tb.Helper()
	v, err := s.Verify(tb.Context(), func(d store.Damage) { tb.Errorf("damaged: %s", d) }, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return v
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
}

// dropDay drops a day of a closed database.
func dropDay(tb testing.TB, dir string, day time.Time) {
	tb.Helper()
	db := raw(tb, dir)
	err := db.DropPrefix(key.DayPrefix(key.Day(uint64(day.UnixNano()))))
	if err := errors.Join(err, db.Close()); err != nil {
		tb.Fatal(err)
	}
}

// raw opens a log's database beside the log.
func raw(tb testing.TB, dir string) *badger.DB {
	tb.Helper()
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil).WithCompression(options.ZSTD).WithNumLevelZeroTables(14))
	if err != nil {
		tb.Fatal(err)
	}
	return db
}

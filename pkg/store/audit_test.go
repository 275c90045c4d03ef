package store_test

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// ttlSlack is how much longer than the retention versions are kept if nothing
// prunes them.
const ttlSlack = 365 * 24 * time.Hour

// dump contains all entries of a closed database.
type dump struct {
	values  map[string][]byte
	expires map[string]uint64 // seconds since 1970; 0: never
}

func dumped(tb testing.TB, dir string) dump {
	tb.Helper()
	db, err := badger.Open(rawOptions(dir).WithReadOnly(true)) // without a memtable
	if err != nil {
		tb.Fatal(err)
	}
	d := dump{values: map[string][]byte{}, expires: map[string]uint64{}}
	err = db.View(func(txn *badger.Txn) error {
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

// audit verifies a closed database, checks the expiry of each key, and returns
// the number of records. killed means that a process was killed, so that parts
// of a body may have no record.
func audit(tb testing.TB, dir string, retention time.Duration, killed bool) int {
	tb.Helper()
	s := mustOpen(tb, dir, store.Options{NoSync: true, Retention: retention})
	v := verified(tb, s)
	if v.Leftovers > 0 && !killed {
		tb.Errorf("got %d parts of bodies without a record, want 0", v.Leftovers)
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
		last := e.TS // of the versions that need the key
		if e.Class == key.Phrase {
			last = key.Start(uint32(key.Day(e.TS)) + 1)
		}
		if seconds := (last + uint64(retention+ttlSlack)) / uint64(time.Second); d.expires[k] != seconds {
			tb.Errorf("expiry of class %c of object %d at %d: got %d, want %d",
				e.Class, e.Object, e.TS, d.expires[k], seconds)
		}
		if e.Class == key.Record {
			newest[e.Object] = max(newest[e.Object], e.TS)
		}
	}
	d.auditObjects(tb, newest, retention)
	d.auditBaselines(tb)
	d.auditPhrases(tb)
	return int(v.Versions)
}

// auditBaselines checks that the days before the retention floor are gone, and
// that each object has at most one baseline, which is complete and indexed.
func (d dump) auditBaselines(tb testing.TB) {
	tb.Helper()
	floor := uint64(0)
	if b := d.values[string(key.RetentionFloor())]; b != nil {
		floor = key.Start(binary.BigEndian.Uint32(b))
	}
	baselines, parts, owned := map[uint64]int{}, 0, 0
	for k, v := range d.values {
		if e, err := key.Decode([]byte(k)); err == nil && e.TS < floor {
			tb.Errorf("got class %c of object %d at %d, want none before the retention floor %d",
				e.Class, e.Object, e.TS, floor)
		}
		object, ts, err := key.DecodeBaseline([]byte(k))
		if err != nil {
			continue
		}
		baselines[object]++
		var r history.Record
		m, err := codec.DecodeMeta(v, ts, &r, nil)
		if _, known := d.values[string(key.Identity(object))]; err != nil || !known ||
			ts >= floor || d.expires[k] != 0 || baselines[object] > 1 {
			tb.Errorf("baseline of object %d at %d, floor %d: got identity %v, expiry %d, "+
				"number %d, %v, want an identity, no expiry, number 1",
				object, ts, floor, known, d.expires[k], baselines[object], err)
		}
		slices.Sort(r.Owners)
		for _, uid := range slices.Compact(r.Owners) {
			owned++
			if _, ok := d.values[string(key.BaselineOwner(key.Sum(string(uid)), object, ts))]; !ok {
				tb.Errorf("baseline of object %d: got no entry for owner %q, want one", object, uid)
			}
		}
		for part := range m.Parts {
			parts++
			if _, ok := d.values[string(key.BaselineBody(object, ts, part))]; !ok {
				tb.Errorf("baseline of object %d: got no part %d, want %d parts", object, part, m.Parts)
			}
		}
	}
	if n := d.count('s'); n != len(baselines)+parts+owned {
		tb.Errorf("got %d keys of baselines, want %d: %d baselines, %d parts, %d owners",
			n, len(baselines)+parts+owned, len(baselines), parts, owned)
	}
}

// verified verifies an intact log.
func verified(tb testing.TB, s *store.Store) store.Verification {
	tb.Helper()
	ctx := context.WithoutCancel(tb.Context()) // also used in cleanups
	v, err := s.Verify(ctx, func(d store.Damage) { tb.Errorf("got damage %s, want none", d) }, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// count returns the number of keys that begin with a letter.
func (d dump) count(letter byte) (n int) {
	for k := range d.values {
		if k[0] == letter {
			n++
		}
	}
	return n
}

// auditObjects checks heads, identities and names: they expire with the newest
// version of a deleted object, and never if the object is alive.
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
			expires = (newest[head.Object] + uint64(retention+ttlSlack)) / uint64(time.Second)
		}
		for _, own := range [][]byte{
			[]byte(k), key.Identity(head.Object), key.Name(id.Name, id.Resource, id.Namespace, head.Object),
		} {
			got, ok := d.expires[string(own)]
			if !ok || got != expires {
				tb.Errorf("key %q of object %d (alive: %v): got found %v, expiry %d, want true, %d",
					own, head.Object, head.Alive, ok, got, expires)
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

// rawMemtable is the size of the memtable of a raw database, in bytes. Badger
// clears twice as much memory when it opens a database, 128 MB by default.
const rawMemtable = 8 << 20

func rawOptions(dir string) badger.Options {
	return badger.DefaultOptions(dir).WithLogger(nil).WithCompression(options.ZSTD).WithNumLevelZeroTables(14).
		WithMemTableSize(rawMemtable).WithBlockCacheSize(16 << 20)
}

// raw opens the Badger database of a closed log.
func raw(tb testing.TB, dir string) *badger.DB {
	tb.Helper()
	db, err := badger.Open(rawOptions(dir))
	if err != nil {
		tb.Fatal(err)
	}
	return db
}

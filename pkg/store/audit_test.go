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

// backstop is how much longer than the retention everything is kept that nobody prunes.
const ttlSlack = 365 * 24 * time.Hour

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
		last := e.TS // that the key is needed for
		if e.Class == key.Phrase {
			last = key.Start(uint32(key.Day(e.TS)) + 1)
		}
		if seconds := (last + uint64(retention+ttlSlack)) / uint64(time.Second); d.expires[k] != seconds {
			tb.Errorf("class %c of object %d at %d expires at %d, want %d", e.Class, e.Object, e.TS, d.expires[k], seconds)
		}
		if e.Class == key.Record {
			newest[e.Object] = max(newest[e.Object], e.TS)
		}
	}
	d.auditObjects(tb, newest, retention)
	d.auditStanding(tb)
	d.auditPhrases(tb)
	return int(v.Versions)
}

// auditStanding checks that nothing is left of the days before the floor but one version of each object that stood then, whole,
// and that belongs to an object.
func (d dump) auditStanding(tb testing.TB) {
	tb.Helper()
	floor := uint64(0)
	if b := d.values[string(key.RetentionFloor())]; b != nil {
		floor = key.Start(binary.BigEndian.Uint32(b))
	}
	stood, parts, owned := map[uint64]int{}, 0, 0
	for k, v := range d.values {
		if e, err := key.Decode([]byte(k)); err == nil && e.TS < floor {
			tb.Errorf("class %c of object %d at %d is before the floor", e.Class, e.Object, e.TS)
		}
		object, ts, err := key.DecodeBaseline([]byte(k))
		if err != nil {
			continue
		}
		stood[object]++
		var r history.Record
		m, err := codec.DecodeMeta(v, ts, &r, nil)
		if _, known := d.values[string(key.Identity(object))]; err != nil || !known || ts >= floor || d.expires[k] != 0 || stood[object] > 1 {
			tb.Errorf("standing version of object %d (known: %v) at %d, floor %d, is number %d: %v", object, known, ts, floor, stood[object], err)
		}
		slices.Sort(r.Owners)
		for _, uid := range slices.Compact(r.Owners) {
			owned++
			if _, ok := d.values[string(key.BaselineOwner(key.Sum(string(uid)), object, ts))]; !ok {
				tb.Errorf("object %d, which stands, is not in the index by its owner %q", object, uid)
			}
		}
		for part := range m.Parts {
			parts++
			if _, ok := d.values[string(key.BaselineBody(object, ts, part))]; !ok {
				tb.Errorf("part %d of the standing body of object %d is missing", part, object)
			}
		}
	}
	if n := d.count('s'); n != len(stood)+parts+owned {
		tb.Errorf("%d keys of %d standing versions with %d parts and %d owners", n, len(stood), parts, owned)
	}
}

// verified verifies a log that has to be whole.
func verified(tb testing.TB, s *store.Store) store.Verification {
	tb.Helper()
	ctx := context.WithoutCancel(tb.Context()) // a test's cleanup verifies, too
	v, err := s.Verify(ctx, func(d store.Damage) { tb.Errorf("damaged: %s", d) }, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// count counts the keys that begin with a letter.
func (d dump) count(letter byte) (n int) {
	for k := range d.values {
		if k[0] == letter {
			n++
		}
	}
	return n
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
			expires = (newest[head.Object] + uint64(retention+ttlSlack)) / uint64(time.Second)
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

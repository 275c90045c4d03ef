package store_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// large returns an object of some KB, most of which is the same in every version.
func large(n int) []byte {
	return fmt.Appendf(nil, `{"metadata":{"resourceVersion":"%d"},"spec":{"text":"%s"},"status":{"n":%d}}`, n, strings.Repeat("not the same text again ", 100), n)
}

// versions appends versions from first to last of one object, each with the one before, and returns their bodies.
func versions(t *testing.T, s *store.Store, first, last int) (all [][]byte) {
	t.Helper()
	for n := first; n <= last; n++ {
		r := pod("web", fmt.Sprint(n), history.Update)
		r.Object, r.Before = large(n), large(n-1)
		if err := s.Append(t.Context(), &history.Batch{Records: []*history.Record{r}}); err != nil {
			t.Fatal(err)
		}
		all = append(all, r.Object)
	}
	return all
}

func bodiesOf(t *testing.T, s *store.Store, order history.Order) (all [][]byte) {
	t.Helper()
	for r, err := range s.Scan(t.Context(), history.Scan{Bodies: true, Order: order}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r.Object)
	}
	return all
}

// kinds tells how each body in a closed log is written, oldest first, and how many bytes all take: s is a snapshot, d a delta
// against the version before, and l one against another snapshot.
func kinds(t *testing.T, dir string) (kinds string, size int) {
	t.Helper()
	d := dumped(t, dir)
	at, newest := map[uint64]key.Entry{}, map[uint64]uint64{}
	for k := range d.values {
		if e, err := key.Decode([]byte(k)); err == nil && e.Class == key.Body && e.Part == 0 {
			at[e.TS] = e
		}
	}
	for _, ts := range slices.Sorted(maps.Keys(at)) {
		e := at[ts]
		b := d.values[string(e.In(key.Body))]
		body, err := codec.ParseBody(b)
		switch {
		case err != nil:
			t.Fatal(err)
		case !body.IsDelta():
			kinds += "s"
		case body.Base.Object == 0 && ts-body.Base.Ago == newest[e.Object]:
			kinds += "d"
		default:
			kinds += "l"
			base := at[ts-body.Base.Ago]
			if of, err := codec.ParseBody(d.values[string(base.In(key.Body))]); of.IsDelta() || err != nil || base.Object != e.Object-uint64(body.Base.Object) {
				t.Errorf("the base of what is like another is no snapshot: %v", err)
			}
		}
		newest[e.Object], size = ts, size+len(b)
	}
	return kinds, size
}

func TestVersionsAreDeltasBetweenSnapshots(t *testing.T) {
	at := time.Now().Truncate(24 * time.Hour).Add(time.Hour)
	dir, c := t.TempDir(), &clock{at}
	s := open(t, dir, store.Options{Now: c.now})
	want := versions(t, s, 1, 70)
	for order, name := range map[history.Order]string{history.OldestFirst: "oldest", history.NewestFirst: "newest"} {
		got := bodiesOf(t, s, order)
		for i := range got {
			expected := want[i]
			if order == history.NewestFirst {
				expected = want[len(want)-1-i]
			}
			if !bytes.Equal(got[i], expected) {
				t.Fatalf("%s first: version %d has another body", name, i)
			}
			got[i][0] = '#' // it is the caller's
		}
		if len(got) != len(want) {
			t.Errorf("%d versions", len(got))
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	got, size := kinds(t, dir)
	if want := "s" + strings.Repeat("d", 15) + strings.Repeat("l"+strings.Repeat("d", 14), 4)[:54]; got != want {
		t.Errorf("snapshots and deltas are %s, want %s", got, want)
	}
	if size > 70*150 {
		t.Errorf("70 versions take %d bytes", size)
	}
}

func TestADayAndAProcessBeginWithSnapshots(t *testing.T) {
	dir, c := t.TempDir(), &clock{time.Now().Truncate(24 * time.Hour).Add(-time.Second)}
	s := open(t, dir, store.Options{Now: c.now})
	want := versions(t, s, 1, 2)
	c.t = c.t.Add(2 * time.Second) // midnight passes
	want = append(want, versions(t, s, 3, 4)...)
	s = reopen(t, s, dir, store.Options{Now: c.now})
	want = append(want, versions(t, s, 5, 6)...)
	if got := bodiesOf(t, s, history.OldestFirst); len(got) != 6 || !bytes.Equal(bytes.Join(got, nil), bytes.Join(want, nil)) {
		t.Errorf("%d bodies are not what was written", len(got))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got, _ := kinds(t, dir); got != "sdsdsd" {
		t.Errorf("snapshots and deltas are %s", got)
	}
}

func TestWhatIsNotTheVersionBeforeIsNoBase(t *testing.T) {
	for name, before := range map[string][]byte{
		"none": nil, "another one": large(0), "short": []byte("{}"), "nothing alike": random(3000),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, store.Options{})
			versions(t, s, 1, 2)
			r := pod("web", "3", history.Update)
			r.Object, r.Before = large(3), before
			appendTo(t, s, r)
			if got := bodiesOf(t, s, history.OldestFirst); !bytes.Equal(got[2], r.Object) {
				t.Error("the body is another one")
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if got, _ := kinds(t, dir); got != "sdl" {
				t.Errorf("snapshots and deltas are %s", got)
			}
		})
	}
}

// TestADeltaWithoutItsBaseIsAnError takes the base away, and turns its bits: neither may give another body.
func TestADeltaWithoutItsBaseIsAnError(t *testing.T) {
	for name, damage := range map[string]func(*badger.Txn, []byte, []byte) error{
		"gone":    func(txn *badger.Txn, k, _ []byte) error { return txn.Delete(k) },
		"damaged": func(txn *badger.Txn, k, v []byte) error { v[len(v)/2] ^= 1; return txn.Set(k, v) },
		"a delta against itself": func(txn *badger.Txn, k, _ []byte) error {
			return txn.Set(k, against(t, large(1), codec.Base{Parts: 1}))
		},
		"a delta against what was never there": func(txn *badger.Txn, k, _ []byte) error {
			return txn.Set(k, against(t, large(1), codec.Base{Ago: 1, Parts: 1}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, store.Options{})
			versions(t, s, 1, 3)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			change(t, dir, damage)
			s = open(t, dir, store.Options{})
			failed := 0
			for r, err := range s.Scan(t.Context(), history.Scan{Bodies: true, Order: history.NewestFirst}) {
				if err != nil {
					failed++
				} else if r.Revision == 0 || !bytes.Equal(r.Object, large(int(r.Revision))) {
					t.Errorf("revision %d has another body", r.Revision)
				}
			}
			if failed != 1 {
				t.Errorf("%d errors", failed)
			}
		})
	}
}

// against returns the encoded body of a JSON as a delta against itself, of a version that stands elsewhere.
func against(t *testing.T, json []byte, base codec.Base) []byte {
	t.Helper()
	c, err := codec.NewBodies()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := c.Delta(json, json, codec.Sum(json), len(json))
	b.Base = base
	return b.Encode()
}

// change lets a function at the oldest body of a closed log.
func change(t *testing.T, dir string, damage func(txn *badger.Txn, k, v []byte) error) {
	t.Helper()
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			k := it.Item().KeyCopy(nil)
			if e, err := key.Decode(k); err != nil || e.Class != key.Body {
				continue
			}
			v, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			return damage(txn, k, v)
		}
		return badger.ErrKeyNotFound
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

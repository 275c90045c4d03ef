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
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// large returns version n of an object of some KB. The versions differ in few
// bytes.
func large(n int) []byte {
	return fmt.Appendf(nil, `{"metadata":{"resourceVersion":"%d"},"spec":{"text":"%s"},"status":{"n":%d}}`,
		n, strings.Repeat("not the same text again ", 100), n)
}

// versions appends the versions from first to last of one object, each with the
// previous one, and returns their bodies.
func versions(t *testing.T, s *store.Store, first, last int) (all [][]byte) {
	t.Helper()
	for n := first; n <= last; n++ {
		r := pod("web", fmt.Sprint(n), history.Update)
		r.Object = large(n)
		appendVersions(t, s, history.NewVersion{Record: r, Before: large(n - 1)})
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

// kinds returns how each body in a closed log is encoded, oldest first, and the
// size of all bodies in bytes. s is a snapshot, d a delta against the object's
// previous version, and r a delta against a reference snapshot.
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
			kinds += "r"
			base := at[ts-body.Base.Ago]
			if of, err := codec.ParseBody(d.values[string(base.In(key.Body))]); of.IsDelta() ||
				err != nil || base.Object != e.Object-uint64(body.Base.Object) {
				t.Errorf("base of the delta at %d: got object %d, delta %t, %v, want a snapshot of object %d",
					ts, base.Object, of.IsDelta(), err, e.Object-uint64(body.Base.Object))
			}
		}
		newest[e.Object], size = ts, size+len(b)
	}
	return kinds, size
}

func TestBodies_ChainsOfDeltas(t *testing.T) {
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
				t.Fatalf("%s first: body %d: got %.40q, want %.40q", name, i, got[i], expected)
			}
			got[i][0] = '#' // the caller owns it
		}
		if len(got) != len(want) {
			t.Errorf("%s first: got %d versions, want %d", name, len(got), len(want))
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	got, size := kinds(t, dir)
	if want := "s" + strings.Repeat("d", 15) + strings.Repeat("r"+strings.Repeat("d", 14), 4)[:54]; got != want {
		t.Errorf("got bodies %s, want %s", got, want)
	}
	if size > 70*150 {
		t.Errorf("got %d bytes for 70 versions, want at most %d", size, 70*150)
	}
}

func TestBodies_BeginWithSnapshotOfDayAndProcess(t *testing.T) {
	dir, c := t.TempDir(), &clock{time.Now().Truncate(24 * time.Hour).Add(-time.Second)}
	s := open(t, dir, store.Options{Now: c.now})
	want := versions(t, s, 1, 2)
	c.t = c.t.Add(2 * time.Second) // midnight passes
	want = append(want, versions(t, s, 3, 4)...)
	s = reopen(t, s, dir, store.Options{Now: c.now})
	want = append(want, versions(t, s, 5, 6)...)
	if got := bodiesOf(t, s, history.OldestFirst); len(got) != 6 ||
		!bytes.Equal(bytes.Join(got, nil), bytes.Join(want, nil)) {
		t.Errorf("got %d bodies %.200q, want %.200q", len(got), got, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got, _ := kinds(t, dir); got != "sdsdsd" {
		t.Errorf("got bodies %s, want sdsdsd", got)
	}
}

func TestDelta_RequiresPreviousVersionAsBase(t *testing.T) {
	for name, before := range map[string][]byte{
		"none": nil, "another one": large(0), "short": []byte("{}"), "random": random(3000),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, store.Options{})
			versions(t, s, 1, 2)
			r := pod("web", "3", history.Update)
			r.Object = large(3)
			appendVersions(t, s, history.NewVersion{Record: r, Before: before})
			if got := bodiesOf(t, s, history.OldestFirst); !bytes.Equal(got[2], r.Object) {
				t.Errorf("got body %.40q, want %.40q", got[2], r.Object)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if got, _ := kinds(t, dir); got != "sdr" {
				t.Errorf("got bodies %s, want sdr", got)
			}
		})
	}
}

// TestDelta_RequiresIntactBase removes or damages the base. Reading the delta
// must be an error, and never return another body.
func TestDelta_RequiresIntactBase(t *testing.T) {
	for name, damage := range map[string]func(*badger.Txn, []byte, []byte) error{
		"gone":    func(txn *badger.Txn, k, _ []byte) error { return txn.Delete(k) },
		"damaged": func(txn *badger.Txn, k, v []byte) error { v[len(v)/2] ^= 1; return txn.Set(k, v) },
		"a delta against itself": func(txn *badger.Txn, k, _ []byte) error {
			return txn.Set(k, against(t, large(1), codec.Base{Parts: 1}))
		},
		"a delta against a missing version": func(txn *badger.Txn, k, _ []byte) error {
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
					t.Errorf("revision %d: got body %.40q, want %.40q", r.Revision, r.Object, large(int(r.Revision)))
				}
			}
			if failed != 1 {
				t.Errorf("got %d errors, want 1", failed)
			}
		})
	}
}

// against returns the encoded delta of a JSON against itself, with another
// base.
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

// change calls damage with the key and the value of the oldest body of a closed
// log.
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

// first appends the first version of an object. Its JSON contains its name and
// size KB of its shape.
func first(t *testing.T, s *store.Store, resource, name, shape string, size int) {
	t.Helper()
	r := pod(name, "1", history.Create)
	r.Ref.Resource = resource
	r.Object = fmt.Appendf(nil, `{"metadata":{"name":"%s"},"spec":"%x"}`,
		name, strings.Repeat(shape, size<<9/len(shape)))
	appendTo(t, s, r)
}

// closed closes a log and returns the kinds of its bodies; see kinds.
func closed(t *testing.T, s *store.Store, dir string) string {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	written, _ := kinds(t, dir)
	return written
}

// shape returns random text, the same for the same number.
func shape(n int) string { return string(random(500 + n)) }

func TestRefSnapshots_ServeOtherObjectsOfResource(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	for i, c := range []struct{ resource, name, shape string }{
		{"pods", "web-1", shape(1)},
		{"pods", "web-2", shape(1)},
		{"pods", "db-1", shape(2)},
		{"jobs", "web-1", shape(1)},
		{"pods", "web-3", shape(1)},
		{"pods", "db-2", shape(2)},
		{"jobs", "web-3", shape(1)},
	} {
		first(t, s, c.resource, c.name, c.shape, 3)
		got := bodiesOf(t, s, history.OldestFirst)
		if len(got) != i+1 || !bytes.Contains(got[i], fmt.Appendf(nil, `"%s"},"spec":"%x`, c.name, c.shape)) {
			t.Errorf("%s %s: got %d bodies, the last one %.60q, want %d and its own",
				c.resource, c.name, len(got), got[len(got)-1], i+1)
		}
	}
	if got := closed(t, s, dir); got != "srssrrr" {
		t.Errorf("got bodies %s, want srssrrr", got)
	}
}

func TestRefSnapshots_KeepsFourMostRecentlyUsed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	for i, n := range []int{1, 2, 3, 4, 1, 5, 1, 3, 4, 2} {
		first(t, s, "pods", fmt.Sprint("web-", i), shape(n), 3)
	}
	if got := closed(t, s, dir); got != "ssss"+"r"+"s"+"rrr"+"s" {
		t.Errorf("got bodies %s, want ssssrsrrrs", got)
	}
}

func TestRefSnapshots_ServeDayAndProcess(t *testing.T) {
	dir, c := t.TempDir(), &clock{time.Now().Truncate(24 * time.Hour).Add(-time.Second)}
	s := open(t, dir, store.Options{Now: c.now})
	for i := range 6 {
		switch i {
		case 2:
			c.t = c.t.Add(2 * time.Second) // midnight passes
		case 4:
			s = reopen(t, s, dir, store.Options{Now: c.now})
		}
		first(t, s, "pods", fmt.Sprint("web-", i), shape(1), 3)
	}
	if got := closed(t, s, dir); got != "srsrsr" {
		t.Errorf("got bodies %s, want srsrsr", got)
	}
}

// A damaged snapshot must not take more than 256 objects with it.
func TestRefSnapshots_AreReplacedAfterMaxUses(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{NoSync: true})
	for i := range 520 {
		r := pod("web", "1", history.Create)
		r.Ref.UID = types.UID(fmt.Sprint(i))
		r.Object = large(1)
		appendTo(t, s, r)
	}
	if got, want := closed(t, s, dir), "s"+strings.Repeat("r", 255)+"s"+strings.Repeat("r", 255)+
		"s"+strings.Repeat("r", 7); got != want {
		t.Errorf("got bodies %s, want %s", got, want)
	}
}

func TestRefSnapshots_ExcludeLargeObjects(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	for i := range 2 {
		first(t, s, "pods", fmt.Sprint("web-", i), shape(1), 65)
	}
	if got := closed(t, s, dir); got != "ss" {
		t.Errorf("got bodies %s, want ss", got)
	}
}

// TestRefSnapshots_DamageIsAnError damages a reference snapshot. Reading its
// deltas must be an error, and never return another body.
func TestRefSnapshots_DamageIsAnError(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	for i := range 3 {
		first(t, s, "pods", fmt.Sprint("web-", i), shape(1), 3)
	}
	first(t, s, "jobs", "other", shape(2), 3)
	if got := closed(t, s, dir); got != "srrs" {
		t.Fatalf("got bodies %s, want srrs", got)
	}
	change(t, dir, func(txn *badger.Txn, k, v []byte) error { v[len(v)/2] ^= 1; return txn.Set(k, v) })
	s = open(t, dir, store.Options{})
	for _, name := range []string{"web-0", "web-1", "web-2"} {
		ref := pod(name, "", history.Create).Ref
		if r, err := s.Latest(t.Context(), ref); err == nil {
			t.Errorf("%s: got body %.50s, want an error", name, r.Object)
		}
	}
	ref := pod("other", "", history.Create).Ref
	ref.Resource = "jobs"
	if _, err := s.Latest(t.Context(), ref); err != nil {
		t.Errorf("latest of an intact object: got %v, want no error", err)
	}
}

func TestDelta_OfLargeObject(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	before := fmt.Appendf(nil, `{"data":"%x","last":"1"}`, random(750<<10))
	after := bytes.Replace(before, []byte(`"last":"1"`), []byte(`"last":"22"`), 1)
	one, two := pod("web", "1", history.Create), pod("web", "2", history.Update)
	one.Object, two.Object = before, after
	appendTo(t, s, one)
	appendVersions(t, s, history.NewVersion{Record: two, Before: before})
	if got := bodiesOf(t, s, history.NewestFirst); len(got) != 2 || !bytes.Equal(got[0], after) ||
		!bytes.Equal(got[1], before) {
		t.Errorf("got %d bodies, want the two that were appended", len(got))
	}
	if got := closed(t, s, dir); got != "sd" {
		t.Errorf("got bodies %s, want sd", got)
	}
}

// A delta that isn't much smaller than a snapshot is worth less than another
// reference snapshot.
func TestRefSnapshots_AddDissimilarObjects(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	for i, end := range []int{1, 2, 2, 1} {
		first(t, s, "pods", fmt.Sprint("web-", i), shape(0)+shape(0)[:100]+shape(end)[:450], 3)
	}
	if got := closed(t, s, dir); got != "ssrr" {
		t.Errorf("got bodies %s, want ssrr", got)
	}
}

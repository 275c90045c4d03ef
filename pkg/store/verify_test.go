package store_test

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	badger "github.com/dgraph-io/badger/v4"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// damages returns the damage of a closed log.
func damages(tb testing.TB, dir string) (all []string) {
	tb.Helper()
	s := mustOpen(tb, dir, store.Options{NoSync: true})
	v, err := s.Verify(tb.Context(), func(d store.Damage) { all = append(all, d.String()) }, nil)
	if err := errors.Join(err, s.Close()); err != nil {
		tb.Fatal(err)
	}
	if int(v.Damaged) != len(all) {
		tb.Errorf("got the count %d, want %d as reported", v.Damaged, len(all))
	}
	return all
}

// mixed returns the directory of a log with keys of every kind.
func mixed(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	s := open(tb, dir, store.Options{})
	load(tb, s, records(tb, 40), 400)
	ev := pod("web.1", "3", history.Create)
	ev.Ref.Resource, ev.Kind, ev.Owners = "events", "Event", []types.UID{"a", "b", "a"}
	ev.Regarding = &history.Target{Kind: "Pod", Namespace: "shop", Name: "web"}
	first := pod("web", "1", history.Create)
	first.Object = []byte(`{"kind":"Pod","spec":"which is long enough for a delta to be worth while, and so is"}`)
	second := pod("web", "2", history.Update)
	second.Object = []byte(`{"kind":"Pod","spec":"which is long enough for a delta to be worth while, and so isn't"}`)
	batch := newVersions(first, second, ev, huge(1), pod("gone", "5", history.Create), pod("gone", "6", history.Delete))
	batch[1].Before = first.Object
	appendVersions(tb, s, batch...)
	if err := s.Register(tb.Context(), history.Resource{Version: "v1", Plural: "pods", Kind: "Pod"}); err != nil {
		tb.Fatal(err)
	}
	if v := verified(tb, s); v.Versions != 406 || v.Entries < 406*5 || v.Leftovers != 0 {
		tb.Errorf("got %+v, want 406 versions", v)
	}
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// TestVerify_FindsMissingKeys removes a key of each kind, and then changes its
// value. Each change is found.
func TestVerify_FindsMissingKeys(t *testing.T) {
	dir := mixed(t)
	if all := damages(t, dir); len(all) > 0 {
		t.Fatalf("got damage %q, want none", all)
	}
	for what, prefix := range map[string]string{
		"record": "o", "body": "b", "by time": "t", "by resource": "g", "by namespace": "k",
		"by target": "r", "by owner": "w",
	} {
		spoiled(t, dir, what, func(k []byte) bool {
			e, err := key.Decode(k)
			return err == nil && e.Class == key.Class(prefix[0])
		})
	}
	for what, prefix := range map[string]string{
		"head": "h", "identity": "i", "name": "n", "text": "drt", "number": "drn",
	} {
		spoiled(t, dir, what, func(k []byte) bool { return strings.HasPrefix(string(k), prefix) })
	}
}

// spoiled removes the last key of a kind, then changes its value, and restores
// it.
func spoiled(t *testing.T, dir, what string, is func([]byte) bool) {
	t.Helper()
	d := dumped(t, dir)
	var keys []string
	for k := range d.values {
		if is([]byte(k)) {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		t.Errorf("%s: got no key, want one", what)
		return
	}
	k := slices.Max(keys)
	write := func(v []byte) {
		alter(t, dir, func(txn *badger.Txn) error {
			if v == nil {
				return txn.Delete([]byte(k))
			}
			return txn.SetEntry(&badger.Entry{Key: []byte(k), Value: v, ExpiresAt: d.expires[k]})
		})
	}
	write(nil)
	if all := damages(t, dir); len(all) == 0 {
		t.Errorf("%s: %x removed: got no damage, want some", what, k)
	}
	if v := d.values[k]; len(v) > 0 {
		changed := slices.Clone(v)
		changed[len(changed)-1] ^= 0x80
		write(changed)
		if all := damages(t, dir); len(all) == 0 {
			t.Errorf("%s: %x changed: got no damage, want some", what, k)
		}
	}
	write(append([]byte{}, d.values[k]...))
	if all := damages(t, dir); len(all) > 0 {
		t.Errorf("%s: restored: got damage %q, want none", what, all)
	}
}

// TestVerify_FindsAdditionalKeys adds keys that belong to nothing.
func TestVerify_FindsAdditionalKeys(t *testing.T) {
	dir := mixed(t)
	k := slices.MaxFunc(keysIn(t, dir), strings.Compare) // an index entry of an owner
	e, err := key.Decode([]byte(k))
	if err != nil || e.Class != key.ByOwner {
		t.Fatalf("got last key %x, error %v, want an owner's entry", k, err)
	}
	other := e
	other.Hash[0]++
	missing := e
	missing.TS++
	for what, entry := range map[string]badger.Entry{
		"has a wrong":       {Key: other.Encode(), ExpiresAt: 1 << 40},
		"is missing but":    {Key: missing.Encode(), ExpiresAt: 1 << 40},
		"never expires":     {Key: []byte(k)},
		"not a valid key":   {Key: []byte("v rubbish")},
		"unknown key":       {Key: []byte("zebra")},
		"names don't match": {Key: key.Name("x", 1, 1, 1)},
	} {
		added := slices.Clone(entry.Key) // a commit changes it
		alter(t, dir, func(txn *badger.Txn) error { return txn.SetEntry(&entry) })
		if all := damages(t, dir); len(all) != 1 || !strings.Contains(all[0], what) {
			t.Errorf("got damage %q, want one with %q", all, what)
		}
		alter(t, dir, func(txn *badger.Txn) error {
			if string(added) == k {
				return txn.SetEntry(&badger.Entry{Key: added, ExpiresAt: 1 << 40})
			}
			return txn.Delete(added)
		})
	}
}

func keysIn(tb testing.TB, dir string) (all []string) {
	tb.Helper()
	for k := range dumped(tb, dir).values {
		all = append(all, k)
	}
	return all
}

// alter commits to a closed database.
func alter(tb testing.TB, dir string, f func(*badger.Txn) error) {
	tb.Helper()
	db := raw(tb, dir)
	if err := errors.Join(db.Update(f), db.Close()); err != nil {
		tb.Fatal(err)
	}
}

// TestForecast_NamesDamagedFile flips a bit of a table's first block, of one in
// the middle, and of the last one.
func TestForecast_NamesDamagedFile(t *testing.T) {
	whole := mixed(t)
	sst := onlyTable(t, whole)
	last := blocksEnd(t, filepath.Join(whole, sst)) - 10
	for _, at := range []int64{100, last / 2, last} {
		dir := copied(t, whole)
		flip(t, filepath.Join(dir, sst), at)
		r, err := store.Forecast(t.Context(), dir, store.Options{})
		if err != nil || len(r.Files) != 1 || r.Files[0].Name != sst ||
			!strings.HasPrefix(r.Files[0].Problem, "block ") {
			t.Errorf("damage at %d: got %+v, error %v, want a block of %s", at, r, err, sst)
		}
	}
}

// blocksEnd returns the offset of the end of a table's last block. The index
// and a checksum follow, each before its length.
func blocksEnd(tb testing.TB, path string) int64 {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	for range 2 {
		end := len(b) - 4
		b = b[:end-int(binary.BigEndian.Uint32(b[end:]))]
	}
	return int64(len(b))
}

func size(tb testing.TB, path string) int64 {
	tb.Helper()
	st, err := os.Stat(path)
	if err != nil {
		tb.Fatal(err)
	}
	return st.Size()
}

// flip flips a bit of a file.
func flip(tb testing.TB, path string, at int64) {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	b[at] ^= 8
	if err := os.WriteFile(path, b, 0o600); err != nil {
		tb.Fatal(err)
	}
}

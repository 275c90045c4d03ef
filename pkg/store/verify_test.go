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

// damages returns what is damaged of a log that is not open.
func damages(tb testing.TB, dir string) (all []string) {
	tb.Helper()
	s := mustOpen(tb, dir, store.Options{NoSync: true})
	v, err := s.Verify(tb.Context(), func(d store.Damage) { all = append(all, d.String()) }, nil)
	if err := errors.Join(err, s.Close()); err != nil {
		tb.Fatal(err)
	}
	if int(v.Damaged) != len(all) {
		tb.Errorf("%d damages are counted, and %d reported", v.Damaged, len(all))
	}
	return all
}

// mixed makes a log of a little of everything, and returns its directory.
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
	second.Object, second.Before = []byte(`{"kind":"Pod","spec":"which is long enough for a delta to be worth while, and so isn't"}`), first.Object
	appendTo(tb, s, first, second, ev, huge(1), pod("gone", "5", history.Create), pod("gone", "6", history.Delete))
	if err := s.Register(tb.Context(), history.Resource{Version: "v1", Plural: "pods", Kind: "Pod"}); err != nil {
		tb.Fatal(err)
	}
	if v := verified(tb, s); v.Versions != 406 || v.Entries < 406*5 || v.Leftovers != 0 {
		tb.Errorf("verified %+v", v)
	}
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// TestVerifyFindsWhatIsGone takes one key after the other out of a log, one of each kind, and spoils the value of each that has
// one. Each has to be found.
func TestVerifyFindsWhatIsGone(t *testing.T) {
	dir := mixed(t)
	if all := damages(t, dir); len(all) > 0 {
		t.Fatalf("damaged: %q", all)
	}
	for what, prefix := range map[string]string{
		"record": "o", "body": "b", "by time": "t", "by resource": "g", "by namespace": "k", "by target": "r", "by owner": "w",
	} {
		spoiled(t, dir, what, func(k []byte) bool {
			e, err := key.Decode(k)
			return err == nil && e.Class == key.Class(prefix[0])
		})
	}
	for what, prefix := range map[string]string{"head": "h", "identity": "i", "name": "n", "text": "drt", "number": "drn"} {
		spoiled(t, dir, what, func(k []byte) bool { return strings.HasPrefix(string(k), prefix) })
	}
}

// spoiled takes the last key that is of a kind out of a log, and then spoils its value, and puts it back.
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
		t.Errorf("%s: there is none", what)
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
		t.Errorf("%s: %x is gone, and nothing is found", what, k)
	}
	if v := d.values[k]; len(v) > 0 {
		torn := slices.Clone(v)
		torn[len(torn)-1] ^= 0x80
		write(torn)
		if all := damages(t, dir); len(all) == 0 {
			t.Errorf("%s: %x is spoiled, and nothing is found", what, k)
		}
	}
	write(append([]byte{}, d.values[k]...))
	if all := damages(t, dir); len(all) > 0 {
		t.Errorf("%s: put back, and still damaged: %q", what, all)
	}
}

// TestVerifyFindsWhatIsTooMuch puts keys into a log that belong to nothing.
func TestVerifyFindsWhatIsTooMuch(t *testing.T) {
	dir := mixed(t)
	k := slices.MaxFunc(keysIn(t, dir), strings.Compare) // an index entry of an owner
	e, err := key.Decode([]byte(k))
	if err != nil || e.Class != key.ByOwner {
		t.Fatalf("the last key is %x, %v", k, err)
	}
	other := e
	other.Hash[0]++
	nobody := e
	nobody.TS++
	for what, entry := range map[string]badger.Entry{
		"does not fit":   {Key: other.Encode(), ExpiresAt: 1 << 40},
		"and is missing": {Key: nobody.Encode(), ExpiresAt: 1 << 40},
		"never expires":  {Key: []byte(k)},
		"none that":      {Key: []byte("v rubbish")},
		"nothing writes": {Key: []byte("zebra")},
		"names do not":   {Key: key.Name("x", 1, 1, 1)},
	} {
		added := slices.Clone(entry.Key) // committing changes it
		alter(t, dir, func(txn *badger.Txn) error { return txn.SetEntry(&entry) })
		if all := damages(t, dir); len(all) != 1 || !strings.Contains(all[0], what) {
			t.Errorf("%s: found %q", what, all)
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

// TestForecast_NamesTheFile flips a bit of a table's first block, of one in its middle, and of its last.
func TestForecast_NamesTheFile(t *testing.T) {
	whole := mixed(t)
	sst := onlyTable(t, whole)
	last := blocksEnd(t, filepath.Join(whole, sst)) - 10
	for _, at := range []int64{100, last / 2, last} {
		dir := copied(t, whole)
		flip(t, filepath.Join(dir, sst), at)
		r, err := store.Forecast(t.Context(), dir, store.Options{})
		if err != nil || len(r.Files) != 1 || r.Files[0].Name != sst || !strings.HasPrefix(r.Files[0].Problem, "block ") {
			t.Errorf("%s is damaged at %d: the forecast is %+v, %v", sst, at, r, err)
		}
	}
}

// blocksEnd returns where a table's last block ends. Behind it are the index and a checksum, each with its length behind it.
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

package badgerdir_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	badger "github.com/dgraph-io/badger/v4"
	"go.uber.org/goleak"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/badgerdir"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const keys = 500

func options() badgerdir.Options {
	return badgerdir.Options{Logger: slog.New(slog.DiscardHandler), NoSync: true, MaxValue: 10 << 10}
}

// written returns the directory of a closed database with one table.
func written(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	db, err := badgerdir.Open(dir, options())
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(txn *badger.Txn) error {
		for i := range keys {
			err := txn.Set(fmt.Appendf(nil, "key-%03d", i), fmt.Appendf(nil, "value %d %0100d", i, i*i*i))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tableIn returns the path of the only table.
func tableIn(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(files) != 1 {
		t.Fatalf("got tables %v, error %v, want one", files, err)
	}
	return files[0]
}

// all selects all tables.
func all(bounds map[uint64]badgerdir.Bounds) (ids []uint64) {
	for id := range bounds {
		ids = append(ids, id)
	}
	return ids
}

// flip flips a bit of a file.
func flip(t *testing.T, path string, at int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestClaim_RejectsLockedDirectory(t *testing.T) {
	dir := t.TempDir()
	lock, err := badgerdir.Claim(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := badgerdir.Claim(dir); history.CodeOf(err) != history.Invalid {
		t.Errorf("second Claim: got error %v, want an invalid one", err)
	}
	if _, err := badgerdir.LockForReading(dir); history.CodeOf(err) != history.Invalid {
		t.Errorf("LockForReading: got error %v, want an invalid one", err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	lock, err = badgerdir.Claim(dir)
	if err != nil {
		t.Fatalf("after Release: got error %v, want none", err)
	}
	if err := lock.Release(); err != nil {
		t.Error(err)
	}
}

func TestLockForReading_MissingDirectory(t *testing.T) {
	if _, err := badgerdir.LockForReading(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got error %v, want os.ErrNotExist", err)
	}
}

func TestCheck_FindsDamage(t *testing.T) {
	for what, damage := range map[string]func(t *testing.T, dir string){
		"a missing table":   func(t *testing.T, dir string) { t.Helper(); _ = os.Remove(tableIn(t, dir)) },
		"a truncated table": func(t *testing.T, dir string) { t.Helper(); _ = os.Truncate(tableIn(t, dir), 100) },
		"a changed block":   func(t *testing.T, dir string) { t.Helper(); flip(t, tableIn(t, dir), 50) },
		"a missing manifest": func(t *testing.T, dir string) {
			t.Helper()
			_ = os.Remove(filepath.Join(dir, "MANIFEST"))
		},
		"a short manifest": func(t *testing.T, dir string) {
			t.Helper()
			_ = os.Truncate(filepath.Join(dir, "MANIFEST"), 10)
		},
		"a short registry": func(t *testing.T, dir string) {
			t.Helper()
			_ = os.Truncate(filepath.Join(dir, "KEYREGISTRY"), 10)
		},
	} {
		dir := written(t)
		if tables, err := badgerdir.Check(dir, all); err != nil || len(tables) != 1 {
			t.Fatalf("intact: got %d tables, error %v, want 1", len(tables), err)
		}
		damage(t, dir)
		_, err := badgerdir.Check(dir, all)
		if !errors.Is(err, badgerdir.ErrDamaged) || history.CodeOf(err) != history.Invalid {
			t.Errorf("%s: got error %v, want ErrDamaged with the code invalid", what, err)
		}
	}
	if tables, err := badgerdir.Check(t.TempDir(), all); err != nil || tables != nil {
		t.Errorf("no database: got %v, error %v, want none", tables, err)
	}
}

// TestView_InstallReplacesDamagedTable flips a bit of a block. The view
// contains the other blocks and an edit. After Install the database does, too,
// and the damaged table is kept.
func TestView_InstallReplacesDamagedTable(t *testing.T) {
	dir := written(t)
	path := tableIn(t, dir)
	flip(t, path, 50)
	found, err := badgerdir.Examine(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if files := found.DamagedFiles(); len(files) != 1 || files[0].Name != filepath.Base(path) {
		t.Errorf("got damaged files %v, want %s", files, filepath.Base(path))
	}
	first := []byte("key-000")
	if !found.Lost().Contains(first) || found.Lost().Contains([]byte("key-499")) {
		t.Errorf("got lost keys %q, want those of the first block", found.Lost())
	}
	v, err := badgerdir.NewView(t.Context(), found, dir)
	if err != nil {
		t.Fatal(err)
	}
	db, err := v.Open(options())
	if err != nil {
		t.Fatal(err)
	}
	before := count(t, db)
	if before == 0 || before == keys {
		t.Errorf("view: got %d keys, want some of %d", before, keys)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	v.Edits[string(first)] = badgerdir.Edit{Value: []byte("restored")}
	v.Edits["key-499"] = badgerdir.Edit{Removed: true}
	if err := errors.Join(v.WriteEdits(), v.Install(), v.Remove()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, badgerdir.DamagedDir, filepath.Base(path))); err != nil {
		t.Errorf("damaged table: got error %v, want it kept", err)
	}
	if _, err := badgerdir.Check(dir, all); err != nil {
		t.Errorf("Check after Install: got error %v, want none", err)
	}
	if db, err = badgerdir.Open(dir, options()); err != nil {
		t.Fatal(err)
	}
	if got := count(t, db); got != before { // one was added, one removed
		t.Errorf("after Install: got %d keys, want %d", got, before)
	}
	err = db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(first)
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error {
			if string(v) != "restored" {
				t.Errorf("edited key: got %q, want %q", v, "restored")
			}
			return nil
		})
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Error(err)
	}
}

// count returns the number of keys in a database.
func count(t *testing.T, db *badger.DB) (n int) {
	t.Helper()
	err := db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			n++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

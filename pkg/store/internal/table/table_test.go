package table_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/watchhistory/watchhistory/pkg/store/internal/table"
)

// made returns the path of a table that Badger wrote.
func made(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil).WithCompression(options.ZSTD).WithBlockSize(512))
	if err != nil {
		tb.Fatal(err)
	}
	err = db.Update(func(txn *badger.Txn) error {
		for i := range 50 {
			if err := txn.Set(fmt.Appendf(nil, "key-%03d", i), fmt.Appendf(nil, "value %d", i*i*i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		tb.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(files) != 1 {
		tb.Fatalf("%v, %v", files, err)
	}
	return files[0]
}

// read returns the contents of all blocks of a table.
func read(path string) (all []byte, err error) {
	t, err := table.Open(path)
	if err != nil {
		return nil, err
	}
	_, _ = t.Last() // must not panic
	for i := range t.Blocks {
		b, err := t.Read(i)
		if err != nil {
			return nil, errors.Join(err, t.Close())
		}
		all = append(all, b...)
	}
	return all, t.Close()
}

// TestTable_DetectsAllDamage flips a bit of every byte of a table, and
// truncates it at every byte. Reading returns an error, or the original
// contents.
func TestTable_DetectsAllDamage(t *testing.T) {
	path := made(t)
	one, err := table.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(one.Blocks); n < 3 || string(one.First[0]) != "key-000" || string(one.First[n-1]) < "key-020" {
		t.Errorf("got %d blocks from %q to %q, want at least 3 from key-000", n, one.First[0], one.First[n-1])
	}
	if last, err := one.Last(); string(last) != "key-049" {
		t.Errorf("got last key %q, error %v, want key-049", last, err)
	}
	want, err := read(path)
	if err := errors.Join(err, one.Close()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	corrupt := filepath.Join(t.TempDir(), "corrupt.sst")
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 1 << (i % 8)
		for what, b := range map[string][]byte{"flipped": b, "cut": whole[:i]} {
			if err := os.WriteFile(corrupt, b, 0o600); err != nil {
				t.Fatal(err)
			}
			// A changed zstd header can decode to the same contents.
			if got, err := read(corrupt); err != nil && !errors.Is(err, table.ErrDamaged) || err == nil &&
				!bytes.Equal(got, want) {
				t.Errorf("%s at %d of %d: got %d bytes, error %v, want the original or ErrDamaged",
					what, i, len(whole), len(got), err)
			}
		}
	}
}

// FuzzOpen checks that no file causes a panic.
func FuzzOpen(f *testing.F) {
	whole, err := os.ReadFile(made(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "table")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := read(path); err != nil && !errors.Is(err, table.ErrDamaged) {
			t.Error(err)
		}
	})
}

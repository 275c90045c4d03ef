package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// TestLogsOfLargerMemtablesAreRead leaves the write-ahead log that a recorder had that was killed when memtables were of 4 MB and one
// was full: as it was, and cut. Badger ends the process over it where its memtables are smaller.
func TestLogsOfLargerMemtablesAreRead(t *testing.T) {
	live, whole, cut := t.TempDir(), t.TempDir(), t.TempDir()
	s := open(t, live, store.Options{})
	if err := s.Append(t.Context(), &history.Batch{Records: []*history.Record{pod("web", "1", history.Create)}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	left := fillMemtable(t, live, whole)
	copyFiles(t, whole, cut)
	if err := os.Truncate(filepath.Join(cut, filepath.Base(left)), 9<<19); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{whole, cut} {
		if n, _, err := open(t, dir, store.Options{}).Count(t.Context(), history.Filter{}, 2); n != 1 || err != nil {
			t.Errorf("%d versions, want 1: %v", n, err)
		}
	}
}

// fillMemtable fills a memtable of 4 MB of a database to 4.5 MB, copies the files to a directory while they are open, and returns
// the write-ahead log that has what was in it.
func fillMemtable(t *testing.T, live, dir string) string {
	t.Helper()
	db, err := badger.Open(badger.DefaultOptions(live).WithLogger(nil).WithMemTableSize(4 << 20).WithValueThreshold(10 << 10).
		WithValueLogFileSize(16 << 20). // which is copied
		WithCompression(options.ZSTD))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for i := range 9 { // transactions of 0.5 MB: before the last one there is room
		err := db.Update(func(txn *badger.Txn) error {
			for j := range 480 {
				if err := txn.Set(fmt.Appendf(nil, "\xff%d/%d", i, j), random(1000)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	copyFiles(t, live, dir)
	logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("%d write-ahead logs, want one: %v", len(logs), err)
	}
	return logs[0]
}

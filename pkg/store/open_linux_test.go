package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// TestOpeningReadsEachTableOnce counts what a process reads to open a log, and to check the blocks that a scan of everything needs: each
// time no more than its tables. What Badger reads of them itself does not count, since it maps them.
func TestOpeningReadsEachTableOnce(t *testing.T) { alone(t, openingReadsEachTableOnce) }

func openingReadsEachTableOnce(t *testing.T, dir string) {
	t.Helper()
	const records = 5000
	s := open(t, dir, store.Options{})
	b := &history.Batch{}
	for i := range records {
		b.Records = append(b.Records, crashRecord(i+1))
	}
	appendBatch(t, s, b)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	tables := int64(0)
	for _, path := range files {
		tables += size(t, path)
	}
	before := bytesRead(t)
	s = open(t, dir, store.Options{})
	if got := all(t, s, history.Scan{}); len(got) != records {
		t.Errorf("%d records", len(got))
	}
	const others = 16 << 10 // in bytes, of the manifest and what else is small
	if read := bytesRead(t) - before; read == 0 || read > 2*tables+others {
		t.Errorf("%d bytes were read to open %d tables of %d bytes", read, len(files), tables)
	}
}

// bytesRead returns how many bytes this process has read from files.
func bytesRead(t *testing.T) (n int64) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(b), "rchar: %d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

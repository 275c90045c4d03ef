package recordertest_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

const size = 1 << 20 // bytes of a file

// TestOwn_CountsPagesOfTables maps two tables, one of which is removed, and two
// files that are not tables of the database.
func TestOwn_CountsPagesOfTables(t *testing.T) {
	dir := t.TempDir()
	if _, database, err := recordertest.Own(dir); database != 0 || err != nil {
		t.Fatalf("without tables: got %d bytes, error %v, want 0", database, err)
	}
	touch(t, filepath.Join(dir, "000001.sst"))
	removed := filepath.Join(dir, "000002.sst")
	touch(t, removed)
	if err := os.Remove(removed); err != nil {
		t.Fatal(err)
	}
	touch(t, filepath.Join(dir, "00001.mem"))
	touch(t, filepath.Join(t.TempDir(), "000001.sst"))
	all, database, err := recordertest.Own(dir)
	if err != nil {
		t.Fatal(err)
	}
	if database != 2*size || all < database+2*size {
		t.Errorf("got %d bytes resident, %d of tables, want %d of tables and at least as much of other files",
			all, database, 2*size)
	}
	if n := testing.AllocsPerRun(10, func() { _, _, _ = recordertest.Own(dir) }); n > 50 {
		t.Errorf("got %.0f allocations, want at most 50", n)
	}
}

// touch creates a file and maps it until the test ends. It writes to all pages,
// so that they are resident.
func touch(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	pages, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Munmap(pages); err != nil {
			t.Error(err)
		}
	})
	for i := range pages {
		pages[i] = 1
	}
}

package store_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// copied copies a log's directory.
func copied(tb testing.TB, dir string) string {
	tb.Helper()
	to := filepath.Join(tb.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		tb.Fatal(err)
	}
	return to
}

// onlyTable returns the name of the largest table of a log.
func onlyTable(tb testing.TB, dir string) string {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(files) == 0 {
		tb.Fatalf("%v, %v", files, err)
	}
	return filepath.Base(slices.MaxFunc(files, func(a, b string) int { return int(size(tb, a) - size(tb, b)) }))
}

// TestOpenNamesTheTornFile damages each file of a database in turn. Where Badger would end the process, or make an empty database
// and delete the tables, the log is refused with the file's name, and no file is touched.
func TestOpenNamesTheTornFile(t *testing.T) {
	whole := mixed(t)
	sst := onlyTable(t, whole)
	length := size(t, filepath.Join(whole, sst))
	logs, err := filepath.Glob(filepath.Join(whole, "*.vlog"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("%v, %v", logs, err)
	}
	for _, damage := range []struct {
		file string
		at   int64 // cut to this length; -1: gone
		flip bool  // only flip a bit there
	}{
		{sst, -1, false},
		{sst, 0, false},
		{sst, 1, false},
		{sst, 10, false},
		{sst, length / 2, false},
		{sst, length - 1, false},
		{sst, length - 1, true},
		{sst, length - 3, true},
		{sst, length - 10, true},
		{sst, length - 100, true},
		{"MANIFEST", -1, false},
		{"MANIFEST", 0, false},
		{"MANIFEST", 4, false},
		{"MANIFEST", 15, false},
		{"MANIFEST", size(t, filepath.Join(whole, "MANIFEST")) - 1, false},
		{"MANIFEST", 0, true},
		{"MANIFEST", 6, true},
		{"MANIFEST", 8, true},
		{"MANIFEST", 12, true},
		{"MANIFEST", 20, true},
		{"KEYREGISTRY", 0, false},
		{"KEYREGISTRY", 20, false},
		{"KEYREGISTRY", 20, true},
		{filepath.Base(logs[0]), 5, true},
	} {
		t.Run(fmt.Sprint(damage), func(t *testing.T) {
			dir := copied(t, whole)
			spoil(t, filepath.Join(dir, damage.file), damage.at, damage.flip)
			before := sizes(t, dir)
			refused(t, dir, "is damaged ("+damage.file+": ")
			if after := sizes(t, dir); after != before {
				t.Errorf("was %s, and is %s", before, after)
			}
		})
	}
}

// spoil cuts a file, removes it, or flips a bit of it.
func spoil(tb testing.TB, path string, at int64, bit bool) {
	tb.Helper()
	var err error
	switch {
	case at < 0:
		err = os.Remove(path)
	case bit:
		flip(tb, path, at)
	default:
		err = os.Truncate(path, at)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// sizes returns the names and sizes of a directory's files.
func sizes(tb testing.TB, dir string) string {
	tb.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	var b bytes.Buffer
	for _, e := range entries {
		st, err := e.Info()
		if err != nil {
			tb.Fatal(err)
		}
		fmt.Fprintln(&b, e.Name(), st.Size())
	}
	return b.String()
}

// TestADamagedLogIsNotBegunAnew spoils the first half of a table, whose index stays: the database opens, and passes over what it
// can't read, the format among it. No new log may come of that.
func TestADamagedLogIsNotBegunAnew(t *testing.T) {
	dir := mixed(t)
	path := filepath.Join(dir, onlyTable(t, dir))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 50; at < len(b)/2; at += 500 {
		b[at] ^= 8
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, dir, "is damaged (")
}

package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
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

// TestOpen_RepairsTheTornFile damages each file of a database in turn. Badger would end the process for some of that, and for some
// make an empty database and delete the tables. The log is opened with all that can be read, and with a gap for what can't.
func TestOpen_RepairsTheTornFile(t *testing.T) {
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
			s := open(t, dir, store.Options{})
			v := verified(t, s)
			gaps, err := s.Gaps(t.Context(), nil, time.Time{}, time.Time{})
			if marked := slices.ContainsFunc(gaps, func(g history.Gap) bool { return g.Reason == history.GapDamaged }); err != nil ||
				v.Versions > 406 || v.Versions < 406 && !marked {
				t.Errorf("%d versions of 406 are left, with the gaps %v, %v", v.Versions, gaps, err)
			}
			if damage.file != sst && v.Versions != 406 {
				t.Errorf("%d versions are left, want 406", v.Versions)
			}
			if _, err := os.Stat(filepath.Join(dir, "damaged", damage.file)); err != nil && damage.at >= 0 {
				t.Errorf("the damaged file is not kept: %v", err)
			}
			appendTo(t, s, pod("after", "1", history.Create))
			reopen(t, s, dir, store.Options{}).Close()
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

// TestOpen_RefusesToMakeAnotherKey spoils the table with the key that secret values are hashed with, and its spare copy. The log is not
// opened with another key unless somebody says so.
func TestOpen_RefusesToMakeAnotherKey(t *testing.T) {
	dir := mixed(t)
	sst := onlyTable(t, dir)
	b, err := os.ReadFile(filepath.Join(dir, sst))
	if err != nil {
		t.Fatal(err)
	}
	for at := 50; at < len(b)/2; at += 500 {
		b[at] ^= 8
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, sst), b, 0o600), os.Remove(filepath.Join(dir, "SPARE"))); err != nil {
		t.Fatal(err)
	}
	before := sizes(t, dir)
	refused(t, dir, "is damaged ("+sst+": block ", "watchhistory-recorder repair")
	if after := sizes(t, dir); after != before {
		t.Errorf("was %s, and is %s", before, after)
	}
	if r, err := store.Repair(t.Context(), dir, store.Options{}); err != nil || !r.NewKey {
		t.Errorf("repaired %+v, %v, want a new key", r, err)
	}
	verified(t, open(t, dir, store.Options{}))
}

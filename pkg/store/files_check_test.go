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

// copied returns a copy of a log's directory.
func copied(tb testing.TB, dir string) string {
	tb.Helper()
	to := filepath.Join(tb.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		tb.Fatal(err)
	}
	return to
}

// onlyTable returns the name of a log's largest table.
func onlyTable(tb testing.TB, dir string) string {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(files) == 0 {
		tb.Fatalf("got tables %v, error %v, want some", files, err)
	}
	return filepath.Base(slices.MaxFunc(files, func(a, b string) int { return int(size(tb, a) - size(tb, b)) }))
}

// TestOpen_RepairsDamagedFile damages each file of a database. Badger would end
// the process over some of it, and would create an empty database and delete
// the tables over others. The log opens with all that is readable, and with a
// gap for the rest.
func TestOpen_RepairsDamagedFile(t *testing.T) {
	whole := mixed(t)
	sst := onlyTable(t, whole)
	length := size(t, filepath.Join(whole, sst))
	logs, err := filepath.Glob(filepath.Join(whole, "*.vlog"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("got value logs %v, error %v, want some", logs, err)
	}
	for _, damage := range []struct {
		file string
		at   int64 // truncate to this length; -1: remove
		flip bool  // instead flip a bit there
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
			marked := slices.ContainsFunc(gaps, func(g history.Gap) bool { return g.Reason == history.GapDamaged })
			if err != nil || v.Versions > 406 || v.Versions < 406 && !marked {
				t.Errorf("got %d versions, gaps %v, error %v, want 406 or a gap", v.Versions, gaps, err)
			}
			if damage.file != sst && v.Versions != 406 {
				t.Errorf("got %d versions, want 406", v.Versions)
			}
			if _, err := os.Stat(filepath.Join(dir, "damaged", damage.file)); err != nil && damage.at >= 0 {
				t.Errorf("damaged file: got error %v, want it kept", err)
			}
			appendTo(t, s, pod("after", "1", history.Create))
			reopen(t, s, dir, store.Options{}).Close()
		})
	}
}

// spoil truncates a file, removes it, or flips a bit.
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

// TestOpen_RejectsLostRedactionKey damages the redaction key and its spare
// copy. The log does not open with a new key until it is repaired explicitly.
func TestOpen_RejectsLostRedactionKey(t *testing.T) {
	dir := mixed(t)
	sst := onlyTable(t, dir)
	b, err := os.ReadFile(filepath.Join(dir, sst))
	if err != nil {
		t.Fatal(err)
	}
	for at := 50; at < len(b)/2; at += 500 {
		b[at] ^= 8
	}
	err = errors.Join(os.WriteFile(filepath.Join(dir, sst), b, 0o600), os.Remove(filepath.Join(dir, "SPARE")))
	if err != nil {
		t.Fatal(err)
	}
	before := sizes(t, dir)
	refused(t, dir, "is damaged ("+sst+": block ")
	if after := sizes(t, dir); after != before {
		t.Errorf("got files %s, want %s", after, before)
	}
	if r, err := store.Repair(t.Context(), dir, store.Options{}); err != nil || !r.NewKey {
		t.Errorf("got %+v, error %v, want a new key", r, err)
	}
	verified(t, open(t, dir, store.Options{}))
}

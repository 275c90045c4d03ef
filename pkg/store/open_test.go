package store_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// refused checks that a directory is refused with one line for the user that has certain words in it.
func refused(t *testing.T, dir string, words ...string) {
	t.Helper()
	s, err := store.Open(dir, store.Options{})
	if err == nil {
		_ = s.Close()
		t.Fatalf("%s was opened", dir)
	}
	if history.CodeOf(err) != history.Invalid || strings.Contains(err.Error(), "\n") {
		t.Errorf("not one line for the user: %q", err)
	}
	for _, w := range append(words, dir) {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q says nothing of %q", err, w)
		}
	}
}

func set(t *testing.T, dir string, k, v []byte) {
	t.Helper()
	alter(t, dir, func(txn *badger.Txn) error { return txn.Set(k, v) })
}

func TestOpenRefuses(t *testing.T) {
	t.Run("locked", func(t *testing.T) {
		dir := t.TempDir()
		open(t, dir, store.Options{})
		refused(t, dir, "in use by another process")
	})
	t.Run("unwritable", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, file, "can't be written")
		refused(t, filepath.Join(file, "below"), "can't be written")
		refused(t, "/proc/self/task", "can't be written")
	})
	t.Run("newer", func(t *testing.T) {
		dir := t.TempDir()
		reopen(t, open(t, dir, store.Options{}), dir, store.Options{}).Close()
		set(t, dir, key.Format(), binary.BigEndian.AppendUint16(nil, 4))
		refused(t, dir, "format 4", "newer recorder")
		set(t, dir, key.Format(), binary.BigEndian.AppendUint16(nil, 3))
		open(t, dir, store.Options{})
	})
	t.Run("foreign", func(t *testing.T) {
		dir := t.TempDir()
		set(t, dir, []byte("other"), []byte("data"))
		refused(t, dir, "another program")
	})
}

// TestOpenMends checks that the empty files of a killed process don't keep the log from opening.
func TestOpenMends(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	appendTo(t, s, pod("web", "1", history.Create))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"00099.mem", "000099.vlog"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir, store.Options{})
	if got := all(t, s, history.Scan{}); len(got) != 1 {
		t.Errorf("%d records, want 1", len(got))
	}
}

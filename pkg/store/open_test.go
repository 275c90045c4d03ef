package store_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// refused checks that opening a directory is an Invalid error in one line,
// which contains the directory and certain words.
func refused(t *testing.T, dir string, words ...string) {
	t.Helper()
	s, err := store.Open(dir, store.Options{})
	if err == nil {
		_ = s.Close()
		t.Fatalf("open %s: got no error, want one", dir)
	}
	if history.CodeOf(err) != history.Invalid || strings.Contains(err.Error(), "\n") {
		t.Errorf("open %s: got %q, want an Invalid error in one line", dir, err)
	}
	text := err.Error() + "\n" + history.HintOf(err)
	for _, w := range append(words, dir) {
		if !strings.Contains(text, w) {
			t.Errorf("open %s: got %q, want it to contain %q", dir, text, w)
		}
	}
}

func set(t *testing.T, dir string, k, v []byte) {
	t.Helper()
	alter(t, dir, func(txn *badger.Txn) error { return txn.Set(k, v) })
}

func TestOpen_RejectsDirectory(t *testing.T) {
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
	t.Run("unknown format", func(t *testing.T) {
		dir := t.TempDir()
		reopen(t, open(t, dir, store.Options{}), dir, store.Options{}).Close()
		for _, format := range []uint16{0, 3, 4} {
			set(t, dir, key.Format(), binary.BigEndian.AppendUint16(nil, format))
			refused(t, dir, fmt.Sprintf("unknown format %d", format), "reads formats 1 to 2")
		}
		set(t, dir, key.Format(), binary.BigEndian.AppendUint16(nil, 1))
		open(t, dir, store.Options{})
	})
	t.Run("foreign", func(t *testing.T) {
		dir := t.TempDir()
		set(t, dir, []byte("other"), []byte("data"))
		refused(t, dir, "another program")
	})
}

// TestOpen_RemovesEmptyFiles checks that a log opens despite the empty files of
// a killed process.
func TestOpen_RemovesEmptyFiles(t *testing.T) {
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
		t.Errorf("got %d records, want 1", len(got))
	}
}

package durable_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/internal/durable"
)

func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func write(t *testing.T, name, text string) *durable.File {
	t.Helper()
	f, err := durable.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFile_GetsNameOnCommit(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	f := write(t, name, "one")
	if _, err := os.Stat(name); err == nil {
		t.Error("got a file with the name before Commit, want none")
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := write(t, name, "tw").Discard(); err != nil {
		t.Fatal(err)
	}
	if err := f.Discard(); err != nil {
		t.Errorf("discard after commit: got %v, want nil", err)
	}
	got, err := os.ReadFile(name)
	if err != nil || string(got) != "one" {
		t.Errorf("got %q, %v, want %q", got, err, "one")
	}
	if all := names(t, dir); len(all) != 1 {
		t.Errorf("got files %v, want only %s", all, name)
	}
	if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, %v, want 0600", st.Mode(), err)
	}
}

func TestCreate_RejectsDirectory(t *testing.T) {
	dir := t.TempDir()
	if _, err := durable.Create(dir); err == nil {
		t.Error("got no error for a directory, want one")
	}
}

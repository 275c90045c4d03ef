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

func TestANameStandsForAWholeFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	f := write(t, name, "one")
	if _, err := os.Stat(name); err == nil {
		t.Error("it has its name before it is whole")
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := write(t, name, "tw").Discard(); err != nil {
		t.Fatal(err)
	}
	if err := f.Discard(); err != nil {
		t.Error(err)
	}
	got, err := os.ReadFile(name)
	if err != nil || string(got) != "one" {
		t.Errorf("%q, %v", got, err)
	}
	if all := names(t, dir); len(all) != 1 {
		t.Errorf("left behind: %v", all)
	}
	if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
}

func TestADirectoryIsNoFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := durable.Create(dir); err == nil {
		t.Error("a directory is written over")
	}
}

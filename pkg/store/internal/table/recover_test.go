package table_test

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/store/internal/table"
)

// entries returns what blocks of a table hold, a line each.
func entries(tb testing.TB, t *table.Table) (all []string) {
	tb.Helper()
	for i := range t.Blocks {
		for e, err := range t.Entries(i) {
			if err != nil {
				tb.Fatal(err)
			}
			all = append(all, fmt.Sprintf("%s@%d %d %q", e.Key, e.Version, e.ExpiresAt, e.Value))
		}
	}
	return all
}

func opened(tb testing.TB, path string) *table.Table {
	tb.Helper()
	t, err := table.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := t.Close(); err != nil {
			tb.Error(err)
		}
	})
	return t
}

// TestRecover_NeedsNoIndex damages the index of a table, its end, and one of its blocks besides.
func TestRecover_NeedsNoIndex(t *testing.T) {
	path := made(t)
	want := entries(t, opened(t, path))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for what, damage := range map[string]struct {
		spoil func([]byte) []byte
		holes int
		all   bool
	}{
		"a bit of the index":   {func(b []byte) []byte { b[len(b)-60] ^= 1; return b }, 0, true},
		"a length at the end":  {func(b []byte) []byte { b[len(b)-1] ^= 0x40; return b }, 1, true},
		"the index is cut off": {func(b []byte) []byte { return b[:len(b)-40] }, 1, true},
		"a block, too":         {func(b []byte) []byte { b[len(b)-60] ^= 1; b[20] ^= 1; return b }, 1, false},
	} {
		if err := os.WriteFile(path, damage.spoil(bytes.Clone(whole)), 0o600); err != nil {
			t.Fatal(err)
		}
		one, holes, err := table.Recover(path)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		got := entries(t, one)
		if len(holes) != damage.holes || damage.all != (len(got) == len(want)) || len(got) == 0 {
			t.Errorf("%s: %d entries of %d with holes at %v, want %d holes", what, len(got), len(want), holes, damage.holes)
		}
		if err := one.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := os.WriteFile(path, whole[:10], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := table.Recover(path); !errors.Is(err, table.ErrDamaged) {
		t.Errorf("of ten bytes: %v, want damage", err)
	}
}

// TestWrite_RoundTrip writes what a table holds into another one.
func TestWrite_RoundTrip(t *testing.T) {
	from := opened(t, made(t))
	path := filepath.Join(t.TempDir(), "000007.sst")
	made, err := table.Write(path, func(yield func(table.Entry, error) bool) {
		for i := range from.Blocks {
			for e, err := range from.Entries(i) {
				if !yield(e, err) {
					return
				}
			}
		}
	})
	if err != nil || !made {
		t.Fatalf("made %v, %v", made, err)
	}
	if got, want := entries(t, opened(t, path)), entries(t, from); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	failed := errors.New("failed")
	for _, list := range []iter.Seq2[table.Entry, error]{
		func(func(table.Entry, error) bool) {},
		func(yield func(table.Entry, error) bool) { yield(table.Entry{}, failed) },
	} {
		if made, err := table.Write(filepath.Join(t.TempDir(), "000008.sst"), list); made || err != nil && !errors.Is(err, failed) {
			t.Errorf("made %v, %v, want none", made, err)
		}
	}
}

// TestChecked_FindsWhatChangesLater flips a bit of a block that was sound when it was checked first.
func TestChecked_FindsWhatChangesLater(t *testing.T) {
	path := made(t)
	c, err := table.OpenChecked(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.Check(nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[20] ^= 1 // of the first block
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.Check([]byte("key-000"), []byte("key-001")); !errors.Is(err, table.ErrDamaged) {
		t.Errorf("of the damaged block: %v, want damage", err)
	}
	if err := c.Check([]byte("key-049"), nil); err != nil {
		t.Errorf("of another block: %v, want none", err)
	}
}

// TestChecked_FindsDamageWhileItIsClosed lets some close a table that others
// check: no check may take that for a sound block, or for a damaged one.
func TestChecked_FindsDamageWhileItIsClosed(t *testing.T) {
	for _, damaged := range []bool{false, true} {
		path := made(t)
		c, err := table.OpenChecked(path)
		if err != nil {
			t.Fatal(err)
		}
		if damaged {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b[20] ^= 1
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() {
				for range 200 {
					if err := c.Check([]byte("key-000"), []byte("key-001")); errors.Is(err, table.ErrDamaged) != damaged || !damaged && err != nil {
						t.Errorf("damaged %t: got %v", damaged, err)
					}
				}
			})
			group.Go(func() {
				for range 200 {
					if err := c.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
	}
}

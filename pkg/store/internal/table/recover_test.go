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

// entries returns the entries of a table as text.
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

// TestRecover_NeedsNoIndex damages the index of a table, its end, and one of
// its blocks.
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
		"also a block":         {func(b []byte) []byte { b[len(b)-60] ^= 1; b[20] ^= 1; return b }, 1, false},
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
			t.Errorf("%s: got %d entries (all %d wanted: %t) with holes %v, want %d holes",
				what, len(got), len(want), damage.all, holes, damage.holes)
		}
		if err := one.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := os.WriteFile(path, whole[:10], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := table.Recover(path); !errors.Is(err, table.ErrDamaged) {
		t.Errorf("the first ten bytes: got error %v, want ErrDamaged", err)
	}
}

// TestWrite_RoundTrip writes the entries of a table into another one.
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
		t.Fatalf("got made %v, error %v, want a table", made, err)
	}
	if got, want := entries(t, opened(t, path)), entries(t, from); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	failed := errors.New("failed")
	for _, list := range []iter.Seq2[table.Entry, error]{
		func(func(table.Entry, error) bool) {},
		func(yield func(table.Entry, error) bool) { yield(table.Entry{}, failed) },
	} {
		if made, err := table.Write(filepath.Join(t.TempDir(), "000008.sst"), list); made || err != nil &&
			!errors.Is(err, failed) {
			t.Errorf("got made %v, error %v, want no table and no other error", made, err)
		}
	}
}

// TestChecked_FindsLaterDamage flips a bit of a block that was intact at the
// first check.
func TestChecked_FindsLaterDamage(t *testing.T) {
	path := made(t)
	c, err := table.OpenChecked(path, &table.Decoders{})
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
	b[20] ^= 1 // in the first block
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.Check([]byte("key-000"), []byte("key-001")); !errors.Is(err, table.ErrDamaged) {
		t.Errorf("damaged block: got error %v, want ErrDamaged", err)
	}
	if err := c.Check([]byte("key-049"), nil); err != nil {
		t.Errorf("another block: got error %v, want none", err)
	}
}

// TestChecked_FindsDamageDuringClose closes a table while other goroutines
// check it. No check may mistake that for an intact block, or for a damaged
// one.
func TestChecked_FindsDamageDuringClose(t *testing.T) {
	for _, damaged := range []bool{false, true} {
		path := made(t)
		c, err := table.OpenChecked(path, &table.Decoders{})
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
					err := c.Check([]byte("key-000"), []byte("key-001"))
					if errors.Is(err, table.ErrDamaged) != damaged || !damaged && err != nil {
						t.Errorf("got error %v, want damage: %t", err, damaged)
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

package store_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	badger "github.com/dgraph-io/badger/v4"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
	"github.com/watchhistory/watchhistory/pkg/store/internal/table"
)

// repaired repairs a log, and returns the damaged files, one per line.
func repaired(tb testing.TB, dir string) (files string, err error) {
	tb.Helper()
	r, err := store.Repair(tb.Context(), dir, store.Options{NoSync: true})
	if err != nil {
		return "", err
	}
	for _, f := range r.Files {
		files += f.Name + ": " + f.Problem + ": " + f.Repair + "\n"
	}
	return files, nil
}

// TestRepair_KeepsAllVersions damages files that contain no versions. No
// version is lost.
func TestRepair_KeepsAllVersions(t *testing.T) {
	whole := mixed(t)
	logs, err := filepath.Glob(filepath.Join(whole, "*.vlog"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("got files %v, error %v, want one", logs, err)
	}
	for _, damage := range []struct {
		file string
		at   int64
		flip bool
	}{
		{"MANIFEST", -1, false},
		{"MANIFEST", 4, false},
		{"MANIFEST", 15, false},
		{"MANIFEST", 12, true},
		{"KEYREGISTRY", 4, false},
		{"KEYREGISTRY", 20, true},
		{filepath.Base(logs[0]), 5, true},
	} {
		dir := copied(t, whole)
		spoil(t, filepath.Join(dir, damage.file), damage.at, damage.flip)
		said, err := repaired(t, dir)
		if err != nil || !strings.Contains(said, damage.file+": ") {
			t.Errorf("%v: got damaged files %q, error %v, want %s", damage, said, err, damage.file)
			continue
		}
		s := open(t, dir, store.Options{})
		if v := verified(t, s); v.Versions != 406 {
			t.Errorf("%v: got %d versions, want 406", damage, v.Versions)
		}
		appendTo(t, s, pod("after", "1", history.Create))
		reopen(t, s, dir, store.Options{}).Close()
	}
	if said, err := repaired(t, copied(t, whole)); err != nil || said != "" {
		t.Errorf("an intact log: got damaged files %q, error %v, want none", said, err)
	}
}

// fourDays returns a log of four days, with a table for each day and one for
// all other keys.
func fourDays(t *testing.T) (dir string, opts store.Options) {
	t.Helper()
	c := &clock{time.Now().Add(-96 * time.Hour)}
	dir, opts = t.TempDir(), store.Options{Now: c.now}
	s := open(t, dir, opts)
	for i := range 4 {
		for j := range 4 {
			r := huge(10*i + j)
			r.Ref.Name = "huge" + strconv.Itoa(i)
			appendTo(t, s, r)
		}
		c.t = c.t.Add(24 * time.Hour)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	layered(t, dir)
	return dir, opts
}

// TestRepair_IgnoresWALAfterDamagedOne leaves two WALs next to a damaged table.
// The first WAL is damaged, too. The second one must be ignored: its checkpoint
// would cover the lost transactions.
func TestRepair_IgnoresWALAfterDamagedOne(t *testing.T) {
	dir, opts := fourDays(t)
	live := copied(t, dir)
	s := open(t, live, opts)
	appendTo(t, s, pod("first", "100", history.Create))
	before := writeAhead(t, live)
	appendBatch(t, s, &history.Batch{
		Versions:    newVersions(pod("second", "101", history.Create)),
		Checkpoints: []history.Checkpoint{{Resource: "pods", RV: "101"}},
	})
	after := writeAhead(t, live)
	const header = 20
	second := slices.Concat(after[:header], after[len(before):])
	before[len(before)-1] ^= 1
	for name, b := range map[string][]byte{"00001.mem": before, "00002.mem": second} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := middle(t, dir)
	flip(t, path, 100)
	if _, err := repaired(t, dir); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, opts)
	verified(t, s)
	sc := history.Scan{}
	sc.Name = "second"
	if got := all(t, s, sc); len(got) > 0 {
		t.Errorf("got %d records of the second WAL, want 0", len(got))
	}
	if c, err := s.Checkpoint(t.Context(), pods()); err != nil || c.RV == "101" {
		t.Errorf("got checkpoint %q, error %v, want an older one", c.RV, err)
	}
}

// writeAhead returns the contents of an open log's only WAL.
func writeAhead(t *testing.T, dir string) []byte {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("got files %v, error %v, want one", logs, err)
	}
	b, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimRight(b, "\x00")
}

// layered rewrites a closed database: the versions of each day in a table, and
// all other keys in another.
func layered(t *testing.T, dir string) {
	t.Helper()
	d := dumped(t, dir)
	groups := map[uint16][]string{}
	for k := range d.values {
		day := uint16(0)
		if e, err := key.Decode([]byte(k)); err == nil {
			day = key.Day(e.TS)
		}
		groups[day] = append(groups[day], k)
	}
	db := raw(t, dir)
	if err := errors.Join(db.DropAll(), db.Close()); err != nil {
		t.Fatal(err)
	}
	for _, keys := range groups {
		db := raw(t, dir)
		batch := db.NewWriteBatch()
		for _, k := range keys {
			err := batch.SetEntry(&badger.Entry{Key: []byte(k), Value: d.values[k], ExpiresAt: d.expires[k]})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(batch.Flush(), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// middle returns a table that contains only versions, but not the newest ones.
func middle(t *testing.T, dir string) (path string) {
	t.Helper()
	var of time.Time
	for at, f := range tablesOfVersions(t, dir) {
		if path == "" || at.Before(of) {
			path, of = f, at
		}
	}
	if path == "" {
		t.Fatal("got no table with only versions, want one")
	}
	return path
}

// tablesOfVersions returns the tables that begin with a version's key, by the
// time of that.
func tablesOfVersions(t *testing.T, dir string) map[time.Time]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	tables := map[time.Time]string{}
	for _, f := range files {
		one, err := table.Open(f)
		if err != nil {
			t.Fatal(err)
		}
		if e, err := key.Decode(one.First[0]); err == nil {
			tables[time.Unix(0, int64(e.TS))] = f
		}
		if err := one.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return tables
}

// tableOf returns the path of the table of a day in a layered log.
func tableOf(t *testing.T, dir string, of time.Time) string {
	t.Helper()
	for at, f := range tablesOfVersions(t, dir) {
		if day(at).Equal(day(of)) {
			return f
		}
	}
	t.Fatalf("got no table of %v, want one", of)
	return ""
}

// TestRepair_ReconcilesHeads loses the day on which one object was deleted, one
// was created, and one was created and deleted. The first must not remain as a
// baseline. Nothing may be left of the others that prevents new records.
func TestRepair_ReconcilesHeads(t *testing.T) {
	dir, c := t.TempDir(), &clock{time.Now().UTC().Truncate(24 * time.Hour).Add(-84 * time.Hour)}
	opts := store.Options{Now: c.now}
	s := open(t, dir, opts)
	gone := pod("gone", "1", history.Create)
	gone.Owners = []types.UID{"o"}
	appendTo(t, s, gone, pod("stays", "2", history.Create))
	c.t = c.t.Add(24 * time.Hour)
	lost := c.t
	deletion := pod("gone", "3", history.Delete)
	deletion.Owners = gone.Owners
	appendTo(t, s, deletion, pod("came", "4", history.Create), pod("brief", "5", history.Create),
		pod("brief", "6", history.Delete),
		pod("stays", "7", history.Update))
	c.t = c.t.Add(48 * time.Hour) // a table whose end is lost may extend into the next day
	appendTo(t, s, pod("other", "8", history.Create))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	layered(t, dir)
	flip(t, tableOf(t, dir, lost), 30)
	for range 2 { // the second repair changes nothing
		if said, err := repaired(t, dir); err != nil {
			t.Fatalf("repair: got error %v, damaged files %q, want no error", err, said)
		}
	}
	c.t = time.Now().Add(time.Hour)
	s = open(t, dir, opts)
	verified(t, s)
	got := all(t, s, history.Scan{Filter: history.Filter{Name: "gone"}, Bodies: true})
	if len(got) != 2 || got[1].Verb != history.Delete || !got[1].InferredSince.Equal(got[0].Time) ||
		got[1].RV != "3" || got[1].Revision != 3 ||
		string(got[1].Object) != string(gone.Object) || len(got[1].Owners) != 1 || got[1].Managers != nil {
		t.Errorf("got %+v of the deleted object, want its creation and an inferred deletion", got)
	}
	alive := map[string]string{}
	for h, err := range s.Heads(t.Context(), pods()) {
		if err != nil {
			t.Fatal(err)
		}
		alive[h.Ref.Name] = h.RV
	}
	if len(alive) != 2 || alive["stays"] != "2" || alive["other"] != "8" {
		t.Errorf("got heads %v, want stays at 2 and other at 8", alive)
	}
	came := pod("came", "9", history.Create)
	appendTo(t, s, came, pod("brief", "10", history.Create))
	if came.Revision != 1 {
		t.Errorf("got revision %d of the new object, want 1", came.Revision)
	}
	c.t = c.t.Add(20 * 24 * time.Hour)
	appendTo(t, s, pod("other", "11", history.Update))
	if err := s.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	verified(t, s)
	if got := asOf(t, s, "gone", c.t); got != "" {
		t.Errorf("got baseline %q of the deleted object, want none", got)
	}
}

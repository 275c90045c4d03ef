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

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
	"github.com/watchhistory/watchhistory/pkg/store/internal/table"
)

// repaired repairs a log, and returns which files were damaged, a line each.
func repaired(tb testing.TB, dir string) (said string, err error) {
	tb.Helper()
	r, err := store.Repair(tb.Context(), dir, store.Options{NoSync: true})
	if err != nil {
		return "", err
	}
	for _, f := range r.Files {
		said += f.Name + ": " + f.Problem + ": " + f.Repair + "\n"
	}
	return said, nil
}

// TestRepairWithoutALoss damages what holds no versions: all of them are there afterwards.
func TestRepairWithoutALoss(t *testing.T) {
	whole := mixed(t)
	logs, err := filepath.Glob(filepath.Join(whole, "*.vlog"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("%v, %v", logs, err)
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
			t.Errorf("%v: %v, said %q", damage, err, said)
			continue
		}
		s := open(t, dir, store.Options{})
		if v := verified(t, s); v.Versions != 406 {
			t.Errorf("%v: %d versions, want 406", damage, v.Versions)
		}
		appendTo(t, s, pod("after", "1", history.Create))
		reopen(t, s, dir, store.Options{}).Close()
	}
	if said, err := repaired(t, copied(t, whole)); err != nil || said != "" {
		t.Errorf("a whole log: %q, %v", said, err)
	}
}

// fourDays makes a log of four days, with a table for each of them and one for all else.
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

// TestRepairBesideADamagedWriteAheadLog leaves two of them behind a damaged table, the first one damaged, too. What the second one
// holds came later: with it, a checkpoint would cover what is lost.
func TestRepairBesideADamagedWriteAheadLog(t *testing.T) {
	dir, opts := fourDays(t)
	live := copied(t, dir)
	s := open(t, live, opts)
	appendTo(t, s, pod("first", "100", history.Create))
	before := writeAhead(t, live)
	appendBatch(t, s, &history.Batch{
		Records: []*history.Record{pod("second", "101", history.Create)}, Checkpoints: []history.Checkpoint{{Resource: "pods", RV: "101"}},
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
	path, _ := middle(t, dir)
	flip(t, path, 100)
	if _, err := repaired(t, dir); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, opts)
	verified(t, s)
	sc := history.Scan{}
	sc.Name = "second"
	if got := all(t, s, sc); len(got) > 0 {
		t.Error("there is what came behind the damage")
	}
	if c, err := s.Checkpoint(t.Context(), pods()); err != nil || c.RV == "101" {
		t.Errorf("checkpoint %q covers what is lost, %v", c.RV, err)
	}
}

// writeAhead returns what an open log's only write-ahead log holds.
func writeAhead(t *testing.T, dir string) []byte {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("%v, %v", logs, err)
	}
	b, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimRight(b, "\x00")
}

// layered writes a closed database anew: each day's versions into a table of their own, and all else into another.
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
			if err := batch.SetEntry(&badger.Entry{Key: []byte(k), Value: d.values[k], ExpiresAt: d.expires[k]}); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(batch.Flush(), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// middle returns a table of a log that holds versions only, and not the last ones, and a time of which it has some.
func middle(t *testing.T, dir string) (path string, of time.Time) {
	t.Helper()
	for at, f := range tablesOfVersions(t, dir) {
		if path == "" || at.Before(of) {
			path, of = f, at
		}
	}
	if path == "" {
		t.Fatal("no table holds versions only")
	}
	return path, of
}

// tablesOfVersions returns the tables that begin with a version's key, by its time.
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

// TestRepair_CompletesAnEarlierVersionsRepair opens a log in which the repair of an earlier version broke off after it had dropped
// nothing yet: everything is there, and nothing else is lost.
func TestRepair_CompletesAnEarlierVersionsRepair(t *testing.T) {
	dir := mixed(t)
	today := strconv.FormatInt(time.Now().Unix()/86400, 10)
	if err := os.WriteFile(filepath.Join(dir, "REPAIRING"), []byte("["+today+"]"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, store.Options{})
	if v := verified(t, s); v.Versions != 406 {
		t.Errorf("%d versions are left, want 406", v.Versions)
	}
	if _, err := os.Stat(filepath.Join(dir, "REPAIRING")); err == nil {
		t.Error("the repair is not completed")
	}
}

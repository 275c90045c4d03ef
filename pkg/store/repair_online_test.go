package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	badger "github.com/dgraph-io/badger/v4"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// TestOnDamage_AnswersFromIntactBlocks flips a bit of a block while the log is
// open. Every query succeeds with the readable versions and with gaps for the
// others, and the log accepts records.
func TestOnDamage_AnswersFromIntactBlocks(t *testing.T) {
	p, rng := recorded(t, 1500), chance(t)
	flatten(t, p.dir)
	tables, err := filepath.Glob(filepath.Join(p.dir, "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	for range form(6, *kills) {
		dir := copied(t, p.dir)
		path := filepath.Join(dir, filepath.Base(tables[rng.IntN(len(tables))]))
		blocks := blocksOf(t, path)
		block := blocks[rng.IntN(len(blocks))]
		s := open(t, dir, p.opts)
		all(t, s, history.Scan{}) // verifies and caches blocks
		flipInPlace(t, path, block[0]+8+rng.Int64N(max(1, block[1]-16)))
		gaps, n := p.queryAll(t, s)
		t.Logf("block at %d of %s: %d of %d versions, %d gaps",
			block[0], filepath.Base(path), n, len(p.versions), len(gaps))
		if n < len(p.versions)/2 {
			t.Errorf("got %d versions, want nearly all of %d", n, len(p.versions))
		}
		verifyUntilIntact(t, s)
		appendTo(t, s, pod("again", "1", history.Create))
		verified(t, s)
		before := len(all(t, s, history.Scan{Bodies: true}))
		s = reopen(t, s, dir, p.opts)
		verified(t, s)
		if got := len(all(t, s, history.Scan{Bodies: true})); got != before {
			t.Errorf("after a restart: got %d versions, want %d", got, before)
		}
	}
}

// verifyUntilIntact verifies a log until nothing is damaged. Verify finds what
// no query read, and starts a repair.
func verifyUntilIntact(t *testing.T, s *store.Store) {
	t.Helper()
	const most = 1000
	for range most {
		if v, err := s.Verify(t.Context(), func(store.Damage) {}, nil); err == nil && v.Damaged == 0 {
			return
		}
	}
	t.Errorf("got damage after %d verifications, want none", most)
}

// queryAll queries a damaged log. It returns the gaps, and how many versions
// were returned.
func (p *past) queryAll(t *testing.T, s *store.Store) (gaps []history.Gap, n int) {
	t.Helper()
	answered := map[string]bool{}
	for _, sc := range []history.Scan{
		{}, {Order: history.NewestFirst}, {Filter: history.Filter{Namespace: "team-1"}}, {Bodies: true},
	} {
		sc.Limit = 10_000
		list := all(t, s, sc)
		for _, r := range list {
			answered[r.Time.String()] = true
		}
		n = len(list)
	}
	gaps, err := s.Gaps(t.Context(), nil, noon(-30), noon(30))
	if err != nil {
		t.Error(err)
	}
	if _, _, err := s.Count(t.Context(), history.Filter{}, 100); err != nil {
		t.Error(err)
	}
	for _, err := range s.Heads(t.Context(), pods()) {
		if err != nil {
			t.Error(err)
		}
	}
	for _, r := range p.versions {
		if !answered[r.Time.String()] && !within(gaps, r) {
			t.Errorf("%s at %s: got nothing, want the version or one of %d gaps", r.Ref, r.Time, len(gaps))
		}
	}
	return gaps, n
}

// TestOnDamage_CoversCompactedTable compacts a damaged table before it is
// repaired. A compaction drops everything after the damaged block. Gaps cover
// what is lost.
func TestOnDamage_CoversCompactedTable(t *testing.T) {
	p, s := wide(t).openCopy(t)
	cool(t, s)
	b := &history.Batch{Versions: newVersions(widePod(1, "2", history.Update))}
	appendBatch(t, s, b)
	p.add(b)
	blocks := blocksWith(t, p.dir, key.AllHeads())
	block := blocks[len(blocks)/2]
	if err := store.CompactAfterDamage(s, block.path, func() { spoilBlocks(t, block) }); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"before", "after"} {
		t.Run(path+" a restart", func(t *testing.T) {
			p.compare(t, s, &history.Batch{})
			verified(t, s)
			if got := all(t, s, history.Scan{}); len(got) == len(p.versions) {
				t.Errorf("got all %d versions, want fewer: the table was not compacted", len(got))
			}
		})
		s = reopen(t, s, p.dir, p.opts)
	}
	appendTo(t, s, widePod(1, "3", history.Update))
}

// TestSpare_OutlivesDamage damages a block of the dictionary while the log is
// open. The spare copy keeps the texts, so that the repair restores them.
func TestSpare_OutlivesDamage(t *testing.T) {
	const at = 250
	p := wide(t)
	for name, use := range map[string]func(*store.Store) error{
		"Prune": func(s *store.Store) error { return s.Prune(t.Context()) },
		"Close": func(*store.Store) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			p, s := p.openCopy(t)
			cool(t, s)
			for _, k := range [][]byte{
				key.Text(key.Namespaces, wideText("namespace", at)), key.Number(key.Namespaces, at+1),
			} {
				spoilBlocks(t, blocksWith(t, p.dir, k)...)
			}
			if err := use(s); err != nil {
				t.Fatal(err)
			}
			s = reopen(t, s, p.dir, p.opts)
			if got := all(t, s, history.Scan{}); len(got) != len(p.versions) {
				t.Errorf("got %d versions, want all %d", len(got), len(p.versions))
			}
			p.compare(t, s, &history.Batch{})
		})
	}
}

// TestRegister_KeepsSinceDespiteDamage registers a resource again while its
// entry in the catalogue is damaged. The entry keeps the time since which the
// resource is recorded.
func TestRegister_KeepsSinceDespiteDamage(t *testing.T) {
	const at = 250
	p := wide(t)
	p, s := p.openCopy(t)
	cool(t, s)
	r := wideResource(at)
	spoilBlocks(t, blocksWith(t, p.dir, key.CatalogueEntry(r.Group, r.Plural))...)
	r.Namespaced = true
	if err := s.Register(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	list, err := s.Resources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range list {
		if got.Plural == r.Plural && (got.Since.IsZero() || !got.Namespaced || len(got.Former) != 1) {
			t.Errorf("got %+v, want the new scope, the former one, and the time of the first checkpoint", got)
		}
	}
	if len(list) != wideResources {
		t.Errorf("got %d resources, want %d", len(list), wideResources)
	}
}

// flipInPlace flips a bit of a mapped file.
func flipInPlace(tb testing.TB, path string, at int64) {
	tb.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		tb.Fatal(err)
	}
	b[0] ^= 8
	if _, err := f.WriteAt(b[:], at); err != nil {
		tb.Fatal(err)
	}
}

// TestPrune_KeepsBaselineWithoutBody drops the day of versions of which only
// the JSON is lost. The baseline keeps all other data, and its index entry.
// Reading the JSON fails.
func TestPrune_KeepsBaselineWithoutBody(t *testing.T) {
	dir, c := t.TempDir(), &clock{noon(0)}
	opts := store.Options{Now: c.now, Retention: 24 * time.Hour}
	s := open(t, dir, opts)
	var last *history.Record
	for i := range 4 {
		last = pod("web", fmt.Sprint(i), history.Update)
		last.Owners, last.Summary = []types.UID{"o"}, &history.Summary{Text: "a phrase of the day"}
		appendTo(t, s, last)
	}
	c.t = noon(3)
	appendTo(t, s, pod("other", "9", history.Create))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	alter(t, dir, func(txn *badger.Txn) error {
		e := key.Entry{Class: key.Body, Object: 1, TS: uint64(last.Time.UnixNano())}
		return txn.Delete(e.Encode())
	})
	s = open(t, dir, opts)
	for _, pruned := range []bool{false, true} {
		if pruned {
			if err := s.Prune(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		s = reopen(t, s, dir, opts)
		for _, f := range []history.Filter{{Name: "web"}, {Owner: "o"}} {
			got := all(t, s, history.Scan{Filter: f})
			if len(got) != 1 || got[0].RV != "3" || got[0].Summary == nil || got[0].Summary.Text != last.Summary.Text {
				t.Errorf("%+v, pruned %t: got %v, want the newest version with its summary", f, pruned, got)
			}
			for r, err := range s.Scan(t.Context(), history.Scan{Filter: f, Bodies: true}) {
				if err == nil || !strings.Contains(err.Error(), "object 1 at") {
					t.Errorf("%+v, pruned %t: got %v, error %v, want an error that names the object", f, pruned, r, err)
				}
			}
		}
	}
}

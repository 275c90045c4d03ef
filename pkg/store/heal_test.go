package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// TestHeal_AnswersWhatIsReadable flips a bit of one block after the other while the log is open. Every question is answered, with what
// the block does not hold and with gaps for what it does, and the log takes records.
func TestHeal_AnswersWhatIsReadable(t *testing.T) {
	p, rng := recorded(t, 1500), chance(t)
	db := raw(t, p.dir) // so that nothing is compacted meanwhile: that makes a loss final before it is found
	if err := errors.Join(db.Flatten(1), db.Close()); err != nil {
		t.Fatal(err)
	}
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
		all(t, s, history.Scan{}) // so that blocks are cached, and checked once
		flipInPlace(t, path, block[0]+8+rng.Int64N(max(1, block[1]-16)))
		gaps, n := p.questions(t, s)
		t.Logf("block at %d of %s: %d of %d versions are answered, with %d gaps", block[0], filepath.Base(path), n, len(p.versions), len(gaps))
		if n < len(p.versions)/2 {
			t.Errorf("%d versions of %d are answered, want nearly all", n, len(p.versions))
		}
		verifyUntilHealed(t, s)
		appendTo(t, s, pod("again", "1", history.Create))
		verified(t, s)
		before := len(all(t, s, history.Scan{Bodies: true}))
		s = reopen(t, s, dir, p.opts)
		verified(t, s)
		if got := len(all(t, s, history.Scan{Bodies: true})); got != before {
			t.Errorf("%d versions are answered after a restart, want %d", got, before)
		}
	}
}

// verifyUntilHealed verifies a log, which finds what no question was about and begins a repair, until nothing is damaged any more.
func verifyUntilHealed(t *testing.T, s *store.Store) {
	t.Helper()
	const most = 1000
	for range most {
		if v, err := s.Verify(t.Context(), func(store.Damage) {}, nil); err == nil && v.Damaged == 0 {
			return
		}
	}
	t.Errorf("something is damaged after %d verifications", most)
}

// questions asks an open log of which a table is damaged. It returns the gaps, and how many versions are answered.
func (p *past) questions(t *testing.T, s *store.Store) (gaps []history.Gap, n int) {
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
			t.Errorf("%s at %s is missing, and lies in none of %d gaps", r.Ref, r.Time, len(gaps))
		}
	}
	return gaps, n
}

// flipInPlace flips a bit of a file that somebody has mapped.
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

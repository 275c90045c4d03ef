package store_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
	"github.com/watchhistory/watchhistory/pkg/store/internal/table"
)

// past is a closed log, and all versions that were recorded in it, by time.
type past struct {
	dir      string
	opts     store.Options
	versions map[time.Time]*history.Record
}

// recorded returns a log of a sample cluster over four days. The oldest day is
// dropped, so there are baselines. The log has several small tables.
func recorded(tb testing.TB, versions int) *past {
	tb.Helper()
	c := &clock{noon(-5)}
	p := &past{dir: tb.TempDir(), versions: map[time.Time]*history.Record{}}
	p.opts = store.Options{Now: c.now, Retention: 100 * time.Hour, MaxBytes: 1 << 30}
	next := records(tb, 60)
	s := open(tb, p.dir, p.opts)
	for day := range 5 {
		list := take(versions/5, next)
		for len(list) > 0 {
			n := min(len(list), 128)
			b := &history.Batch{Versions: list[:n]}
			b.Checkpoints = []history.Checkpoint{{Resource: "pods", RV: list[n-1].RV}}
			appendBatch(tb, s, b)
			list = list[n:]
			c.t = c.t.Add(time.Minute)
		}
		appendBatch(tb, s, &history.Batch{Gaps: []history.Gap{{
			Resource: "pods", Start: c.t.Add(-time.Minute), End: c.t, Reason: history.GapExpired,
			Detail: strconv.Itoa(day),
		}}})
		s = reopen(tb, s, p.dir, p.opts)
		c.t = noon(day - 4)
	}
	if err := s.Prune(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	for _, r := range all(tb, s, history.Scan{Bodies: true}) {
		p.versions[r.Time] = r
	}
	err := s.Register(tb.Context(), history.Resource{Version: "v1", Plural: "pods", Kind: "Pod", Namespaced: true})
	if err != nil {
		tb.Fatal(err)
	}
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
	return p
}

// TestRepair_OneFlippedBit flips one bit in a database of many tables. Nearly
// everything is kept.
func TestRepair_OneFlippedBit(t *testing.T) {
	p := recorded(t, 8000)
	path := filepath.Join(p.dir, onlyTable(t, p.dir))
	flip(t, path, size(t, path)/2)
	r, err := store.Repair(t.Context(), p.dir, p.opts)
	if err != nil || len(r.Files) != 1 {
		t.Fatalf("got %+v, error %v, want one damaged file", r, err)
	}
	lost, _ := r.Lost()
	s := open(t, p.dir, p.opts)
	got := all(t, s, history.Scan{Bodies: true})
	tables, _ := filepath.Glob(filepath.Join(p.dir, "*.sst"))
	t.Logf("%d tables, %d versions before, %d after, %d lost", len(tables), len(p.versions), len(got), lost)
	if len(got)+lost < len(p.versions) || lost > len(p.versions)/20 {
		t.Errorf("got %d versions and %d lost, want nearly all of %d", len(got), lost, len(p.versions))
	}
}

// TestRepair_RefusesUnknownFormat repairs a database of another format. No call
// may change it: all its versions would count as lost. The format is read
// before all other values, which can't be decoded.
func TestRepair_RefusesUnknownFormat(t *testing.T) {
	p := recorded(t, 2500)
	path := filepath.Join(p.dir, onlyTable(t, p.dir))
	alter(t, p.dir, func(txn *badger.Txn) error {
		return errors.Join(txn.Set(key.Format(), []byte{0, 3}),
			txn.Set(key.RetentionFloor(), []byte("a floor of format 3")))
	})
	for _, state := range []string{"intact", "damaged"} {
		if state == "damaged" {
			flip(t, path, size(t, path)/2)
		}
		want := digests(t, p.dir)
		for name, call := range map[string]func() error{
			"open": func() error {
				s, err := store.Open(p.dir, p.opts)
				if err == nil {
					_ = s.Close()
				}
				return err
			},
			"repair":   func() error { _, err := store.Repair(t.Context(), p.dir, p.opts); return err },
			"forecast": func() error { _, err := store.Forecast(t.Context(), p.dir, p.opts); return err },
		} {
			err := call()
			if history.CodeOf(err) != history.Invalid || !strings.Contains(err.Error(), "unknown format 3") {
				t.Errorf("%s, %s: got error %v, want an Invalid error about format 3", name, state, err)
			}
			if diff := cmp.Diff(want, digests(t, p.dir)); diff != "" {
				t.Errorf("%s, %s: tables changed (-want +got):\n%s", name, state, diff)
			}
		}
	}
}

// digests returns the digest of each table of a database, by path. Badger may
// rotate its other files when it opens.
func digests(t *testing.T, dir string) map[string][sha256.Size]byte {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][sha256.Size]byte{}
	for _, path := range tables {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[path] = sha256.Sum256(b)
	}
	return all
}

// TestRepair_KeepsIntactBlocks damages every kind of file at random places.
// Everything that is returned was recorded, everything that is missing is in a
// gap, and only the damaged block and its dependents are lost.
func TestRepair_KeepsIntactBlocks(t *testing.T) {
	p, rng := recorded(t, 2500), chance(t)
	for _, kind := range []string{".sst", ".sst", ".sst", "MANIFEST", "KEYREGISTRY", ".vlog", "SPARE"} {
		for range form(3, *kills) {
			dir := copied(t, p.dir)
			what := damage(t, rng, dir, kind)
			p.check(t, what, dir)
		}
	}
}

// TestRepair_OfEveryBlock flips a bit in every block.
func TestRepair_OfEveryBlock(t *testing.T) {
	p, rng := recorded(t, 600), chance(t)
	tables, err := filepath.Glob(filepath.Join(p.dir, "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range tables {
		for _, b := range blocksOf(t, path) {
			if *kills <= 10 && rng.IntN(4) > 0 {
				continue
			}
			dir := copied(t, p.dir)
			at := b[0] + 8 + rng.Int64N(max(1, b[1]-16))
			flip(t, filepath.Join(dir, filepath.Base(path)), at)
			p.check(t, fmt.Sprintf("bit flipped at %d of %s", at, filepath.Base(path)), dir)
		}
	}
}

// check repairs a damaged copy of the log, and checks the rest.
func (p *past) check(t *testing.T, what, dir string) {
	t.Helper()
	before := sizes(t, dir)
	forecast, err := store.Forecast(t.Context(), dir, p.opts)
	if err != nil {
		t.Errorf("%s: Forecast: got error %v, want none", what, err)
		return
	}
	if after := sizes(t, dir); after != before {
		t.Errorf("%s: after Forecast: got files\n%s, want\n%s", what, after, before)
	}
	r, err := store.Repair(t.Context(), dir, p.opts)
	if err != nil {
		t.Errorf("%s: Repair: got error %v, want none", what, err)
		return
	}
	if got, want := summary(r), summary(forecast); got != want {
		t.Errorf("%s: Repair: got\n%s, want as forecast\n%s", what, got, want)
	}
	for _, f := range r.Files {
		if _, err := os.Stat(filepath.Join(dir, "damaged", f.Name)); err != nil && f.Problem != "missing" {
			t.Errorf("%s: damaged file: got error %v, want it kept", what, err)
		}
	}
	if again, err := store.Repair(t.Context(), dir, p.opts); err != nil || again.Damaged() {
		t.Errorf("%s: second Repair: got %+v, error %v, want no damage", what, again, err)
	}
	p.checkLog(t, what, dir, r)
}

// summary returns the comparable parts of a report as text.
func summary(r *store.Report) string {
	return fmt.Sprintf("%+v %+v %d %d %d", r.Files, r.Losses(), r.Restored, r.Gaps, r.Forgotten)
}

// checkLog compares the repaired log with what was recorded.
func (p *past) checkLog(t *testing.T, what, dir string, r *store.Report) {
	t.Helper()
	s, err := store.Open(dir, p.opts)
	if err != nil {
		t.Errorf("%s: got error %v, want none", what, err)
		return
	}
	defer s.Close()
	_, err = s.Verify(t.Context(), func(d store.Damage) {
		t.Errorf("%s: after Repair: got damage %s, want none", what, d)
	}, nil)
	if err != nil {
		t.Errorf("%s: got error %v, want none", what, err)
	}
	gaps, err := s.Gaps(t.Context(), nil, time.Time{}, time.Time{})
	if err != nil {
		t.Errorf("%s: got error %v, want none", what, err)
	}
	left := map[time.Time]bool{}
	for rec, err := range s.Scan(t.Context(), history.Scan{Bodies: true}) {
		if err != nil {
			t.Errorf("%s: got error %v, want none", what, err)
			return
		}
		if rec.Verb == history.Delete && !rec.InferredSince.IsZero() && rec.Time.After(noon(-1)) {
			continue // the repair added the deletion
		}
		left[rec.Time] = true
		want := p.versions[rec.Time]
		switch {
		case want == nil:
			t.Errorf("%s: got %s at %s, want only recorded versions", what, rec.Ref, rec.Time)
		case rec.Ref != want.Ref || rec.RV != want.RV || rec.Revision != want.Revision || rec.Verb != want.Verb ||
			!bytes.Equal(rec.Object, want.Object) && (rec.Verb != history.Delete || len(rec.Object) > 0):
			t.Errorf("%s: got %s %s at %s, want %s %s at %s, as recorded",
				what, rec.Verb, rec.Ref, rec.RV, want.Verb, want.Ref, want.RV)
		case fmt.Sprint(rec.Owners, rec.Regarding) != fmt.Sprint(want.Owners, want.Regarding):
			t.Errorf("%s: %s: got owners %v and target %v, want %v and %v",
				what, rec.Ref, rec.Owners, rec.Regarding, want.Owners, want.Regarding)
		}
	}
	missing := 0
	for at, rec := range p.versions {
		if left[at] {
			continue
		}
		missing++
		if !within(gaps, rec) {
			t.Errorf("%s: %s at %s: got nothing, want the version or one of %d gaps", what, rec.Ref, at, len(gaps))
		}
	}
	if versions, _ := r.Lost(); missing > versions && !r.Unknown {
		t.Errorf("%s: got %d reported losses, want %d", what, versions, missing)
	}
	p.checkStates(t, what, s, gaps)
	after := pod("after", "99999999", history.Create)
	if err := s.Append(t.Context(), &history.Batch{Versions: newVersions(after)}); err != nil ||
		after.Revision != 1 {
		t.Errorf("%s: Append: got revision %d, error %v, want 1", what, after.Revision, err)
	}
}

// checkStates checks the newest version of each object: it is right, or in a
// gap.
func (p *past) checkStates(t *testing.T, what string, s *store.Store, gaps []history.Gap) {
	t.Helper()
	newest := map[history.ObjectRef]*history.Record{}
	for _, r := range p.versions {
		if n := newest[r.Ref]; n == nil || r.Time.After(n.Time) {
			newest[r.Ref] = r
		}
	}
	for ref, want := range newest {
		got, err := s.Latest(t.Context(), ref)
		if err == nil && got.RV == want.RV {
			continue
		}
		if !within(gaps, want) {
			t.Errorf("%s: newest version of %s: got %v, error %v, want %s or a gap", what, ref, got, err, want.RV)
		}
	}
}

// within reports whether a record is in a gap of a repair.
func within(gaps []history.Gap, r *history.Record) bool {
	for _, g := range gaps {
		if g.GroupResource() == r.Ref.GroupResource() && g.Reason == history.GapDamaged &&
			g.Touches(r.Time, r.Time.Add(1)) {
			return true
		}
	}
	return false
}

// blocksOf returns the offsets and lengths of a table's blocks.
func blocksOf(tb testing.TB, path string) (blocks [][2]int64) {
	tb.Helper()
	t, err := table.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	for _, b := range t.Blocks {
		offset, size := b.Place()
		blocks = append(blocks, [2]int64{offset, size})
	}
	if err := t.Close(); err != nil {
		tb.Fatal(err)
	}
	return blocks
}

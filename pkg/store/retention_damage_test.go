package store_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// pruneUntilDone prunes a damaged log. The first attempt may fail and start a
// repair, but the log always accepts batches.
func pruneUntilDone(t *testing.T, s *store.Store) {
	t.Helper()
	for n := range 5 {
		err := s.Prune(t.Context())
		appendTo(t, s, pod("after", fmt.Sprint(n+1), history.Update))
		if err == nil {
			return
		}
		if code := history.CodeOf(err); code != history.Unavailable {
			t.Fatalf("Prune: got error %v (%s), want an unavailable one", err, code)
		}
	}
	t.Fatal("Prune: got an error each time, want none after a repair")
}

// TestPrune_RepairsDamageOfObjects drops the day in which all objects were
// deleted, while a block with their heads or identities is damaged. The log
// stays writable, and nothing is left of the objects.
func TestPrune_RepairsDamageOfObjects(t *testing.T) {
	c := &clock{noon(-5)}
	p := &past{dir: t.TempDir(), opts: store.Options{Now: c.now, Retention: 24 * time.Hour}}
	s := open(t, p.dir, p.opts)
	for _, verb := range []history.Verb{history.Create, history.Delete} {
		var list []history.NewVersion
		for i := range widePods { // heads and identities of several blocks
			r := history.NewVersion{Record: widePod(i, "1", verb), ManagedHashes: make([]uint64, 32)}
			r.Owners = []types.UID{types.UID(wideText("owner", i)), types.UID(wideText("other", i))}
			list = append(list, r)
		}
		appendVersions(t, s, list...)
	}
	c.t = noon(0)
	appendTo(t, s, pod("after", "0", history.Create))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	flatten(t, p.dir)
	for name, prefix := range map[string][]byte{"heads": key.AllHeads(), "identities": key.Identities()} {
		t.Run(name, func(t *testing.T) {
			p, s := p.openCopy(t)
			cool(t, s)
			blocks := blocksWith(t, p.dir, prefix)
			spoilBlocks(t, blocks[len(blocks)/2])
			pruneUntilDone(t, s)
			verifyUntilIntact(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			d := dumped(t, p.dir)
			for _, letter := range []byte("hin") {
				if n := d.count(letter); n != 1 {
					t.Errorf("got %d keys of objects that begin with %c, want 1", n, letter)
				}
			}
		})
	}
}

// TestPrune_RecordsGapDespiteDamage drops a day by size while the beginning of
// an index is damaged. The gap of the day is recorded.
func TestPrune_RecordsGapDespiteDamage(t *testing.T) {
	p := wide(t)
	c := &clock{noon(2)}
	p.opts.Now, p.opts.MaxBytes = c.now, 1
	day := key.Day(uint64(noon(0).UnixNano()))
	for name, class := range map[string]key.Class{"by resource": key.ByResource, "by time": key.ByTime} {
		t.Run(name, func(t *testing.T) {
			p, s := p.openCopy(t)
			appendTo(t, s, pod("after", "0", history.Create))
			cool(t, s)
			spoilBlocks(t, blocksWith(t, p.dir, key.ClassPrefix(day, class))[0])
			pruneUntilDone(t, s)
			gaps, err := s.Gaps(t.Context(), nil, time.Time{}, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(gaps, func(g history.Gap) bool {
				return g.GroupResource() == pods() && g.Reason == history.GapDropped &&
					g.Touches(noon(0), noon(0).Add(1))
			}) {
				t.Errorf("got %d gaps, want one of the dropped day among them", len(gaps))
			}
			if got := all(t, s, history.Scan{}); got[0].Ref.Name != "after" {
				t.Errorf("got %s, want only versions of the newest day", got[0].Ref)
			}
		})
	}
}

// TestPrune_FindsOldestDayDespiteDamage damages the beginning of the oldest
// day. Its versions are answered after Prune, or a gap covers them.
func TestPrune_FindsOldestDayDespiteDamage(t *testing.T) {
	c := &clock{noon(-3)}
	p := &past{dir: t.TempDir(), opts: store.Options{Now: c.now}, versions: map[time.Time]*history.Record{}}
	s := open(t, p.dir, p.opts)
	b := &history.Batch{}
	for i := range widePods {
		b.Versions = append(b.Versions, newVersions(widePod(i, "1", history.Create))...)
	}
	appendBatch(t, s, b)
	p.add(b)
	for i := range 9 { // more than one table
		c.t = noon(i/3 - 2)
		b := &history.Batch{Versions: newVersions(huge(i))}
		appendBatch(t, s, b)
		p.add(b)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	flatten(t, p.dir)
	p, s = p.openCopy(t)
	cool(t, s)
	spoilBlocks(t, blocksWith(t, p.dir, key.DayPrefix(key.Day(uint64(noon(-3).UnixNano()))))[0])
	if err := s.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.compare(t, s, &history.Batch{})
}

// TestOpen_RepairsOldestDay damages the beginning of the oldest day of a closed
// log, in a table that Badger does not compact soon. The first scan answers all
// versions of the day, or a gap covers them.
func TestOpen_RepairsOldestDay(t *testing.T) {
	p := &past{versions: map[time.Time]*history.Record{}}
	p.dir, p.opts = fourDays(t)
	s := open(t, p.dir, p.opts)
	for _, r := range all(t, s, history.Scan{Bodies: true}) {
		p.versions[r.Time] = r
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	layered(t, p.dir)
	path := middle(t, p.dir) // of the oldest day
	flip(t, path, 100)
	s = open(t, p.dir, p.opts)
	p.compare(t, s, &history.Batch{})
	if got := all(t, s, history.Scan{}); len(got) == len(p.versions) {
		t.Errorf("got all %d versions, want a damaged one", len(got))
	}
}

// TestPrune_RepairsVersionsBeforeItDropsTheirDay damages bodies of a day, and
// drops the day. Each object has a baseline with its body, or a gap covers it.
func TestPrune_RepairsVersionsBeforeItDropsTheirDay(t *testing.T) {
	c := &clock{noon(-5)}
	p := &past{
		dir: t.TempDir(), opts: store.Options{Now: c.now, Retention: 24 * time.Hour},
		versions: map[time.Time]*history.Record{},
	}
	s := open(t, p.dir, p.opts)
	b := &history.Batch{}
	for i := range widePods {
		r := widePod(i, "1", history.Create)
		r.Object = random(300)
		b.Versions = append(b.Versions, newVersions(r)...)
	}
	appendBatch(t, s, b)
	p.add(b)
	c.t = noon(0)
	appendTo(t, s, pod("after", "0", history.Create))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	flatten(t, p.dir)
	last := b.Versions[widePods/2]
	p, s = p.openCopy(t)
	cool(t, s)
	e := key.Entry{Class: key.Body, Object: widePods/2 + 1, TS: uint64(last.Time.UnixNano())}
	spoilBlocks(t, blocksWith(t, p.dir, e.Encode())...)
	pruneUntilDone(t, s)
	gaps, err := s.Gaps(t.Context(), nil, time.Time{}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	lost := 0
	for _, want := range b.Versions {
		got, err := s.Latest(t.Context(), want.Ref)
		switch {
		case err == nil && bytes.Equal(got.Object, want.Object):
		case history.CodeOf(err) == history.NotFound && slices.ContainsFunc(gaps, func(g history.Gap) bool {
			return g.GroupResource() == pods() && g.Reason == history.GapDamaged
		}):
			lost++
		default:
			t.Errorf("%s: got %v, error %v, want the version or a gap", want.Ref, got, err)
		}
	}
	if lost == 0 || lost > widePods/4 {
		t.Errorf("got %d lost objects, want some of %d", lost, widePods)
	}
}

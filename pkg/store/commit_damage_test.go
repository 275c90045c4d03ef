package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
	"github.com/watchhistory/watchhistory/pkg/store/internal/table"
)

// The numbers of pods and of other resources in a wide log.
const (
	widePods      = 400
	wideResources = 400
)

// wide returns a log in which each keyspace has several blocks, so that the
// damage of a block affects only one keyspace. It has pods, each with a
// namespace, a kind and a summary of its own. It has other resources, each with
// an entry in the catalogue, a checkpoint and a gap.
func wide(tb testing.TB) *past {
	tb.Helper()
	c := &clock{noon(0)}
	p := &past{dir: tb.TempDir(), opts: store.Options{Now: c.now}, versions: map[time.Time]*history.Record{}}
	s := open(tb, p.dir, p.opts)
	for _, verb := range []history.Verb{history.Create, history.Update} {
		b := &history.Batch{}
		for i := range widePods {
			b.Versions = append(b.Versions, newVersions(widePod(i, "1", verb))...)
		}
		appendBatch(tb, s, b)
		p.add(b)
	}
	b := &history.Batch{}
	for i := range wideResources {
		r := wideResource(i)
		if err := s.Register(tb.Context(), r); err != nil {
			tb.Fatal(err)
		}
		b.Checkpoints = append(b.Checkpoints, history.Checkpoint{Resource: r.Plural, RV: "1"})
		b.Gaps = append(b.Gaps, history.Gap{Resource: r.Plural, Start: c.t, End: c.t, Reason: history.GapExpired})
	}
	appendBatch(tb, s, b)
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
	flatten(tb, p.dir)
	return p
}

func widePod(i int, rv string, verb history.Verb) *history.Record {
	r := pod(fmt.Sprintf("pod-%03d", i), rv, verb)
	r.Ref.Namespace, r.Kind = wideText("namespace", i), wideText("Kind", i)
	r.Summary = &history.Summary{Text: wideText("summary", i)}
	return r
}

func wideResource(i int) history.Resource {
	return history.Resource{Version: "v1", Plural: wideText("resource", i), Kind: "Kind"}
}

func wideText(of string, i int) string {
	return fmt.Sprintf("%s-%03d-%s", of, i, strings.Repeat("x", 80))
}

// flatten compacts all tables of a closed log, so that nothing is compacted
// when it is opened. A compaction would make a loss final.
func flatten(tb testing.TB, dir string) {
	tb.Helper()
	db := raw(tb, dir)
	if err := errors.Join(store.Compact(db), db.Close()); err != nil {
		tb.Fatal(err)
	}
}

// add adds the versions of a batch to what was recorded.
func (p *past) add(b *history.Batch) {
	for _, r := range b.Versions {
		p.versions[r.Time] = r.Record
	}
}

// openCopy opens a copy of the log. The result shares nothing with p.
func (p *past) openCopy(t *testing.T) (*past, *store.Store) {
	t.Helper()
	q := &past{dir: copied(t, p.dir), opts: p.opts, versions: maps.Clone(p.versions)}
	return q, open(t, q.dir, q.opts)
}

// cool makes an open log read its files again.
func cool(t *testing.T, s *store.Store) {
	t.Helper()
	if err := store.Cool(s); err != nil {
		t.Fatal(err)
	}
}

// blockOf is a block of a table.
type blockOf struct {
	path         string
	offset, size int64
}

// blocksWith returns the blocks of all tables that contain a key with a prefix.
func blocksWith(tb testing.TB, dir string, prefix []byte) (blocks []blockOf) {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, path := range files {
		one, err := table.Open(path)
		if err != nil {
			tb.Fatal(err)
		}
		for i, b := range one.Blocks {
			for e, err := range one.Entries(i) {
				if err == nil && bytes.HasPrefix(e.Key, prefix) {
					offset, size := b.Place()
					blocks = append(blocks, blockOf{path, offset, size})
					break
				}
			}
		}
		if err := one.Close(); err != nil {
			tb.Fatal(err)
		}
	}
	if len(blocks) == 0 {
		tb.Fatalf("got no block with prefix %q, want one", prefix)
	}
	return blocks
}

// spoilBlocks flips a bit of each block.
func spoilBlocks(tb testing.TB, blocks ...blockOf) {
	tb.Helper()
	for _, b := range blocks {
		flipInPlace(tb, b.path, b.offset+b.size/2)
	}
}

// TestAppend_RepairsDamageBeforeItWrites damages a block that a batch needs,
// while the log is open. The batch is committed after a repair.
func TestAppend_RepairsDamageBeforeItWrites(t *testing.T) {
	const at = 250 // a key in the middle of its keyspace
	p, day := wide(t), key.Day(uint64(noon(0).UnixNano()))
	resource, ref := wideResource(at).Plural, widePod(at, "", history.Update).Ref
	records := func(list ...*history.Record) history.Batch { return history.Batch{Versions: newVersions(list...)} }
	update := func() history.Batch { return records(widePod(at, "2", history.Update)) }
	remove := func() history.Batch { return records(widePod(at, "3", history.Delete)) }
	otherKind := func() history.Batch {
		b := records(widePod(at, "4", history.Update))
		b.Versions[0].Kind = wideText("Kind", at/2)
		return b
	}
	newPhrase := func() history.Batch {
		b := records(widePod(1, "5", history.Update), widePod(2, "5", history.Update))
		for _, r := range b.Versions {
			r.Summary = &history.Summary{Text: "it gets a number when it is seen again"}
		}
		return b
	}
	checkpoint := func() history.Batch {
		return history.Batch{Checkpoints: []history.Checkpoint{{Resource: resource, RV: "2"}}}
	}
	gap := func() history.Batch {
		return history.Batch{Gaps: []history.Gap{{Resource: resource, Start: noon(0), Reason: history.GapExpired}}}
	}
	for name, c := range map[string]struct {
		before func() history.Batch // appended before the damage; may be nil
		damage []byte
		batch  func() history.Batch
	}{
		"resource of a checkpoint": {nil, key.Text(key.Resources, codec.Pair("", resource)), checkpoint},
		"resource of a gap":        {nil, key.Text(key.Resources, codec.Pair("", resource)), gap},
		"namespace":                {nil, key.Text(key.Namespaces, ref.Namespace), update},
		"kind":                     {nil, key.Text(key.Kinds, codec.Pair("v1", wideText("Kind", at))), update},
		"kind, head cached": {
			update, key.Text(key.Kinds, codec.Pair("v1", wideText("Kind", at/2))), otherKind,
		},
		"text of a number":             {nil, key.Number(key.Namespaces, at+1), update},
		"head":                         {nil, key.Head(1, at+1, ref.Name, string(ref.UID)), update},
		"head, cached":                 {update, key.Head(1, at+1, ref.Name, string(ref.UID)), update},
		"head of a deletion":           {nil, key.Head(1, at+1, ref.Name, string(ref.UID)), remove},
		"identity of a deletion":       {nil, key.Identity(at + 1), remove},
		"identity, head cached":        {update, key.Identity(at + 1), remove},
		"identity of a deleted object": {remove, key.Identity(at + 1), update},
		"phrase":                       {nil, key.DayPhrase(day, at), newPhrase},
		"phrase, day open":             {update, key.DayPhrase(day, at), newPhrase},
		"checkpoint":                   {nil, key.Checkpoint(at + 2), checkpoint},
		"catalogue":                    {nil, key.CatalogueEntry("", resource), checkpoint},
		"gap":                          {nil, key.Gap(at+2, uint64(noon(0).UnixNano())), gap},
	} {
		t.Run(name, func(t *testing.T) {
			p, s := p.openCopy(t)
			if c.before != nil {
				b := c.before()
				appendBatch(t, s, &b)
				p.add(&b)
			}
			cool(t, s)
			spoilBlocks(t, blocksWith(t, p.dir, c.damage)...)
			b := c.batch()
			p.continues(t, s, &b)
		})
	}
}

// TestAppend_ContinuesHeadsThatItEvicts damages heads that are cached when a
// batch begins, and evicted before the batch needs them.
func TestAppend_ContinuesHeadsThatItEvicts(t *testing.T) {
	const cached = 4096
	p := &past{dir: t.TempDir(), versions: map[time.Time]*history.Record{}}
	s := open(t, p.dir, p.opts)
	batch := func(resource string) *history.Batch {
		b := &history.Batch{}
		for i := range cached {
			r := pod(fmt.Sprint("pod-", i), "1", history.Update)
			r.Ref.Resource, r.Object = resource, nil
			b.Versions = append(b.Versions, newVersions(r)...)
		}
		return b
	}
	appendBatch(t, s, batch("pods"))
	cool(t, s)
	last := pod("pod-0", "", history.Update).Ref
	spoilBlocks(t, blocksWith(t, p.dir, key.Head(1, 1, last.Name, string(last.UID)))...)
	b := batch("others") // their heads are in other blocks
	b.Versions = append(b.Versions, batch("pods").Versions...)
	appendBatch(t, s, b)
	for _, r := range b.Versions[cached:] {
		if r.Revision != 2 {
			t.Fatalf("%s: got revision %d, want 2", r.Ref, r.Revision)
		}
	}
}

// TestAppend_OnDamageOfAnyBlock flips a bit of a block while the log is open,
// and appends a batch that continues all objects and resources.
func TestAppend_OnDamageOfAnyBlock(t *testing.T) {
	p, rng, rounds := recorded(t, 1500), chance(t), form(2, *kills)
	if testing.Short() {
		rounds = 1
	}
	for range rounds {
		for _, keyspace := range []string{"d", "h", "i", ""} { // small ones, and any
			p, s := p.openCopy(t)
			warm := rng.IntN(2) == 0
			if warm {
				b := p.next("8000000")
				appendBatch(t, s, b)
				p.add(b)
			}
			cool(t, s)
			blocks := blocksWith(t, p.dir, []byte(keyspace))
			block := blocks[rng.IntN(len(blocks))]
			t.Logf("block at %d of %s, warm: %t", block.offset, filepath.Base(block.path), warm)
			spoilBlocks(t, block)
			p.continues(t, s, p.next("9000000"))
		}
	}
}

// next returns a batch with an update, a deletion or a recreation of each
// object, with a new object, and with a checkpoint and a gap of each resource.
func (p *past) next(rv string) *history.Batch {
	newest := map[history.ObjectRef]*history.Record{}
	resources := map[schema.GroupResource]bool{}
	for _, r := range p.versions {
		if n := newest[r.Ref]; n == nil || r.Time.After(n.Time) {
			newest[r.Ref] = r
		}
		resources[r.Ref.GroupResource()] = true
	}
	b := &history.Batch{}
	for ref, last := range newest {
		r := *last
		r.Verb, r.RV, r.Initial, r.InferredSince = history.Update, rv, false, time.Time{}
		if ref.UID[0]%2 == 0 && last.Verb != history.Delete {
			r.Verb = history.Delete
		}
		b.Versions = append(b.Versions, newVersions(&r)...)
	}
	added := pod("added-"+rv, rv, history.Create)
	added.Ref.Namespace, added.Kind = "added-"+rv, "Added"+rv
	b.Versions = append(b.Versions, newVersions(added)...)
	for r := range resources {
		b.Checkpoints = append(b.Checkpoints, history.Checkpoint{Group: r.Group, Resource: r.Resource, RV: rv})
		b.Gaps = append(b.Gaps, history.Gap{
			Group: r.Group, Resource: r.Resource, Start: p.opts.Now(), End: p.opts.Now(), Reason: history.GapExpired,
		})
	}
	return b
}

// continues appends a batch to a damaged log. It succeeds, and every version is
// answered as it was recorded, or a gap covers it.
func (p *past) continues(t *testing.T, s *store.Store, b *history.Batch) {
	t.Helper()
	if err := s.Append(t.Context(), b); err != nil {
		t.Errorf("Append: got error %v (%s), want none", err, history.CodeOf(err))
		return
	}
	p.add(b)
	verifyUntilIntact(t, s)
	p.compare(t, s, b)
	s = reopen(t, s, p.dir, p.opts)
	verified(t, s)
	p.compare(t, s, b)
}

// compare compares a repaired log with what was recorded: each version is
// answered, or a gap covers it. The gaps of the last batch are there, and its
// checkpoints, unless the repair withdrew them.
func (p *past) compare(t *testing.T, s *store.Store, last *history.Batch) {
	t.Helper()
	gaps, err := s.Gaps(t.Context(), nil, noon(-30), noon(30))
	if err != nil {
		t.Fatal(err)
	}
	got, revisions := map[time.Time]bool{}, map[history.ObjectRef]uint64{}
	for _, r := range all(t, s, history.Scan{Bodies: true}) {
		got[r.Time] = true
		if r.Revision <= revisions[r.Ref] {
			t.Errorf("%s at %s: got revision %d after %d, want a higher one",
				r.Ref, r.Time, r.Revision, revisions[r.Ref])
		}
		revisions[r.Ref] = r.Revision
		want, inferred := p.versions[r.Time], !r.InferredSince.IsZero()
		if want == nil && !inferred {
			t.Errorf("got %s at %s, want only recorded versions", r.Ref, r.Time)
		}
		if want != nil {
			if d := differ(*want, *r); d != "" {
				t.Errorf("%s at %s differs (-want +got):\n%s", r.Ref, r.Time, d)
			}
		}
	}
	for at, r := range p.versions {
		if !got[at] && !within(gaps, r) {
			t.Errorf("%s at %s: got nothing, want the version or one of %d gaps", r.Ref, at, len(gaps))
		}
	}
	for _, c := range last.Checkpoints {
		at, err := s.Checkpoint(t.Context(), schema.GroupResource{Group: c.Group, Resource: c.Resource})
		if err != nil || at.RV != c.RV && at.RV != "" {
			t.Errorf("checkpoint of %s: got %q, error %v, want %q or none", c.Resource, at.RV, err, c.RV)
		}
	}
	for _, g := range last.Gaps {
		if !slices.ContainsFunc(gaps, func(f history.Gap) bool {
			return f.GroupResource() == g.GroupResource() && f.Start.Equal(g.Start) && f.Reason == g.Reason
		}) {
			t.Errorf("got gaps %v, want %v among them", gaps, g)
		}
	}
}

// differ compares a record of a repaired log with the recorded one. A repair
// may lose the managers and the summary, and the body of a deletion.
func differ(want, got history.Record) string {
	if got.Summary == nil && got.Managers == nil {
		want.Summary, want.Managers = nil, nil
	}
	if got.Verb == history.Delete && len(got.Object) == 0 {
		want.Object = nil
	}
	if !bytes.Equal(want.Object, got.Object) {
		return fmt.Sprintf("-%s\n+%s", want.Object, got.Object)
	}
	want.Object, got.Object = nil, nil // cmp.Diff is slow
	return cmp.Diff(want, got)
}

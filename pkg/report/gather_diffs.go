package report

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// Bounds of diffs.
const (
	maxDiffs     = 3000    // diffs of rows
	maxDiffSize  = 8 << 10 // bytes of one diff
	maxRevisions = 100     // revisions of one object that a query selects
)

// diffs reads the diffs of versions to the ones before them. All versions of an
// object are read at once. Those of many objects are read from the timeline.
type diffs struct {
	order  []objectKey
	wanted map[objectKey][]wantedDiff

	first, last time.Time // of the versions
}

// wantedDiff is a diff that is not read yet.
type wantedDiff struct {
	revision uint64
	to       *string
}

const (
	// manyObjects is the number of objects from which on the timeline is read.
	manyObjects = 20
	// maxTimeline is how many changes of the timeline are read for one diff.
	maxTimeline = 10
)

// hasDiff reports whether a version has a diff to the one before it.
func hasDiff(e *v1.Event) bool {
	return e.Verb == history.Update.String() && e.Revision >= 2 && e.UID != ""
}

// want adds the diff of a version, which is written to a text. Versions that
// have no diff are ignored: creations and deletions.
func (d *diffs) want(e *v1.Event, to *string) bool {
	if !hasDiff(e) {
		return false
	}
	key := keyOf(e)
	if d.wanted == nil {
		d.wanted = map[objectKey][]wantedDiff{}
	}
	if d.wanted[key] == nil {
		d.order = append(d.order, key)
	}
	d.wanted[key] = append(d.wanted[key], wantedDiff{e.Revision, to})
	if d.first.IsZero() || e.Timestamp.Before(d.first) {
		d.first = e.Timestamp
	}
	if e.Timestamp.After(d.last) {
		d.last = e.Timestamp
	}
	return true
}

// readTimeline reads the diffs of root changes in a scope, the newest first. It
// reads a bounded number of changes, and none from a recorder that is too old
// for that: the other diffs stay wanted.
func (d *diffs) readTimeline(ctx context.Context, source *client.Client, scope history.NamespaceScope) error {
	left := 0
	for _, wanted := range d.wanted {
		left += len(wanted)
	}
	most, supported := maxTimeline*left, false
	for e, err := range source.All(ctx, client.EventsQuery{
		Namespace: scope, Start: d.first, End: d.last.Add(1), Order: history.NewestFirst, Limit: pageSize,
		Verbs: []history.Verb{history.Update}, Classes: []history.Class{history.Root}, Previous: true,
	}) {
		if err != nil {
			return err
		}
		key := keyOf(&e)
		i := slices.IndexFunc(d.wanted[key], func(w wantedDiff) bool { return w.revision == e.Revision })
		if supported = supported || len(e.PreviousObject) > 0; i >= 0 && supported {
			if err := d.wanted[key][i].set(&e); err != nil {
				return err
			}
			d.wanted[key] = slices.Delete(d.wanted[key], i, i+1)
			left--
		}
		if most--; left == 0 || most == 0 || i >= 0 && !supported {
			break
		}
	}
	return nil
}

// set writes the diff of a version that has the object before.
func (w *wantedDiff) set(after *v1.Event) error {
	if len(after.PreviousObject) == 0 {
		return nil // not kept
	}
	before := *after
	before.ObjectChanges, before.Revision = after.PreviousObject, after.Revision-1
	return w.write(&before, after)
}

// write writes the diff of two versions.
func (w *wantedDiff) write(before, after *v1.Event) error {
	var text bytes.Buffer
	if _, _, err := render.New(&text, render.Options{}).Changes(before, after); err != nil {
		return err
	}
	*w.to = cutLines(text.String(), maxDiffSize)
	return nil
}

// read reads all diffs. The text of one whose versions are not kept stays
// empty.
func (d *diffs) read(ctx context.Context, source *client.Client) error {
	for _, key := range d.order {
		for batch := range slices.Chunk(d.wanted[key], maxRevisions/2) {
			if err := readDiffs(ctx, source, key, batch); err != nil {
				return err
			}
		}
	}
	return nil
}

// readDiffs reads some diffs of one object.
func readDiffs(ctx context.Context, source *client.Client, of objectKey, wanted []wantedDiff) error {
	q := client.ObjectQuery{
		Namespace: history.ScopeOf(of.namespace), Resource: of.resource, Name: of.name, UID: of.uid,
		Limit: maxRevisions,
	}
	for _, w := range wanted {
		for _, revision := range []uint64{w.revision - 1, w.revision} {
			if !slices.Contains(q.Revisions, revision) {
				q.Revisions = append(q.Revisions, revision)
			}
		}
	}
	found := map[uint64]*v1.Event{}
	for e, err := range source.Versions(ctx, q) {
		if err != nil {
			return err
		}
		found[e.Revision] = &e
	}
	for _, w := range wanted {
		before, after := found[w.revision-1], found[w.revision]
		if before == nil || after == nil {
			continue
		}
		if err := w.write(before, after); err != nil {
			return err
		}
	}
	return nil
}

// cutLines returns the first lines of a text, at most size bytes of them, and
// how many are missing.
func cutLines(text string, size int) string {
	text = strings.TrimSuffix(text, "\n")
	if len(text) <= size {
		return text
	}
	end := strings.LastIndexByte(text[:size], '\n')
	if end < 0 {
		return strings.ToValidUTF8(text[:size], "") + "…"
	}
	return text[:end] + "\n  … " + counted(strings.Count(text[end:], "\n"), "more line")
}

// shownChanges returns the positions of the changes of a row that have diffs:
// the newest one, and the one before it if the same object was changed several
// times.
func shownChanges(r *v1.Row) (positions []int) {
	n := len(r.Changes)
	if n > 1 && (r.Kind == "repeat" || r.Kind == "fight") {
		positions = append(positions, n-2)
	}
	if n > 0 {
		positions = append(positions, n-1)
	}
	return positions
}

// rowDiffs reads the diffs of the rows, the newest first.
func (g *gatherer) rowDiffs(ctx context.Context) error {
	var wanted diffs
	texts, n := map[*string]func(string){}, 0
	for i := range slices.Backward(g.r.Rows) {
		row := &g.r.Rows[i]
		row.Diffs = map[int]string{}
		for _, position := range shownChanges(&row.Row) {
			if n == g.q.Diffs {
				if hasDiff(&row.Changes[position]) {
					g.r.MoreDiffs++
				}
				continue
			}
			text := new(string)
			if wanted.want(&row.Changes[position], text) {
				texts[text] = func(diff string) { row.Diffs[position] = diff }
				n++
			}
		}
	}
	if len(wanted.order) >= manyObjects {
		if err := wanted.readTimeline(ctx, g.source, g.q.Namespace); err != nil {
			return err
		}
	}
	if err := wanted.read(ctx, g.source); err != nil {
		return err
	}
	for text, set := range texts {
		if *text != "" {
			set(*text)
		}
	}
	return nil
}

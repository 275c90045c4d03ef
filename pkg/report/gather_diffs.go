package report

import (
	"bytes"
	"context"
	"slices"
	"strings"

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
// object are read at once.
type diffs struct {
	order  []objectKey
	wanted map[objectKey][]wantedDiff
}

// wantedDiff is a diff that is not read yet.
type wantedDiff struct {
	revision uint64
	to       *string
}

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
	return true
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
		var text bytes.Buffer
		if _, _, err := render.New(&text, render.Options{}).Changes(before, after); err != nil {
			return err
		}
		*w.to = cutLines(text.String(), maxDiffSize)
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

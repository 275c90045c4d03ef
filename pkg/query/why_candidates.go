package query

import (
	"cmp"
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/watchhistory/watchhistory/pkg/diff"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/summary"
	"github.com/watchhistory/watchhistory/pkg/why"
)

// candidates returns the root changes that may have caused the symptoms.
func (w *investigation) candidates(ctx context.Context) ([]why.Candidate, error) {
	w.summaries, w.paths = map[*history.Record]string{}, map[string][]PathStep{}
	w.replaced = map[time.Time]bool{}
	var all []why.Candidate
	seen := map[time.Time]bool{}
	end := w.answer.Onset.Add(time.Minute) // with creations of what was deleted before
	if end.After(w.end) {
		end = w.end
	}
	add := func(filter history.Filter, limit int, n *neighbour) error {
		filter.Start, filter.End = w.answer.Searched, end
		if filter.View == nil {
			filter.View = w.view
		}
		filter.Classes = []history.Class{history.Root}
		found, err := w.roots(ctx, filter, limit)
		if err != nil {
			return err
		}
		for _, c := range found {
			if seen[c.Change.Time] || len(all) >= maxCandidates || c.Change.Initial {
				continue
			}
			seen[c.Change.Time] = true
			c.Distance = n.distance
			if len(n.path) > 0 {
				c.Rule = n.path[len(n.path)-1].Rule
			}
			c.Dangling = n.State == Missing
			c.Named = n.named || w.names(c.Change.Ref.Name)
			all = append(all, c)
			ref := c.Change.Ref
			w.paths[nameOf(ref)] = n.path
		}
		return nil
	}
	if err := w.readFormer(ctx); err != nil {
		return nil, err
	}
	neighbours := w.neighbours()
	slices.SortStableFunc(neighbours, func(a, b neighbour) int { return cmp.Compare(a.distance, b.distance) })
	for i, n := range neighbours {
		if i == maxNeighbours || len(all) == maxCandidates {
			w.unread(UnreadChanges, true)
			break
		}
		if n.Ref.Name == "" || n.Ref.Resource == "" {
			continue
		}
		named := history.Filter{Namespace: n.Ref.Scope(), Name: n.Ref.Name}
		named.Resources = append(named.Resources, n.Ref.GroupResource())
		named.Verbs = n.verbs
		if err := add(named, perObject, &n); err != nil {
			return nil, err
		}
	}
	hosts, err := w.hosts(ctx)
	if err != nil {
		return nil, err
	}
	for i := range hosts {
		if err := add(hosts[i].filter, perObject, &hosts[i].neighbour); err != nil {
			return nil, err
		}
	}
	for _, o := range w.others() {
		w.answer.Searched = w.answer.Onset.Add(-o.within)
		if err := add(o.Filter, 2*perObject, &neighbour{distance: o.distance}); err != nil {
			return nil, err
		}
	}
	w.answer.Searched = w.answer.Onset.Add(-w.lookback)
	last := w.answer.Onset
	if !w.answer.Initial {
		last = last.Add(slack)
	}
	return slices.DeleteFunc(all, func(c why.Candidate) bool {
		return w.replaced[c.Change.Time] || c.Began.After(last)
	}), nil
}

// roots returns the newest root changes of a filter as candidates, with their
// changed fields. A deletion and the creation of the same name shortly after it
// are one candidate.
func (w *investigation) roots(ctx context.Context, filter history.Filter, limit int) ([]why.Candidate, error) {
	var records []*history.Record
	scan := history.Scan{Filter: filter, Order: history.NewestFirst, Limit: limit, Bodies: true}
	for r, err := range w.service.reader.Scan(ctx, scan) {
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	summarizer := newSummarizer(w.service.reader)
	similar := map[string]*habit{}
	var found []why.Candidate
	for _, r := range slices.Backward(records) { // oldest first
		before, err := summarizer.previous(ctx, r)
		if err != nil {
			return nil, err
		}
		c := why.Candidate{Change: r, Began: r.Time}
		if last := deletionOf(found, r); last >= 0 {
			before = found[last].Change
			w.replaced[before.Time] = true
			found = slices.Delete(found, last, last+1)
			c.Began = before.Time
		}
		described, err := summarizer.summary(ctx, r)
		if err != nil {
			return nil, err
		}
		w.summaries[r] = described.Text
		if before != nil {
			changes := summary.Compare(before.Object, r.Object).Changes()
			c.Paths = paths(changes)
			c.Delta, c.Removes = deltaOf(changes), removes(changes)
			if r.Verb == history.Create {
				w.summaries[r] = "deleted and created again: " + diff.Summary(changes)
			}
		}
		if r.Verb == history.Update {
			key := nameOf(r.Ref) + " " + strings.Join(c.Paths, ",")
			if similar[key] == nil {
				similar[key] = &habit{}
			}
			c.Similar = similar[key].add(c.Delta)
		}
		summarizer.cache(r)
		found = append(found, c)
	}
	return found, nil
}

// habit is what is known of earlier changes of the same fields.
type habit struct {
	count   int
	largest float64 // change of a number
}

// unusual is how many times larger than all before a change of a number is that
// is not like them.
const unusual = 3

// add adds a change, and returns how many similar ones were before it.
func (h *habit) add(delta float64) (similar int) {
	similar = h.count
	if delta = math.Abs(delta); delta >= unusual*h.largest && h.largest > 0 {
		similar = 0
	}
	h.count++
	h.largest = max(h.largest, delta)
	return similar
}

// deltaOf returns by how much the only number that changed grew, or 0.
func deltaOf(changes []diff.Change) (delta float64) {
	for _, c := range changes {
		if c.Noise() || c.Path.Below("status") {
			continue
		}
		before, after := number(c.Old), number(c.New)
		if delta != 0 || math.IsNaN(before) || math.IsNaN(after) {
			return 0
		}
		delta = after - before
	}
	return delta
}

// number returns a JSON number, or NaN.
func number(of any) float64 {
	switch n := of.(type) {
	case float64:
		return n
	case int64:
		return float64(n)
	case json.Number:
		if f, err := n.Float64(); err == nil {
			return f
		}
	}
	return math.NaN()
}

// removes reports whether all changes remove something.
func removes(changes []diff.Change) bool {
	some := false
	for _, c := range changes {
		if c.Noise() || c.Path.Below("status") {
			continue
		}
		if c.New != nil {
			return false
		}
		some = true
	}
	return some
}

// deletionOf returns the position of the deletion that a creation of the same
// name replaces, or -1.
func deletionOf(found []why.Candidate, created *history.Record) int {
	if created.Verb != history.Create {
		return -1
	}
	for i, c := range slices.Backward(found) {
		if last := c.Change; nameOf(last.Ref) == nameOf(created.Ref) {
			if last.Verb == history.Delete && created.Time.Sub(last.Time) < recreationTime {
				return i
			}
			return -1
		}
	}
	return -1
}

// paths returns the paths of changes, without noise and status.
func paths(changes []diff.Change) (all []string) {
	for _, c := range changes {
		if !c.Noise() && !c.Path.Below("status") {
			all = append(all, c.Path.String())
		}
	}
	return all
}

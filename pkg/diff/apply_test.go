package diff_test

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/watchhistory/watchhistory/pkg/diff"
)

// apply returns the object that results from the changes.
func apply(old map[string]any, changes []diff.Change) map[string]any {
	return applyTo(old, changes, 0).(map[string]any)
}

// applyTo applies the changes to a value. All paths lead through the value at
// depth.
func applyTo(value any, changes []diff.Change, depth int) any {
	if len(changes) == 0 {
		return value
	}
	if c := changes[0]; len(c.Path) == depth && c.Kind != diff.Reordered {
		return c.New
	}
	switch v := value.(type) {
	case map[string]any:
		return applyToObject(v, changes, depth)
	case []any:
		return applyToList(v, changes, depth)
	default:
		panic(fmt.Sprintf("%s leads into %T", changes[0].Path, value))
	}
}

func applyToObject(object map[string]any, changes []diff.Change, depth int) any {
	result := map[string]any{}
	for field, value := range object {
		below := under(changes, depth, func(s diff.Segment) bool { return !s.Item && s.Field == field })
		if len(below) != 1 || below[0].Kind != diff.Removed || len(below[0].Path) != depth+1 {
			result[field] = applyTo(value, below, depth+1)
		}
	}
	for _, c := range changes {
		if c.Kind == diff.Added && len(c.Path) == depth+1 {
			result[c.Path[depth].Field] = c.New
		}
	}
	return result
}

// applyToList removes items by old positions, orders the remaining ones,
// inserts by new positions, and applies the changes inside items.
func applyToList(list []any, changes []diff.Change, depth int) any {
	here := func(kind diff.Kind) []diff.Change {
		return slices.DeleteFunc(slices.Clone(changes), func(c diff.Change) bool {
			return c.Kind != kind || len(c.Path) != depth+1
		})
	}
	var kept []any
	for i, item := range list {
		if !slices.ContainsFunc(here(diff.Removed), func(c diff.Change) bool { return c.Path[depth].Index == i }) {
			kept = append(kept, item)
		}
	}
	for _, c := range changes {
		if c.Kind == diff.Reordered && len(c.Path) == depth {
			kept = reorder(kept, c)
		}
	}
	for _, c := range here(diff.Added) {
		kept = slices.Insert(kept, c.Path[depth].Index, c.New)
	}
	result := make([]any, len(kept))
	for i, item := range kept {
		result[i] = applyTo(item, under(changes, depth, func(s diff.Segment) bool { return s.Item && s.Index == i }),
			depth+1)
	}
	return result
}

func reorder(items []any, c diff.Change) []any {
	var result []any
	for _, key := range c.New.([]any) {
		result = append(result, items[slices.Index(c.Old.([]any), key)])
	}
	return result
}

// under returns the changes whose paths go through a segment. Those of added
// and removed items are applied already.
func under(changes []diff.Change, depth int, through func(diff.Segment) bool) []diff.Change {
	var below []diff.Change
	for _, c := range changes {
		item := len(c.Path) == depth+1 && c.Path[depth].Item && (c.Kind == diff.Added || c.Kind == diff.Removed)
		if len(c.Path) > depth && !item && through(c.Path[depth]) {
			below = append(below, c)
		}
	}
	return below
}

// generator returns random objects of few words, so that many are equal.
type generator struct{ *rand.Rand }

func (g generator) word() string {
	words := []string{
		"name", "uid", "type", "port", "protocol", "status", "spec", "conditions", "containers",
		"containerStatuses", "state", "waiting", "metadata", "annotations", "data", "image", "", "a.b/c",
	}
	return words[g.IntN(len(words))]
}

func (g generator) object(depth int) map[string]any {
	o := map[string]any{}
	for range g.IntN(5) {
		o[g.word()] = g.value(depth - 1)
	}
	return o
}

func (g generator) value(depth int) any {
	switch n := g.IntN(8); {
	case depth > 0 && n < 2:
		return g.object(depth)
	case depth > 0 && n < 5:
		return g.list(depth)
	case n == 5:
		return float64(g.IntN(4))
	case n == 6:
		return nil
	default:
		return g.word()
	}
}

func (g generator) list(depth int) []any {
	list := []any{}
	keyed := g.IntN(2) == 0
	for i := range g.IntN(6) {
		if keyed {
			o := g.object(depth - 1)
			o["name"] = fmt.Sprint(i)
			list = append(list, o)
		} else {
			list = append(list, g.value(depth-1))
		}
	}
	return list
}

// mutate returns a changed copy.
func (g generator) mutate(value any, depth int) any {
	switch v := value.(type) {
	case map[string]any:
		o := map[string]any{}
		for field, inside := range v {
			if g.IntN(8) > 0 {
				o[field] = g.mutate(inside, depth-1)
			}
		}
		if g.IntN(4) == 0 {
			o[g.word()] = g.value(depth - 1)
		}
		return o
	case []any:
		list := []any{}
		for _, inside := range v {
			if g.IntN(6) > 0 {
				list = append(list, g.mutate(inside, depth-1))
			}
		}
		if g.IntN(4) == 0 {
			g.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		}
		if g.IntN(4) == 0 {
			list = slices.Insert(list, g.IntN(len(list)+1), g.value(depth-1))
		}
		return list
	default:
		if g.IntN(6) == 0 {
			return g.value(0)
		}
		return value
	}
}

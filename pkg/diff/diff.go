package diff

import (
	"reflect"
	"slices"
)

// Kind is the kind of a [Change].
type Kind uint8

// The kinds of changes.
const (
	Added     Kind = iota + 1 // Old is nil
	Removed                   // New is nil
	Changed                   // Old and New differ
	Reordered                 // Old and New are the keys ([]any of string) of the remaining items, each in its order
)

// String returns the kind's name in lower case.
func (k Kind) String() string {
	switch k {
	case Added:
		return "added"
	case Removed:
		return "removed"
	case Changed:
		return "changed"
	case Reordered:
		return "reordered"
	default:
		return "none"
	}
}

// Change is one difference. A value that only one side has is one change,
// regardless of its content.
type Change struct {
	Path     Path
	Kind     Kind
	Old, New any
}

// Objects returns the changes from old to new, sorted by the fields of their
// paths. Both must be decoded by encoding/json, with the same options. Values
// of any other type are either equal or one change. Equal objects have no
// changes.
func Objects(old, new map[string]any) []Change {
	var d differ
	d.objects(old, new)
	return d.changes
}

// differ collects changes in a recursive comparison.
type differ struct {
	path    Path // of the values that are being compared
	changes []Change
}

// add adds a change at the current path.
func (d *differ) add(kind Kind, old, new any) {
	d.changes = append(d.changes, Change{Path: slices.Clone(d.path), Kind: kind, Old: old, New: new})
}

// enter appends a segment to the path. Each enter has a matching leave.
func (d *differ) enter(s Segment) { d.path = append(d.path, s) }

func (d *differ) leave() { d.path = d.path[:len(d.path)-1] }

// objects compares two objects field by field.
func (d *differ) objects(old, new map[string]any) {
	for _, field := range fields(old, new) {
		o, inOld := old[field]
		n, inNew := new[field]
		d.enter(Segment{Field: field})
		switch {
		case !inNew:
			d.add(Removed, o, nil)
		case !inOld:
			d.add(Added, nil, n)
		default:
			d.values(o, n)
		}
		d.leave()
	}
}

// values compares two values that both exist.
func (d *differ) values(old, new any) {
	// Strings and containers are compared without reflection: they are nearly
	// all values. A nil container differs from an empty one.
	switch o := old.(type) {
	case string:
		if n, ok := new.(string); ok && o == n {
			return
		}
	case map[string]any:
		if n, ok := new.(map[string]any); ok && (o == nil) == (n == nil) {
			d.objects(o, n)
			return
		}
	case []any:
		if n, ok := new.([]any); ok && (o == nil) == (n == nil) {
			d.lists(o, n)
			return
		}
	}
	if !reflect.DeepEqual(old, new) {
		d.add(Changed, old, new)
	}
}

// lists compares two lists: by keys if all items have one, otherwise by
// equality.
func (d *differ) lists(old, new []any) {
	// Items with keys keep their identity when they move. Other items are
	// identified by their content.
	k, keyed := commonKeys(old, new)
	var pairs []pair
	if keyed {
		pairs = alignByKey(k)
	} else {
		pairs = alignByEquality(old, new)
		k = keys{make([]string, len(old)), make([]string, len(new))}
	}
	for _, p := range pairs {
		if p.new < 0 {
			d.enter(Segment{Item: true, Index: p.old, Key: k.old[p.old]})
			d.add(Removed, old[p.old], nil)
			d.leave()
			continue
		}
		d.enter(Segment{Item: true, Index: p.new, Key: k.new[p.new]})
		if p.old < 0 {
			d.add(Added, nil, new[p.new])
		} else {
			d.values(old[p.old], new[p.new])
		}
		d.leave()
	}
	if keyed {
		d.order(pairs, k.old)
	}
}

// order adds a change if the remaining items changed their order.
func (d *differ) order(pairs []pair, keys []string) {
	before := make([]int, 0, len(pairs))
	for _, p := range pairs {
		if p.old >= 0 && p.new >= 0 {
			before = append(before, p.old)
		}
	}
	if slices.IsSorted(before) {
		return
	}
	inOrder := func(indices []int) (all []any) {
		for _, i := range indices {
			all = append(all, keys[i])
		}
		return all
	}
	d.add(Reordered, inOrder(slices.Sorted(slices.Values(before))), inOrder(before))
}

// fields returns the names of the fields of both objects, sorted.
func fields(old, new map[string]any) []string {
	names := make([]string, 0, len(old)+len(new))
	for name := range old {
		names = append(names, name)
	}
	for name := range new {
		if _, ok := old[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

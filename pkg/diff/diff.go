package diff

import (
	"maps"
	"reflect"
	"slices"
)

// Kind says what a [Change] does.
type Kind uint8

// The kinds of changes.
const (
	Added     Kind = iota + 1 // Old is nil
	Removed                   // New is nil
	Changed                   // Old and New differ
	Reordered                 // Old and New are the keys ([]any of string) of the items that a list had and has, in their orders
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

// Change is one difference. A value that is there on one side only is one change, however much is inside it.
type Change struct {
	Path     Path
	Kind     Kind
	Old, New any
}

// Objects returns the changes from old to new, in the order of their paths' fields. Both are what encoding/json makes of
// an object, decoded in the same way; values of any other type are compared as a whole. Equal objects have no changes.
func Objects(old, new map[string]any) []Change {
	var d differ
	d.objects(nil, old, new)
	return d.changes
}

type differ struct {
	changes []Change
}

func (d *differ) add(path Path, kind Kind, old, new any) {
	d.changes = append(d.changes, Change{Path: path, Kind: kind, Old: old, New: new})
}

func (d *differ) objects(path Path, old, new map[string]any) {
	for _, field := range fields(old, new) {
		o, inOld := old[field]
		n, inNew := new[field]
		at := path.with(Segment{Field: field})
		switch {
		case !inNew:
			d.add(at, Removed, o, nil)
		case !inOld:
			d.add(at, Added, nil, n)
		default:
			d.values(at, o, n)
		}
	}
}

// values compares two values that both exist.
func (d *differ) values(path Path, old, new any) {
	switch o := old.(type) {
	case map[string]any:
		if n, ok := new.(map[string]any); ok && (o == nil) == (n == nil) {
			d.objects(path, o, n)
			return
		}
	case []any:
		if n, ok := new.([]any); ok && (o == nil) == (n == nil) {
			d.lists(path, o, n)
			return
		}
	}
	if !reflect.DeepEqual(old, new) {
		d.add(path, Changed, old, new)
	}
}

func (d *differ) lists(path Path, old, new []any) {
	keyOf, keyed := commonKey(old, new)
	align := alignByEquality
	if keyed {
		align = func(old, new []any) []pair { return alignByKey(old, new, keyOf) }
	}
	segment := func(item any, index int) Segment {
		return Segment{Item: true, Index: index, Key: keyOf(item)}
	}
	pairs := align(old, new)
	for _, p := range pairs {
		switch {
		case p.new < 0:
			d.add(path.with(segment(old[p.old], p.old)), Removed, old[p.old], nil)
		case p.old < 0:
			d.add(path.with(segment(new[p.new], p.new)), Added, nil, new[p.new])
		default:
			d.values(path.with(segment(new[p.new], p.new)), old[p.old], new[p.new])
		}
	}
	if keyed {
		d.order(path, old, pairs, keyOf)
	}
}

// order reports that the items that stayed changed places.
func (d *differ) order(path Path, old []any, pairs []pair, keyOf func(any) string) {
	var before []int
	for _, p := range pairs {
		if p.old >= 0 && p.new >= 0 {
			before = append(before, p.old)
		}
	}
	if slices.IsSorted(before) {
		return
	}
	keys := func(indices []int) []any {
		var keys []any
		for _, i := range indices {
			keys = append(keys, keyOf(old[i]))
		}
		return keys
	}
	d.add(path, Reordered, keys(slices.Sorted(slices.Values(before))), keys(before))
}

// fields returns the names of all fields of both, sorted.
func fields(old, new map[string]any) []string {
	names := slices.AppendSeq(make([]string, 0, len(old)+len(new)), maps.Keys(old))
	for name := range new {
		if _, ok := old[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

package diff

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Leaf is a value of an object that has no fields and no items: a scalar, or an
// empty object or list. An item of a list is a leaf, too, if it consists of its
// key.
type Leaf struct {
	Path  Path
	Value any
	// Origin is the version that set the value, as [Origins.Back] was given it.
	// It is -1 as long as that is not known.
	Origin int
}

// Origins finds the version of an object that last changed each of its leaves.
// The versions are compared from the newest one back. Items of lists are
// followed by their keys or, without keys, by their contents.
type Origins struct {
	leaves []*Leaf
	object map[string]any // the version that is compared next
	root   *origin
	open   int
}

// origin is a value whose leaves are not all attributed yet.
type origin struct {
	leaf     *Leaf     // nil if the value has children
	children []*origin // with open leaves
	field    string    // of the parent, if that is an object
	index    int       // in the parent, if that is a list: of the version that is compared next
}

// NewOrigins returns the origins of an object's leaves, which are not known
// yet. skip excludes a value with everything below it.
func NewOrigins(object map[string]any, skip func(Path) bool) *Origins {
	o := &Origins{object: object}
	o.root = o.add(object, nil, skip)
	o.open = len(o.leaves)
	return o
}

// Leaves returns the leaves, in the order of their paths' fields.
func (o *Origins) Leaves() []*Leaf { return o.leaves }

// Open returns the number of leaves whose origin is not known.
func (o *Origins) Open() int { return o.open }

// Back compares the version with the previous one, which is compared next.
// Leaves that differ are attributed to the given version. The argument must be
// decoded as the object was.
func (o *Origins) Back(version int, previous map[string]any) {
	if o.root != nil && !o.back(o.root, version, o.object, previous) {
		o.root = nil
	}
	o.object = previous
}

// Close attributes all remaining leaves to a version.
func (o *Origins) Close(version int) {
	if o.root != nil {
		o.attribute(o.root, version)
		o.root = nil
	}
}

// add adds the leaves of a value. It returns nil if it has none.
func (o *Origins) add(value any, path Path, skip func(Path) bool) *origin {
	if len(path) > 0 && skip(path) {
		return nil
	}
	n := &origin{}
	switch v := value.(type) {
	case map[string]any:
		for _, field := range slices.Sorted(maps.Keys(v)) {
			if isKeyOf(path, field) {
				continue
			}
			if child := o.add(v[field], append(slices.Clip(path), Segment{Field: field}), skip); child != nil {
				child.field = field
				n.children = append(n.children, child)
			}
		}
		if len(path) == 0 || len(v) > 0 && !isOnlyKey(path, v) {
			return withChildren(n)
		}
	case []any:
		k, _ := commonKeys(v, v)
		for i := range v {
			s := Segment{Item: true, Index: i}
			if k.new != nil {
				s.Key = k.new[i]
			}
			if child := o.add(v[i], append(slices.Clip(path), s), skip); child != nil {
				child.index = i
				n.children = append(n.children, child)
			}
		}
		if len(v) > 0 {
			return withChildren(n)
		}
	}
	n.leaf = &Leaf{Path: path, Value: value, Origin: -1}
	o.leaves = append(o.leaves, n.leaf)
	return n
}

// withChildren returns n, or nil if it has no children.
func withChildren(n *origin) *origin {
	if len(n.children) == 0 {
		return nil
	}
	return n
}

// isKeyOf reports whether a field of the item at the path is part of its key.
func isKeyOf(path Path, field string) bool {
	key := path.last(0).Key
	return key != "" && (strings.HasPrefix(key, field+"=") || strings.Contains(key, ","+field+"="))
}

// isOnlyKey reports whether the value at the path is an item that consists of
// its key.
func isOnlyKey(path Path, item map[string]any) bool {
	for field := range item {
		if !isKeyOf(path, field) {
			return false
		}
	}
	return true
}

// back is Back for a value. It reports whether it has open leaves.
func (o *Origins) back(n *origin, version int, now, before any) (open bool) {
	if n.leaf != nil {
		if reflect.DeepEqual(now, before) {
			return true
		}
		o.attribute(n, version)
		return false
	}
	kept := n.children[:0]
	switch v := now.(type) {
	case map[string]any:
		old, _ := before.(map[string]any)
		for _, child := range n.children {
			if value, ok := old[child.field]; !ok {
				o.attribute(child, version)
			} else if o.back(child, version, v[child.field], value) {
				kept = append(kept, child)
			}
		}
	case []any:
		old, _ := before.([]any)
		was := positions(old, v)
		for _, child := range n.children {
			i := child.index
			if child.index = was[i]; was[i] < 0 {
				o.attribute(child, version)
			} else if o.back(child, version, v[i], old[was[i]]) {
				kept = append(kept, child)
			}
		}
	}
	n.children = kept
	return len(kept) > 0
}

// positions returns the positions of the items of a list in an older list, or
// -1.
func positions(old, now []any) []int {
	var pairs []pair
	if k, keyed := commonKeys(old, now); keyed {
		pairs = alignByKey(k)
	} else {
		pairs = alignByEquality(old, now)
	}
	was := make([]int, len(now))
	for i := range was {
		was[i] = -1
	}
	for _, p := range pairs {
		if p.new >= 0 {
			was[p.new] = p.old
		}
	}
	return was
}

// attribute attributes all open leaves of a value to a version.
func (o *Origins) attribute(n *origin, version int) {
	if n.leaf != nil {
		n.leaf.Origin = version
		o.open--
	}
	for _, child := range n.children {
		o.attribute(child, version)
	}
}

package summary

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"github.com/watchhistory/watchhistory/pkg/diff"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// Wrote reports whether a managed entry proves that its manager wrote the new
// version. Evidence is an owned field that was added, a scalar that changed, or
// an atomic list with a new item. The arguments are the fieldsV1 of this entry
// and of all other entries. Each must be valid JSON, or [AnyFields].
//
// The API server removes such a field from every other manager. So at most one
// entry of a version that one request wrote proves anything. A removed field
// proves nothing: it has no owner afterwards, regardless of who removed it.
//
// A list that is owned as a whole is either atomic, or its items have other
// owners. fieldsV1 don't distinguish the two. Wrote treats the list as atomic
// if no entry owns anything inside it. An object that is owned as a whole never
// proves anything: scale and binding change objects and leave no entry.
//
// Paths are resolved in both versions by the names and keys of fieldsV1, and
// not by the list alignment of [diff.Objects]. If the two versions have
// different apiVersions, nothing is proven.
//
// others is iterated only if the entry may own an atomic list that changed. So
// an object with thousands of entries costs little.
func (c *Comparison) Wrote(entry []byte, others iter.Seq[[]byte]) bool {
	if _, converted := c.Old["apiVersion"]; converted {
		return false
	}
	scan := rawjson.ScanValid(entry)
	var p proof
	proven := p.of(&scan, nil, side{c.Old, true}, c.New)
	return scan.End() == nil && (proven || slices.ContainsFunc(p.lists, func(at path) bool {
		for fieldsV1 := range others {
			if at.ownsInside(fieldsV1) {
				return false
			}
		}
		return true
	}))
}

// Scaled returns the new value of spec.replicas, and reports whether it changed
// and all other changes are noise.
func (c *Comparison) Scaled() (to string, ok bool) {
	spec, _ := c.New["spec"].(map[string]any)
	if spec["replicas"] == nil {
		return "", false
	}
	for _, change := range c.Changes() {
		switch {
		case change.Kind != diff.Removed && change.Path.String() == "spec.replicas":
			ok = true
		case !change.Noise():
			return "", false
		}
	}
	return fmt.Sprint(spec["replicas"]), ok
}

// side is a value of the old version, if it exists there.
type side struct {
	value  any
	exists bool
}

// proof collects evidence that a manager wrote a version.
type proof struct {
	lists []path // owned as a whole, with a new item; evidence if they are atomic
}

// of walks over the fields that an entry owns below a path. It reports whether
// one of them is sufficient evidence.
func (p *proof) of(scan *rawjson.Scanner, at path, old side, now any) (proven bool) {
	if scan.Kind() != rawjson.Object {
		scan.Skip()
		return false
	}
	leaf := true
	for _, key := range scan.Members() {
		leaf = false
		if string(key) == "." {
			scan.Skip()
			proven = proven || !old.exists
			continue
		}
		k := parseKey(key)
		if inside := k.find(now); inside.exists {
			proven = p.of(scan, append(at, key), k.find(old.value), inside.value) || proven
		} else {
			scan.Skip()
		}
	}
	if !leaf {
		return proven
	}
	// The value is owned as a whole.
	if isContainer(old.value) && isContainer(now) {
		if hasNewItem(old.value, now) {
			p.lists = append(p.lists, slices.Clone(at))
		}
		return false
	}
	return written(old, now)
}

// written reports whether a value was added, or is a scalar that changed. The
// API server treats null like an empty object or list.
func written(old side, now any) bool {
	if now == nil || old.exists && old.value == nil {
		return false
	}
	return !old.exists || isContainer(old.value) != isContainer(now) || !equal(old.value, now)
}

// maxItems bounds how many pairs of values [hasNewItem] compares.
const maxItems = 1 << 14

// hasNewItem reports whether both values are lists, and the new one has a new
// item. An item is not new if removals alone make it from an item of the old
// list.
func hasNewItem(old, now any) bool {
	_, wasList := old.([]any)
	_, isList := now.([]any)
	left := maxItems
	return wasList && isList && !covers(old, now, &left)
}

// covers reports whether now equals old except for removed fields and items.
// Null equals an empty object or list, as in the API server. left is the number
// of comparisons that remain; covers returns true after they are used up.
func covers(old, now any, left *int) bool {
	if *left--; *left < 0 || isEmpty(now) {
		return true
	}
	switch now := now.(type) {
	case map[string]any:
		was, isObject := old.(map[string]any)
		for name, value := range now {
			before, had := was[name]
			if !had && !isEmpty(value) || had && !covers(before, value, left) {
				return false
			}
		}
		return isObject
	case []any:
		was, isList := old.([]any)
		return isList && !slices.ContainsFunc(now, func(item any) bool {
			return !slices.ContainsFunc(was, func(before any) bool { return covers(before, item, left) })
		})
	default:
		return !isContainer(old) && equal(old, now)
	}
}

// isEmpty reports whether a value is null, or an empty object or list.
func isEmpty(value any) bool {
	switch value := value.(type) {
	case map[string]any:
		return len(value) == 0
	case []any:
		return len(value) == 0
	default:
		return value == nil
	}
}

// isContainer reports whether a value is an object or a list.
func isContainer(value any) bool {
	switch value.(type) {
	case map[string]any, []any:
		return true
	default:
		return false
	}
}

// equal compares scalars. Numbers are equal if their values are.
func equal(a, b any) bool {
	x, isNumber := a.(json.Number)
	y, areNumbers := b.(json.Number)
	if !isNumber || !areNumbers || x == y {
		return a == b
	}
	f, errX := x.Float64()
	g, errY := y.Float64()
	return errX == nil && errY == nil && f == g
}

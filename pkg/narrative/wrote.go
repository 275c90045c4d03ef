package narrative

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/watchhistory/watchhistory/pkg/diff"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// Wrote reports whether an entry of managedFields proves that its manager wrote the new version: it owns a field that the
// version added, or a scalar whose value it changed, or an atomic list in which an item is new. The arguments are the
// fieldsV1 of the entry, and those of all the others.
//
// The API server takes such a field away from every other manager, so at most one entry of a version that one request wrote
// proves anything. A removed field proves nothing: it has no owner afterwards, whoever removed it.
//
// A list that is owned as a whole is atomic, or its items belong to others: fieldsV1 don't say which. It is taken for atomic
// where no entry owns anything inside of it: had its items owners, the writer would own the new one. An object that is owned as
// a whole proves nothing even so: scale and binding write into objects and leave no entry.
//
// Paths are resolved in both versions by the names and keys of fieldsV1, never by how [diff.Objects] aligns lists. Versions of
// an object in two versions of its API prove nothing.
func (c *Comparison) Wrote(entry []byte, others [][]byte) bool {
	if _, converted := c.Old["apiVersion"]; converted {
		return false
	}
	scan := rawjson.Scan(entry)
	proven := proof{others}.of(&scan, nil, side{c.Old, true}, c.New)
	return scan.End() == nil && proven
}

// Scaled reports whether spec.replicas was set to another value, and nothing
// else differs but noise.
func (c *Comparison) Scaled() bool {
	scaled := false
	for _, change := range c.Changes() {
		switch {
		case change.Kind != diff.Removed && change.Path.String() == "spec.replicas":
			scaled = true
		case !change.Noise():
			return false
		}
	}
	return scaled
}

// side is a value of the old version, if it has one at that place.
type side struct {
	value  any
	exists bool
}

// proof looks for what only the writer of a version can own.
type proof struct {
	others [][]byte // what the other managers own
}

// of walks over what an entry owns of a value that the new version has at that path.
func (p proof) of(scan *rawjson.Scanner, path []string, old side, now any) (proven bool) {
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
		if inside := step(string(key), now); inside.exists {
			proven = p.of(scan, append(path, string(key)), step(string(key), old.value), inside.value) || proven
		} else {
			scan.Skip()
		}
	}
	if !leaf {
		return proven
	}
	if isContainer(old.value) && isContainer(now) {
		return hasNewItem(old.value, now) && !slices.ContainsFunc(p.others, func(entry []byte) bool { return ownsInside(entry, path) })
	}
	return written(old, now)
}

// written reports whether a value was added, or is a scalar that changed. The API server takes null for an empty object or list.
func written(old side, now any) bool {
	if now == nil || old.exists && old.value == nil {
		return false
	}
	return !old.exists || isContainer(old.value) != isContainer(now) || !equal(old.value, now)
}

// hasNewItem reports whether both values are lists, and the new one has an item that the old one has not.
func hasNewItem(old, now any) bool {
	was, wasList := old.([]any)
	items, isList := now.([]any)
	if !wasList || !isList {
		return false
	}
	had := make(map[string]bool, len(was))
	for _, item := range was {
		had[text(item)] = true
	}
	return slices.ContainsFunc(items, func(item any) bool { return !had[text(item)] })
}

// ownsInside reports whether an entry owns anything below a path. One that can't be read may.
func ownsInside(fieldsV1 []byte, path []string) bool {
	scan := rawjson.Scan(fieldsV1)
	inside := below(&scan, path)
	return scan.End() != nil && len(fieldsV1) > 0 || inside
}

func below(scan *rawjson.Scanner, path []string) (inside bool) {
	if scan.Kind() != rawjson.Object {
		scan.Skip()
		return false
	}
	for _, key := range scan.Members() {
		switch {
		case len(path) == 0:
			inside = inside || string(key) != "."
			scan.Skip()
		case string(key) == path[0]:
			inside = below(scan, path[1:]) || inside
		default:
			scan.Skip()
		}
	}
	return inside
}

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

// step resolves one key of fieldsV1 in a value. A list item that several items
// match is not found.
func step(key string, value any) side {
	prefix, rest, _ := strings.Cut(key, ":")
	switch inside := value.(type) {
	case map[string]any:
		if prefix == "f" {
			field, ok := inside[rest]
			return side{field, ok}
		}
	case []any:
		switch prefix {
		case "k":
			return only(inside, func(item any) bool { return identifies(rest, item) })
		case "v":
			return only(inside, func(item any) bool { return text(decode([]byte(rest))) == text(item) })
		}
	}
	return side{}
}

// only returns the item that matches, if it is the only one.
func only(items []any, matches func(any) bool) (found side) {
	for _, item := range items {
		switch {
		case !matches(item):
		case found.exists:
			return side{}
		default:
			found = side{item, true}
		}
	}
	return found
}

package narrative

import (
	"encoding/json"
	"strings"

	"github.com/watchhistory/watchhistory/pkg/diff"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// Wrote reports whether an entry of managedFields, whose fieldsV1 are given,
// proves that its manager wrote the new version: it owns a field that the
// version added, or a scalar whose value it changed.
//
// The API server takes such a field away from every other manager, so at most
// one entry of a version written by one request proves anything. A removed
// field proves nothing: it has no owner afterwards, whoever removed it. Neither
// does an object or a list that is owned as a whole and differs inside. That is
// an atomic value that its owner wrote, or one whose members belong to others:
// fieldsV1 doesn't say which.
//
// Paths are resolved in both versions by the names and keys of fieldsV1, never
// by how [diff.Objects] aligns lists.
//
// Versions of an object in two versions of its API prove nothing.
func (c *Comparison) Wrote(fieldsV1 []byte) bool {
	if _, converted := c.Old["apiVersion"]; converted {
		return false
	}
	scan := rawjson.Scan(fieldsV1)
	proven := proves(&scan, side{c.Old, true}, c.New)
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

// proves walks over what an entry owns of a value that the new version has.
func proves(scan *rawjson.Scanner, old side, now any) (proven bool) {
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
			proven = proves(scan, step(string(key), old.value), inside.value) || proven
		} else {
			scan.Skip()
		}
	}
	if leaf {
		return written(old, now)
	}
	return proven
}

// written reports whether a value was added, or is a scalar that changed. The
// API server takes null for an empty object or list.
func written(old side, now any) bool {
	switch {
	case now == nil || old.exists && old.value == nil:
		return false
	case isContainer(old.value) && isContainer(now):
		return false
	default:
		return !old.exists || isContainer(old.value) != isContainer(now) || !equal(old.value, now)
	}
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

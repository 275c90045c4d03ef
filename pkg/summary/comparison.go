package summary

import (
	"bytes"
	"encoding/json"
	"slices"
	"sync"

	"github.com/watchhistory/watchhistory/pkg/diff"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// maxLevels is how many nested objects are compared member by member. Deeper
// values are decoded completely. Each level reads the differing bytes again.
const maxLevels = 6

// Comparison compares a version with the previous one. It is used by one
// goroutine at a time.
type Comparison struct {
	// Old and New are the two versions, decoded with json.Number. Members of
	// objects that have the same bytes in both are left out. Equal objects have
	// no members at all.
	//
	// Lists that differ have all their items. If the items are matched by keys,
	// an item contains its key and the members that differ.
	Old, New map[string]any

	before  []byte        // the previous version
	changes []diff.Change // nil until Changes is called
}

// Changes returns the changes between the versions, as [diff.Objects] does.
// They are computed once.
func (c *Comparison) Changes() []diff.Change {
	if c.changes == nil {
		c.changes = diff.Objects(c.Old, c.New)
	}
	return c.changes
}

// Compare compares two versions of an object. Both must be valid JSON. The
// result refers to before. A value that is not an object counts as one without
// members. If a key is repeated, which no API server does, either member may be
// compared.
func Compare(before, now []byte) *Comparison {
	c := &Comparison{before: before}
	r, ok := readers.Get().(*reader)
	if !ok {
		r = &reader{arena: make([]member, 0, 256)} // enough for most objects
	}
	defer r.close()
	c.Old, c.New = r.objects(before, now, 1)
	return c
}

// objects decodes the members in which two objects differ.
func (r *reader) objects(old, new []byte, level int) (was, is map[string]any) {
	now := r.members(new, nil)
	return r.differing(r.members(old, now), now, level)
}

// differing is objects for two objects that are split into members already.
func (r *reader) differing(before, now []member, level int) (was, is map[string]any) {
	was, is = map[string]any{}, map[string]any{}
	// Members with equal bytes are skipped. They are the bulk of most updates.
	find := finder(now)
	matched := make([]bool, len(now))
	for _, m := range before {
		i := find(m.key)
		if i < 0 {
			was[string(m.key)] = decode(m.value)
			continue
		}
		matched[i] = true
		if n := now[i]; !bytes.Equal(m.value, n.value) {
			r.values(string(m.key), m.value, n.value, level, was, is)
		}
	}
	for i, m := range now {
		if !matched[i] {
			is[string(m.key)] = decode(m.value)
		}
	}
	return was, is
}

// values decodes the difference of a member that both objects have, and adds it
// to both sides. The values are not empty, and their bytes differ.
func (r *reader) values(key string, old, new []byte, level int, was, is map[string]any) {
	switch {
	case level < maxLevels && old[0] == '{' && new[0] == '{':
		o, n := r.objects(old, new, level+1)
		if len(o)+len(n) > 0 { // otherwise only their order or white space differs
			was[key], is[key] = o, n
		}
		return
	case level < maxLevels && old[0] == '[' && new[0] == '[':
		// Usually one item of a list changes, such as one condition of a
		// status.
		items := elements(new, nil)
		if o, n, ok := r.items(elements(old, items), items, level+1); ok {
			was[key], is[key] = o, n
			return
		}
	}
	was[key], is[key] = decode(old), decode(new)
}

// items decodes the difference of two lists whose items can be matched by
// position. The lists have the same length, all items are objects, and items at
// the same position have the same key. Otherwise ok is false.
func (r *reader) items(old, new [][]byte, level int) (was, is []any, ok bool) {
	if len(old) != len(new) {
		return nil, nil, false
	}
	was, is = make([]any, len(old)), make([]any, len(old))
	for i := range old {
		if old[i][0] != '{' || new[i][0] != '{' {
			return nil, nil, false
		}
		now := r.members(new[i], nil)
		before := r.members(old[i], now)
		o, n := r.differing(before, now, level)
		if !identify(before, now, o, n) {
			return nil, nil, false
		}
		was[i], is[i] = o, n
	}
	return was, is, diff.Keyed(was, nil) // both have the same keys
}

// identify adds the key fields of an item to both sides. It reports whether
// both versions of the item have the same key fields with the same values.
func identify(before, now []member, was, is map[string]any) bool {
	for _, m := range before {
		if !diff.IsKey(string(m.key)) {
			continue
		}
		i := slices.IndexFunc(now, func(n member) bool { return bytes.Equal(n.key, m.key) })
		if i < 0 || !bytes.Equal(now[i].value, m.value) {
			return false
		}
		value := decode(m.value)
		was[string(m.key)], is[string(m.key)] = value, value
	}
	return !slices.ContainsFunc(now, func(n member) bool {
		_, both := was[string(n.key)]
		return !both && diff.IsKey(string(n.key))
	})
}

// member is a member of an object. Both parts are slices of the document.
type member struct{ key, value []byte }

// reader splits objects into members. Members stay valid until close.
type reader struct {
	arena []member // all members of all objects
}

// readers caches readers between comparisons.
var readers sync.Pool //nolint:gochecknoglobals // a pool is shared

// close returns the reader to the pool. Members that it returned become
// invalid.
func (r *reader) close() {
	if cap(r.arena) <= 1<<12 { // do not retain the arena of a huge object
		clear(r.arena) // or the pool retains the documents
		r.arena = r.arena[:0]
		readers.Put(r)
	}
}

// members returns the members of an object, or none if the value is not an
// object. like are the members of a similar object; equal members are skipped
// faster.
func (r *reader) members(object []byte, like []member) []member {
	scan := rawjson.ScanValid(object)
	if scan.Kind() != rawjson.Object {
		return nil
	}
	start := len(r.arena)
	for _, key := range scan.Members() {
		if n := len(r.arena) - start; n < len(like) && bytes.Equal(key, like[n].key) && scan.SkipSame(like[n].value) {
			r.arena = append(r.arena, like[n])
			continue
		}
		r.arena = append(r.arena, member{key, scan.Skip()})
	}
	if scan.End() != nil {
		return nil
	}
	return r.arena[start:len(r.arena):len(r.arena)]
}

// elements returns the items of a valid list. like are the items of a similar
// list; equal items are skipped faster.
func elements(list []byte, like [][]byte) [][]byte {
	scan := rawjson.ScanValid(list)
	all := make([][]byte, 0, max(len(like), 4))
	for range scan.Elements() {
		if n := len(all); n < len(like) && scan.SkipSame(like[n]) {
			all = append(all, like[n])
			continue
		}
		all = append(all, scan.Skip())
	}
	return all
}

// finder returns a function that returns the index of a member by its key, or
// -1. It is fast if keys are looked up in about the order of the members, as
// they are for two versions of an object.
func finder(list []member) func(key []byte) int {
	next := 0
	var index map[string]int
	return func(key []byte) int {
		if next < len(list) && bytes.Equal(list[next].key, key) {
			next++
			return next - 1
		}
		if index == nil {
			index = make(map[string]int, len(list))
			for i, m := range list {
				index[string(m.key)] = i
			}
		}
		i, ok := index[string(key)]
		if !ok {
			return -1
		}
		next = i + 1
		return i
	}
}

// decode decodes a valid value like encoding/json with UseNumber, in a third of
// the time.
func decode(raw []byte) any {
	scan := rawjson.ScanValid(raw)
	value := decodeNext(&scan)
	if scan.End() != nil {
		return nil // not reached: the value is valid
	}
	return value
}

// decodeNext decodes the value that comes next.
func decodeNext(scan *rawjson.Scanner) any {
	switch scan.Kind() {
	case rawjson.Object:
		object := map[string]any{}
		for _, key := range scan.Members() {
			object[string(key)] = decodeNext(scan)
		}
		return object
	case rawjson.Array:
		list := []any{}
		for range scan.Elements() {
			list = append(list, decodeNext(scan))
		}
		return list
	case rawjson.String:
		return scan.Text()
	case rawjson.Number:
		return json.Number(scan.Skip())
	case rawjson.Bool:
		return string(scan.Skip()) == "true"
	default:
		scan.Skip()
		return nil
	}
}

package narrative

import (
	"bytes"
	"encoding/json"

	"github.com/watchhistory/watchhistory/pkg/diff"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// maxLevels is how many objects within one another are compared member by member; what lies deeper is decoded as a whole.
// Each level walks over the differing bytes once more.
const maxLevels = 6

// Comparison is a version beside the version before it.
type Comparison struct {
	// Old and New are the two versions, decoded with json.Number, without the members of objects that both have in the same
	// bytes. Lists that differ are whole: their items meet by what identifies them. Objects without a difference have no
	// members at all.
	Old, New map[string]any

	before  []byte
	changes []diff.Change // nil until they are asked for
}

// Changes returns the changes between the versions, as [diff.Objects] does. They are found once.
func (c *Comparison) Changes() []diff.Change {
	if c.changes == nil {
		c.changes = diff.Objects(c.Old, c.New)
	}
	return c.changes
}

// Compare compares two versions of an object, both as JSON that has been found valid; it keeps before. What is no object has
// no members. A member that is given twice, which no API server does, may be compared by either.
func Compare(before, now []byte) *Comparison {
	c := &Comparison{before: before}
	c.Old, c.New = differing(before, now, 1)
	return c
}

// differing decodes those members of two objects in which they differ.
func differing(old, new []byte, level int) (was, is map[string]any) {
	was, is = map[string]any{}, map[string]any{}
	before, now := members(old), members(new)
	find := finder(now)
	met := make([]bool, len(now))
	for _, m := range before {
		i := find(m.key)
		if i < 0 {
			was[string(m.key)] = decode(m.value)
			continue
		}
		met[i] = true
		if n := now[i]; !bytes.Equal(m.value, n.value) {
			values(string(m.key), m.value, n.value, level, was, is)
		}
	}
	for i, m := range now {
		if !met[i] {
			is[string(m.key)] = decode(m.value)
		}
	}
	return was, is
}

// values decodes what differs of a member that both objects have.
func values(key string, old, new []byte, level int, was, is map[string]any) {
	if level == maxLevels || old[0] != '{' || new[0] != '{' {
		was[key], is[key] = decode(old), decode(new)
		return
	}
	o, n := differing(old, new, level+1)
	if len(o)+len(n) > 0 { // else only their order or white space differs
		was[key], is[key] = o, n
	}
}

// member is a member of an object: parts of the document.
type member struct{ key, value []byte }

// members returns an object's members; none where it is no object.
func members(object []byte) []member {
	scan := rawjson.Scan(object)
	if scan.Kind() != rawjson.Object {
		return nil
	}
	list := make([]member, 0, 16)
	for _, key := range scan.Members() {
		list = append(list, member{key, scan.Skip()})
	}
	if scan.End() != nil {
		return nil
	}
	return list
}

// finder returns a function that finds a member's index by its key, -1 where there is none. Asked in about the members' own
// order, as two versions of an object have it, it rarely has to look further than at the next one.
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

// decode decodes a valid value.
func decode(raw []byte) any {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var value any
	if d.Decode(&value) != nil {
		return nil // not reached: it was found valid when it was split off
	}
	return value
}

package summary

import (
	"bytes"
	"encoding/json"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// fieldKey is a key of fieldsV1 in the encoding of structured-merge-diff:
//
//   - "f:" and the name of a field
//   - "k:" and the key fields of a list item, as JSON
//   - "v:" and an element of a set, as JSON
//
// "." has none of these forms: it is the value itself.
type fieldKey struct {
	kind byte   // 'f', 'k' or 'v'; 0 for any other
	rest []byte // after the colon

	parsed bool      // keys and value are set; most keys never need them
	keys   []itemKey // of a 'k'; empty if it can't be read
	value  string    // of a 'v'
}

// itemKey is a key field of a list item, and its value as text.
type itemKey struct{ name, value string }

// parseKey splits a key of fieldsV1. It does not parse the JSON in it yet.
func parseKey(key []byte) fieldKey {
	if len(key) < 2 || key[1] != ':' {
		return fieldKey{}
	}
	return fieldKey{kind: key[0], rest: key[2:]}
}

// isField reports whether the key selects this field of an object.
func (k *fieldKey) isField(name string) bool { return k.kind == 'f' && string(k.rest) == name }

// isItem reports whether the key selects this list item.
func (k *fieldKey) isItem(item any) bool {
	switch k.parse(); k.kind {
	case 'k':
		object, ok := item.(map[string]any)
		for _, key := range k.keys {
			if value, has := object[key.name]; !has || text(value) != key.value {
				return false
			}
		}
		return ok && len(k.keys) > 0
	case 'v':
		return text(item) == k.value
	default:
		return false
	}
}

// parse parses the JSON in the key, once.
func (k *fieldKey) parse() {
	if k.parsed {
		return
	}
	k.parsed = true
	switch k.kind {
	case 'v':
		k.value = text(decode(k.rest))
	case 'k':
		scan := rawjson.ScanValid(k.rest)
		if scan.Kind() != rawjson.Object {
			return
		}
		for _, name := range scan.Members() {
			k.keys = append(k.keys, itemKey{string(name), text(decodeNext(&scan))})
		}
		if scan.End() != nil {
			k.keys = nil
		}
	}
}

// find returns the field or item of a value that the key selects. It returns
// none if several items match.
func (k *fieldKey) find(value any) (found side) {
	switch inside := value.(type) {
	case map[string]any:
		if k.kind == 'f' {
			field, ok := inside[string(k.rest)]
			return side{field, ok}
		}
	case []any:
		for _, item := range inside {
			if !k.isItem(item) {
				continue
			}
			if found.exists {
				return side{}
			}
			found = side{item, true}
		}
	}
	return found
}

// text returns a string as it is, and any other value as JSON.
func text(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case json.Number:
		return string(value)
	default:
		b, _ := json.Marshal(value) // can't fail: the value was decoded from JSON
		return string(b)
	}
}

// path is a sequence of keys of fieldsV1.
type path [][]byte

// AnyFields returns invalid fieldsV1. [Comparison.Wrote] treats them as those
// of an entry that may own any field.
func AnyFields() []byte { return []byte("?") }

// ownsInside reports whether an entry owns anything below the path. Invalid
// fieldsV1 count as owning.
func (p path) ownsInside(fieldsV1 []byte) bool {
	scan := rawjson.Scan(fieldsV1)
	inside := p.below(&scan)
	return inside || scan.End() != nil && len(fieldsV1) > 0
}

// below reports whether the value that comes next owns anything below the path.
func (p path) below(scan *rawjson.Scanner) (inside bool) {
	if scan.Kind() != rawjson.Object {
		scan.Skip()
		return false
	}
	for _, key := range scan.Members() {
		switch {
		case len(p) == 0:
			inside = inside || string(key) != "."
			scan.Skip()
		case bytes.Equal(key, p[0]):
			inside = p[1:].below(scan) || inside
		default:
			scan.Skip()
		}
	}
	return inside
}

package relation

import (
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// value is a part of a decoded object, and the path to it. The zero value is
// one that the object does not have. All methods accept every value.
type value struct {
	data any
	path string
}

// exists reports whether the object has the value, and it is not null.
func (v value) exists() bool { return v.data != nil }

// field returns the value of a field of a field, and so on.
func (v value) field(names ...string) value {
	for _, name := range names {
		object, _ := v.data.(map[string]any)
		if v.data = object[name]; v.data == nil {
			return value{}
		}
		v.path = joined(v.path, name)
	}
	return v
}

// joined returns the path to a field of the value at a path.
func joined(path, name string) string {
	switch {
	case name == "" || strings.ContainsAny(name, ".[]\"/ \t\r\n"):
		return path + "[" + strconv.Quote(name) + "]"
	case path == "":
		return name
	default:
		return path + "." + name
	}
}

// elements yields the elements of a list. Their paths have their names, if they
// are objects with a name, and otherwise their positions.
func (v value) elements() iter.Seq[value] {
	return func(yield func(value) bool) {
		list, _ := v.data.([]any)
		for i, data := range list {
			key := strconv.Itoa(i)
			if object, ok := data.(map[string]any); ok {
				if name, ok := object["name"].(string); ok && isName(name) {
					key = "name=" + name
				}
			}
			if !yield(value{data, v.path + "[" + key + "]"}) {
				return
			}
		}
	}
}

// members yields the members of an object in the order of their keys.
func (v value) members() iter.Seq2[string, value] {
	return func(yield func(string, value) bool) {
		object, _ := v.data.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(object)) {
			if !yield(key, v.field(key)) {
				return
			}
		}
	}
}

// text returns a string, or "".
func (v value) text() string {
	text, _ := v.data.(string)
	return text
}

// isTrue reports whether the value is true.
func (v value) isTrue() bool {
	is, _ := v.data.(bool)
	return is
}

// hashPrefix begins what replaces a value that was redacted.
const hashPrefix = "hmac-sha256:"

// isName reports whether a text can be the name of an object.
func isName(text string) bool {
	return text != "" && len(text) <= history.MaxText && !strings.HasPrefix(text, hashPrefix) &&
		utf8.ValidString(text) && text != "." && text != ".." &&
		!strings.ContainsFunc(text, func(r rune) bool {
			return r == '/' || r == '%' || !unicode.IsPrint(r) || unicode.IsSpace(r)
		})
}

// labelSelector returns the selector of a LabelSelector. It returns nil if the
// value is absent, or not a valid selector.
func (v value) labelSelector() labels.Selector {
	if _, is := v.data.(map[string]any); !is {
		return nil
	}
	data, err := json.Marshal(v.data)
	if err != nil {
		return nil
	}
	var of metav1.LabelSelector
	if json.Unmarshal(data, &of) != nil {
		return nil
	}
	selector, err := metav1.LabelSelectorAsSelector(&of)
	if err != nil {
		return nil
	}
	return selector
}

// labelSet returns a map of strings. It returns nil if one of its values is not
// a string.
func (v value) labelSet() labels.Set {
	object, _ := v.data.(map[string]any)
	set := labels.Set{}
	for key, data := range object {
		text, ok := data.(string)
		if !ok {
			return nil
		}
		set[key] = text
	}
	return set
}

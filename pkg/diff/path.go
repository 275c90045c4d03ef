package diff

import (
	"strconv"
	"strings"
)

// Segment is one step into a JSON document: to a field of an object, or to an
// item of a list.
type Segment struct {
	// Field is the name of an object's field.
	Field string
	// Item is set if the step leads to a list item, and not to a field.
	Item bool
	// Key identifies an item in its list, as in "name=app" or
	// "containerPort=80,protocol=TCP". It is empty if the items have no keys.
	// Then Index identifies the item.
	Key string
	// Index is the position of the item: in the old list if it was removed,
	// otherwise in the new list.
	Index int
}

// Path leads from an object's root to a value.
type Path []Segment

// String returns the path, as in spec.template.spec.containers[name=app].image.
// Ambiguous names are quoted: metadata.labels["app.kubernetes.io/name"], or
// spec.tests[name="a b"].
func (p Path) String() string {
	var b strings.Builder
	for _, s := range p {
		b.WriteString(s.text(b.Len() == 0))
	}
	return b.String()
}

// Below reports whether the path starts with these fields.
func (p Path) Below(fields ...string) bool {
	if len(p) < len(fields) {
		return false
	}
	for i, field := range fields {
		if p[i].Item || p[i].Field != field {
			return false
		}
	}
	return true
}

// is reports whether the path consists of these fields.
func (p Path) is(fields ...string) bool { return len(p) == len(fields) && p.Below(fields...) }

// text returns the segment as a part of a path. first is set if it begins the
// path.
func (s Segment) text(first bool) string {
	switch {
	case s.Item && strings.ContainsAny(s.Key, "[]\" \t\r\n"):
		field, value, _ := strings.Cut(s.Key, "=")
		return "[" + field + "=" + strconv.Quote(value) + "]"
	case s.Item && s.Key != "":
		return "[" + s.Key + "]"
	case s.Item:
		return "[" + strconv.Itoa(s.Index) + "]"
	case s.Field == "" || strings.ContainsAny(s.Field, ".[]\"/ \t\r\n"):
		return "[" + strconv.Quote(s.Field) + "]"
	case first:
		return s.Field
	default:
		return "." + s.Field
	}
}

// name returns the value of an item's key: "app" for "name=app". If the item
// has no key, it returns the index.
func (s Segment) name() string {
	if s.Key == "" {
		return strconv.Itoa(s.Index)
	}
	field, value, _ := strings.Cut(s.Key, "=")
	if field == "port" || field == "containerPort" { // keys of two fields
		value = strings.Replace(value, ",protocol=", "/", 1)
	}
	return value
}

// last returns the i-th segment from the end, from 0. It returns the zero
// Segment if the path is shorter.
func (p Path) last(i int) Segment {
	if i >= len(p) {
		return Segment{}
	}
	return p[len(p)-1-i]
}

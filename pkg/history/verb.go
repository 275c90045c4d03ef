package history

import "fmt"

// Verb says what happened to an object in a version. The zero Verb is invalid.
type Verb uint8

// The verbs of a watch. A watch does not tell a patch from an update: both are [Update].
const (
	Create Verb = iota + 1
	Update
	Delete
)

// String returns the verb as the REST API writes it: "create", "update" or "delete".
func (v Verb) String() string {
	switch v {
	case Create:
		return "create"
	case Update:
		return "update"
	case Delete:
		return "delete"
	default:
		return fmt.Sprintf("verb(%d)", uint8(v))
	}
}

// ParseVerb is the inverse of [Verb.String]. Any other text is an [Invalid] error.
func ParseVerb(s string) (Verb, error) {
	for _, v := range []Verb{Create, Update, Delete} {
		if s == v.String() {
			return v, nil
		}
	}
	return 0, Errorf(Invalid, "unknown verb %q: want create, update or delete", s)
}

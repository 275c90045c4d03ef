package selector

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// The fields of a version that its record has without the object.
const (
	FieldName      = "metadata.name"
	FieldNamespace = "metadata.namespace"
	FieldUID       = "metadata.uid"
)

// field is a supported field of a field selector.
type field struct {
	name string
	// events means that only Events have the field. Any other object that has
	// such a field is treated as if it had none.
	events bool
	// paths are where the field is in an object. The first one that has a text
	// counts. Fields without paths are in the record.
	paths [][]string
}

// supported are the fields of field selectors. The API server supports them for
// some types; here they are supported for all.
var supported = supportedFields() //nolint:gochecknoglobals // a constant table

func supportedFields() []field {
	all := []field{
		{name: FieldName},
		{name: FieldNamespace},
		{name: FieldUID},
		{name: "reason", events: true, paths: [][]string{{"reason"}}},
		{name: "type", paths: [][]string{{"type"}}},
		{name: "spec.nodeName", paths: [][]string{{"spec", "nodeName"}}},
		{name: "status.phase", paths: [][]string{{"status", "phase"}}},
	}
	// The target has another name in each of the two groups of Events.
	for _, target := range []string{"involvedObject", "regarding"} {
		for _, of := range []string{"kind", "namespace", "name", "uid", "apiVersion", "fieldPath"} {
			all = append(all, field{target + "." + of, true, [][]string{{"involvedObject", of}, {"regarding", of}}})
		}
	}
	return all
}

// FieldNames returns the names of the supported fields.
func FieldNames() []string {
	names := make([]string, len(supported))
	for i := range supported {
		names[i] = supported[i].name
	}
	return names
}

// Fields is a parsed field selector.
type Fields struct {
	selector   fields.Selector
	conditions []condition
}

// condition is a requirement of a field selector.
type condition struct {
	field *field
	value string
	not   bool
}

// ParseFields parses a field selector, as in
// "involvedObject.kind=Pod,reason!=Started".
func ParseFields(text string) (*Fields, error) {
	if err := checkLength(text); err != nil {
		return nil, err
	}
	parsed, err := fields.ParseSelector(text)
	if err != nil {
		return nil, err
	}
	f := &Fields{selector: parsed}
	for _, r := range parsed.Requirements() {
		i := slices.IndexFunc(supported, func(known field) bool { return known.name == r.Field })
		if i < 0 {
			return nil, history.Errorf(history.Invalid, "field %q is not supported: want %s",
				r.Field, strings.Join(FieldNames(), ", "))
		}
		f.conditions = append(f.conditions, condition{&supported[i], r.Value, r.Operator == selection.NotEquals})
	}
	return f, nil
}

// Exact returns the value that a field must have, and whether the selector
// requires one.
func (f *Fields) Exact(name string) (string, bool) {
	if f == nil {
		return "", false
	}
	return f.selector.RequiresExactMatch(name)
}

// needObject reports whether a condition reads the object.
func (f *Fields) needObject() bool {
	return f != nil && slices.ContainsFunc(f.conditions, func(c condition) bool { return len(c.field.paths) > 0 })
}

// eventsOnly reports whether a condition can only be true for Events.
func (f *Fields) eventsOnly() bool {
	return f != nil && slices.ContainsFunc(f.conditions, func(c condition) bool {
		return c.field.events && !c.not && c.value != ""
	})
}

// matches reports whether the record satisfies all conditions.
func (f *Fields) matches(r *history.Record) bool {
	for _, c := range f.conditions {
		if (c.field.of(r) == c.value) == c.not {
			return false
		}
	}
	return true
}

// of returns the text of the field in a record. It is empty if the object does
// not have the field.
func (f *field) of(r *history.Record) string {
	switch f.name {
	case FieldName:
		return r.Ref.Name
	case FieldNamespace:
		return r.Ref.Namespace
	case FieldUID:
		return string(r.Ref.UID)
	}
	if f.events && !history.IsEventResource(r.Ref.GroupResource()) {
		return ""
	}
	for _, path := range f.paths {
		if value := text(lookup(r.Object, path...)); value != "" {
			return value
		}
	}
	return ""
}

package selector

import (
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// maxLength bounds the text of a selector or an expression, in bytes.
const maxLength = 4096

// Selector selects versions. A version must satisfy every field that is set;
// the zero Selector selects all versions.
//
// A new field needs a parameter of the API. A reflection test fails if it has
// none.
type Selector struct {
	Labels labels.Selector // of the object
	Fields *Fields
	// Reasons and EventTypes select Kubernetes Events by their reason and type;
	// any of these.
	Reasons, EventTypes []string
	Writers             *Writers
	Text                *Text
	Expression          *Expression
}

// ParseLabels parses a label selector, as in "app=web,tier in (front,back)".
func ParseLabels(text string) (labels.Selector, error) {
	if err := checkLength(text); err != nil {
		return nil, err
	}
	return labels.Parse(text)
}

// checkLength rejects texts that are too long.
func checkLength(text string) error {
	if len(text) > maxLength {
		return history.Errorf(history.Invalid, "%d bytes are too long: want at most %d", len(text), maxLength)
	}
	return nil
}

// IsZero reports whether the selector selects all versions. The nil Selector
// does.
func (s *Selector) IsZero() bool {
	return s == nil ||
		s.Labels == nil && s.Fields == nil && len(s.Reasons)+len(s.EventTypes) == 0 && s.Writers == nil &&
			s.Text == nil && s.Expression == nil
}

// NeedsObject reports whether [Selector.MatchesObject] or the expression need
// the object of a version.
func (s *Selector) NeedsObject() bool {
	return s.Labels != nil && !s.Labels.Empty() || s.Fields.needObject() || len(s.Reasons)+len(s.EventTypes) > 0 ||
		s.Expression != nil && s.Expression.needsObject()
}

// NeedsPrevious reports whether the expression may need the previous version.
func (s *Selector) NeedsPrevious() bool { return s.Expression != nil && s.Expression.previous }

// EventsOnly reports whether the selector selects no other objects than
// Kubernetes Events.
func (s *Selector) EventsOnly() bool {
	return s != nil && (len(s.Reasons)+len(s.EventTypes) > 0 || s.Fields.eventsOnly())
}

// WithoutEvents returns the selector without its reasons and types.
func (s *Selector) WithoutEvents() *Selector {
	if s == nil {
		return nil
	}
	return &Selector{
		Labels: s.Labels, Fields: s.Fields, Writers: s.Writers, Text: s.Text, Expression: s.Expression,
	}
}

// OfEvents returns a selector with only the reasons and types of s.
func (s *Selector) OfEvents() *Selector {
	if s == nil {
		return nil
	}
	return &Selector{Reasons: s.Reasons, EventTypes: s.EventTypes}
}

// WithoutWords returns the selector without its writers and its text.
func (s *Selector) WithoutWords() *Selector {
	if s == nil {
		return nil
	}
	c := *s
	c.Writers, c.Text = nil, nil
	return &c
}

// MatchesObject reports whether all conditions but the text and the expression
// select the record, which must have its object if the selector needs it.
func (s *Selector) MatchesObject(r *history.Record) bool {
	return (s.Writers == nil || s.Writers.Matches(r.Managers)) &&
		(s.Labels == nil || s.Labels.Matches(objectLabels(r.Object))) &&
		(s.Fields == nil || s.Fields.matches(r)) &&
		matchesEvent(r, "reason", s.Reasons) && matchesEvent(r, "type", s.EventTypes)
}

// matchesEvent reports whether the record is of an Event whose field has one of
// the values. No values select everything.
func matchesEvent(r *history.Record, field string, values []string) bool {
	return len(values) == 0 ||
		history.IsEventResource(r.Ref.GroupResource()) && slices.Contains(values, text(lookup(r.Object, field)))
}

// objectLabels returns the labels of an object.
func objectLabels(object []byte) labels.Set {
	set := labels.Set{}
	scan := rawjson.ScanValid(lookup(object, "metadata", "labels"))
	if scan.Kind() != rawjson.Object {
		return set
	}
	for _, key := range scan.Members() {
		set[string(key)] = text(scan.Skip())
	}
	return set
}

// lookup returns the value at a path of fields, or nil if there is none.
func lookup(value []byte, path ...string) []byte {
	for _, field := range path {
		scan := rawjson.ScanValid(value)
		value = nil
		if scan.Kind() != rawjson.Object {
			return nil
		}
		for _, key := range scan.Members() {
			if string(key) == field {
				value = scan.Skip()
				break
			}
		}
	}
	return value
}

// text returns a scalar as text: the text of a string, or the JSON of a number
// or a boolean. It returns "" for any other value.
func text(value []byte) string {
	scan := rawjson.ScanValid(value)
	switch scan.Kind() {
	case rawjson.String:
		return scan.Text()
	case rawjson.Number, rawjson.Bool:
		return string(scan.Skip())
	default:
		return ""
	}
}

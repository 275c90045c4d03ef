package recorder

import (
	"bytes"
	"strings"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
	"github.com/watchhistory/watchhistory/pkg/recorder/internal/leak"
)

// maxApplied is how many configurations in annotations may lie within one
// another before the innermost is replaced as a whole.
const maxApplied = 4

// shortestCopy is the length in bytes from which a hidden value is looked for
// outside annotations, where a short one may be a port, a phase or a label.
const shortestCopy = 6

// hiding is an object on its way to being redacted by rules.
//
// What is selected is hashed, in the object and in the copies of it that
// annotations hold as JSON. After that, strings that contain one of the hidden
// values in any encoding are hashed, except those by which objects and their
// parts are known.
type hiding struct {
	*ruleset

	again  bool // the object may have been redacted: hashes stay as they are
	opaque bool // a last-applied configuration can't be read and is hashed as a whole
	values [][]byte
}

func (h *hiding) object(object []byte) ([]byte, error) {
	hidden, err := h.replace(object, maxApplied)
	if err != nil {
		return nil, err
	}
	return h.sweep(hidden)
}

// replace hashes what the rules select in a document, and collects its values.
func (h *hiding) replace(document []byte, depth int) ([]byte, error) {
	var edits []rawjson.Edit
	err := rawjson.Find(document, h.redact, func(scan *rawjson.Scanner, selector int) {
		start, isString := scan.Offset(), scan.Kind() == rawjson.String
		var with []byte
		switch {
		case scan.Kind() == rawjson.Null, h.again && hashed(scan):
			return
		case selector == len(h.redact)-1:
			if isString {
				with = h.copied([]byte(scan.Text()), depth-1)
			}
		case selector == len(h.redact)-2 && isString:
			with = h.applied([]byte(scan.Text()), depth-1)
		default:
			ahead := *scan
			leaves(&ahead, func(value []byte) { h.values = append(h.values, value) })
			edits = h.redactor.value(scan, false, edits)
			return
		}
		if with != nil {
			edits = append(edits, rawjson.Edit{Start: start, End: scan.Offset(), With: with})
		}
	})
	if err != nil {
		return nil, err
	}
	return rawjson.Apply(document, edits), nil
}

// applied redacts a last-applied configuration and returns what to write in its place: nil where nothing in it is to be
// hidden.
func (h *hiding) applied(text []byte, depth int) []byte {
	with, isCopy := h.configuration(text, depth)
	if !isCopy {
		h.opaque = true
		return h.redactor.hash(text)
	}
	return with
}

// copied redacts an annotation that may hold the object as it once was: as
// JSON, or as the base64 of JSON, which may be compressed. It returns what to
// write in its place: nil if nothing in it is to be hidden.
func (h *hiding) copied(text []byte, depth int) []byte {
	if with, isCopy := h.configuration(text, depth); isCopy {
		return with
	}
	if with, _ := h.configuration(leak.Unpack(text), depth); with != nil {
		return h.redactor.hash(text)
	}
	return nil
}

// configuration redacts the JSON of an object. It returns nil if nothing in it
// is to be hidden, and reports whether the text is the JSON of an object.
func (h *hiding) configuration(text []byte, depth int) (with []byte, isObject bool) {
	scan := rawjson.Scan(text)
	if depth == 0 || scan.Kind() != rawjson.Object {
		return nil, false
	}
	hidden, err := h.replace(text, depth)
	if err != nil {
		return nil, false
	}
	if bytes.Equal(hidden, text) {
		return nil, true
	}
	return quote(hidden)
}

// sweep hashes the strings of an object that contain hidden values.
func (h *hiding) sweep(object []byte) ([]byte, error) {
	s := sweeper{hiding: h, document: object}
	values, err := h.soughtIn(object)
	if len(values) == 0 || err != nil {
		return object, err
	}
	s.inAnnotations, s.elsewhere = leak.New(atLeast(leak.Shortest, values), leak.Shortest), leak.New(atLeast(shortestCopy, values), shortestCopy)
	scan := rawjson.Scan(object)
	for _, key := range scan.Members() {
		switch field := string(key); {
		case field == "apiVersion", field == "kind", h.events && isReference(field):
		case field == "metadata":
			s.metadata(&scan)
		default:
			s.field(&scan, field)
		}
	}
	return rawjson.Apply(object, s.edits), scan.End()
}

// soughtIn returns the hidden values that are looked for in an object. What its
// name or namespace contain can't be hidden, and true and false are no secrets.
func (h *hiding) soughtIn(object []byte) (values [][]byte, err error) {
	id, err := identify(object)
	names := strings.ToLower(id.name + " " + id.namespace)
	for _, value := range h.values {
		switch text := strings.ToLower(string(bytes.TrimSpace(value))); {
		case text == "true", text == "false", strings.Contains(names, text):
		default:
			values = append(values, value)
		}
	}
	return values, err
}

func atLeast(length int, values [][]byte) (long [][]byte) {
	for _, value := range values {
		if len(bytes.TrimSpace(value)) >= length {
			long = append(long, value)
		}
	}
	return long
}

// sweeper walks over an object and hashes the strings that contain hidden
// values.
type sweeper struct {
	*hiding

	document                 []byte
	inAnnotations, elsewhere *leak.Set
	edits                    []rawjson.Edit
}

func (s *sweeper) metadata(scan *rawjson.Scanner) {
	for _, key := range scan.Members() {
		switch field := string(key); field {
		case "managedFields":
			for range scan.Elements() {
				for _, key := range scan.Members() {
					if string(key) == "manager" {
						s.value(scan, s.elsewhere)
					}
				}
			}
		case "annotations", "labels", "finalizers":
			s.field(scan, field)
		}
	}
}

// field sweeps the value of a field, which comes next.
func (s *sweeper) field(scan *rawjson.Scanner, field string) {
	kind := scan.Kind()
	switch {
	case kind == rawjson.Object && field == "annotations":
		s.free(scan, s.inAnnotations)
	case kind == rawjson.Object && isFree(field):
		s.free(scan, s.elsewhere)
	case kind == rawjson.String && isName(field):
	default:
		s.value(scan, s.elsewhere)
	}
}

// free sweeps a mapping whose keys users choose.
func (s *sweeper) free(scan *rawjson.Scanner, values *leak.Set) {
	for at, key := range scan.Members() {
		if !isHash(string(key)) && values.In(key) {
			s.edits = append(s.edits, rawjson.Edit{Start: at, End: at + len(literal(s.document, at)), With: s.redactor.hash(key)})
		}
		s.value(scan, values)
	}
}

// value sweeps the value that comes next.
func (s *sweeper) value(scan *rawjson.Scanner, values *leak.Set) {
	switch start := scan.Offset(); scan.Kind() {
	case rawjson.String:
		if text := scan.Text(); !isHash(text) && values.In([]byte(text)) {
			s.edits = append(s.edits, rawjson.Edit{Start: start, End: scan.Offset(), With: s.redactor.hash([]byte(text))})
		}
	case rawjson.Object:
		for _, key := range scan.Members() {
			s.field(scan, string(key))
		}
	case rawjson.Array:
		for range scan.Elements() {
			s.value(scan, values)
		}
	}
}

// isFree reports whether the keys of the mapping in a field are chosen by users.
func isFree(field string) bool {
	switch field {
	case "labels", "matchLabels", "data", "binaryData", "stringData":
		return true
	}
	return false
}

// isName reports whether objects or parts of them are known by a field.
func isName(field string) bool {
	switch field {
	case "name", "namespace", "kind", "apiVersion", "uid", "image", "imageID", "containerID":
		return true
	}
	return false
}

// isReference reports whether an Event says in a field which object it is about.
func isReference(field string) bool {
	switch field {
	case "involvedObject", "regarding", "related":
		return true
	}
	return false
}

package redact

import (
	"bytes"
	"strings"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
	"github.com/watchhistory/watchhistory/pkg/recorder/internal/leak"
)

// shortestCopy is the length in bytes from which a hidden value is searched
// for outside annotations. A shorter text there may be a port, a phase or a
// label.
const shortestCopy = 6

// sweeper hashes the strings of an object that contain hidden values.
type sweeper struct {
	document

	isEvent bool
	// inAnnotations and elsewhere are the values to search for in annotations
	// and in all other strings.
	inAnnotations, elsewhere *leak.Set
}

// sweep hashes the strings of the object that contain hidden values.
func (p *pathPass) sweep(object []byte) ([]byte, error) {
	if len(p.hidden) == 0 {
		return object, nil
	}
	values, err := p.searchable()
	if len(values) == 0 || err != nil {
		return object, err
	}
	s := sweeper{
		document: p.edit(object), isEvent: p.isEvent,
		inAnnotations: leak.New(atLeast(leak.Shortest, values), leak.Shortest),
		elsewhere:     leak.New(atLeast(shortestCopy, values), shortestCopy),
	}
	scan := rawjson.Scan(object)
	for _, key := range scan.Members() {
		switch field := string(key); {
		case field == "apiVersion", field == "kind", s.isEvent && isReference(field):
		case field == "metadata":
			s.metadata(&scan)
		default:
			s.field(&scan, field)
		}
	}
	return s.apply(), scan.End()
}

// searchable returns the hidden values to search for in the object. A value
// that the object's name or namespace contains can't be hidden, and true and
// false are not secret.
func (p *pathPass) searchable() (values [][]byte, err error) {
	id, err := p.identity()
	names := strings.ToLower(id.Name + " " + id.Namespace)
	for _, value := range p.hidden {
		switch text := strings.ToLower(string(bytes.TrimSpace(value))); {
		case text == "true", text == "false", strings.Contains(names, text):
		default:
			values = append(values, value)
		}
	}
	return values, err
}

// metadata sweeps the metadata, which comes next. Only fields that users or
// controllers fill with text are swept; the identity stays.
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
		s.mapping(scan, s.inAnnotations)
	case kind == rawjson.Object && isMapping(field):
		s.mapping(scan, s.elsewhere)
	case kind == rawjson.String && isIdentifier(field):
	default:
		s.value(scan, s.elsewhere)
	}
}

// mapping sweeps a mapping whose keys users choose.
func (s *sweeper) mapping(scan *rawjson.Scanner, values *leak.Set) {
	for at, key := range scan.Members() {
		if !isHash(string(key)) && values.In(key) {
			s.hashKey(at, "", key)
		}
		s.value(scan, values)
	}
}

// value sweeps the value that comes next.
func (s *sweeper) value(scan *rawjson.Scanner, values *leak.Set) {
	switch start := scan.Offset(); scan.Kind() {
	case rawjson.String:
		if text := scan.Text(); !isHash(text) && values.In([]byte(text)) {
			s.replace(start, scan.Offset(), s.hash([]byte(text)))
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

// isMapping reports whether the value of a field is a mapping whose keys users
// choose.
func isMapping(field string) bool {
	switch field {
	case "labels", "matchLabels", "data", "binaryData", "stringData":
		return true
	}
	return false
}

// isIdentifier reports whether a field identifies an object or a part of one.
func isIdentifier(field string) bool {
	switch field {
	case "name", "namespace", "kind", "apiVersion", "uid", "image", "imageID", "containerID":
		return true
	}
	return false
}

// isReference reports whether a field of an Event refers to another object.
func isReference(field string) bool {
	switch field {
	case "involvedObject", "regarding", "related":
		return true
	}
	return false
}

package redact

import (
	"bytes"
	"strings"
	"time"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
	"github.com/watchhistory/watchhistory/pkg/recorder/internal/leak"
)

const (
	// maxStoredText is the length in bytes of the longest string of a Secret
	// that is stored. The API server accepts no longer label, finalizer or
	// manager.
	maxStoredText = 512
	// maxHashedManagers bounds the cache of managers whose names were hashed.
	maxHashedManagers = 4096
)

// secretPass applies the built-in rule to one Secret.
//
// The rule lists what may be stored and hashes everything else. That includes
// the values of data, stringData and unknown fields. It also includes the
// values of annotations that are not allowed by their key.
//
// The strings that may be stored are labels, keys, finalizers, owners and
// managers. Such a string is hashed too if it contains one of the Secret's own
// values in any encoding, or if its hash is in the previous version.
//
// The object's identity is always stored. See
// docs/design/0017-secrets-are-denied-by-default.md.
type secretPass struct {
	document

	pass     *pass
	values   *leak.Set       // the Secret's own values
	previous map[string]bool // the hashes in the previous version, nil if there is none
	isCopy   bool            // the document is the last-applied configuration
}

// redactSecret hashes everything in a Secret that must not be stored. previous
// may be nil if the Secret was recorded before.
func (p *pass) redactSecret(object []byte, previous func(Identity) []byte) ([]byte, error) {
	s := secretPass{document: p.edit(object), pass: p}
	if p.again { // the values are hashed already
		s.values = leak.New(nil, leak.Shortest)
		if _, err := p.identity(); err != nil {
			return nil, err
		}
		return s.redact()
	}
	id, values, err := secretValues(object)
	if err != nil {
		return nil, err
	}
	p.id, p.identified = id, true
	s.values = leak.New(values, leak.Shortest)
	if before := previous(id); before != nil {
		s.previous = hashesIn(before)
	}
	return s.redact()
}

// redact walks over the document once and applies the edits.
func (s *secretPass) redact() ([]byte, error) {
	scan := rawjson.Scan(s.text)
	for at, key := range scan.Members() {
		s.key(at, key)
		if string(key) == "metadata" {
			s.metadata(&scan)
		} else {
			s.field(&scan, string(key))
		}
	}
	if err := scan.End(); err != nil {
		return nil, err
	}
	return s.apply(), nil
}

// field redacts a field of the Secret, whose value comes next.
func (s *secretPass) field(scan *rawjson.Scanner, field string) {
	kind := scan.Kind()
	switch field {
	case "kind", "apiVersion", "type":
		// The API server did not validate the copy.
		if kind == rawjson.String && (!s.isCopy || isWellKnown(peekText(scan))) {
			s.store(scan)
			return
		}
	case "immutable":
		if kind == rawjson.Bool {
			return
		}
	}
	switch kind {
	case rawjson.Null:
	case rawjson.Object:
		for at, key := range scan.Members() {
			s.key(at, key)
			s.hashNext(scan, field == "data")
		}
	default:
		s.hashNext(scan, false)
	}
}

// metadata redacts the metadata, which comes next.
func (s *secretPass) metadata(scan *rawjson.Scanner) {
	for at, key := range scan.Members() {
		s.key(at, key)
		switch field := string(key); field {
		case "annotations":
			s.annotations(scan)
		case "labels":
			s.labels(scan)
		case "name", "namespace", "uid", "resourceVersion", "generation", "deletionGracePeriodSeconds":
			// These fields of the Secret itself are stored: they identify it,
			// or are numbers of the API server.
			if s.isCopy {
				s.store(scan)
			}
		case "creationTimestamp", "deletionTimestamp":
			if _, err := time.Parse(time.RFC3339, peekText(scan)); err != nil && scan.Kind() != rawjson.Null {
				s.hashNext(scan, false)
			}
		case "managedFields", "generateName", "selfLink", "finalizers", "ownerReferences":
			switch {
			case s.isCopy:
				s.field(scan, field)
			case field == "managedFields":
				s.managedFields(scan)
			default:
				s.store(scan)
			}
		default: // the API server does not validate unknown fields
			s.field(scan, field)
		}
	}
}

// managedFields redacts the managedFields, which come next.
func (s *secretPass) managedFields(scan *rawjson.Scanner) {
	for range scan.Elements() {
		for at, key := range scan.Members() {
			s.key(at, key)
			text := peekText(scan)
			_, notTime := time.Parse(time.RFC3339, text)
			switch field := string(key); {
			case field == "manager" && scan.Kind() == rawjson.String:
				s.manager(scan)
			case field == "fieldsV1":
				s.store(scan)
			case text != "" && notTime != nil && !isWellKnown(text):
				s.hashNext(scan, false)
			}
		}
	}
}

// manager redacts the name of a manager, which comes next. A name that was
// hashed once is hashed in later versions too, after the value was replaced.
func (s *secretPass) manager(scan *rawjson.Scanner) {
	start := scan.Offset()
	name := []byte(scan.Text())
	hash := s.hash(name)
	managers := s.pass.managers
	if managers[string(hash)] || s.mustHash(name) {
		s.replace(start, scan.Offset(), hash)
		if len(managers) >= maxHashedManagers {
			clear(managers)
		}
		managers[string(hash)] = true
	}
}

// labels redacts the labels, which come next. The API server did not validate
// those of the copy.
func (s *secretPass) labels(scan *rawjson.Scanner) {
	for at, key := range scan.Members() {
		s.key(at, key)
		if scan.Kind() == rawjson.String && (!s.isCopy || isPlain(peekText(scan))) {
			s.store(scan)
		} else if scan.Kind() != rawjson.Null {
			s.hashNext(scan, false)
		}
	}
}

// annotations redacts the annotations, which come next.
func (s *secretPass) annotations(scan *rawjson.Scanner) {
	for at, key := range scan.Members() {
		s.key(at, key)
		switch field := string(key); {
		case scan.Kind() == rawjson.Null:
		case field == LastApplied && !s.isCopy:
			s.lastApplied(scan)
		case scan.Kind() == rawjson.String && s.allows(field) && isPlain(peekText(scan)):
			s.store(scan)
		default:
			s.hashNext(scan, false)
		}
	}
}

// allows reports whether the values of an annotation may be stored.
func (s *secretPass) allows(annotation string) bool {
	return s.pass.rules.secretAnnotations[annotation]
}

// lastApplied redacts the last-applied configuration, which comes next, by the
// same rule.
func (s *secretPass) lastApplied(scan *rawjson.Scanner) {
	switch start := scan.Offset(); {
	case s.keepHashes && skipHash(scan):
	case scan.Kind() != rawjson.String:
		s.hashNext(scan, false)
		s.pass.opaque = true
	default:
		with := s.pass.redactLastApplied([]byte(scan.Text()), func(text []byte) ([]byte, error) {
			inner := *s
			inner.document, inner.isCopy = s.pass.edit(text), true
			return inner.redact()
		})
		if with != nil {
			s.replace(start, scan.Offset(), with)
		}
	}
}

// store keeps the value that comes next, except for the strings in it that must
// be hashed.
func (s *secretPass) store(scan *rawjson.Scanner) {
	switch start := scan.Offset(); scan.Kind() {
	case rawjson.String:
		if text := []byte(scan.Text()); s.mustHash(text) {
			s.replace(start, scan.Offset(), s.hash(text))
		}
	case rawjson.Object:
		for at, key := range scan.Members() {
			s.key(at, key)
			s.store(scan)
		}
	case rawjson.Array:
		for range scan.Elements() {
			s.store(scan)
		}
	}
}

// key hashes the key of the member that begins at an offset, if it must be
// hashed. In managedFields, the prefix "f:" of a field's name is not hashed, so
// that the name has the hash of the field itself.
func (s *secretPass) key(at int, name []byte) {
	prefix := ""
	field, isField := bytes.CutPrefix(name, []byte("f:"))
	if isField {
		prefix = "f:"
	}
	if s.mustHash(field) {
		s.hashKey(at, prefix, field)
	}
}

// mustHash reports whether a string must not be stored. Well-known strings
// reveal nothing. The object's own name and namespace are stored anyway.
func (s *secretPass) mustHash(text []byte) bool {
	switch known := string(text); {
	case known == "", known == s.id.Name, known == s.id.Namespace, isWellKnown(known),
		s.allows(known), s.keepHashes && isHash(known):
		return false
	case len(text) > maxStoredText, s.values.In(text):
		return true
	case len(s.previous) == 0:
		return false
	}
	hash := s.hash(text)
	return s.previous[string(hash[1:len(hash)-1])]
}

// isPlain reports whether a text has the form of a name or a reference: it has
// no white space, quotes or braces.
func isPlain(text string) bool {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
			strings.ContainsRune("-._:/,;=", r)
	}
	return len(text) <= maxStoredText && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0
}

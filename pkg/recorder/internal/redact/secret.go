package recorder

import (
	"bytes"
	"strings"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
	"github.com/watchhistory/watchhistory/pkg/recorder/internal/leak"
)

// maxKept is the length in bytes of the longest string of a Secret that is
// stored as it is: the longest that the API server accepts for a label, a
// finalizer or a manager is shorter.
const maxKept = 512

// maxHiddenManagers is how many names of managers are remembered as hashed.
const maxHiddenManagers = 4096

// secretRedactor redacts the Secrets of one stream.
type secretRedactor struct {
	redactor

	// managers are the names of managers that had to be hashed, as UID and hash.
	// Versions are recorded without managedFields, so that the version before
	// does not have them.
	managers map[string]bool
}

// newSecretRedactor returns nil if the resource is not that of Secrets.
func newSecretRedactor(resource history.Resource, key []byte) *secretRedactor {
	if resource.Group != "" || resource.Plural != "secrets" {
		return nil
	}
	return &secretRedactor{redactor: redactor{key: key}, managers: map[string]bool{}}
}

// secret is one version of a Secret on its way to being redacted.
//
// What may be stored is listed here, everything else is hashed: the values of
// data, stringData and unknown fields, and those of annotations that are not
// allowed by their key. Strings that are stored (labels, the names of keys,
// finalizers, owners, managers) are hashed as well if they contain one of the
// Secret's own values in any encoding, or if they had to be hashed in the
// version before. What identifies the object is always stored.
type secret struct {
	*secretRedactor

	allowed map[string]bool // the keys of annotations whose values may be stored
	id      identity
	values  *leak.Set
	before  map[string]bool // the hashes in the version before; nil if there is none
	again   bool            // the Secret may have been redacted: hashes stay as they are

	document []byte // the Secret, or the Secret as it was applied
	applied  bool
	edits    []rawjson.Edit
	opaque   bool // the last-applied configuration can't be read and is hashed as a whole
}

// redact returns a Secret with everything replaced that must not be stored.
// previous returns the version before, as it was recorded. opaque
// reports that a last-applied configuration had to be hashed as a whole.
func (r *secretRedactor) redact(
	object []byte, allowed map[string]bool, previous func(identity) []byte,
) (redacted []byte, opaque bool, err error) {
	id, values, err := collect(object)
	if err != nil {
		return nil, false, err
	}
	s := secret{secretRedactor: r, allowed: allowed, id: id, values: leak.New(values, leak.Shortest), document: object}
	if before := previous(id); before != nil {
		s.before = hashesIn(before)
	}
	return s.redacted()
}

// redactAgain redacts a Secret that was recorded before, maybe by a recorder
// that stored more of it.
func (r *secretRedactor) redactAgain(object []byte, allowed map[string]bool) ([]byte, error) {
	s := secret{secretRedactor: r, allowed: allowed, values: leak.New(nil, leak.Shortest), again: true, document: object}
	redacted, _, err := s.redacted()
	return redacted, err
}

func (s *secret) redacted() (redacted []byte, opaque bool, err error) {
	scan := rawjson.Scan(s.document)
	for at, key := range scan.Members() {
		s.key(at, key)
		if string(key) == "metadata" {
			s.metadata(&scan)
		} else {
			s.member(&scan, string(key))
		}
	}
	if err := scan.End(); err != nil {
		return nil, false, err
	}
	return rawjson.Apply(s.document, s.edits), s.opaque, nil
}

// member redacts a field of the Secret, whose value comes next.
func (s *secret) member(scan *rawjson.Scanner, field string) {
	kind := scan.Kind()
	switch field {
	case "kind", "apiVersion", "type":
		if kind == rawjson.String && (!s.applied || isWellKnown(textAhead(scan))) {
			s.keep(scan)
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
			s.hide(scan, field == "data")
		}
	default:
		s.hide(scan, false)
	}
}

// metadata redacts the metadata, which come next.
func (s *secret) metadata(scan *rawjson.Scanner) {
	for at, key := range scan.Members() {
		s.key(at, key)
		switch field := string(key); field {
		case "annotations":
			s.annotations(scan)
		case "labels":
			s.labels(scan)
		case "name", "namespace", "uid", "resourceVersion", "generation", "deletionGracePeriodSeconds":
			if s.applied {
				s.keep(scan)
			}
		case "creationTimestamp", "deletionTimestamp":
			if _, err := time.Parse(time.RFC3339, textAhead(scan)); err != nil && scan.Kind() != rawjson.Null {
				s.hide(scan, false)
			}
		case "managedFields", "generateName", "selfLink", "finalizers", "ownerReferences":
			switch {
			case s.applied:
				s.member(scan, field)
			case field == "managedFields":
				s.managedFields(scan)
			default:
				s.keep(scan)
			}
		default: // nobody validated it
			s.member(scan, field)
		}
	}
}

// managedFields redacts the managedFields, which come next. A manager whose name
// was hashed once has it hashed in later versions, too.
func (s *secret) managedFields(scan *rawjson.Scanner) {
	for range scan.Elements() {
		for at, key := range scan.Members() {
			s.key(at, key)
			text := textAhead(scan)
			_, noTime := time.Parse(time.RFC3339, text)
			switch field := string(key); {
			case field == "manager" && scan.Kind() == rawjson.String:
				s.manager(scan)
			case field == "fieldsV1":
				s.keep(scan)
			case text != "" && noTime != nil && !isWellKnown(text):
				s.hide(scan, false)
			}
		}
	}
}

// manager redacts the name of a manager, which comes next.
func (s *secret) manager(scan *rawjson.Scanner) {
	start := scan.Offset()
	name := []byte(scan.Text())
	hash := s.hash(name)
	id := s.id.uid + string(hash)
	if s.managers[id] || s.reveals(name) {
		s.edits = append(s.edits, rawjson.Edit{Start: start, End: scan.Offset(), With: hash})
		if len(s.managers) >= maxHiddenManagers {
			clear(s.managers)
		}
		s.managers[id] = true
	}
}

// labels redacts the labels, which come next. In a Secret as it was applied,
// nobody validated them.
func (s *secret) labels(scan *rawjson.Scanner) {
	for at, key := range scan.Members() {
		s.key(at, key)
		if scan.Kind() == rawjson.String && (!s.applied || isPlain(textAhead(scan))) {
			s.keep(scan)
		} else if scan.Kind() != rawjson.Null {
			s.hide(scan, false)
		}
	}
}

// annotations redacts the annotations, which come next.
func (s *secret) annotations(scan *rawjson.Scanner) {
	for at, key := range scan.Members() {
		s.key(at, key)
		switch field := string(key); {
		case scan.Kind() == rawjson.Null:
		case field == lastApplied && !s.applied:
			s.lastApplied(scan)
		case scan.Kind() == rawjson.String && s.allowed[field] && isPlain(textAhead(scan)):
			s.keep(scan)
		default:
			s.hide(scan, false)
		}
	}
}

// lastApplied redacts the last-applied configuration, which comes next. It
// keeps its shape if it is the JSON of an object. Otherwise it is hashed as a
// whole.
func (s *secret) lastApplied(scan *rawjson.Scanner) {
	if s.again && hashed(scan) {
		return
	}
	start := scan.Offset()
	if scan.Kind() == rawjson.String {
		text := []byte(scan.Text())
		inner := *s
		inner.document, inner.applied, inner.edits = text, true, nil
		redacted, _, err := inner.redacted()
		if quoted, ok := quote(redacted); err == nil && ok {
			s.edits = append(s.edits, rawjson.Edit{Start: start, End: scan.Offset(), With: quoted})
			return
		}
		s.edits = append(s.edits, rawjson.Edit{Start: start, End: scan.Offset(), With: s.hash(text)})
	} else {
		s.hide(scan, false)
	}
	s.opaque = true
}

// hide hashes the value that comes next.
func (s *secret) hide(scan *rawjson.Scanner, encoded bool) {
	if s.again && hashed(scan) {
		return
	}
	s.edits = s.value(scan, encoded, s.edits)
}

// keep leaves the value that comes next as it is, but for the strings in it
// that must not be stored.
func (s *secret) keep(scan *rawjson.Scanner) {
	switch start := scan.Offset(); scan.Kind() {
	case rawjson.String:
		if text := []byte(scan.Text()); s.reveals(text) {
			s.edits = append(s.edits, rawjson.Edit{Start: start, End: scan.Offset(), With: s.hash(text)})
		}
	case rawjson.Object:
		for at, key := range scan.Members() {
			s.key(at, key)
			s.keep(scan)
		}
	case rawjson.Array:
		for range scan.Elements() {
			s.keep(scan)
		}
	}
}

// key hashes the name of the member that begins at an offset, if it must not be
// stored. managedFields put "f:" before the names of fields; it stays, so that
// the name and the field have the same hash.
func (s *secret) key(at int, name []byte) {
	field, prefixed := bytes.CutPrefix(name, []byte("f:"))
	if !s.reveals(field) {
		return
	}
	with := s.hash(field)
	if prefixed {
		with = append([]byte(`"f:`), with[1:]...)
	}
	s.edits = append(s.edits, rawjson.Edit{Start: at, End: at + len(literal(s.document, at)), With: with})
}

// reveals reports whether a string must not be stored. What everybody knows
// reveals nothing, and neither do the object's own names, which are stored
// anyway.
func (s *secret) reveals(text []byte) bool {
	switch known := string(text); {
	case known == "", known == s.id.name, known == s.id.namespace, isWellKnown(known), s.allowed[known], s.again && isHash(known):
		return false
	case len(text) > maxKept, s.values.In(text):
		return true
	case len(s.before) == 0:
		return false
	}
	hash := s.hash(text)
	return s.before[string(hash[1:len(hash)-1])]
}

// textAhead returns the string that comes next without consuming it; "" if it
// is no string.
func textAhead(scan *rawjson.Scanner) string {
	ahead := *scan
	if ahead.Kind() != rawjson.String {
		return ""
	}
	return ahead.Text()
}

// isPlain reports whether a text has the form of a name or a reference. Texts
// with white space, quotes or braces are none.
func isPlain(text string) bool {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._:/,;=", r)
	}
	return len(text) <= maxKept && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0
}

// DefaultSecretAnnotations returns the keys of annotations whose values are
// stored of Secrets unless the rules name others. Tools write them. Their values
// are names, references and switches, and never a text that somebody may write.
func DefaultSecretAnnotations() []string {
	return []string{
		"argocd.argoproj.io/sync-wave", "argocd.argoproj.io/tracking-id",
		"cert-manager.io/certificate-name", "cert-manager.io/issuer-group", "cert-manager.io/issuer-kind", "cert-manager.io/issuer-name",
		"helm.sh/hook", "helm.sh/hook-delete-policy", "helm.sh/hook-weight", "helm.sh/resource-policy",
		"kapp.k14s.io/identity",
		"kubernetes.io/service-account.name", "kubernetes.io/service-account.uid",
		"meta.helm.sh/release-name", "meta.helm.sh/release-namespace",
	}
}

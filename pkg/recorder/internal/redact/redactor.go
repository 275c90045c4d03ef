package redact

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"hash"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// LastApplied is the annotation in which "kubectl apply" stores the object as
// it was applied.
const LastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// Redactor redacts the objects of one resource. It is used by one goroutine at
// a time.
type Redactor struct {
	keys     hash.Hash // HMAC with the redaction key, which derives the objects' keys
	resource schema.GroupResource
	isSecret bool
	isEvent  bool
	rules    resourceRules

	// managers are the hashes of the names of Secrets' field managers that had
	// to be hashed. Versions are recorded without managedFields, so the
	// previous version does not contain them.
	managers map[string]bool
}

// New returns a redactor for a resource that has only the built-in rules. key
// is the redaction key, from which the keys of all objects' hashes are derived.
// It is required for Secrets, and for rules of a configuration.
func New(resource schema.GroupResource, key []byte) (*Redactor, error) {
	r := &Redactor{
		keys: hmac.New(sha256.New, key), resource: resource, managers: map[string]bool{},
		isSecret: resource == schema.GroupResource{Resource: "secrets"},
		isEvent:  history.IsEventResource(resource),
	}
	if r.isSecret && len(key) == 0 {
		return nil, errors.New("no key to hash the values of Secrets")
	}
	builtIn, err := Compile(nil, nil)
	if err != nil {
		return nil, err
	}
	r.SetRules(builtIn)
	return r, nil
}

// SetRules replaces the rules. They apply from the next object on.
func (r *Redactor) SetRules(rules *Rules) { r.rules = rules.of(r.resource) }

// Identity is how an object is identified. It is never hashed.
type Identity struct{ Namespace, Name, UID, RV string }

// Redact returns the object with all values hashed that must not be stored. It
// returns the object itself, and not a copy, if nothing had to be hashed.
//
// previous returns the object's previous version as it was recorded, or nil. It
// is called for Secrets only. opaque reports that a last-applied configuration
// could not be read, and was hashed completely.
func (r *Redactor) Redact(object []byte, previous func(Identity) []byte) (redacted []byte, opaque bool, err error) {
	if !r.isSecret && len(r.rules.selectors) == 0 {
		return object, false, nil
	}
	p := pass{Redactor: r, hasher: hasher{redactor: r, object: object}}
	redacted, err = p.run(object, previous)
	return redacted, p.opaque, err
}

// RedactAgain redacts an object that was recorded under earlier rules. Hashes
// stay as they are. The values of a Secret are hashed already, so they are not
// searched for in its other strings.
func (r *Redactor) RedactAgain(object []byte) ([]byte, error) {
	p := pass{Redactor: r, hasher: hasher{redactor: r, object: object}, again: true}
	return p.run(object, nil)
}

// pass is one application of all rules to one object.
type pass struct {
	*Redactor
	hasher

	again  bool // the object may have been redacted before
	opaque bool // see Redact
}

// run applies the rule for Secrets and then the paths, which may select values
// that the former keeps, such as labels.
func (p *pass) run(object []byte, previous func(Identity) []byte) ([]byte, error) {
	if p.isSecret {
		var err error
		if object, err = p.redactSecret(object, previous); err != nil {
			return nil, err
		}
	}
	if len(p.rules.selectors) > 0 {
		var err error
		if object, err = p.redactPaths(object); err != nil {
			return nil, err
		}
	}
	return object, p.err
}

// edit returns a document without edits.
func (p *pass) edit(text []byte) document {
	return document{hasher: &p.hasher, text: text, keepHashes: p.again}
}

// walk redacts a document: an object, or a copy of it.
type walk func(text []byte) ([]byte, error)

// redactCopy applies a walk to the copy of an object that is the text of an
// annotation. It returns the string that replaces the annotation, or nil if the
// walk changed nothing.
//
// ok reports whether the text is the JSON of an object. Otherwise the walk did
// not apply.
func redactCopy(text []byte, redact walk) (with []byte, ok bool) {
	if !isObject(text) {
		return nil, false
	}
	redacted, err := redact(text)
	if err != nil {
		return nil, false
	}
	if bytes.Equal(redacted, text) {
		return nil, true
	}
	return quote(redacted)
}

// isObject reports whether a text begins like the JSON of an object.
func isObject(text []byte) bool {
	scan := rawjson.Scan(text)
	return scan.Kind() == rawjson.Object
}

// redactLastApplied is redactCopy for a last-applied configuration, which is
// hashed completely if it is not the JSON of an object.
func (p *pass) redactLastApplied(text []byte, redact walk) (with []byte) {
	with, ok := redactCopy(text, redact)
	if !ok {
		p.opaque = true
		return p.hash(text)
	}
	return with
}

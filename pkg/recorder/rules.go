package recorder

import (
	"errors"
	"hash/maphash"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
	"github.com/watchhistory/watchhistory/pkg/recorder/internal/redact"
	"github.com/watchhistory/watchhistory/pkg/symptom"
)

// Rules define which values are redacted in addition to those of Secrets, which
// versions are ignored, and which have symptoms. The zero value ignores
// nothing.
//
// Resources that are ignored completely are not watched, so the recorder has no
// rule for them.
type Rules struct {
	Redact []Redaction
	Ignore []history.IgnoreRule
	// SecretAnnotations are the keys of annotations whose values are stored in
	// Secrets. Nil means [DefaultSecretAnnotations].
	SecretAnnotations []string
	// Symptoms are rules for symptoms in addition to those of package symptom.
	Symptoms []symptom.Rule
}

// Redaction replaces the values at paths by keyed hashes, in the objects of one
// resource and in the copies of them that annotations contain.
type Redaction = redact.Rule

// CheckRedactPath returns an error if a path can't be redacted in the objects
// of a resource. It must be a valid path, and must not identify objects.
func CheckRedactPath(resource schema.GroupResource, path string) error {
	return redact.CheckPath(resource, path)
}

// CheckSecretAnnotation returns an error if a key can't be one of
// [Rules].SecretAnnotations.
func CheckSecretAnnotation(key string) error { return redact.CheckSecretAnnotation(key) }

// DefaultSecretAnnotations returns the keys of annotations whose values are
// stored in Secrets by default.
func DefaultSecretAnnotations() []string { return redact.DefaultSecretAnnotations() }

// CheckIgnorePath returns an error if the changes at a path can't be ignored.
func CheckIgnorePath(path string) error {
	_, err := rawjson.ParsePath(path)
	return err
}

// SetRules replaces the recorder's rules. They apply to every watch event that
// a stream observes from now on. Recorded versions don't change. If the rules
// are rejected, the current ones are kept.
func (r *Recorder) SetRules(rules Rules) error {
	if len(rules.Redact) > 0 && len(r.opts.RedactionKey) == 0 {
		return errors.New("compile rules: no key to hash redacted values with")
	}
	compiled, err := compileRules(rules, r.seed)
	if err != nil {
		return err
	}
	r.rules.Store(compiled)
	return nil
}

// Symptoms returns the current rules for symptoms. They are nil before
// [Recorder.SetRules].
func (r *Recorder) Symptoms() *symptom.Extra {
	if compiled := r.rules.Load(); compiled != nil {
		return compiled.symptoms
	}
	return nil
}

// compiledRules are the rules for all resources. They are immutable.
type compiledRules struct {
	redact     *redact.Rules
	seed       maphash.Seed
	namespaces map[schema.GroupResource][]string           // whose versions are ignored
	changes    map[schema.GroupResource][]rawjson.Selector // that are ignored
	symptoms   *symptom.Extra
}

// compileRules checks the rules and prepares them to be applied.
//
// seed is the seed of the content hashes. It must not change while the recorder
// runs, because heads contain content hashes.
func compileRules(rules Rules, seed maphash.Seed) (*compiledRules, error) {
	redactRules, err := redact.Compile(rules.Redact, rules.SecretAnnotations)
	if err != nil {
		return nil, err
	}
	symptoms, err := symptom.Compile(rules.Symptoms)
	if err != nil {
		return nil, history.Errorf(history.Invalid, "symptoms: %w", err)
	}
	c := &compiledRules{
		redact: redactRules, seed: seed, symptoms: symptoms,
		namespaces: map[schema.GroupResource][]string{}, changes: map[schema.GroupResource][]rawjson.Selector{},
	}
	for _, rule := range rules.Ignore {
		c.namespaces[rule.Resource] = append(c.namespaces[rule.Resource], rule.Namespaces...)
		for _, text := range rule.Changes {
			path, err := rawjson.ParsePath(text)
			if err != nil {
				return nil, history.Errorf(history.Invalid, "ignore changes of %s: %v", rule.Resource, err)
			}
			c.changes[rule.Resource] = append(c.changes[rule.Resource], rawjson.Selector{Path: path})
		}
	}
	return c, nil
}

// ignoreRules are the rules of one resource for ignoring versions. They are
// immutable.
type ignoreRules struct {
	compiled   *compiledRules // that they are a part of
	namespaces []string
	// changes are the selectors of changes that are ignored, followed by that
	// of the resourceVersion. The slice is empty if there are no such rules.
	changes []rawjson.Selector
}

// ignore returns the ignore rules of one resource.
func (c *compiledRules) ignore(resource schema.GroupResource) *ignoreRules {
	rules := &ignoreRules{
		compiled: c, changes: c.changes[resource],
		namespaces: slices.Concat(c.namespaces[resource], c.namespaces[schema.GroupResource{}]),
	}
	if len(rules.changes) > 0 {
		rules.changes = append(slices.Clip(rules.changes),
			rawjson.Selector{Path: rawjson.MustParsePath("metadata.resourceVersion")})
	}
	return rules
}

// ignoresNamespace reports whether the versions in a namespace are ignored.
func (r *ignoreRules) ignoresNamespace(namespace string) bool {
	return namespace != "" && slices.Contains(r.namespaces, namespace)
}

// contentHash hashes the content of an object except for ignored fields. It
// returns 0 if no field is ignored. Two versions with the same hash differ only
// in ignored fields. A field that is added or removed counts as a change.
func (r *ignoreRules) contentHash(object []byte) uint64 {
	if len(r.changes) == 0 {
		return 0
	}
	var h maphash.Hash
	h.SetSeed(r.compiled.seed)
	for _, s := range r.changes { // hashes under other rules differ
		_, _ = h.WriteString(s.String() + "\n")
	}
	// Hash the bytes between the ignored values, including their keys.
	from := 0
	err := rawjson.Find(object, r.changes, func(scan *rawjson.Scanner, _ int) {
		_, _ = h.Write(object[from:scan.Offset()])
		scan.Skip()
		from = scan.Offset()
	})
	if err != nil {
		return 0
	}
	_, _ = h.Write(object[from:])
	return max(h.Sum64(), 1) // 0 has a meaning of its own
}

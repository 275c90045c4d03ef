package recorder

import (
	"errors"
	"fmt"
	"hash/maphash"
	"regexp"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// Rules say what is hidden besides the values of Secrets, and what is left out. Without rules everything is recorded as it
// is. Resources that are left out as a whole are not the recorder's business: nobody watches them.
type Rules struct {
	Redact []Redaction
	Ignore []history.IgnoreRule
	// SecretAnnotations are the keys of annotations whose values are stored of
	// Secrets. [DefaultSecretAnnotations] if nil.
	SecretAnnotations []string
}

// Redaction replaces the values at the paths by keyed hashes, in the objects of one resource and in their last-applied
// configurations. With Names, regular expressions, it does so only where one of them matches the name of what a path's
// last [*] stands for.
type Redaction struct {
	Resource schema.GroupResource
	Paths    []string
	Names    []string
}

// CheckRedacted tells what is wrong with a path that is to be redacted in a resource's objects: it is no path, or what an
// object is known by would go.
func CheckRedacted(resource schema.GroupResource, path string) error {
	p, err := rawjson.ParsePath(path)
	if err != nil {
		return err
	}
	metadata := p.Field(0) == "metadata"
	switch field := p.Field(0); {
	case field == "kind", field == "apiVersion",
		metadata && p.Field(1) != "annotations" && p.Field(1) != "labels",
		resource.Resource == "events" && (field == "involvedObject" || field == "regarding"):
		return fmt.Errorf("%q: objects are told apart by this; of metadata, only annotations and labels can be redacted", path)
	case resource.String() == "secrets" && !metadata:
		return fmt.Errorf("%q: every value of a Secret is redacted anyway", path)
	}
	return nil
}

// CheckSecretAnnotation returns an error if a key can't be one of
// [Rules].SecretAnnotations.
func CheckSecretAnnotation(key string) error {
	if problems := validation.IsQualifiedName(key); len(problems) > 0 {
		return fmt.Errorf("%q: %s", key, problems[0])
	}
	if key == lastApplied {
		return fmt.Errorf("%q: holds the values of the Secret", key)
	}
	return nil
}

// CheckIgnored tells what is wrong with a path whose changes are to be left out.
func CheckIgnored(path string) error {
	_, err := rawjson.ParsePath(path)
	return err
}

// SetRules replaces the recorder's rules: they hold for every frame that a stream takes from now on. What is recorded stays as
// it is.
func (r *Recorder) SetRules(rules Rules) error {
	book, err := newRulebook(rules, r.opts.RedactionKey, r.seed)
	if err != nil {
		return err
	}
	r.rules.Store(book)
	return nil
}

// rulebook holds rules that are ready to be applied. It is never written.
type rulebook struct {
	key        []byte
	seed       maphash.Seed
	allowed    map[string]bool // keys of annotations whose values are stored of Secrets
	redact     map[schema.GroupResource][]rawjson.Selector
	namespaces map[schema.GroupResource][]string
	changes    map[schema.GroupResource][]rawjson.Selector
}

func newRulebook(rules Rules, key []byte, seed maphash.Seed) (*rulebook, error) {
	b := &rulebook{
		key: key, seed: seed, redact: map[schema.GroupResource][]rawjson.Selector{},
		namespaces: map[schema.GroupResource][]string{}, changes: map[schema.GroupResource][]rawjson.Selector{},
	}
	if len(rules.Redact) > 0 && len(key) == 0 {
		return nil, errors.New("there is no key to hash redacted values with")
	}
	for _, key := range rules.SecretAnnotations {
		if err := CheckSecretAnnotation(key); err != nil {
			return nil, history.Errorf(history.Invalid, "annotation of Secrets: %v", err)
		}
	}
	b.allow(rules.SecretAnnotations)
	for _, rule := range rules.Redact {
		for _, path := range rule.Paths {
			if err := CheckRedacted(rule.Resource, path); err != nil {
				return nil, history.Errorf(history.Invalid, "redact %s: %v", rule.Resource, err)
			}
		}
		selectors, err := selectors(rule.Paths, rule.Names)
		if err != nil {
			return nil, history.Errorf(history.Invalid, "redact %s: %v", rule.Resource, err)
		}
		b.redact[rule.Resource] = append(b.redact[rule.Resource], selectors...)
	}
	for _, rule := range rules.Ignore {
		selectors, err := selectors(rule.Changes, nil)
		if err != nil {
			return nil, history.Errorf(history.Invalid, "ignore changes of %s: %v", rule.Resource, err)
		}
		b.namespaces[rule.Resource] = append(b.namespaces[rule.Resource], rule.Namespaces...)
		b.changes[rule.Resource] = append(b.changes[rule.Resource], selectors...)
	}
	return b, nil
}

// allow sets the keys of annotations whose values are stored of Secrets; the
// default ones if keys is nil.
func (b *rulebook) allow(keys []string) {
	if keys == nil {
		keys = DefaultSecretAnnotations()
	}
	b.allowed = make(map[string]bool, len(keys))
	for _, key := range keys {
		b.allowed[key] = true
	}
}

func selectors(paths, names []string) ([]rawjson.Selector, error) {
	var all []rawjson.Selector
	var patterns []*regexp.Regexp
	for _, name := range names {
		pattern, err := regexp.Compile(name)
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, pattern)
	}
	for _, text := range paths {
		path, err := rawjson.ParsePath(text)
		if err != nil {
			return nil, err
		}
		all = append(all, rawjson.Selector{Path: path, Names: patterns})
	}
	return all, nil
}

// of returns the rules for one resource.
func (b *rulebook) of(resource schema.GroupResource) *ruleset {
	set := &ruleset{
		book: b, redactor: redactor{key: b.key}, seed: b.seed, redact: b.redact[resource], changes: b.changes[resource],
		namespaces: slices.Concat(b.namespaces[resource], b.namespaces[schema.GroupResource{}]),
		events:     history.IsEventResource(resource),
		allowed:    b.allowed,
	}
	if len(set.redact) > 0 {
		set.redact = append(slices.Clip(set.redact), mustSelect(`metadata.annotations["`+lastApplied+`"]`), mustSelect("metadata.annotations[*]"))
	}
	if len(set.changes) > 0 {
		set.changes = append(slices.Clip(set.changes), mustSelect("metadata.resourceVersion"))
	}
	return set
}

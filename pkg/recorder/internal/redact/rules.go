package redact

import (
	"fmt"
	"regexp"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// Rule replaces the values at paths by keyed hashes, in the objects of one
// resource and in the copies of them that annotations contain.
type Rule struct {
	Resource schema.GroupResource
	Paths    []string // see [rawjson.Path]
	// Names are regular expressions. If there are any, the rule applies only if
	// one of them matches the name that the last [*] of a path is resolved to.
	Names []string
}

// Rules are compiled rules for all resources. They are immutable.
type Rules struct {
	selectors         map[schema.GroupResource][]rawjson.Selector
	secretAnnotations map[string]bool
}

// resourceRules are the compiled rules for one resource.
type resourceRules struct {
	// selectors are those of the configuration, followed by those of the
	// last-applied configuration and of all annotations. The slice is empty if
	// the configuration has no rule for the resource.
	selectors         []rawjson.Selector
	secretAnnotations map[string]bool // keys whose values may be stored
}

// lastAppliedSelector returns the index of the selector of the last-applied
// configuration.
func (r *resourceRules) lastAppliedSelector() int { return len(r.selectors) - 2 }

// annotationSelector returns the index of the selector of all annotations.
func (r *resourceRules) annotationSelector() int { return len(r.selectors) - 1 }

// Compile checks the rules of a configuration and prepares them to be applied.
//
// secretAnnotations are the keys of annotations whose values are stored in
// Secrets. Nil means [DefaultSecretAnnotations]. An error is a
// [history.Invalid] error.
func Compile(rules []Rule, secretAnnotations []string) (*Rules, error) {
	for _, key := range secretAnnotations {
		if err := CheckSecretAnnotation(key); err != nil {
			return nil, history.Errorf(history.Invalid, "annotation of Secrets: %v", err)
		}
	}
	if secretAnnotations == nil {
		secretAnnotations = DefaultSecretAnnotations()
	}
	compiled := &Rules{selectors: map[schema.GroupResource][]rawjson.Selector{}, secretAnnotations: map[string]bool{}}
	for _, key := range secretAnnotations {
		compiled.secretAnnotations[key] = true
	}
	for _, rule := range rules {
		selectors, err := rule.compile()
		if err != nil {
			return nil, history.Errorf(history.Invalid, "redact %s: %v", rule.Resource, err)
		}
		compiled.selectors[rule.Resource] = append(compiled.selectors[rule.Resource], selectors...)
	}
	return compiled, nil
}

// compile checks the rule and returns one selector per path.
func (r *Rule) compile() (selectors []rawjson.Selector, err error) {
	var names []*regexp.Regexp
	for _, name := range r.Names {
		pattern, err := regexp.Compile(name)
		if err != nil {
			return nil, err
		}
		names = append(names, pattern)
	}
	for _, text := range r.Paths {
		if err := CheckPath(r.Resource, text); err != nil {
			return nil, err
		}
		path, err := rawjson.ParsePath(text)
		if err != nil {
			return nil, err
		}
		selectors = append(selectors, rawjson.Selector{Path: path, Names: names})
	}
	return selectors, nil
}

// of returns the rules for one resource.
func (r *Rules) of(resource schema.GroupResource) resourceRules {
	rules := resourceRules{selectors: r.selectors[resource], secretAnnotations: r.secretAnnotations}
	if len(rules.selectors) > 0 {
		rules.selectors = append(slices.Clip(rules.selectors),
			rawjson.Selector{Path: rawjson.MustParsePath(`metadata.annotations["` + LastApplied + `"]`)},
			rawjson.Selector{Path: rawjson.MustParsePath("metadata.annotations[*]")})
	}
	return rules
}

// CheckPath returns an error if a path can't be redacted in the objects of a
// resource. It must be a valid path, and must not identify objects.
func CheckPath(resource schema.GroupResource, path string) error {
	p, err := rawjson.ParsePath(path)
	if err != nil {
		return err
	}
	inMetadata := p.Field(0) == "metadata"
	switch field := p.Field(0); {
	case field == "kind", field == "apiVersion",
		inMetadata && p.Field(1) != "annotations" && p.Field(1) != "labels",
		resource.Resource == "events" && (field == "involvedObject" || field == "regarding"):
		return fmt.Errorf(
			"%q: objects are identified by this field; in metadata, only annotations and labels can be redacted", path,
		)
	case resource.String() == "secrets" && !inMetadata:
		return fmt.Errorf("%q: every value of a Secret is redacted already", path)
	}
	return nil
}

// CheckSecretAnnotation returns an error if the values of an annotation can't
// be stored in Secrets.
func CheckSecretAnnotation(key string) error {
	if problems := validation.IsQualifiedName(key); len(problems) > 0 {
		return fmt.Errorf("%q: %s", key, problems[0])
	}
	if key == LastApplied {
		return fmt.Errorf("%q: contains the values of the Secret", key)
	}
	return nil
}

// DefaultSecretAnnotations returns the keys of annotations whose values are
// stored in Secrets by default. Tools write these annotations. Their values are
// names, references and switches, and never free text.
func DefaultSecretAnnotations() []string {
	return []string{
		"argocd.argoproj.io/sync-wave", "argocd.argoproj.io/tracking-id",
		"cert-manager.io/certificate-name", "cert-manager.io/issuer-group",
		"cert-manager.io/issuer-kind", "cert-manager.io/issuer-name",
		"helm.sh/hook", "helm.sh/hook-delete-policy", "helm.sh/hook-weight", "helm.sh/resource-policy",
		"kapp.k14s.io/identity",
		"kubernetes.io/service-account.name", "kubernetes.io/service-account.uid",
		"meta.helm.sh/release-name", "meta.helm.sh/release-namespace",
	}
}

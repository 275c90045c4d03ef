package daemon

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
	"github.com/watchhistory/watchhistory/pkg/recorder"
	"github.com/watchhistory/watchhistory/pkg/symptom"
)

// ruleChecker checks the rules of a file against each other and against what
// is recorded.
//
// No two rules may have the same effect, and each must be about a resource that
// is recorded. A rule that never applies is a typing error, and the value that
// it should redact would be stored.
type ruleChecker struct {
	at         *layout
	redacted   map[string]string // paths in the file by resource and redacted path
	changes    map[string]string // paths in the file by resource and ignored path
	symptoms   map[string]string // paths in the file by resource and code
	namespaces []namespaceRule
	mentions   []mention
}

// namespaceRule is a namespace that is ignored, for one resource or for all.
type namespaceRule struct {
	resource  schema.GroupResource
	namespace namespaceName
	path      string
}

// mention is a place in the file where a rule names its resource.
type mention struct {
	resource schema.GroupResource
	path     string
	whole    bool // the rule ignores the resource completely
}

// setRules sets the rules of c. listed and included are the resources that the
// file names.
//
// Resources of the defaults that a rule ignores completely are removed from
// c.Resources. A resource that the file names can't be ignored completely.
func (f *configFile) setRules(c *Config, listed, included []history.Resource, at *layout) error {
	r := ruleChecker{at: at, redacted: map[string]string{}, changes: map[string]string{}, symptoms: map[string]string{}}
	if f.SecretAnnotations != nil {
		if err := unique("secretAnnotations", f.SecretAnnotations, at); err != nil {
			return err
		}
		c.Rules.SecretAnnotations = toStrings(f.SecretAnnotations)
		if len(f.SecretAnnotations) > 0 {
			secrets := schema.GroupResource{Resource: "secrets"}
			r.mentions = append(r.mentions, mention{secrets, "secretAnnotations", false})
		}
	}
	for i, e := range f.Redact {
		rule, err := r.redaction(item("redact", i), &e)
		if err != nil {
			return err
		}
		c.Rules.Redact = append(c.Rules.Redact, rule)
	}
	for i, e := range f.Ignore {
		rule, err := r.ignoreRule(item("ignore", i), &e)
		if err != nil {
			return err
		}
		c.Rules.Ignore = append(c.Rules.Ignore, rule)
	}
	if len(f.Symptoms) > symptom.MaxRules {
		return at.errorf("symptoms", "%d rules: want at most %d", len(f.Symptoms), symptom.MaxRules)
	}
	for i, e := range f.Symptoms {
		rule, err := r.symptom(item("symptoms", i), &e)
		if err != nil {
			return err
		}
		c.Rules.Symptoms = append(c.Rules.Symptoms, rule)
	}
	return r.checkMentions(c, listed, included)
}

// symptom returns the rule of an entry of the field symptoms.
func (r *ruleChecker) symptom(path string, e *symptomEntry) (rule symptom.Rule, err error) {
	switch {
	case e.Code == "":
		return rule, r.at.errorf(path+".code", "missing")
	case e.Resource == nil:
		return rule, r.at.errorf(path+".resource", "missing")
	case e.Expression == "":
		return rule, r.at.errorf(path+".expression", "missing")
	}
	rule = symptom.Rule{
		Code: string(e.Code), Resource: schema.GroupResource(*e.Resource),
		Expression: string(e.Expression), Text: string(e.Text),
	}
	r.mentions = append(r.mentions, mention{rule.Resource, path + ".resource", false})
	return rule, r.once(r.symptoms, rule.Resource, rule.Code, path+".code")
}

// redaction returns the rule of an entry of the field redact.
func (r *ruleChecker) redaction(path string, e *redactEntry) (rule recorder.Redaction, err error) {
	switch {
	case e.Resource == nil:
		return rule, r.at.errorf(path+".resource", "missing")
	case e.Paths == nil:
		return rule, r.at.errorf(path+".paths", "missing")
	case len(e.Paths) == 0:
		return rule, r.at.errorf(path+".paths", "is empty")
	case e.Names != nil && len(e.Names) == 0:
		return rule, r.at.errorf(path+".names", "is empty")
	}
	rule = recorder.Redaction{
		Resource: schema.GroupResource(*e.Resource), Paths: toStrings(e.Paths), Names: toStrings(e.Names),
	}
	r.mentions = append(r.mentions, mention{rule.Resource, path + ".resource", false})
	if err := unique(path+".names", e.Names, r.at); err != nil {
		return rule, err
	}
	for i, p := range rule.Paths {
		if err := r.checkRedacted(rule.Resource, p, item(path+".paths", i), len(e.Names) > 0); err != nil {
			return rule, err
		}
	}
	return rule, nil
}

// checkRedacted checks one path of a redaction. named reports whether the
// redaction has names, which need a [*] to match.
func (r *ruleChecker) checkRedacted(resource schema.GroupResource, redacted, path string, named bool) error {
	if err := recorder.CheckRedactPath(resource, redacted); err != nil {
		return r.at.errorf(path, "%v", err)
	}
	if p, err := rawjson.ParsePath(redacted); named && (err != nil || !p.HasWildcard()) {
		return r.at.errorf(path, "%q has no [*]: names have nothing to match", redacted)
	}
	return r.once(r.redacted, resource, redacted, path)
}

// ignoreRule returns the rule of an entry of the field ignore.
func (r *ruleChecker) ignoreRule(path string, e *ignoreEntry) (rule history.IgnoreRule, err error) {
	switch {
	case e.Namespaces != nil && len(e.Namespaces) == 0:
		return rule, r.at.errorf(path+".namespaces", "is empty")
	case e.Changes != nil && len(e.Changes) == 0:
		return rule, r.at.errorf(path+".changes", "is empty")
	case e.Namespaces != nil && e.Changes != nil:
		return rule, r.at.errorf(path, "has namespaces and changes: write two entries, they are two rules")
	case e.Changes != nil && e.Resource == nil:
		return rule, r.at.errorf(path+".resource", "missing: changes are those of one resource")
	case e.Namespaces == nil && e.Resource == nil:
		return rule, r.at.errorf(path,
			"is empty: want a resource, namespaces, or a resource with namespaces or changes")
	}
	rule = history.IgnoreRule{Namespaces: toStrings(e.Namespaces), Changes: toStrings(e.Changes)}
	if e.Resource != nil {
		rule.Resource = schema.GroupResource(*e.Resource)
		r.mentions = append(r.mentions, mention{rule.Resource, path + ".resource", rule.Whole()})
	}
	for i, n := range e.Namespaces {
		if err := r.checkNamespace(namespaceRule{rule.Resource, n, item(path+".namespaces", i)}); err != nil {
			return rule, err
		}
	}
	for i, p := range rule.Changes {
		if err := r.once(r.changes, rule.Resource, p, item(path+".changes", i)); err != nil {
			return rule, err
		}
	}
	return rule, nil
}

// checkNamespace rejects a namespace that another rule ignores already.
func (r *ruleChecker) checkNamespace(rule namespaceRule) error {
	all := schema.GroupResource{}
	for _, other := range r.namespaces {
		overlap := other.resource == rule.resource || other.resource == all || rule.resource == all
		if overlap && other.namespace == rule.namespace {
			return r.at.errorf(rule.path, "%q is already ignored by line %d", rule.namespace, r.at.line(other.path))
		}
	}
	r.namespaces = append(r.namespaces, rule)
	return nil
}

// once rejects a field that another rule of the same kind and resource has.
func (r *ruleChecker) once(seen map[string]string, resource schema.GroupResource, field, path string) error {
	id := fmt.Sprint(resource, " ", field)
	if first, ok := seen[id]; ok {
		return r.at.errorf(path, "%q is already listed on line %d", field, r.at.line(first))
	}
	seen[id] = path
	return nil
}

// checkMentions checks the resources that rules are about.
func (r *ruleChecker) checkMentions(c *Config, listed, included []history.Resource) error {
	ignored := map[schema.GroupResource]int{} // lines of the rules that ignore a resource completely
	for _, m := range r.mentions {
		if !m.whole {
			continue
		}
		if line, ok := ignored[m.resource]; ok {
			return r.at.errorf(m.path, "%s is already ignored by line %d", m.resource, line)
		}
		ignored[m.resource] = r.at.line(m.path)
		switch {
		case contains(listed, m.resource):
			return r.at.errorf(m.path, "%s is listed in resources and completely ignored", m.resource)
		case contains(included, m.resource):
			return r.at.errorf(m.path, "%s is listed in include and completely ignored", m.resource)
		}
	}
	c.Resources = slices.DeleteFunc(c.Resources, func(r history.Resource) bool {
		return ignored[r.GroupResource()] > 0
	})
	for _, m := range r.mentions {
		line := ignored[m.resource]
		switch {
		case m.whole:
		case line > 0:
			return r.at.errorf(m.path, "%s is completely ignored by line %d", m.resource, line)
		case c.recordedAs(m.resource) != m.resource:
			return r.at.errorf(m.path, "%s are recorded as %s: name that, and its fields",
				m.resource, c.recordedAs(m.resource))
		case !c.records(m.resource) && !c.discoversCRD(m.resource):
			return r.at.errorf(m.path,
				"%s is not recorded: neither resources nor include name it, and it is not discovered", m.resource)
		}
	}
	return nil
}

package daemon

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
	"github.com/watchhistory/watchhistory/pkg/recorder"
)

// ruleReader reads the rules of a configuration. No two may say the same, and each has to be about something that is
// recorded: a rule that never applies is a typing error, and a value that it was to hide would be stored.
type ruleReader struct {
	rules    *recorder.Rules
	redacted map[string]int // the lines of paths that are redacted, by resource and path
	changes  map[string]int // the lines of paths whose changes are left out, by resource and path
	spaces   []spaceRule
	about    []aboutRule
}

// spaceRule is a namespace that is left out, of one resource or of all.
type spaceRule struct {
	resource  schema.GroupResource
	namespace string
	line      int
}

// aboutRule is where a rule names its resource, and whether it leaves out all of it.
type aboutRule struct {
	text
	resource schema.GroupResource
	whole    bool
}

// text is a text of the file and where it stands.
type text struct {
	value string
	node  *yaml.Node
	field string
}

func (t text) mistake(what string) error { return mistake(t.node, t.field, what) }

func newRuleReader(rules *recorder.Rules) *ruleReader {
	return &ruleReader{rules: rules, redacted: map[string]int{}, changes: map[string]int{}}
}

// redact reads one entry of the field of that name.
func (r *ruleReader) redact(item *yaml.Node, at string) error {
	var resource text
	var paths, names []text
	err := eachField(resolve(item), at, map[string]func(*yaml.Node) error{
		"resource": setText(&resource, at+".resource"),
		"paths":    setTexts(&paths, at+".paths", notEmpty),
		"names":    setTexts(&names, at+".names", regularExpression),
	})
	switch {
	case err != nil:
		return err
	case resource.node == nil:
		return mistake(item, at+".resource", "missing")
	case paths == nil:
		return mistake(item, at+".paths", "missing")
	}
	about, err := r.mention(resource, false)
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := r.redactable(about, path, len(names) > 0); err != nil {
			return err
		}
	}
	r.rules.Redact = append(r.rules.Redact, recorder.Redaction{Resource: about, Paths: plain(paths), Names: plain(names)})
	return nil
}

// secretAnnotations reads the list of annotations whose values are stored of
// Secrets. It may be empty.
func (r *ruleReader) secretAnnotations(node *yaml.Node) error {
	const field = "secretAnnotations"
	secrets := schema.GroupResource{Resource: "secrets"}
	r.rules.SecretAnnotations = []string{}
	if node.Kind == yaml.SequenceNode && len(node.Content) == 0 {
		return nil
	}
	var keys []text
	if err := setTexts(&keys, field, recorder.CheckSecretAnnotation)(node); err != nil {
		return err
	}
	r.rules.SecretAnnotations = plain(keys)
	r.about = append(r.about, aboutRule{text{node: node, field: field}, secrets, false})
	return nil
}

func (r *ruleReader) redactable(resource schema.GroupResource, path text, named bool) error {
	if err := recorder.CheckRedacted(resource, path.value); err != nil {
		return path.mistake(err.Error())
	}
	if p, err := rawjson.ParsePath(path.value); named && (err != nil || !p.Wild()) {
		return path.mistake(fmt.Sprintf("%q has no [*], so that there is nothing for names to match", path.value))
	}
	return once(r.redacted, resource, path)
}

// ignore reads one entry of the field of that name.
func (r *ruleReader) ignore(item *yaml.Node, at string) error {
	var resource text
	var namespaces, changes []text
	err := eachField(resolve(item), at, map[string]func(*yaml.Node) error{
		"resource":   setText(&resource, at+".resource"),
		"namespaces": setTexts(&namespaces, at+".namespaces", namespaceName),
		"changes":    setTexts(&changes, at+".changes", recorder.CheckIgnored),
	})
	switch {
	case err != nil:
		return err
	case namespaces != nil && changes != nil:
		return mistake(item, at, "namespaces and changes are two rules: give each an entry of its own")
	case changes != nil && resource.node == nil:
		return mistake(item, at+".resource", "missing: paths are those of one resource")
	case namespaces == nil && resource.node == nil:
		return mistake(item, at, "is empty: want a resource, namespaces, or a resource with namespaces or changes")
	}
	o := history.IgnoreRule{Namespaces: plain(namespaces), Changes: plain(changes)}
	if resource.node != nil {
		if o.Resource, err = r.mention(resource, o.Whole()); err != nil {
			return err
		}
	}
	for _, namespace := range namespaces {
		if err := r.space(o.Resource, namespace); err != nil {
			return err
		}
	}
	for _, path := range changes {
		if err := once(r.changes, o.Resource, path); err != nil {
			return err
		}
	}
	r.rules.Ignore = append(r.rules.Ignore, o)
	return nil
}

// mention remembers that a rule is about a resource.
func (r *ruleReader) mention(name text, whole bool) (schema.GroupResource, error) {
	resource, err := parseGroupResource(name)
	if err == nil {
		r.about = append(r.about, aboutRule{name, resource, whole})
	}
	return resource, err
}

func parseGroupResource(name text) (schema.GroupResource, error) {
	plural, group, qualified := strings.Cut(name.value, ".")
	err := dnsLabel(plural)
	if err == nil && qualified {
		err = dnsSubdomain(group)
	}
	if err != nil {
		return schema.GroupResource{}, name.mistake(fmt.Sprintf("want a plural, or plural.group, got %q", name.value))
	}
	return schema.GroupResource{Group: group, Resource: plural}, nil
}

// space refuses a namespace that another rule leaves out already.
func (r *ruleReader) space(resource schema.GroupResource, namespace text) error {
	all := schema.GroupResource{}
	for _, s := range r.spaces {
		if s.namespace == namespace.value && (s.resource == resource || s.resource == all || resource == all) {
			return namespace.mistake(fmt.Sprintf("%q is left out by line %d already", namespace.value, s.line))
		}
	}
	r.spaces = append(r.spaces, spaceRule{resource, namespace.value, namespace.node.Line})
	return nil
}

// once refuses a path that stands in another rule of the same kind and resource.
func once(lines map[string]int, resource schema.GroupResource, path text) error {
	id := resource.String() + " " + path.value
	if line, twice := lines[id]; twice {
		return path.mistake(fmt.Sprintf("%q stands on line %d already", path.value, line))
	}
	lines[id] = path.node.Line
	return nil
}

// finish checks what the rules are about, once all of the configuration is read. Resources that are recorded by default
// are taken out where they are ignored; those that the file names, in resources or in include, can't be.
func (r *ruleReader) finish(c *Config, listed, included []history.Resource) error {
	ignored := map[schema.GroupResource]int{}
	for _, a := range r.about {
		if !a.whole {
			continue
		}
		if line, twice := ignored[a.resource]; twice {
			return a.mistake(fmt.Sprintf("%s is ignored by line %d already", a.resource, line))
		}
		ignored[a.resource] = a.node.Line
		switch {
		case lists(listed, a.resource):
			return a.mistake(fmt.Sprintf("%s is listed in resources, and ignored as a whole", a.resource))
		case lists(included, a.resource):
			return a.mistake(fmt.Sprintf("%s is listed in include, and ignored as a whole", a.resource))
		}
	}
	c.Resources = slices.DeleteFunc(c.Resources, func(r history.Resource) bool { return ignored[r.GroupResource()] > 0 })
	for _, a := range r.about {
		line := ignored[a.resource]
		switch {
		case a.whole:
		case line > 0:
			return a.mistake(fmt.Sprintf("%s is ignored as a whole by line %d", a.resource, line))
		case c.recordedAs(a.resource) != a.resource:
			return a.mistake(fmt.Sprintf("%s are recorded as %s: name that, and its fields", a.resource, c.recordedAs(a.resource)))
		case !c.records(a.resource) && !c.mayDefine(a.resource):
			return a.mistake(fmt.Sprintf("%s is not recorded: neither resources nor include names it, and it is not discovered", a.resource))
		}
	}
	return nil
}

// setText reads a text and where it stands.
func setText(dst *text, field string) func(*yaml.Node) error {
	return func(node *yaml.Node) error {
		dst.node, dst.field = node, field
		return setString(&dst.value, notEmpty)(node)
	}
}

// setTexts reads a list of one text or more, none of them twice.
func setTexts(dst *[]text, field string, check func(string) error) func(*yaml.Node) error {
	return func(node *yaml.Node) error {
		err := eachItem(node, field, func(item *yaml.Node, at string) error {
			one := text{node: item, field: at}
			if err := setString(&one.value, check)(resolve(item)); err != nil {
				return one.mistake(err.Error())
			}
			if i := slices.IndexFunc(*dst, func(t text) bool { return t.value == one.value }); i >= 0 {
				return one.mistake(fmt.Sprintf("%q stands on line %d already", one.value, (*dst)[i].node.Line))
			}
			*dst = append(*dst, one)
			return nil
		})
		if err == nil && *dst == nil {
			return errors.New("is empty")
		}
		return err
	}
}

func plain(texts []text) (all []string) {
	for _, t := range texts {
		all = append(all, t.value)
	}
	return all
}

func regularExpression(s string) error {
	if s == "" {
		return errors.New("is empty")
	}
	_, err := regexp.Compile(s)
	return err
}

func namespaceName(s string) error { return firstProblem(s, validation.IsDNS1123Label(s)) }

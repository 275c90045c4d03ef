package relation

import (
	"encoding/json"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// Owner is the name of the rule of ownerReferences. The log has an index of
// them, so that owned objects are found without a search.
const Owner = "owner"

// OwnerPath returns the path of the reference to an owner with a name.
func OwnerPath(name string) string { return "metadata.ownerReferences[name=" + name + "].name" }

// Rules is a table of rules.
type Rules []Rule

// Rule is one way in which an object leads to others.
type Rule struct {
	// Name is part of the REST API. Several rules may have the same name.
	Name string
	// From are the resources whose objects have the relation. The rule of
	// ownerReferences has none: it is about every object.
	From []schema.GroupResource
	// Custom means that custom resources may have the relation, too.
	Custom bool
	// To are the resources that the relation may lead to. ToCustom means that
	// custom resources are among them. Without both, all resources are.
	To       []schema.GroupResource
	ToCustom bool
	// Across means that it may lead to another namespace. Near means that what
	// leads to an object must nevertheless not be searched for outside of the
	// object's namespace, because that would be too much.
	Across, Near bool
	// Selects means that the rule has selections, and otherwise it has
	// references.
	Selects bool
	// Only returns the name of the only object of From that may lead to objects
	// of a resource. It is nil if all may.
	Only func(to schema.GroupResource) string

	find func(*finder, value)
}

// Object is an object whose relations are requested.
type Object struct {
	Group, Resource string
	Namespace, Name string
	JSON            []byte
}

// Reference names another object.
type Reference struct {
	Rule string
	Path string // of the value that has the name
	// Resource is the plural. If it is empty, Kind identifies the resource
	// within the group.
	Group, Resource, Kind string
	// Namespace applies if the resource is namespaced.
	Namespace, Name string
	UID             types.UID // of an ownerReference; otherwise empty
	// Optional means that the object works without the other one.
	Optional bool
	// Guess means that the reference follows from the names of fields only. It
	// is one if objects of the resource or kind are recorded.
	Guess bool
	// AnyGroup means that the object does not have the group. Then the Group is
	// only the most likely one.
	AnyGroup bool
}

// Selection selects other objects.
type Selection struct {
	Rule string
	Path string // of the selector
	// Group and Resource are those of the selected objects; "*" is any.
	Group, Resource string
	Namespace       history.NamespaceScope
	// Labels select by the objects' labels. It is not nil.
	Labels labels.Selector
	// Namespaces selects by the labels of an object's namespace. It is nil if
	// any namespace is selected.
	Namespaces labels.Selector
	// Namespaced means that no cluster-scoped objects are selected.
	Namespaced bool
	// Whole means that the relation is to the resource in the namespace, and
	// not to each of its objects.
	Whole bool
}

// Found are the relations of one object.
type Found struct {
	References []Reference
	Selections []Selection
	// Complete is false if there are more relations than requested, or if the
	// object is not valid JSON.
	Complete bool
}

// Of returns the relations of an object to others, at most the given number.
func (r Rules) Of(o Object, most int) Found {
	var data any
	err := json.Unmarshal(o.JSON, &data)
	f := finder{object: o, most: most, found: Found{Complete: err == nil}}
	if err != nil {
		return f.found
	}
	for i := range r {
		if r[i].Applies(o.Group, o.Resource) {
			f.rule = &r[i]
			r[i].find(&f, value{data: data})
		}
	}
	return f.found
}

// To returns the rules that may lead to the objects of a resource.
func (r Rules) To(to schema.GroupResource) (rules Rules) {
	for _, rule := range r {
		every := len(rule.To) == 0 && !rule.ToCustom
		if every || rule.ToCustom && IsCustom(to.Group) || slices.Contains(rule.To, to) {
			rules = append(rules, rule)
		}
	}
	return rules
}

// Applies reports whether objects of a resource may have the relation.
func (r *Rule) Applies(group, resource string) bool {
	return r.Name == Owner || r.Custom && IsCustom(group) ||
		slices.Contains(r.From, schema.GroupResource{Group: group, Resource: resource})
}

// IsCustom reports whether a group is one of custom resources.
func IsCustom(group string) bool {
	name, reserved := strings.CutSuffix(group, ".k8s.io")
	if !reserved {
		return strings.Contains(group, ".")
	}
	switch name {
	case "admissionregistration", "apiextensions", "apiregistration", "authentication", "authorization", "certificates",
		"coordination", "custom.metrics", "discovery", "events", "external.metrics", "flowcontrol.apiserver",
		"internal.apiserver", "metrics", "networking", "node", "rbac.authorization", "resource", "scheduling",
		"storage", "storagemigration":
		return false
	}
	return true
}

// Target is an object that relations of others may lead to.
type Target struct {
	Group, Resource string
	Kinds           []string // present and former ones of the resource
	Namespace, Name string
	UID             types.UID // "": unknown
	Labels          labels.Set
	NamespaceLabels labels.Set // of its namespace
}

// Names reports whether the reference names the target.
func (r *Reference) Names(t *Target) bool {
	switch {
	case r.Group != t.Group || r.Name != t.Name || r.UID != "" && t.UID != "" && r.UID != t.UID:
		return false
	case r.Resource != "" && r.Resource != t.Resource:
		return false
	case r.Resource == "" && !slices.Contains(t.Kinds, r.Kind):
		return false
	case t.Namespace == "":
		return r.Resource == "" || r.Namespace == ""
	default:
		return r.Namespace == t.Namespace
	}
}

// Selects reports whether the selection contains the target.
func (s *Selection) Selects(t *Target) bool {
	const namespaces = "namespaces"
	in := t.NamespaceLabels
	if t.Group == "" && t.Resource == namespaces {
		in = t.Labels
	}
	return (s.Group == every || s.Group == t.Group) && (s.Resource == every || s.Resource == t.Resource) &&
		s.Namespace.Contains(t.Namespace) && (!s.Namespaced || t.Namespace != "") && s.Labels.Matches(t.Labels) &&
		(s.Namespaces == nil || t.Namespace == "" && t.Resource != namespaces || s.Namespaces.Matches(in))
}

// every is any group, or any resource.
const every = "*"

// Labels returns the labels of an object. It is empty if there are none that
// can be read.
func Labels(object []byte) labels.Set {
	set := labels.Set{}
	scan := rawjson.Scan(object)
	if scan.Kind() != rawjson.Object {
		return set
	}
	for _, key := range scan.Members() {
		if string(key) != "metadata" || scan.Kind() != rawjson.Object {
			continue
		}
		for _, field := range scan.Members() {
			if string(field) != "labels" || scan.Kind() != rawjson.Object {
				continue
			}
			for _, name := range scan.Members() {
				if name := string(name); scan.Kind() == rawjson.String {
					set[name] = scan.Text()
				}
			}
		}
	}
	return set
}

// finder collects the relations of one object.
type finder struct {
	object Object
	rule   *Rule
	most   int
	found  Found
}

// full reports whether no more relations may be added. The result is then not
// complete.
func (f *finder) full() bool {
	if len(f.found.References)+len(f.found.Selections) < f.most {
		return false
	}
	f.found.Complete = false
	return true
}

// refer adds a reference to the object with the name that a value has. The
// reference has everything else.
func (f *finder) refer(name value, r Reference) {
	if r.Name = name.text(); !isName(r.Name) || r.Namespace != "" && !isName(r.Namespace) ||
		!isType(r.Group) || !isType(r.Resource+r.Kind) || r.Resource+r.Kind == "" || f.full() {
		return
	}
	r.Rule, r.Path = f.rule.Name, name.path
	f.found.References = append(f.found.References, r)
}

// isType reports whether a text can be a group, a plural or a kind.
func isType(text string) bool { return text == "" || isName(text) }

// local adds a reference to an object of a resource in the same namespace.
func (f *finder) local(name value, r schema.GroupResource, optional bool) {
	f.refer(name, Reference{
		Group: r.Group, Resource: r.Resource, Namespace: f.object.Namespace, Optional: optional,
	})
}

// global adds a reference to a cluster-scoped object of a resource.
func (f *finder) global(name value, r schema.GroupResource) {
	f.refer(name, Reference{Group: r.Group, Resource: r.Resource})
}

// in adds a reference to an object of a resource in the namespace that a field
// has. Without the field, it is that of the object.
func (f *finder) in(of value, r schema.GroupResource) {
	namespace := f.object.Namespace
	if other := of.field("namespace"); other.exists() {
		namespace = other.text()
	}
	if namespace != "" {
		f.refer(of.field("name"), Reference{Group: r.Group, Resource: r.Resource, Namespace: namespace})
	}
}

// typed adds a reference that has a kind, and its group in one of the forms
// that the API has. Without a kind, it is the usual one.
func (f *finder) typed(of value, usual schema.GroupKind) {
	kind, group := of.field("kind").text(), usual.Group
	switch {
	case of.field("apiVersion").exists():
		group = groupOf(of.field("apiVersion").text())
	case of.field("apiGroup").exists():
		group = of.field("apiGroup").text()
	case of.field("group").exists():
		group = of.field("group").text()
	}
	if kind == "" {
		kind = usual.Kind
	}
	namespace := f.object.Namespace
	if other := of.field("namespace"); other.exists() {
		namespace = other.text()
	}
	f.refer(of.field("name"), Reference{
		Group: group, Kind: kind, Namespace: namespace, UID: types.UID(of.field("uid").text()),
	})
}

// groupOf returns the group of an API version.
func groupOf(apiVersion string) string {
	group, _, grouped := strings.Cut(apiVersion, "/")
	if !grouped {
		return ""
	}
	return group
}

// choose adds a selection of objects of a resource. A nil selector selects
// nothing.
func (f *finder) choose(at value, r schema.GroupResource, in history.NamespaceScope, by labels.Selector) {
	f.add(at, Selection{Group: r.Group, Resource: r.Resource, Namespace: in, Labels: by})
}

// add adds a selection.
func (f *finder) add(at value, s Selection) {
	if s.Labels == nil || f.full() {
		return
	}
	s.Rule, s.Path = f.rule.Name, at.path
	f.found.Selections = append(f.found.Selections, s)
}

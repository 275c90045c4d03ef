package relation

import (
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// maxVisited bounds the values of one object that are searched for fields that
// follow the conventions.
const maxVisited = 10_000

// conventional are the built-in kinds that custom resources refer to by the
// names of fields.
var conventional = []struct { //nolint:gochecknoglobals // a constant table
	kind, group, plural string
	// field is how the name of a field ends, before Ref, that is a reference to
	// such an object. It is empty if only the kind says so.
	field string
	// named means that such a field, before Name, has the object's name.
	named   bool
	cluster bool // cluster-scoped
}{
	{kind: "Secret", plural: "secrets", field: "secret", named: true},
	{kind: "ConfigMap", plural: "configmaps", field: "configMap", named: true},
	{kind: "ServiceAccount", plural: "serviceaccounts", field: "serviceAccount", named: true},
	{kind: "PersistentVolumeClaim", plural: "persistentvolumeclaims", field: "persistentVolumeClaim", named: true},
	{kind: "Service", plural: "services", field: "service"}, // a serviceName may have other meanings
	{
		kind: "StorageClass", group: storageGroup, plural: "storageclasses", field: "storageClass", named: true,
		cluster: true,
	},
	{kind: "Deployment", group: appsGroup, plural: "deployments"},
	{kind: "StatefulSet", group: appsGroup, plural: "statefulsets"},
	{kind: "DaemonSet", group: appsGroup, plural: "daemonsets"},
	{kind: "Job", group: "batch", plural: "jobs"},
	{kind: "CronJob", group: "batch", plural: "cronjobs"},
}

// ofConventions returns the rule of fields in custom resources that follow the
// API conventions for references. It must be the last one, because it leaves
// out what another rule has found.
//
// Its references are guesses.
func ofConventions() Rules {
	rule := Rule{Name: "reference", Custom: true, ToCustom: true, Across: true, Near: true}
	for _, c := range conventional {
		rule.To = append(rule.To, schema.GroupResource{Group: c.group, Resource: c.plural})
	}
	rule.find = func(f *finder, o value) {
		s := conventionSearch{finder: f, taken: map[string]bool{}}
		for i := range f.found.References {
			s.taken[f.found.References[i].Path] = true
		}
		for field, v := range o.members() {
			switch field {
			case "apiVersion", "kind", "metadata", "status":
			default:
				s.visit(field, v)
			}
		}
	}
	return Rules{rule}
}

// conventionSearch searches one object for fields that follow the conventions.
type conventionSearch struct {
	*finder

	taken   map[string]bool // paths of names that another rule has
	visited int
}

// visit adds the references that a field's value has. An element of a list has
// the field's name without the plural s.
func (s *conventionSearch) visit(field string, v value) {
	if s.visited++; s.visited > maxVisited {
		s.found.Complete = false
		return
	}
	switch v.data.(type) {
	case string:
		s.named(field, v)
	case []any:
		for element := range v.elements() {
			s.visit(strings.TrimSuffix(field, "s"), element)
		}
	case map[string]any:
		s.mapping(field, v)
		for name, member := range v.members() {
			s.visit(name, member)
		}
	}
}

// named adds a reference if a field has the name of an object: secretName.
func (s *conventionSearch) named(field string, v value) {
	base, is := strings.CutSuffix(field, "Name")
	if field == "claimName" {
		base = "persistentVolumeClaim"
	}
	if !is {
		return
	}
	for _, c := range conventional {
		if c.named && endsIn(base, c.field) {
			s.refers(v, value{}, Reference{Group: c.group, Resource: c.plural}, c.cluster)
			return
		}
	}
}

// mapping adds a reference if an object is one: it has a kind and a name, or
// the field ends in Ref.
func (s *conventionSearch) mapping(field string, v value) {
	name := v.field("name")
	if name.text() == "" {
		return
	}
	if kind := v.field("kind").text(); kind != "" {
		s.typed(v, kind)
		return
	}
	base, is := strings.CutSuffix(field, "Ref")
	if !is {
		return
	}
	base = strings.TrimSuffix(base, "Key") // secretKeyRef
	for _, c := range conventional {
		if endsIn(base, c.field) {
			s.refers(name, v, Reference{Group: c.group, Resource: c.plural}, c.cluster)
			return
		}
	}
	if base != "" && IsCustom(s.object.Group) {
		kind := strings.ToUpper(base[:1]) + base[1:]
		s.refers(name, v, Reference{Group: s.object.Group, Kind: kind}, true)
	}
}

// typed adds the reference of an object that has a kind and a name. Without a
// group, it is the usual one of the kind, or any.
func (s *conventionSearch) typed(v value, kind string) {
	if !unicode.IsUpper(rune(kind[0])) {
		return
	}
	group, given := "", true
	switch {
	case v.field("apiVersion").exists():
		group = groupOf(v.field("apiVersion").text())
	case v.field("apiGroup").exists():
		group = v.field("apiGroup").text()
	case v.field("group").exists():
		group = v.field("group").text()
	default:
		given = false
	}
	for _, c := range conventional {
		if c.kind == kind && (!given || group == c.group) {
			s.refers(v.field("name"), v, Reference{Group: c.group, Resource: c.plural}, c.cluster)
			return
		}
	}
	if given && !IsCustom(group) {
		return
	}
	if !given {
		group = s.object.Group
	}
	s.refers(v.field("name"), v, Reference{Group: group, Kind: kind, AnyGroup: !given}, true)
}

// refers adds a guess. of is the object that may have a namespace. Otherwise it
// is that of the custom resource. cluster means that the other object may be
// cluster-scoped.
func (s *conventionSearch) refers(name, of value, r Reference, cluster bool) {
	r.Namespace = s.object.Namespace
	if other := of.field("namespace"); other.exists() {
		r.Namespace = other.text()
	}
	if r.Resource != "" && cluster {
		r.Namespace = ""
	}
	if s.taken[name.path] || r.Namespace == "" && !cluster {
		return
	}
	s.taken[name.path] = true
	r.Guess, r.Optional = true, true
	s.refer(name, r)
}

// endsIn reports whether a field's name is a word, or ends in it:
// tlsSecret ends in secret.
func endsIn(field, word string) bool {
	return word != "" && (field == word ||
		strings.HasSuffix(field, strings.ToUpper(word[:1])+word[1:]))
}

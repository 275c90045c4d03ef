package recorder

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// lastApplied is the annotation in which "kubectl apply" keeps the whole object as it was applied.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// parser reads frames of one resource. It serves one frame after the other.
type parser struct {
	resource history.Resource
	secrets  *secretRedactor // nil if the resource is not that of Secrets
	rules    *ruleset        // set before the first frame
	events   bool            // the objects are Events, which regard others
	pods     bool            // the objects are pods, which get bound to nodes
	scope    func(group, kind string) (namespaced, known bool)

	kinds map[[2]string]bool // API versions and kinds that objects said they have
}

func newParser(resource history.Resource, key []byte, scope func(group, kind string) (namespaced, known bool)) parser {
	return parser{
		resource: resource,
		scope:    scope,
		secrets:  newSecretRedactor(resource, key),
		events:   history.IsEventResource(resource.GroupResource()),
		pods:     resource.Plural == "pods" && resource.Group == "",
	}
}

// version is what is recorded of a frame.
type version struct {
	apiVersion, kind string
	namespace, name  string
	uid              types.UID
	rv               string
	owners           []types.UID
	writers          []writer
	regarding        *history.Target
	object           []byte // without managedFields and redacted
	content          uint64 // a hash of what counts as a change; 0 where all of object does

	managed int  // how often managedFields are given
	opaque  bool // something that should have been redacted in part had to be hashed as a whole
}

// parse walks once over the object. All of it is checked to be JSON, and every byte stays but for the edits: managedFields go,
// and the kind and API version that a list's items lack are put in front, where a watch has them. The version keeps
// nothing of the frame but its writers' fields, which are for as long as the frame is.
//
// What must not be stored is replaced before anything else is read, so that
// nothing that is derived from the object (managers, owners, words) contains it.
// previous returns the version before of an object, as it was recorded.
func (p *parser) parse(object []byte, previous func(identity) []byte) (*version, error) {
	v := &version{}
	object, err := p.hide(object, previous, v)
	if err != nil {
		return nil, err
	}
	var edits []rawjson.Edit
	scan := rawjson.Scan(object)
	start := scan.Offset() + 1
	for _, key := range scan.Members() {
		switch string(key) {
		case "apiVersion":
			v.apiVersion = scan.Text()
		case "kind":
			v.kind = scan.Text()
		case "metadata":
			edits = p.metadata(&scan, object, v, edits)
		default:
			switch {
			case p.events && (string(key) == "involvedObject" || string(key) == "regarding"):
				v.regarding = target(&scan)
			case p.pods && string(key) == "spec":
				v.writers = append(v.writers, binding(&scan)...)
			}
		}
	}
	if err := scan.End(); err != nil {
		return nil, err
	}
	if prefix := p.complete(v); prefix != "" {
		edits = append([]rawjson.Edit{{Start: start, End: start, With: []byte(prefix)}}, edits...)
	}
	if v.object = rawjson.Apply(object, edits); len(edits) == 0 {
		v.object = bytes.Clone(object)
	}
	if err := v.check(); err != nil {
		return nil, err
	}
	p.locate(v)
	v.content = p.rules.content(v.object)
	return v, nil
}

// hide replaces what must not be stored of an object: the values of a Secret,
// and what the rules hide.
func (p *parser) hide(object []byte, previous func(identity) []byte, v *version) ([]byte, error) {
	if p.secrets != nil {
		redacted, opaque, err := p.secrets.redact(object, p.rules.allowed, previous)
		if err != nil {
			return nil, err
		}
		object, v.opaque = redacted, opaque
	}
	hidden, opaque, err := p.rules.hide(object)
	v.opaque = v.opaque || opaque
	return hidden, err
}

// hideAgain is hide for an object that was recorded under the rules of its
// time.
func (p *parser) hideAgain(object []byte) (_ []byte, err error) {
	if p.secrets != nil {
		if object, err = p.secrets.redactAgain(object, p.rules.allowed); err != nil {
			return nil, err
		}
	}
	return p.rules.hideAgain(object)
}

func (p *parser) metadata(scan *rawjson.Scanner, object []byte, v *version, edits []rawjson.Edit) []rawjson.Edit {
	for at, key := range scan.Members() {
		switch string(key) {
		case "namespace":
			v.namespace = scan.Text()
		case "name":
			v.name = scan.Text()
		case "uid":
			v.uid = types.UID(scan.Text())
		case "resourceVersion":
			v.rv = scan.Text()
		case "ownerReferences":
			v.owners = owners(scan)
		case "deletionTimestamp":
			v.writers = append(v.writers, trace("deletion", scan.Text(), history.Manager{}))
		case "managedFields":
			v.managed++
			v.writers = append(v.writers, writers(scan, object)...)
			edits = append(edits, rawjson.Cut(object, at, scan.Offset()))
		}
	}
	return edits
}

// complete fills in what list items lack, and returns it as members to put in front, in the order that the API server's
// encoder gives them.
func (p *parser) complete(v *version) string {
	var prefix strings.Builder
	if v.kind == "" {
		v.kind = p.resource.Kind
		fmt.Fprintf(&prefix, `"kind":%q,`, v.kind)
	}
	if v.apiVersion == "" {
		v.apiVersion = p.resource.APIVersion()
		fmt.Fprintf(&prefix, `"apiVersion":%q,`, v.apiVersion)
	}
	return prefix.String()
}

// target reads which object an Event regards.
func target(scan *rawjson.Scanner) *history.Target {
	var t history.Target
	for _, key := range scan.Members() {
		switch string(key) {
		case "kind":
			t.Kind = scan.Text()
		case "namespace":
			t.Namespace = scan.Text()
		case "name":
			t.Name = scan.Text()
		case "uid":
			t.UID = types.UID(scan.Text())
		case "apiVersion":
			if gv, err := schema.ParseGroupVersion(scan.Text()); err == nil { // its emitter may write anything
				t.Group = gv.Group
			}
		}
	}
	if t.Kind == "" {
		return nil
	}
	return &t
}

// locate corrects the namespace of the object that an Event regards. The API
// server demands that an Event outside of "default" gives its own namespace as
// that of the object, even if the object is cluster-scoped; and it accepts an
// Event in "default" that gives none.
func (p *parser) locate(v *version) {
	if v.regarding == nil {
		return
	}
	switch namespaced, known := p.scope(v.regarding.Group, v.regarding.Kind); {
	case known && !namespaced:
		v.regarding.Namespace = ""
	case known && v.regarding.Namespace == "":
		v.regarding.Namespace = v.namespace
	}
}

func owners(scan *rawjson.Scanner) (uids []types.UID) {
	for range scan.Elements() {
		for _, key := range scan.Members() {
			if string(key) == "uid" {
				uids = append(uids, types.UID(scan.Text()))
			}
		}
	}
	return uids
}

// check refuses what could not be told apart from other versions, what is named too long for an index, and what could not be edited.
func (v *version) check() error {
	var wrong []error
	for _, field := range []struct{ name, value string }{
		{"metadata.name", v.name},
		{"metadata.uid", string(v.uid)},
		{"metadata.resourceVersion", v.rv},
		{"metadata.namespace", v.namespace},
		{"apiVersion and kind", v.apiVersion + v.kind},
	} {
		switch {
		case field.value == "" && field.name != "metadata.namespace":
			wrong = append(wrong, fmt.Errorf("%s is missing", field.name))
		case len(field.value) > history.MaxText:
			wrong = append(wrong, fmt.Errorf("%s has %d bytes, and the most that is recorded are %d", field.name, len(field.value), history.MaxText))
		}
	}
	if v.managed > 1 {
		wrong = append(wrong, errors.New("metadata.managedFields are given twice"))
	}
	return errors.Join(wrong...)
}

// kindOf returns the API version, without its group, and the kind that an object says it has. Where a server gives the objects of one
// resource ever more of them, it returns the resource's: the log can tell a limited number apart, and no server is to use them up.
func (p *parser) kindOf(v *version) (apiVersion, kind string) {
	_, apiVersion, grouped := strings.Cut(v.apiVersion, "/")
	if !grouped {
		apiVersion = v.apiVersion
	}
	said := [2]string{apiVersion, v.kind}
	switch {
	case p.kinds == nil:
		p.kinds = map[[2]string]bool{}
	case !p.kinds[said] && len(p.kinds) >= maxKinds:
		return p.resource.Version, p.resource.Kind
	}
	p.kinds[said] = true
	return apiVersion, v.kind
}

// record makes a record of the version.
func (p *parser) record(v *version, verb history.Verb) *history.Record {
	apiVersion, kind := p.kindOf(v)
	return &history.Record{
		Ref: history.ObjectRef{
			Group: p.resource.Group, Resource: p.resource.Plural, Namespace: v.namespace, Name: v.name, UID: v.uid,
		},
		Version: apiVersion, Kind: kind, Verb: verb, RV: v.rv,
		Owners: v.owners, Regarding: v.regarding, Object: v.object, ManagedHashes: fingerprints(v.writers),
	}
}

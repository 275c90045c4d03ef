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
	"github.com/watchhistory/watchhistory/pkg/recorder/internal/redact"
)

// parser reads the watch events of one resource. It is used by one goroutine at
// a time.
type parser struct {
	resource history.Resource
	redactor *redact.Redactor
	ignore   *ignoreRules // set before the first watch event
	isEvent  bool         // the objects are Events, which have a target
	isPod    bool         // the objects are pods, which get bound to nodes
	scope    func(group, kind string) (namespaced, known bool)

	kinds map[[2]string]bool // pairs of an API version and a kind that were seen
}

// newParser returns a parser with the built-in redaction rules. Ignore rules
// must be set before the first watch event.
func newParser(resource history.Resource, o Options) (parser, error) {
	redactor, err := redact.New(resource.GroupResource(), o.RedactionKey)
	if err != nil {
		return parser{}, err
	}
	return parser{
		resource: resource, redactor: redactor, scope: o.Scope,
		isEvent: history.IsEventResource(resource.GroupResource()),
		isPod:   resource.Plural == "pods" && resource.Group == "",
	}, nil
}

// version is the content of a watch event that is recorded.
type version struct {
	apiVersion, kind string
	namespace, name  string
	uid              types.UID
	rv               string
	owners           []owner
	entries          []managedEntry
	target           *history.Target // of an Event
	object           []byte          // redacted and without managedFields
	contentHash      uint64          // see ignoreRules.contentHash

	managedFields int  // how often metadata.managedFields occurs
	opaque        bool // see redact.Redactor.Redact
}

// owner is an entry of ownerReferences. Its parts are slices of the watch
// event's object.
type owner struct {
	uid              types.UID
	apiVersion, kind []byte // as JSON
}

// parse reads an object in one walk, which also validates it as JSON. The
// object is stored byte for byte, with two exceptions:
//
//   - managedFields are removed.
//   - The kind and apiVersion that the items of a list lack are added in front,
//     where a watch has them.
//
// The object is redacted before anything else is read. So nothing that is
// derived from it (managers, owners, summaries) contains a hidden value.
// previous returns the object's previous version as it was recorded, or nil.
//
// The entries and owners refer to the object's bytes. They are valid only as
// long as the watch event is.
func (p *parser) parse(object []byte, previous func(redact.Identity) []byte) (*version, error) {
	object, opaque, err := p.redactor.Redact(object, previous)
	if err != nil {
		return nil, err
	}
	v := &version{opaque: opaque}
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
			edits = v.readMetadata(&scan, object, edits)
		case "involvedObject", "regarding":
			if p.isEvent {
				v.target = readTarget(&scan)
			}
		case "spec":
			if p.isPod {
				v.entries = append(v.entries, bindingTrace(&scan)...)
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
		v.object = bytes.Clone(object) // records must not refer to the watch event
	}
	if err := v.check(); err != nil {
		return nil, err
	}
	p.correctTarget(v)
	v.contentHash = p.ignore.contentHash(v.object)
	return v, nil
}

// readMetadata reads the metadata, which comes next. It appends the edit that
// removes managedFields.
func (v *version) readMetadata(scan *rawjson.Scanner, object []byte, edits []rawjson.Edit) []rawjson.Edit {
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
			v.owners = readOwners(scan)
		case "deletionTimestamp":
			v.entries = append(v.entries, newTrace("deletion", scan.Text(), history.Manager{}))
		case "managedFields":
			v.managedFields++
			v.entries = append(v.entries, readManagedFields(scan, object)...)
			edits = append(edits, rawjson.Cut(object, at, scan.Offset()))
		}
	}
	return edits
}

// complete sets the kind and apiVersion that the items of a list lack. It
// returns them as members to insert, in the order of the API server's encoder.
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

// readTarget reads the reference to the target of an Event, which comes next.
func readTarget(scan *rawjson.Scanner) *history.Target {
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
			// The API server does not validate it.
			if gv, err := schema.ParseGroupVersion(scan.Text()); err == nil {
				t.Group = gv.Group
			}
		}
	}
	if t.Kind == "" {
		return nil
	}
	return &t
}

// correctTarget corrects the namespace of an Event's target. The API server
// requires that an Event outside "default" has the namespace of its target,
// even if the target is cluster-scoped. It accepts an Event in "default" whose
// target has no namespace.
func (p *parser) correctTarget(v *version) {
	if v.target == nil {
		return
	}
	switch namespaced, known := p.scope(v.target.Group, v.target.Kind); {
	case known && !namespaced:
		v.target.Namespace = ""
	case known && v.target.Namespace == "":
		v.target.Namespace = v.namespace
	}
}

// readOwners reads the ownerReferences, which come next. References without a
// UID are skipped.
func readOwners(scan *rawjson.Scanner) (owners []owner) {
	for range scan.Elements() {
		var o owner
		hasUID := false
		for _, key := range scan.Members() {
			switch string(key) {
			case "uid":
				o.uid, hasUID = types.UID(scan.Text()), true
			case "apiVersion":
				o.apiVersion = scan.Skip()
			case "kind":
				o.kind = scan.Skip()
			}
		}
		if hasUID {
			owners = append(owners, o)
		}
	}
	return owners
}

// groupKind returns the owner's group and kind. ok is false if its apiVersion
// can't be parsed.
func (o *owner) groupKind() (gk schema.GroupKind, ok bool) {
	apiVersion, kind := rawjson.ScanValid(o.apiVersion), rawjson.ScanValid(o.kind)
	gv, err := schema.ParseGroupVersion(apiVersion.Text())
	return schema.GroupKind{Group: gv.Group, Kind: kind.Text()}, err == nil
}

// ownerUIDs returns the UIDs of the owners, in their order.
func (v *version) ownerUIDs() []types.UID {
	if len(v.owners) == 0 {
		return nil
	}
	uids := make([]types.UID, len(v.owners))
	for i := range v.owners {
		uids[i] = v.owners[i].uid
	}
	return uids
}

// check returns an error if the version can't be identified, if one of its
// names is too long for an index, or if managedFields can't be removed.
func (v *version) check() error {
	var problems []error
	for _, field := range []struct{ name, value string }{
		{"metadata.name", v.name},
		{"metadata.uid", string(v.uid)},
		{"metadata.resourceVersion", v.rv},
		{"metadata.namespace", v.namespace},
		{"apiVersion and kind", v.apiVersion + v.kind},
	} {
		switch {
		case field.value == "" && field.name != "metadata.namespace":
			problems = append(problems, fmt.Errorf("%s is missing", field.name))
		case len(field.value) > history.MaxText:
			problems = append(problems,
				fmt.Errorf("%s has %d bytes: the maximum is %d", field.name, len(field.value), history.MaxText))
		}
	}
	if v.managedFields > 1 {
		problems = append(problems, errors.New("metadata.managedFields occurs more than once"))
	}
	return errors.Join(problems...)
}

// apiVersionAndKind returns the object's API version, without its group, and
// its kind.
//
// The log can number only a limited count of distinct values. If a server
// returns objects of one resource with ever more kinds, the resource's own
// version and kind are returned instead.
func (p *parser) apiVersionAndKind(v *version) (apiVersion, kind string) {
	_, apiVersion, grouped := strings.Cut(v.apiVersion, "/")
	if !grouped {
		apiVersion = v.apiVersion
	}
	pair := [2]string{apiVersion, v.kind}
	switch {
	case p.kinds == nil:
		p.kinds = map[[2]string]bool{}
	case !p.kinds[pair] && len(p.kinds) >= maxKinds:
		return p.resource.Version, p.resource.Kind
	}
	p.kinds[pair] = true
	return apiVersion, v.kind
}

// record returns a record of the version, with the hashes of its managed
// entries.
func (p *parser) record(v *version, verb history.Verb) history.NewVersion {
	apiVersion, kind := p.apiVersionAndKind(v)
	record := &history.Record{
		Ref: history.ObjectRef{
			Group: p.resource.Group, Resource: p.resource.Plural, Namespace: v.namespace, Name: v.name, UID: v.uid,
		},
		Version: apiVersion, Kind: kind, Verb: verb, RV: v.rv,
		Owners: v.ownerUIDs(), Regarding: v.target, Object: v.object,
	}
	return history.NewVersion{Record: record, ManagedHashes: managedHashes(v.entries)}
}

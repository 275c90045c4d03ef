package restore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/internal/manifest"
)

// The resources with rules of their own.
//
//nolint:gochecknoglobals // constants
var (
	// Namespaces are the namespaces.
	Namespaces = schema.GroupResource{Resource: "namespaces"}
	// Definitions are the CustomResourceDefinitions.
	Definitions = schema.GroupResource{Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"}

	endpoints = schema.GroupResource{Resource: "endpoints"}
	services  = schema.GroupResource{Resource: "services"}
	secrets   = schema.GroupResource{Resource: "secrets"}
	claims    = schema.GroupResource{Resource: "persistentvolumeclaims"}
)

// Action is what is done about an object.
type Action uint8

// The actions.
const (
	None    Action = iota // it is as it was
	Create                // it does not exist
	Update                // it exists and differs
	Skip                  // something else makes it again, or it is better not restored
	Refuse                // only hashes of its values are recorded
	Release               // a volume that names a deleted claim is made available to the new one
)

// String returns the action in lower case.
func (a Action) String() string {
	switch a {
	case None:
		return "none"
	case Create:
		return "create"
	case Update:
		return "update"
	case Skip:
		return "skip"
	case Refuse:
		return "refuse"
	case Release:
		return "release"
	default:
		return "unknown"
	}
}

// Writes reports whether the action changes the cluster.
func (a Action) Writes() bool { return a == Create || a == Update || a == Release }

// Step is what is done about one object.
type Step struct {
	Object

	Action Action
	Reason string   // of Skip, for people
	Hashed []string // the paths of values that are recorded as hashes only
	Notes  []string // how the object will differ from the recorded one, for people

	// Manifest is what is written, and Addressed the same with the addresses
	// that a Service had. The latter is nil if they are in use, or for other
	// objects.
	Manifest, Addressed map[string]any
	NewAddresses        bool // the addresses that the Service had are in use
	NewType             bool // the plan creates the definition of its type

	Claim *Object // the deleted claim that the volume names, of Release

	Before    map[string]any // the object as it is now, or nil
	After     map[string]any // the answer of [Cluster.Check] or [Cluster.Apply]
	Unchecked bool           // [Cluster.Check] is not possible yet
	Err       error          // why the step can't be done

	made         map[string]any // the recorded object, stripped
	hidden       []string       // annotations that are recorded as hashes
	keepReplicas bool           // an autoscaler sets them
	release      *Step          // of the volume of a claim, which precedes this step
}

// Plan is a list of steps, in their order.
type Plan struct{ Steps []*Step }

// Count returns the number of steps with an action that can be done.
func (p *Plan) Count(action Action) (n int) {
	for _, s := range p.Steps {
		if s.Action == action && s.Err == nil {
			n++
		}
	}
	return n
}

// Options are the options of [New].
type Options struct {
	// Now has the newest recorded versions of the objects by their keys. It
	// decides whether an object with hashes is as it was.
	Now State
	// ResourceOf returns the resource of a kind, and whether its objects are
	// in namespaces. It reports false if it is not known.
	ResourceOf func(apiVersion, kind string) (r schema.GroupVersionResource, namespaced, known bool)
}

// planner makes a plan.
type planner struct {
	Options
	reader  Reader
	objects []*Object
	uids    map[string]*Object          // objects by their UIDs
	types   map[schema.GroupKind]bool   // kinds whose definitions are created
	scalers map[string][]map[string]any // the autoscalers of namespaces that were read
	owners  map[string]existence        // of owners, by their UIDs
}

// New returns the plan that brings objects back. It fails only if ctx is done:
// other errors belong to steps.
func New(ctx context.Context, reader Reader, objects []*Object, o Options) (*Plan, error) {
	p := &planner{
		Options: o, reader: reader, objects: objects, uids: map[string]*Object{},
		types:   map[schema.GroupKind]bool{},
		scalers: map[string][]map[string]any{}, owners: map[string]existence{},
	}
	objects = slices.Clone(objects)
	slices.SortStableFunc(objects, func(a, b *Object) int {
		x, y := a.Key(), b.Key()
		return cmp.Or(
			cmp.Compare(manifest.Rank(x.Resource), manifest.Rank(y.Resource)),
			cmp.Compare(x.Resource.String(), y.Resource.String()), cmp.Compare(x.Namespace, y.Namespace),
			cmp.Compare(x.Name, y.Name))
	})
	for _, o := range objects {
		p.uids[o.UID()] = o
	}
	plan := &Plan{}
	for _, o := range objects {
		s := p.step(ctx, o)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if s.Action == Create && o.GVR.GroupResource() == Definitions {
			kind := schema.GroupKind{Group: text(o.Body, "spec", "group"), Kind: text(o.Body, "spec", "names", "kind")}
			p.types[kind] = true
		}
		if s.release != nil {
			plan.Steps = append(plan.Steps, s.release)
		}
		plan.Steps = append(plan.Steps, s)
	}
	return plan, nil
}

// step decides what is done about an object.
func (p *planner) step(ctx context.Context, o *Object) *Step {
	s := &Step{Object: *o}
	if !o.Named {
		if s.Reason = p.whySkip(ctx, o); s.Reason != "" {
			s.Action = Skip
			return s
		}
	}
	resource := o.GVR.GroupResource()
	s.made = stripped(resource, o.Body)
	if isToken(resource, s.made) {
		delete(s.made, "data")
		delete(object(s.made, "metadata", "annotations"), "kubernetes.io/service-account.uid")
	}
	s.Hashed = manifest.DropHashes(s.made)
	s.hidden = hiddenAnnotations(stripped(resource, o.Body), s.made)
	live, err := p.reader.Get(ctx, o)
	if errors.Is(err, ErrNotServed) && p.types[schema.GroupKind{Group: o.GVR.Group, Kind: o.Kind}] {
		s.NewType, err = true, nil
	}
	switch {
	case err != nil:
		s.Err = err
	case live == nil:
		p.create(ctx, s)
	default:
		p.update(ctx, s, live)
	}
	return s
}

// create prepares the creation of an object.
func (p *planner) create(ctx context.Context, s *Step) {
	resource := s.GVR.GroupResource()
	if s.Action = Create; len(s.Hashed) > 0 {
		s.Action = Refuse
		return
	}
	s.Manifest = s.made
	for _, name := range s.hidden {
		s.note("without the annotation %s, of which only a hash is recorded", name)
	}
	switch {
	case resource == services:
		s.Addressed = withAddresses(s.made, s.Body)
	case resource == claims:
		p.bindClaim(ctx, s)
	case isToken(resource, s.made):
		s.note("with a new token")
	case isFinished(s.Body):
		s.note("it had finished, and runs again")
	}
	p.keepOwners(ctx, s)
}

// update prepares the update of an object that exists.
func (p *planner) update(ctx context.Context, s *Step, live map[string]any) {
	s.Action, s.Before = Update, live
	uid := text(live, "metadata", "uid")
	recreated := uid != s.UID() && uid != ""
	if len(s.Hashed) > 0 {
		p.compareHashed(s, recreated)
		return
	}
	if IsBeingDeleted(live) {
		s.Err = ErrBeingDeleted
		return
	}
	if s.GVR.GroupResource() == claims {
		p.continueRelease(ctx, s, live)
	}
	s.keepReplicas = p.isScaled(ctx, s)
	s.setBack(live)
	if s.Manifest == nil || same(s.GVR.GroupResource(), live, s.Manifest) {
		s.Action = None
		return
	}
	if recreated {
		s.note("it was deleted and created again since, at %s", text(live, "metadata", "creationTimestamp"))
	}
	if now := at(live, "spec", "replicas"); s.keepReplicas && now != at(s.Body, "spec", "replicas") {
		s.note("its replicas stay %v: a HorizontalPodAutoscaler sets them", now)
	}
	if tool := managedBy(live); tool != "" {
		s.note("%s manages it, and may change it again", tool)
	}
}

// setBack makes the manifest that changes an existing object to the recorded
// one.
func (s *Step) setBack(live map[string]any) {
	s.Before = live
	s.Manifest = merged(s.GVR.GroupResource(), s.made, live)
	if isToken(s.GVR.GroupResource(), s.made) && live["data"] != nil {
		s.Manifest["data"] = live["data"]
	}
	for _, name := range s.hidden {
		if value := at(live, "metadata", "annotations", name); value != nil {
			annotations := object(s.Manifest, "metadata", "annotations")
			if annotations == nil {
				annotations = map[string]any{}
				object(s.Manifest, "metadata")["annotations"] = annotations
			}
			annotations[name] = value
		}
	}
	if replicas := at(live, "spec", "replicas"); s.keepReplicas && replicas != nil {
		object(s.Manifest, "spec")["replicas"] = replicas
	}
}

// compareHashed decides about an existing object of which only hashes are
// recorded. Within the life of an object, equal values have equal hashes.
func (p *planner) compareHashed(s *Step, recreated bool) {
	now := p.Now[s.Key()]
	switch {
	case recreated:
		s.Action, s.Reason = Skip, "created again; only hashes were recorded, so its values can't be compared"
	case now != nil && now.UID() == s.UID() && same(s.GVR.GroupResource(), s.Body, now.Body):
		s.Action = None
	default:
		s.Action = Refuse
	}
}

// note adds a note.
func (s *Step) note(format string, args ...any) {
	s.Notes = append(s.Notes, fmt.Sprintf(format, args...))
}

// isScaled reports whether a HorizontalPodAutoscaler sets the replicas of an
// object.
func (p *planner) isScaled(ctx context.Context, s *Step) bool {
	if at(s.Body, "spec", "replicas") == nil {
		return false
	}
	found, known := p.scalers[s.Namespace]
	if !known {
		resource := schema.GroupVersionResource{
			Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers",
		}
		var err error
		if found, err = p.reader.List(ctx, resource, s.Namespace); err != nil {
			s.note("its HorizontalPodAutoscalers can't be read, which may set its replicas (%v)", err)
		}
		p.scalers[s.Namespace] = found
	}
	return slices.ContainsFunc(found, func(scaler map[string]any) bool {
		target := object(scaler, "spec", "scaleTargetRef")
		group, _, _ := strings.Cut(text(target, "apiVersion"), "/")
		return target["kind"] == s.Kind && target["name"] == s.Name && (group == s.GVR.Group || s.GVR.Group == "")
	})
}

// managedBy returns the tool that keeps an object as it is in a repository, or
// "".
func managedBy(body map[string]any) string {
	labels, annotations := object(body, "metadata", "labels"), object(body, "metadata", "annotations")
	switch {
	case annotations["argocd.argoproj.io/tracking-id"] != nil, labels["argocd.argoproj.io/instance"] != nil:
		return "Argo CD"
	case labels["kustomize.toolkit.fluxcd.io/name"] != nil, labels["helm.toolkit.fluxcd.io/name"] != nil:
		return "Flux"
	default:
		return ""
	}
}

// Changes returns an object as it is now, and as the step makes it, without
// what servers and controllers set and without the values of a Secret. The
// former is nil if the object does not exist.
func (s *Step) Changes() (before, after map[string]any) {
	resource := s.GVR.GroupResource()
	if s.Before != nil {
		before = stripped(resource, s.Before)
	}
	after = s.After
	if after == nil {
		after = s.Manifest
	}
	after = stripped(resource, after)
	if resource == secrets {
		for _, field := range []string{"data", "stringData"} {
			mask(object(before, field), object(after, field))
		}
	}
	return before, after
}

// mask replaces values, and shows only which of them differ.
func mask(before, after map[string]any) {
	for name, value := range after {
		if earlier, had := before[name]; had && earlier != value {
			after[name] = "*** (another value)"
		} else {
			after[name] = "***"
		}
	}
	for name := range before {
		before[name] = "***"
	}
}

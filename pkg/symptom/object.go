package symptom

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// startGrace is the time that a normal start takes. States that each start
// passes through are symptoms only after it.
const startGrace = time.Minute

// maxParts is the number of conditions, and of containers, that are read.
const maxParts = 64

// object is the object of one version, as the rules read it.
type object struct {
	resource   schema.GroupResource
	deleted    bool
	at         time.Time // the time at which the version is judged; may be zero
	root       value
	metadata   value
	spec       value
	status     value
	created    time.Time
	conditions []condition
	containers []container // of a pod: the init containers first
	event      event
}

// event are the fields of an Event.
type event struct {
	isWarning bool
	reason    string
	message   value
	regarding value
}

// condition is an entry of status.conditions.
type condition struct {
	kind, status, reason string
	since                time.Time
	generation           int // observedGeneration, or 0
	text                 value
}

// message returns the message of the condition. It is decoded only if it is
// needed, because it may be long.
func (c *condition) message() string { return c.text.text() }

// newObject reads the object of a record.
func newObject(r *history.Record, at time.Time) *object {
	o := &object{resource: r.Ref.GroupResource(), deleted: r.Verb == history.Delete, at: at, root: value(r.Object)}
	o.readParts()
	if o.created = o.metadata.at("creationTimestamp").time(); o.created.IsZero() {
		o.created = r.Created
	}
	for item := range o.status.at("conditions").elements() {
		if len(o.conditions) == maxParts {
			break
		}
		o.conditions = append(o.conditions, newCondition(item))
	}
	if o.resource == pods {
		o.readContainers("initContainerStatuses", true)
		o.readContainers("containerStatuses", false)
	}
	return o
}

// newCondition reads a condition.
func newCondition(item value) (c condition) {
	for key, v := range item.members() {
		switch string(key) {
		case "type":
			c.kind = v.text()
		case "status":
			c.status = v.text()
		case "reason":
			c.reason = v.text()
		case "lastTransitionTime":
			c.since = v.time()
		case "observedGeneration":
			c.generation = v.number()
		case "message":
			c.text = v
		}
	}
	return c
}

// readParts finds the parts of the object in one pass, because it may be large.
func (o *object) readParts() {
	for key, v := range o.root.members() {
		switch string(key) {
		case "metadata":
			o.metadata = v
		case "spec":
			o.spec = v
		case "status":
			o.status = v
		// The rest are fields of Events, some of which have two names.
		case "type":
			o.event.isWarning = v.text() == "Warning"
		case "reason":
			o.event.reason = v.text()
		case "message", "note":
			o.event.message = v
		case "involvedObject", "regarding":
			o.event.regarding = v
		}
	}
}

// condition returns the condition of a kind. If there is none, its fields are
// empty.
func (o *object) condition(kind string) condition {
	for _, c := range o.conditions {
		if c.kind == kind {
			return c
		}
	}
	return condition{}
}

// is reports whether a condition has a status.
func (o *object) is(kind, status string) bool { return o.condition(kind).status == status }

// isTerminating reports whether the deletion of the object was requested.
func (o *object) isTerminating() bool { return o.metadata.at("deletionTimestamp").text() != "" }

// isNew reports whether the object was created shortly before.
func (o *object) isNew() bool { return !o.created.IsZero() && !o.at.IsZero() && !o.settled(o.created) }

// settled reports whether something has lasted longer than a normal start
// takes. It returns false if the times are not known.
func (o *object) settled(since time.Time) bool {
	return !since.IsZero() && !o.at.IsZero() && o.at.Sub(since) > startGrace
}

// isBehind reports whether the controller has not read the current spec yet.
func (o *object) isBehind() bool {
	generation, observed := o.metadata.at("generation").number(), o.status.at("observedGeneration")
	return len(observed) > 0 && observed.number() < generation
}

// finalizers returns the finalizers of the object.
func (o *object) finalizers() (all []string) {
	for item := range o.metadata.at("finalizers").elements() {
		all = append(all, item.text())
	}
	return all
}

// container is an entry of status.containerStatuses or
// status.initContainerStatuses.
type container struct {
	name       string
	init       bool
	ready      bool
	started    value  // true, false or missing
	waiting    value  // at most one of these three is an object
	waitsFor   string // the reason for which it waits
	running    value
	terminated value
	last       value // the previous termination
}

// readContainers reads a list of container statuses.
func (o *object) readContainers(field string, init bool) {
	for item := range o.status.at(field).elements() {
		if len(o.containers) == maxParts {
			return
		}
		o.containers = append(o.containers, newContainer(item, init))
	}
}

// newContainer reads a container status.
func newContainer(item value, init bool) container {
	c := container{init: init}
	for key, v := range item.members() {
		switch string(key) {
		case "name":
			c.name = v.text()
		case "ready":
			c.ready = v.isTrue()
		case "started":
			c.started = v
		case "state":
			c.waiting, c.running, c.terminated = v.at("waiting"), v.at("running"), v.at("terminated")
			c.waitsFor = c.waiting.at("reason").text()
		case "lastState":
			c.last = v.at("terminated")
		}
	}
	return c
}

// containerSpec returns the spec of a container of a pod.
func (o *object) containerSpec(name string) value {
	if spec := o.spec.at("containers").named(name); spec != nil {
		return spec
	}
	return o.spec.at("initContainers").named(name)
}

//nolint:gochecknoglobals // constants
var (
	pods                   = schema.GroupResource{Resource: "pods"}
	nodes                  = schema.GroupResource{Resource: "nodes"}
	namespaces             = schema.GroupResource{Resource: "namespaces"}
	claims                 = schema.GroupResource{Resource: "persistentvolumeclaims"}
	volumes                = schema.GroupResource{Resource: "persistentvolumes"}
	events                 = schema.GroupResource{Resource: "events"}
	newEvents              = schema.GroupResource{Group: "events.k8s.io", Resource: "events"}
	endpoints              = schema.GroupResource{Resource: "endpoints"}
	endpointSlices         = schema.GroupResource{Group: "discovery.k8s.io", Resource: "endpointslices"}
	replicationControllers = schema.GroupResource{Resource: "replicationcontrollers"}
	deployments            = schema.GroupResource{Group: "apps", Resource: "deployments"}
	replicaSets            = schema.GroupResource{Group: "apps", Resource: "replicasets"}
	statefulSets           = schema.GroupResource{Group: "apps", Resource: "statefulsets"}
	daemonSets             = schema.GroupResource{Group: "apps", Resource: "daemonsets"}
	jobs                   = schema.GroupResource{Group: "batch", Resource: "jobs"}
	cronJobs               = schema.GroupResource{Group: "batch", Resource: "cronjobs"}
	autoscalers            = schema.GroupResource{Group: "autoscaling", Resource: "horizontalpodautoscalers"}
)

// builtinGroups are the groups of Kubernetes whose objects have no conditions
// that mean they are ready. CRDs and APIServices have.
var builtinGroups = []string{ //nolint:gochecknoglobals // a constant table
	"", "apps", "batch", "autoscaling", "policy", "extensions", "admissionregistration.k8s.io",
	"authentication.k8s.io", "authorization.k8s.io", "certificates.k8s.io", "coordination.k8s.io",
	"discovery.k8s.io", "events.k8s.io", "flowcontrol.apiserver.k8s.io", "internal.apiserver.k8s.io",
	"networking.k8s.io", "node.k8s.io", "rbac.authorization.k8s.io", "resource.k8s.io", "scheduling.k8s.io",
	"storage.k8s.io", "storagemigration.k8s.io",
}

// isCustom reports whether the conditions of a resource's objects follow the
// conventions of custom resources.
func isCustom(r schema.GroupResource) bool { return !slices.Contains(builtinGroups, r.Group) }

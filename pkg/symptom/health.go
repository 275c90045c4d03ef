package symptom

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// State is how far an object is from what its spec requires. The zero State is
// [Unknown].
type State uint8

// The states.
const (
	Unknown     State = iota // the object does not show it
	Ready                    // as its spec requires
	Progressing              // a controller works on it
	Failing                  // it does not get ready without a change
	Done                     // it ended, or was deleted
)

// String returns the state as the REST API writes it: "unknown", "ready",
// "progressing", "failing" or "done".
func (s State) String() string {
	switch s {
	case Unknown:
		return "unknown"
	case Ready:
		return "ready"
	case Progressing:
		return "progressing"
	case Failing:
		return "failing"
	case Done:
		return "done"
	default:
		return fmt.Sprintf("state(%d)", uint8(s))
	}
}

// Health is how far a version is from what its spec requires.
type Health struct {
	State State
	// Text is a short phrase in one line: "2/3 ready". It is empty if the State
	// is Unknown.
	Text string
}

// HealthOf returns the health of a version at its time. The record must have
// its object.
//
// If the controller has not read the current spec yet, the version is
// Progressing, whatever its status is.
func HealthOf(r *history.Record) Health { return HealthAt(r, r.Time) }

// HealthAt returns the health of a version at a time at which it is still the
// newest.
func HealthAt(r *history.Record, at time.Time) Health {
	o := newObject(r, at)
	h := o.health()
	if h.State == Unknown {
		return Health{}
	}
	h.Text = line(h.Text, maxText)
	return h
}

// A gauge returns the health of objects of one resource.
type gauge func(o *object) Health

// gaugeOf returns the gauge of a resource, or nil.
func gaugeOf(resource schema.GroupResource) gauge {
	for i := range gauges {
		if gauges[i].resource == resource {
			return gauges[i].gauge
		}
	}
	if isCustom(resource) {
		return customHealth
	}
	return nil
}

// gauges are the gauges of built-in resources.
var gauges = []struct { //nolint:gochecknoglobals // a constant table
	resource schema.GroupResource
	gauge    gauge
}{
	{deployments, deploymentHealth},
	{statefulSets, statefulSetHealth},
	{daemonSets, daemonSetHealth},
	{replicaSets, replicaSetHealth},
	{replicationControllers, replicaSetHealth},
	{pods, podHealth},
	{jobs, jobHealth},
	{cronJobs, cronJobHealth},
	{claims, claimHealth},
	{volumes, volumeHealth},
	{nodes, nodeHealth},
	{namespaces, namespaceHealth},
	{autoscalers, autoscalerHealth},
}

// health returns the health of the object.
func (o *object) health() Health {
	gauge := gaugeOf(o.resource)
	switch {
	case gauge == nil || !o.root.isObject():
		return Health{}
	case o.deleted:
		return Health{Done, "deleted"}
	case o.isTerminating() && o.resource != namespaces:
		if text := terminating(o); text != "" {
			return Health{Failing, text}
		}
		return Health{Progressing, "terminating"}
	case o.isBehind():
		return Health{Progressing, "waiting for the controller"}
	default:
		return gauge(o)
	}
}

// failing returns the first symptom of the object as its health, after the
// text. It returns otherwise if there is no symptom. Symptoms of the given
// codes do not count.
func (o *object) failing(text string, otherwise Health, except ...string) Health {
	for _, s := range o.symptoms() {
		if !slices.Contains(except, s.Code) {
			return Health{Failing, join(text, s.Text)}
		}
	}
	return otherwise
}

// replicas are the numbers of pods in the status of a controller.
type replicas struct {
	desired, total, updated, ready, available int
}

// readiness returns the health of a controller whose pods are all of its
// current revision.
func (n replicas) readiness() Health {
	// Pods that are to be removed may be ready, too.
	text := fmt.Sprintf("%d/%d ready", min(n.ready, n.desired), n.desired)
	if n.desired == 0 {
		text = "0 replicas"
	}
	switch {
	case n.total > n.desired:
		return Health{Progressing, text + ", " + count(n.total-n.desired, "pod") + " to remove"}
	case n.ready < n.desired:
		return Health{Progressing, text}
	case n.available < n.desired:
		return Health{Progressing, fmt.Sprintf("%s, %d available", text, n.available)}
	default:
		return Health{Ready, text}
	}
}

// rollout returns the health of a controller that replaces its pods. wanted is
// the number of pods that the current revision should have. If all pods are of
// that revision, the controller only scales.
func (n replicas) rollout(wanted int) Health {
	if n.updated < wanted && n.updated < n.total {
		text := fmt.Sprintf("%d/%d updated, %d ready", n.updated, wanted, n.ready)
		return Health{Progressing, text}
	}
	return n.readiness()
}

// deploymentHealth returns the health of a Deployment.
func deploymentHealth(o *object) Health {
	n := replicas{
		desired:   o.desired(),
		total:     o.status.at("replicas").number(),
		updated:   o.status.at("updatedReplicas").number(),
		ready:     o.status.at("readyReplicas").number(),
		available: o.status.at("availableReplicas").number(),
	}
	h := n.rollout(n.desired)
	if h.State == Ready {
		return h
	}
	if o.condition("Progressing").reason == "ProgressDeadlineExceeded" {
		return Health{Failing, join(fmt.Sprintf("%d/%d ready", n.ready, n.desired), "progress deadline exceeded")}
	}
	if o.spec.at("paused").isTrue() {
		h.Text += ", paused"
	}
	// Without a rollout, nothing but failing pods makes it unavailable.
	if unavailable(o) != "" {
		h.State = Failing
	}
	return o.failing(h.Text, h, "NotReady")
}

// statefulSetHealth returns the health of a StatefulSet. With a partition, only
// some of its pods are updated.
func statefulSetHealth(o *object) Health {
	n := replicas{
		desired: o.desired(),
		total:   o.status.at("replicas").number(),
		updated: o.status.at("updatedReplicas").number(),
		ready:   o.status.at("readyReplicas").number(),
	}
	n.available = n.ready
	if available := o.status.at("availableReplicas"); available != nil {
		n.available = available.number()
	}
	strategy := o.spec.at("updateStrategy")
	wanted := n.desired - strategy.at("rollingUpdate", "partition").number()
	if o.status.at("currentRevision").text() == o.status.at("updateRevision").text() ||
		strategy.at("type").text() == "OnDelete" {
		wanted = 0
	}
	return n.rollout(wanted)
}

// daemonSetHealth returns the health of a DaemonSet. The nodes decide how many
// pods it should have.
func daemonSetHealth(o *object) Health {
	n := replicas{
		desired:   o.status.at("desiredNumberScheduled").number(),
		total:     o.status.at("currentNumberScheduled").number(),
		updated:   o.status.at("updatedNumberScheduled").number(),
		ready:     o.status.at("numberReady").number(),
		available: o.status.at("numberAvailable").number(),
	}
	if o.status.at("observedGeneration") == nil {
		return Health{Progressing, "waiting for the controller"}
	}
	if o.spec.at("updateStrategy", "type").text() == "OnDelete" {
		return n.readiness()
	}
	return n.rollout(n.desired)
}

// replicaSetHealth returns the health of a ReplicaSet or a
// ReplicationController.
func replicaSetHealth(o *object) Health {
	n := replicas{
		desired:   o.desired(),
		total:     o.status.at("replicas").number(),
		ready:     o.status.at("readyReplicas").number(),
		available: o.status.at("availableReplicas").number(),
	}
	h := n.readiness()
	if h.State == Ready {
		return h
	}
	return o.failing(h.Text, h)
}

// podHealth returns the health of a Pod.
func podHealth(o *object) Health {
	ready, total := o.readyContainers()
	text := fmt.Sprintf("%d/%d ready", ready, total)
	switch phase := o.status.at("phase").text(); phase {
	case "Succeeded":
		return Health{Done, "completed"}
	case "Failed":
		return o.failing("", Health{Failing, "failed"})
	case "Running":
		if o.is("Ready", "True") {
			return Health{Ready, text}
		}
		// A container that restarted may get ready.
		return o.failing(text, Health{Progressing, text}, "Restarted")
	case "Pending":
		if o.condition("PodScheduled").reason == "SchedulingGated" {
			return Health{Progressing, "pending, scheduling gated"}
		}
		if o.is("PodScheduled", "True") {
			return o.failing("", Health{Progressing, "starting"}, "Restarted")
		}
		return o.failing("", Health{Progressing, "pending"})
	default:
		return Health{}
	}
}

// readyContainers returns the numbers of the containers that are ready and of
// all containers, with sidecars but without other init containers.
func (o *object) readyContainers() (ready, total int) {
	isSidecar := func(name string) bool {
		return o.spec.at("initContainers").named(name).at("restartPolicy").text() == "Always"
	}
	for i := range o.containers {
		c := &o.containers[i]
		if c.init && !isSidecar(c.name) {
			continue
		}
		if total++; c.ready {
			ready++
		}
	}
	return ready, total
}

// jobHealth returns the health of a Job.
func jobHealth(o *object) Health {
	switch {
	case o.is("Complete", "True"):
		return Health{Done, "completed"}
	case o.is("Failed", "True"), o.is("FailureTarget", "True"):
		return Health{Failing, join("failed", strings.TrimPrefix(jobFailed(o), "failed: "))}
	case o.spec.at("suspend").isTrue():
		return Health{Ready, "suspended"}
	}
	text := count(o.status.at("active").number(), "pod") + " active"
	if completions := o.spec.at("completions").number(); completions > 1 {
		text += fmt.Sprintf(", %d/%d completed", o.status.at("succeeded").number(), completions)
	}
	if failed := o.status.at("failed").number(); failed > 0 {
		text += fmt.Sprintf(", %d failed", failed)
	}
	return Health{Progressing, text}
}

// cronJobHealth returns the health of a CronJob. If no Job is active, the last
// one must have succeeded after it was scheduled.
func cronJobHealth(o *object) Health {
	active := 0
	for range o.status.at("active").elements() {
		active++
	}
	scheduled, succeeded := o.status.at("lastScheduleTime").time(), o.status.at("lastSuccessfulTime").time()
	switch {
	case active > 0:
		return Health{Ready, count(active, "job") + " active"}
	case succeeded.Before(scheduled):
		return Health{Failing, "last job did not succeed"}
	case o.spec.at("suspend").isTrue():
		return Health{Ready, "suspended"}
	case scheduled.IsZero():
		return Health{Ready, "not scheduled yet"}
	default:
		return Health{Ready, "last job succeeded"}
	}
}

// claimHealth returns the health of a PersistentVolumeClaim.
func claimHealth(o *object) Health {
	switch phase := o.status.at("phase").text(); phase {
	case "Bound":
		if o.is("Resizing", "True") || o.is("FileSystemResizePending", "True") {
			return o.failing("bound", Health{Progressing, "bound, resizing"})
		}
		return o.failing("bound", Health{Ready, "bound"})
	case "Pending":
		return Health{Progressing, "pending"}
	case "Lost":
		return Health{Failing, claimLost(o)}
	default:
		return Health{}
	}
}

// volumeHealth returns the health of a PersistentVolume.
func volumeHealth(o *object) Health {
	switch phase := o.status.at("phase").text(); phase {
	case "Bound", "Available":
		return Health{Ready, strings.ToLower(phase)}
	case "Released":
		return Health{Done, "released"}
	case "Pending":
		return Health{Progressing, "pending"}
	case "Failed":
		return Health{Failing, volumeFailed(o)}
	default:
		return Health{}
	}
}

// nodeHealth returns the health of a Node.
func nodeHealth(o *object) Health {
	cordoned := ""
	if o.spec.at("unschedulable").isTrue() {
		cordoned = ", cordoned"
	}
	switch o.condition("Ready").status {
	case "True":
		return o.failing("", Health{Ready, "ready" + cordoned})
	case "False", "Unknown":
		return o.failing("", Health{Progressing, "not ready" + cordoned})
	default:
		return Health{}
	}
}

// namespaceHealth returns the health of a Namespace.
func namespaceHealth(o *object) Health {
	switch o.status.at("phase").text() {
	case "Active":
		return Health{Ready, "active"}
	case "Terminating":
		return o.failing("", Health{Progressing, "terminating"})
	default:
		return Health{}
	}
}

// autoscalerHealth returns the health of a HorizontalPodAutoscaler.
func autoscalerHealth(o *object) Health {
	if o.status == nil || len(o.conditions) == 0 {
		return Health{}
	}
	current, desired := o.status.at("currentReplicas").number(), o.status.at("desiredReplicas").number()
	h := Health{Ready, count(current, "replica")}
	if o.is("ScalingActive", "False") && o.condition("ScalingActive").reason == "ScalingDisabled" {
		return Health{Ready, "0 replicas, scaling disabled"}
	}
	if current != desired && desired > 0 {
		h = Health{Progressing, fmt.Sprintf("%d → %d replicas", current, desired)}
	}
	return o.failing("", h, "ScalerLimited")
}

// customHealth returns the health of a custom resource by the conditions that
// are usual.
func customHealth(o *object) Health {
	h := Health{}
	for _, kind := range []string{"Ready", "Available", "Healthy", "Succeeded", "Synced", "Reconciled", "Established"} {
		switch c := o.condition(kind); {
		case c.status == "True" && kind == "Succeeded":
			return Health{Done, "succeeded"}
		case c.status == "True" && h.State == Unknown:
			h = Health{Ready, lowerFirst(kind)}
		case c.status == "False" || c.status == "Unknown":
			if h.State != Progressing {
				h = Health{Progressing, join(negation(kind), line(c.reason, maxName))}
			}
		}
	}
	if o.isBusy() && h.State != Progressing {
		h = Health{Progressing, "in progress"}
	}
	return o.failing("", h)
}

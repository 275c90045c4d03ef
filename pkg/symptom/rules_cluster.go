package symptom

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// nodeNotReady returns why a node is not ready. After a kubelet is lost, all
// conditions are Unknown, and only Ready is reported.
func nodeNotReady(o *object) []Symptom {
	c := o.condition("Ready")
	if c.status != "False" && c.status != "Unknown" || o.isNew() || o.deleted {
		return nil
	}
	cause := message(strings.TrimPrefix(c.message(), "container runtime network not ready: "))
	return []Symptom{{Subject: "Ready", Text: join("NotReady", lowerFirst(cause))}}
}

// nodePressure returns the resources of which a node has too little.
func nodePressure(o *object) []Symptom {
	return o.conditionsTrue("MemoryPressure", "DiskPressure", "PIDPressure")
}

// nodeProblem returns the other problems of a node, by the conditions that the
// cloud provider and the node problem detector set.
func nodeProblem(o *object) []Symptom {
	if o.isNew() {
		return nil
	}
	return o.conditionsTrue("NetworkUnavailable", "KernelDeadlock", "ReadonlyFilesystem", "FrequentKubeletRestart",
		"FrequentContainerdRestart", "FrequentDockerRestart", "FrequentUnregisterNetDevice", "CorruptDockerOverlay2")
}

// conditionsTrue returns those of the conditions that are true.
func (o *object) conditionsTrue(kinds ...string) (found []Symptom) {
	for _, kind := range kinds {
		if c := o.condition(kind); c.status == "True" {
			found = append(found, Symptom{Subject: kind, Text: join(kind, message(c.message()))})
		}
	}
	return found
}

// claimLost returns that the volume of a claim is gone.
func claimLost(o *object) string {
	if o.status.at("phase").text() != "Lost" {
		return ""
	}
	if volume := o.spec.at("volumeName").text(); volume != "" {
		return "volume " + line(volume, maxName) + " is lost"
	}
	return "volume is lost"
}

// claimPending returns that a claim is not bound for longer than a start takes.
func claimPending(o *object) string {
	if o.status.at("phase").text() != "Pending" || !o.settled(o.created) || o.deleted || o.isTerminating() {
		return ""
	}
	if class := o.spec.at("storageClassName").text(); class != "" {
		return "not bound, class " + line(class, maxName)
	}
	return "not bound"
}

// volumeFailed returns why a volume could not be reclaimed.
func volumeFailed(o *object) string {
	if o.status.at("phase").text() != "Failed" {
		return ""
	}
	return join("Failed", line(o.status.at("reason").text(), maxName), message(o.status.at("message").text()))
}

// resizeFailed returns why a claim was not resized.
func resizeFailed(o *object) []Symptom {
	return o.conditionsTrue("ControllerResizeError", "NodeResizeError", "ModifyVolumeError")
}

// noEndpoints returns that a Service has no ready pod in an EndpointSlice or an
// Endpoints object. Endpoints of leader elections have no addresses.
func noEndpoints(o *object) string {
	if o.isNew() || o.deleted || o.isTerminating() ||
		o.metadata.at("annotations").member("control-plane.alpha.kubernetes.io/leader") != nil {
		return ""
	}
	total, ready := 0, 0
	if o.resource == endpoints {
		for subset := range o.root.at("subsets").elements() {
			for range subset.at("addresses").elements() {
				total, ready = total+1, ready+1
			}
			for range subset.at("notReadyAddresses").elements() {
				total++
			}
		}
	} else {
		for endpoint := range o.root.at("endpoints").elements() {
			total++
			// A missing condition means ready.
			if state := endpoint.at("conditions", "ready"); state == nil || state.isTrue() {
				ready++
			}
		}
	}
	switch {
	case ready > 0:
		return ""
	case total == 0:
		return "no endpoints: matches 0 pods"
	default:
		return fmt.Sprintf("no endpoints: %s not ready", count(total, "pod"))
	}
}

// namespaceStuck returns why the deletion of a namespace does not end.
func namespaceStuck(o *object) (found []Symptom) {
	if o.deleted {
		return nil
	}
	found = o.conditionsTrue("NamespaceDeletionContentFailure", "NamespaceDeletionDiscoveryFailure",
		"NamespaceDeletionGroupVersionParsingFailure")
	for _, kind := range []string{"NamespaceFinalizersRemaining", "NamespaceContentRemaining"} {
		if c := o.condition(kind); c.status == "True" && o.settled(c.since) {
			text := join("terminating", message(after(c.message(), "remaining: ")))
			found = append(found, Symptom{Subject: kind, Text: text})
		}
	}
	return found
}

// terminating returns that the deletion of an object does not end, and the
// finalizers that prevent it.
func terminating(o *object) string {
	since := o.metadata.at("deletionTimestamp").time()
	if o.deleted || !o.settled(since) {
		return ""
	}
	finalizers := o.finalizers()
	if len(finalizers) == 0 {
		return "terminating, not gone yet"
	}
	return "terminating, waits for finalizer " + line(strings.Join(finalizers, ", "), maxDetail)
}

// goodConditions are conditions of custom resources that should be true, most
// important first.
var goodConditions = []string{ //nolint:gochecknoglobals // a constant table
	"Ready", "Available", "Healthy", "Succeeded", "Synced", "Reconciled", "Accepted", "Programmed", "ResolvedRefs",
	"Established", "NamesAccepted",
}

// badConditions are conditions of custom resources that should not be true.
var badConditions = []string{ //nolint:gochecknoglobals // a constant table
	"Degraded", "Stalled", "Failed", "Failing", "ReconcileError", "ReplicaFailure",
}

// busyConditions are true while a controller works on an object.
var busyConditions = []string{ //nolint:gochecknoglobals // a constant table
	"Reconciling", "Progressing", "Issuing", "Creating", "Updating", "Upgrading", "Installing",
}

// busyReasons are prefixes of the reasons of conditions that are false while a
// controller works on an object.
var busyReasons = []string{ //nolint:gochecknoglobals // a constant table
	"Progressing", "Reconciling", "Pending", "Creating", "Installing", "InProgress", "Initializing", "Waiting",
	"Provisioning", "Updating", "Upgrading", "Scaling", "Running",
}

// busyGrace is the time for which such a condition may be false. Databases of
// cloud providers take that long.
const busyGrace = 20 * time.Minute

// isBusy reports whether the controller of a custom resource works on it, so
// that it is not ready yet. Progressing stays true after a rollout.
func (o *object) isBusy() bool {
	return o.isBehind() || slices.ContainsFunc(busyConditions, func(kind string) bool {
		c := o.condition(kind)
		return c.status == "True" && c.reason != rolledOut
	})
}

// isTransient reports whether a condition is false because of a start.
func (o *object) isTransient(c *condition) bool {
	if c.generation > 0 && c.generation < o.metadata.at("generation").number() {
		return true
	}
	for _, prefix := range busyReasons {
		if strings.HasPrefix(c.reason, prefix) {
			return c.since.IsZero() || o.at.Sub(c.since) < busyGrace
		}
	}
	return false
}

// conditionFalse returns the conditions of a custom resource that should be
// true. Conditions with the same reason and message have one cause, and only
// the first is returned.
func conditionFalse(o *object) (found []Symptom) {
	if o.deleted || o.isTerminating() || o.isNew() || o.isBusy() {
		return nil
	}
	var causes []string
	for _, kind := range goodConditions {
		c := o.condition(kind)
		cause := join(line(c.reason, maxName), message(c.message()))
		if c.status != "False" || o.isTransient(&c) || cause != "" && slices.Contains(causes, cause) {
			continue
		}
		causes = append(causes, cause)
		found = append(found, Symptom{Subject: kind, Text: join(negation(kind), cause)})
	}
	return found
}

// negation returns that a condition is false: "not ready", "ResolvedRefs
// False".
func negation(kind string) string {
	if lower := lowerFirst(kind); lower == strings.ToLower(kind) {
		return "not " + lower
	}
	return kind + " False"
}

// lowerFirst returns a text with a small first letter, unless that begins an
// abbreviation.
func lowerFirst(text string) string {
	if len(text) < 2 || text[1] < 'a' || text[1] > 'z' {
		return text
	}
	return strings.ToLower(text[:1]) + text[1:]
}

// degraded returns what else shows that a custom resource failed: conditions
// that should not be true, a phase, and the health of Argo CD's applications.
func degraded(o *object) (found []Symptom) {
	if o.deleted || o.isTerminating() {
		return nil
	}
	for _, kind := range badConditions {
		if c := o.condition(kind); c.status == "True" {
			text := join(kind, line(c.reason, maxName), message(c.message()))
			found = append(found, Symptom{Subject: kind, Text: text})
		}
	}
	if len(found) > 0 {
		return found
	}
	detail := message(o.status.at("message").text())
	switch phase := o.status.at("phase").text(); phase {
	case "Failed", "Error", "Failure", "PartiallyFailed", "FailedValidation", "Degraded":
		found = append(found, Symptom{Text: join(phase, line(o.status.at("reason").text(), maxName), detail)})
	}
	if text := o.status.at("error", "message").text(); text != "" { // of a VolumeSnapshot
		found = append(found, Symptom{Text: join("error", message(text))})
	}
	sync := o.status.at("operationState")
	if phase := sync.at("phase").text(); phase == "Failed" || phase == "Error" {
		found = append(found, Symptom{Text: join("sync "+phase, message(sync.at("message").text()))})
	}
	health := o.status.at("health")
	if state := health.at("status").text(); state == "Degraded" || state == "Missing" {
		found = append(found, Symptom{Text: join("health "+state, message(health.at("message").text()))})
	}
	return found
}

package problem

import "k8s.io/apimachinery/pkg/runtime/schema"

// condition is an entry of status.conditions.
type condition struct {
	Type, Status, Reason, Message string
}

// rule says which status of a condition is trouble, and how to begin telling of it.
type rule struct {
	condition, status string
	words             string
}

// broken returns what the rules find, in the rules' order.
func broken(found []condition, rules []rule) []string {
	var reasons []string
	for _, r := range rules {
		for _, c := range found {
			if c.Type == r.condition && c.Status == r.status {
				reasons = append(reasons, colon(r.words, c.Reason, c.Message))
			}
		}
	}
	return reasons
}

// workload knows what runs pods, and namespaces that do not go away.
func workload(resource schema.GroupResource, object []byte) []string {
	var rules []rule
	failing := rule{condition: "ReplicaFailure", status: "True", words: "ReplicaFailure, replica failure"}
	switch resource {
	case schema.GroupResource{Group: "apps", Resource: "deployments"}:
		found := conditionsOf(object)
		return append(stuck(found), broken(found, []rule{failing})...)
	case schema.GroupResource{Group: "apps", Resource: "replicasets"}, schema.GroupResource{Resource: "replicationcontrollers"}:
		rules = []rule{failing}
	case schema.GroupResource{Group: "batch", Resource: "jobs"}:
		rules = []rule{{condition: "Failed", status: "True", words: "Failed"}}
	case schema.GroupResource{Resource: "namespaces"}:
		rules = []rule{
			{condition: "NamespaceDeletionDiscoveryFailure", status: "True", words: "NamespaceDeletionDiscoveryFailure"},
			{condition: "NamespaceDeletionGroupVersionParsingFailure", status: "True", words: "NamespaceDeletionGroupVersionParsingFailure"},
			{condition: "NamespaceDeletionContentFailure", status: "True", words: "NamespaceDeletionContentFailure"},
		}
	}
	if rules == nil {
		return nil
	}
	return broken(conditionsOf(object), rules)
}

// stuck tells of a deployment that makes no progress: a paused one has the same condition, with another reason.
func stuck(found []condition) []string {
	var reasons []string
	for _, c := range found {
		if c.Type == "Progressing" && c.Status == "False" && c.Reason == "ProgressDeadlineExceeded" {
			reasons = append(reasons, colon("progress deadline exceeded", c.Reason, c.Message))
		}
	}
	return reasons
}

// node knows the conditions that kubelets, the node controller and the node problem detector set. When a kubelet is gone,
// all its conditions turn Unknown; only Ready tells of it, for nobody knows whether there is pressure.
func node(object []byte) []string {
	found := conditionsOf(object)
	reasons := broken(found, []rule{
		{condition: "Ready", status: "False", words: "NotReady"},
		{condition: "Ready", status: "Unknown", words: "NotReady"},
	})
	for _, problem := range []string{
		"MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable",
		"KernelDeadlock", "ReadonlyFilesystem", "FrequentKubeletRestart", "FrequentContainerdRestart", "FrequentDockerRestart",
	} {
		reasons = append(reasons, broken(found, []rule{{condition: problem, status: "True", words: problem}})...)
	}
	return reasons
}

// volume knows claims and volumes. An available or a released volume is as it should be.
func volume(object []byte) []string {
	v := decode[struct {
		Status struct {
			Phase, Reason, Message string
			Conditions             []condition
		}
	}](narrow(object, "status"))
	var reasons []string
	switch v.Status.Phase {
	case "Pending":
		reasons = append(reasons, colon("Pending, not bound", v.Status.Reason, v.Status.Message))
	case "Lost", "Failed":
		reasons = append(reasons, colon(v.Status.Phase, v.Status.Reason, v.Status.Message))
	}
	return append(reasons, broken(v.Status.Conditions, []rule{
		{condition: "ControllerResizeError", status: "True", words: "ControllerResizeError"},
		{condition: "NodeResizeError", status: "True", words: "NodeResizeError"},
		{condition: "ModifyVolumeError", status: "True", words: "ModifyVolumeError"},
	})...)
}

// event tells what a Warning says.
func event(object []byte) []string {
	e := decode[struct{ Type, Reason, Message, Note string }](object)
	if e.Type != "Warning" {
		return nil
	}
	return []string{colon(e.Reason, e.Message+e.Note)}
}

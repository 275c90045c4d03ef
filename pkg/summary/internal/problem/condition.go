package problem

import "k8s.io/apimachinery/pkg/runtime/schema"

// condition is an entry of status.conditions.
type condition struct {
	Type, Status, Reason, Message string
}

// rule defines which status of a condition is a problem, and how the problem's
// text begins.
type rule struct {
	condition, status string
	text              string
}

// broken returns the problems that the rules find in the conditions, in the
// order of the rules.
func broken(found []condition, rules []rule) []string {
	var reasons []string
	for _, r := range rules {
		for _, c := range found {
			if c.Type == r.condition && c.Status == r.status {
				reasons = append(reasons, colon(r.text, c.Reason, c.Message))
			}
		}
	}
	return reasons
}

// workload returns the problems of controllers that run pods, and of namespaces
// that can't be deleted.
func workload(resource schema.GroupResource, object []byte) []string {
	var rules []rule
	// Clients search for either spelling.
	failing := rule{condition: "ReplicaFailure", status: "True", text: "ReplicaFailure, replica failure"}
	switch resource {
	case schema.GroupResource{Group: "apps", Resource: "deployments"}:
		found := conditionsOf(object)
		return append(stuck(found), broken(found, []rule{failing})...)
	case schema.GroupResource{Group: "apps", Resource: "replicasets"},
		schema.GroupResource{Resource: "replicationcontrollers"}:
		rules = []rule{failing}
	case schema.GroupResource{Group: "batch", Resource: "jobs"}:
		rules = []rule{{condition: "Failed", status: "True", text: "Failed"}}
	case schema.GroupResource{Resource: "namespaces"}:
		rules = []rule{
			{condition: "NamespaceDeletionDiscoveryFailure", status: "True", text: "NamespaceDeletionDiscoveryFailure"},
			{
				condition: "NamespaceDeletionGroupVersionParsingFailure",
				status:    "True", text: "NamespaceDeletionGroupVersionParsingFailure",
			},
			{condition: "NamespaceDeletionContentFailure", status: "True", text: "NamespaceDeletionContentFailure"},
		}
	}
	if rules == nil {
		return nil
	}
	return broken(conditionsOf(object), rules)
}

// stuck returns the problem of a deployment that makes no progress. A paused
// deployment has the same condition with another reason.
func stuck(found []condition) []string {
	var reasons []string
	for _, c := range found {
		if c.Type == "Progressing" && c.Status == "False" && c.Reason == "ProgressDeadlineExceeded" {
			reasons = append(reasons, colon("progress deadline exceeded", c.Reason, c.Message))
		}
	}
	return reasons
}

// node returns the problems of a node, by the conditions that the kubelet, the
// node controller and the node problem detector set. After a kubelet is lost,
// all its conditions are Unknown. Only Ready is reported then, because it is
// not known whether there is pressure.
func node(object []byte) []string {
	found := conditionsOf(object)
	reasons := broken(found, []rule{
		{condition: "Ready", status: "False", text: "NotReady"},
		{condition: "Ready", status: "Unknown", text: "NotReady"},
	})
	for _, problem := range []string{
		"MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable",
		"KernelDeadlock", "ReadonlyFilesystem", "FrequentKubeletRestart",
		"FrequentContainerdRestart", "FrequentDockerRestart",
	} {
		reasons = append(reasons, broken(found, []rule{{condition: problem, status: "True", text: problem}})...)
	}
	return reasons
}

// volume returns the problems of claims and volumes. Available and Released are
// not problems.
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
		{condition: "ControllerResizeError", status: "True", text: "ControllerResizeError"},
		{condition: "NodeResizeError", status: "True", text: "NodeResizeError"},
		{condition: "ModifyVolumeError", status: "True", text: "ModifyVolumeError"},
	})...)
}

// event returns the text of a Warning.
func event(object []byte) []string {
	e := decode[struct{ Type, Reason, Message, Note string }](object)
	if e.Type != "Warning" {
		return nil
	}
	return []string{colon(e.Reason, e.Message+e.Note)}
}

package why

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Kind is what a change is about.
type Kind uint8

// The kinds of changes.
const (
	Other         Kind = iota
	Image              // of a container
	PullSecret         // for images
	Command            // of a container: command, arguments, environment, ports
	Configuration      // data of a ConfigMap or a Secret
	Memory             // limits of memory
	Requests           // of resources, and their limits
	Probe              // of a container
	Mounts             // volumes and mounts
	Placement          // node selectors, affinity, tolerations, priority
	Scale              // the number of replicas, not increased
	Growth             // of the number of replicas
	Restart            // of pods, by an annotation
	Selection          // a selector, or the labels of a pod template
	Ports              // of a Service, and backends of routes
	Network            // a NetworkPolicy
	NodeState          // a node's conditions, taints, or the node itself
	Limits             // quotas and limit ranges
	Admission          // webhooks and policies of the API server
	Permission         // roles, bindings and ServiceAccounts
	Storage            // claims, volumes and storage classes
	Scaler             // an autoscaler
	Definition         // of custom resources
	Labels             // labels and annotations only
	Removal            // the object was deleted
	Creation           // the object was created
)

// names are the texts of kinds.
var names = [...]string{ //nolint:gochecknoglobals // constants
	Other: "this change", Image: "an image", PullSecret: "a pull secret", Command: "a command or environment",
	Configuration: "configuration", Memory: "a memory limit", Requests: "requests and limits", Probe: "a probe",
	Mounts: "volumes", Placement: "placement", Scale: "replicas", Growth: "more replicas", Restart: "a restart",
	Selection: "a selector",
	Ports:     "ports and backends", Network: "a network policy", NodeState: "a node", Limits: "a quota",
	Admission: "admission", Permission: "permissions", Storage: "storage", Scaler: "an autoscaler",
	Definition: "a definition", Labels: "labels", Removal: "a deletion", Creation: "a new object",
}

// String returns the kind with an article.
func (k Kind) String() string { return names[k] }

// rarely returns "rarely causes", or "rarely cause" after a plural.
func (k Kind) rarely() string {
	if strings.HasSuffix(names[k], "s") {
		return "rarely cause"
	}
	return "rarely causes"
}

// ofResource are the kinds of all changes of some resources.
var ofResource = map[schema.GroupResource]Kind{ //nolint:gochecknoglobals // a constant table
	{Resource: "configmaps"}:                                               Configuration,
	{Resource: "secrets"}:                                                  Configuration,
	{Resource: "nodes"}:                                                    NodeState,
	{Resource: "resourcequotas"}:                                           Limits,
	{Resource: "limitranges"}:                                              Limits,
	{Resource: "serviceaccounts"}:                                          Permission,
	{Resource: "persistentvolumeclaims"}:                                   Storage,
	{Resource: "persistentvolumes"}:                                        Storage,
	{Group: "storage.k8s.io", Resource: "storageclasses"}:                  Storage,
	{Group: "networking.k8s.io", Resource: "networkpolicies"}:              Network,
	{Group: "networking.k8s.io", Resource: "ingresses"}:                    Ports,
	{Group: "autoscaling", Resource: "horizontalpodautoscalers"}:           Scaler,
	{Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"}: Definition,
	{Group: "apiregistration.k8s.io", Resource: "apiservices"}:             Definition,
}

// ofGroup are the kinds of all changes of other resources of some groups.
var ofGroup = map[string]Kind{ //nolint:gochecknoglobals // a constant table
	"admissionregistration.k8s.io": Admission,
	"rbac.authorization.k8s.io":    Permission,
	"gateway.networking.k8s.io":    Ports,
	"scheduling.k8s.io":            Placement,
}

// fields are the kinds of changes of fields, by parts of their paths. The first
// row that matches one of the paths is the kind of the change.
var fields = []struct { //nolint:gochecknoglobals // a constant table
	kind  Kind
	parts []string // any of these
}{
	{Admission, []string{"pod-security.kubernetes.io/"}},
	{Image, []string{"].image", ".image"}},
	{PullSecret, []string{"imagePullSecrets"}},
	{Memory, []string{"resources.limits.memory", "resources.limits[\"memory\"]"}},
	{Requests, []string{"resources.limits", "resources.requests", ".resources"}},
	{Probe, []string{"Probe"}},
	{Mounts, []string{".volumes", "volumeMounts", "volumeClaimTemplates"}},
	{Command, []string{".command", ".args", ".env", "envFrom", "containers[", "containers", "securityContext"}},
	{Placement, []string{
		"nodeSelector", "affinity", "tolerations", "topologySpread", "priorityClass", "schedulerName", "runtimeClass",
		"spec.nodeName",
	}},
	{Permission, []string{"serviceAccount"}},
	{Restart, []string{"spec.template.metadata.annotations"}},
	{Selection, []string{"spec.selector", "spec.template.metadata.labels"}},
	{Scale, []string{"spec.replicas", "spec.suspend", "spec.paused"}},
	{Ports, []string{"spec.ports", "spec.type", "spec.externalName", "spec.clusterIP"}},
}

// kindOf returns the kind of a candidate's change.
func kindOf(c *Candidate) Kind {
	r := c.Change
	resource := r.Ref.GroupResource()
	switch {
	case r.Verb == history.Delete:
		if k := ofResource[resource]; k == NodeState {
			return k
		}
		return Removal
	case len(c.Paths) == 0 && r.Verb == history.Create:
		k, known := ofResource[resource]
		if !known {
			k = ofGroup[r.Ref.Group]
		}
		if limits(k) {
			return k
		}
		return Creation
	}
	if k, known := ofResource[resource]; known {
		return k
	}
	if k, known := ofGroup[r.Ref.Group]; known {
		return k
	}
	for _, f := range fields {
		if slices.ContainsFunc(c.Paths, func(path string) bool {
			return slices.ContainsFunc(f.parts, func(part string) bool { return strings.Contains(path, part) })
		}) {
			if f.kind == Scale && c.Delta > 0 {
				return Growth
			}
			return f.kind
		}
	}
	meta := func(path string) bool { return strings.HasPrefix(path, "metadata.") }
	if len(c.Paths) > 0 && !slices.ContainsFunc(c.Paths, func(path string) bool { return !meta(path) }) {
		return Labels
	}
	return Other
}

// limits reports whether a new object of the kind limits others.
func limits(k Kind) bool {
	switch k {
	case Network, Limits, Admission, Scaler, Definition:
		return true
	default:
		return false
	}
}

// immediate reports whether a change of the kind has its effect at once.
func immediate(k Kind) bool {
	switch k {
	case Image, PullSecret, Command, Memory, Requests, Probe, Mounts, Placement, Scale, Growth, Restart, Selection,
		Ports, Labels:
		return true
	default:
		return false
	}
}

// reachesOthers reports whether a change of the kind can cause symptoms of
// objects that have no relation to the changed one.
func reachesOthers(k Kind, codes []string) bool {
	switch k {
	case NodeState:
		return slices.Contains(codes, "Unschedulable") || slices.Contains(codes, "ClaimPending")
	case Limits, Admission, Network, Definition, Permission, Storage:
		return true
	default:
		return false
	}
}

// starts are the symptoms of containers that don't start or stop again.
var starts = effects{ //nolint:gochecknoglobals // a constant table
	Image: 3, Command: 2.5, Configuration: 2, Mounts: 1.8, Memory: 1.5, Probe: 1.5, Permission: 1.2, Removal: 1.5,
	Network: 1.2, Scale: 0.3, Labels: 0.3, Placement: 0.5, Restart: 0.8,
}

// effects are the factors of kinds of changes for one symptom. A kind that is
// missing has the factor 1.
type effects map[Kind]float64

// table has the effects of each symptom of package symptom. A symptom that is
// missing has none.
var table = map[string]effects{ //nolint:gochecknoglobals // a constant table
	"ImagePull": {
		Image: 4, PullSecret: 3, Removal: 2.5, Configuration: 0.8, Permission: 1.2, Network: 1.2, NodeState: 1.2,
		Scale: 0.3, Labels: 0.2, Probe: 0.2, Memory: 0.2, Requests: 0.2, Restart: 0.5, Command: 0.4,
	},
	"CrashLoop": starts, "Exited": starts, "Restarted": starts, "JobFailed": starts, "PodFailed": starts,
	"OOMKilled": {
		Memory: 4, Requests: 2, Image: 2, Command: 1.5, Configuration: 1.3, Scale: 0.6, Labels: 0.2, Restart: 0.6,
		Limits: 1.3,
	},
	"ContainerConfig": {
		Removal: 3, Configuration: 3, Command: 2.5, Mounts: 2, Image: 0.5, Scale: 0.3, Labels: 0.2, Restart: 0.6,
	},
	"ContainerWaiting": starts,
	"FailedMount": {
		Removal: 3, Mounts: 3, Storage: 2.5, Configuration: 2, NodeState: 1.5, Image: 0.4, Scale: 0.4, Labels: 0.2,
		Restart: 0.6,
	},
	"Unschedulable": {
		Requests: 3, Memory: 2, Placement: 3, NodeState: 3, Storage: 2, Limits: 1.5, Growth: 2, Removal: 1.5,
		Scale: 0.3, Image: 0.4, Configuration: 0.4, Probe: 0.2, Labels: 0.3, Command: 0.4,
	},
	"ProbeFailed": {
		Probe: 4, Image: 2.5, Command: 2, Configuration: 2, Network: 2, Ports: 1.2, Memory: 1.3, Requests: 1.3,
		Scale: 0.4, Labels: 0.3,
	},
	"NotReady": {
		Probe: 3, Image: 2.5, Command: 2, Configuration: 2, Network: 2, Mounts: 1.5, Placement: 1.2, Requests: 1.5,
		NodeState: 2, Removal: 1.5, Scale: 0.6, Labels: 0.3,
	},
	"ProgressDeadline": {
		Image: 3, Command: 2, Configuration: 1.8, Probe: 2, Requests: 2, Placement: 2, Limits: 2, Admission: 2,
		Mounts: 1.8, Labels: 0.3, Scale: 0.8,
	},
	"Evicted": {NodeState: 4, Memory: 1.5, Requests: 1.5, Placement: 1.5, Image: 0.6, Labels: 0.2},
	"Quota": {
		Limits: 4, Requests: 2, Growth: 2.5, Scale: 0.3, Memory: 1.5, Image: 0.3, Configuration: 0.3,
		Labels: 0.2,
	},
	"LimitRange":      {Limits: 4, Requests: 3, Memory: 2.5, Image: 0.3, Scale: 0.5, Labels: 0.2},
	"AdmissionDenied": {Admission: 4, Labels: 1.5, Command: 1.5, Image: 1.2, Scale: 0.6, Configuration: 0.4},
	"WebhookFailed":   {Admission: 4, Removal: 2.5, Ports: 2, Configuration: 1.2, Network: 1.5, Image: 0.5},
	"ReplicaFailure":  {Limits: 2.5, Permission: 2.5, Admission: 2.5, Removal: 1.5, Requests: 1.5},
	"NoEndpoints": {
		Selection: 4, Scale: 3, Growth: 0.2, Removal: 3, Probe: 2, Image: 1.5, Ports: 1.5, Labels: 1.2, Network: 0.5,
	},
	"MissingReference": {Removal: 4, Ports: 2, Scaler: 2, Selection: 2, Labels: 0.2},
	"ScalerBlocked":    {Scaler: 3, Requests: 2.5, Removal: 2.5, Definition: 2, Selection: 1.5, Image: 0.6},
	"ScalerLimited":    {Scaler: 4, Scale: 1.5},
	"ClaimPending":     {Storage: 3, Removal: 2.5, Placement: 1.5, NodeState: 1.5, Limits: 1.5, Image: 0.2, Scale: 0.8},
	"ClaimLost":        {Storage: 3, Removal: 4},
	"VolumeFailed":     {Storage: 3, Removal: 2},
	"NodeNotReady":     {NodeState: 3, Network: 1.2, Image: 0.3, Scale: 0.3},
	"NodePressure":     {NodeState: 2, Growth: 2, Scale: 0.3, Memory: 1.5, Requests: 1.5, Image: 1.2},
	"Terminating":      {Definition: 2, Admission: 2, Removal: 2, Permission: 1.5},
	"ConditionFalse":   {Definition: 1.5, Permission: 2, Removal: 2, Configuration: 1.8, Labels: 0.4},
	"Degraded":         {Definition: 1.5, Permission: 2, Removal: 2, Configuration: 1.8, Labels: 0.4},
}

// effect returns the factor of a kind of change for a symptom.
func effect(code string, k Kind) float64 {
	if factor, known := table[code][k]; known {
		return factor
	}
	switch k {
	case Growth:
		return effect(code, Scale)
	case Restart: // it only shows what is wrong
		return 0.4
	default:
		return 1
	}
}

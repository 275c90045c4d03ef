package sample

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// nextNode creates a node or reports its condition again.
func (c *Cluster) nextNode(i int) *history.Record {
	node, verb := c.nodes[i], history.Update
	if node == nil {
		node, verb = c.newNode(i), history.Create
		c.nodes[i] = node
	}
	node.Status.Conditions = nil
	for _, kind := range []corev1.NodeConditionType{"MemoryPressure", "DiskPressure", "PIDPressure", "Ready"} {
		node.Status.Conditions = append(node.Status.Conditions, corev1.NodeCondition{
			Type: kind, Status: "False", LastHeartbeatTime: c.time(), LastTransitionTime: node.CreationTimestamp,
			Reason: "Kubelet" + string(kind), Message: "kubelet has reported " + string(kind),
		})
	}
	return c.record(verb, "nodes", "Node", &node.ObjectMeta, node)
}

func (c *Cluster) newNode(i int) *corev1.Node {
	name := fmt.Sprintf("node-%d", i)
	node := &corev1.Node{
		TypeMeta: metav1.TypeMeta{Kind: "Node", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{
			Name: name, UID: c.uid(), CreationTimestamp: c.time(),
			Labels: map[string]string{
				"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
				"topology.kubernetes.io/zone": fmt.Sprintf("zone-%d", i%3),
			},
		},
		Status: corev1.NodeStatus{
			Capacity: corev1.ResourceList{"cpu": resource.MustParse("16"), "memory": resource.MustParse("64Gi")},
			NodeInfo: corev1.NodeSystemInfo{
				MachineID: string(c.uid()), SystemUUID: string(c.uid()), BootID: string(c.uid()),
				KernelVersion: "6.8.0", OSImage: "Linux", ContainerRuntimeVersion: "containerd://2.1.0", KubeletVersion: "v1.37.2",
			},
		},
	}
	for range 25 {
		node.Status.Images = append(node.Status.Images, corev1.ContainerImage{
			Names: []string{"registry.example.com/shop/" + c.suffix(8) + "@" + c.digest()}, SizeBytes: c.rng.Int64N(1 << 30),
		})
	}
	return node
}

// nextEvent creates an Event about the pod of a place, if there is one, else about its node.
func (c *Cluster) nextEvent(i int) *history.Record {
	about := corev1.ObjectReference{Kind: "Node", Name: fmt.Sprintf("node-%d", i/10), UID: c.uid(), APIVersion: "v1"}
	if pod := c.pods[i]; pod != nil {
		about = corev1.ObjectReference{
			Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, APIVersion: "v1", FieldPath: "spec.containers{proxy}",
		}
	}
	ev := &corev1.Event{
		TypeMeta: metav1.TypeMeta{Kind: "Event", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("%s.%016x", about.Name, c.rng.Uint64()), Namespace: "default", UID: c.uid(), CreationTimestamp: c.time(),
		},
		InvolvedObject: about, Reason: "BackOff", Type: "Warning", Count: 1,
		Message:        "Back-off restarting failed container proxy in pod " + about.Name + "_" + about.Namespace,
		Source:         corev1.EventSource{Component: "kubelet", Host: fmt.Sprintf("node-%d", i/10)},
		FirstTimestamp: c.time(), LastTimestamp: c.time(), ReportingController: "kubelet",
	}
	if about.Namespace != "" {
		ev.Namespace = about.Namespace
	}
	r := c.record(history.Create, "events", "Event", &ev.ObjectMeta, ev)
	r.Regarding = &history.Target{Kind: about.Kind, Namespace: about.Namespace, Name: about.Name, UID: about.UID}
	return r
}

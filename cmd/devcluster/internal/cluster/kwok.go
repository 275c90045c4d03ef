package cluster

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	nodefast "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	heartbeat "sigs.k8s.io/kwok/kustomize/stage/node/heartbeat-with-lease"
	podfast "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
	"sigs.k8s.io/yaml"
)

//go:embed pods.yaml
var podStages string

// writeKwokConfig writes the stages of nodes and pods, and the targets of
// port-forwards to pods.
func (l layout) writeKwokConfig(forwards []Forward) error {
	documents := []string{
		nodefast.DefaultNodeInit, heartbeat.DefaultNodeHeartbeatWithLease, podfast.DefaultPodDelete, podStages,
	}
	if len(forwards) > 0 {
		document, err := yaml.Marshal(portForward(forwards))
		if err != nil {
			return fmt.Errorf("encode kwok's port forwards: %w", err)
		}
		documents = append(documents, string(document))
	}
	config := strings.Join(documents, "\n---\n")
	if err := os.WriteFile(l.kwokConfig(), []byte(config), 0o600); err != nil {
		return fmt.Errorf("write kwok's configuration: %w", err)
	}
	return nil
}

func portForward(forwards []Forward) any {
	type object = map[string]any
	entries := make([]object, 0, len(forwards))
	for _, f := range forwards {
		entries = append(entries, object{
			"ports":  []int{f.PodPort},
			"target": object{"address": f.Host, "port": f.Port},
		})
	}
	return object{
		"apiVersion": "kwok.x-k8s.io/v1alpha1",
		"kind":       "ClusterPortForward",
		"metadata":   object{"name": "devcluster"},
		"spec":       object{"forwards": entries},
	}
}

// createNodes registers the nodes as their kubelets would. They are so large
// that no pod stays pending for lack of capacity.
func createNodes(ctx context.Context, client kubernetes.Interface, count int) error {
	room := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("64"),
		corev1.ResourceMemory: resource.MustParse("256Gi"),
		corev1.ResourcePods:   resource.MustParse("10000"),
	}
	for i := range count {
		name := fmt.Sprintf("node-%d", i+1)
		node := &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{
				Name:        name,
				Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"},
				Labels: map[string]string{
					corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
				},
			},
			Status: corev1.NodeStatus{Capacity: room, Allocatable: room},
		}
		options := metav1.CreateOptions{FieldManager: "kubelet"}
		if _, err := client.CoreV1().Nodes().Create(ctx, node, options); err != nil {
			return fmt.Errorf("create %s: %w", name, err)
		}
	}
	return nil
}

package incidents_test

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// own registers nodes of an incident's own, and returns the part of a pod's
// specification that selects them.
func own(s *stage, count int) string {
	for n := range count {
		err := s.kubelet.register(s, fmt.Sprintf("%s-%d", s.namespace, n+1), map[string]string{"pool": s.namespace})
		s.must(err, "register node")
	}
	return "nodeSelector: {pool: " + s.namespace + "}"
}

// infrastructure are incidents of nodes, volumes and autoscalers.
func infrastructure() []incident {
	onOwn := func(count int) func(*stage) {
		return func(s *stage) {
			s.create(byApply, app("web", "registry.example.com/web:1.4.0", 2, own(s, count), ""))
			s.create(byApply, service("web"))
			s.ready("web")
		}
	}
	return []incident{
		{
			name: "node-deleted", ask: "deployments.apps/web", want: "nodes/NS-1 delete", setup: onOwn(1),
			play: func(s *stage) {
				s.scale(byScale, "web", 3)
				s.sleep(7e9)
				s.kubelet.lose(s.namespace + "-1")
				s.cause(func() { s.delete("nodes", s.namespace+"-1") })
				s.begins()
			},
		},
		{
			name: "node-lost", ask: "deployments.apps/web", want: "nodes/NS-1 update", setup: onOwn(1), fresh: true,
			play: func(s *stage) {
				s.kubelet.lose(s.namespace + "-1")
				s.until("the node is not ready", func() bool {
					n, err := s.kube.CoreV1().Nodes().Get(s, s.namespace+"-1", metav1.GetOptions{})
					s.must(err, "get node")
					for _, c := range n.Status.Conditions {
						if c.Type == "Ready" && c.Status != "True" {
							return true
						}
					}
					return false
				})
				s.from, s.to = time.Now().Add(-3*time.Second), time.Now()
				s.begins()
			},
		},
		{
			name: "node-tainted", ask: "deployments.apps/web", want: "nodes/NS-1 update", setup: onOwn(1),
			play: func(s *stage) {
				s.cause(func() {
					s.patch("kubectl-taint", "nodes", s.namespace+"-1",
						`{spec: {taints: [{key: maintenance, value: "true", effect: NoExecute}]}}`)
				})
				s.begins()
			},
		},
		{
			name: "node-cordoned", ask: "deployments.apps/web", want: "nodes/NS-1 update", setup: onOwn(1),
			play: func(s *stage) {
				s.cause(func() {
					s.patch("kubectl-cordon", "nodes", s.namespace+"-1",
						`{spec: {unschedulable: true}}`)
				})
				s.sleep(12e9)
				s.image(byArgo, "deployments.apps", "web", "registry.example.com/web:1.4.1")
				s.begins()
			},
		},
		{
			name: "disk-pressure", ask: "deployments.apps/web", want: "nodes/NS-1 update", setup: onOwn(1), fresh: true,
			play: func(s *stage) {
				s.cause(func() {
					s.patch(kubeletName, "nodes", s.namespace+"-1",
						`{status: {conditions: [{type: DiskPressure, status: "True",
  reason: KubeletHasDiskPressure, message: kubelet has disk pressure}]}}`, "status")
				})
				s.sleep(2e9)
				s.fail(fault{evicted: true, message: "The node was low on resource: ephemeral-storage."}, "web")
			},
		},
		{
			name: "storage-class-deleted", ask: "deployments.apps/files",
			want: "storageclasses.storage.k8s.io/NS delete",
			setup: func(s *stage) {
				s.create(byApply, "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: NS}\n"+
					"provisioner: csi.example.com\nvolumeBindingMode: Immediate")
				s.create(byApply, settings("files-config", "root", "/data"))
			},
			play: func(s *stage) {
				s.cause(func() { s.delete("storageclasses.storage.k8s.io", s.namespace) })
				s.sleep(8e9)
				s.create(byHelm, claim("files"))
				s.create(byHelm, app("files", "registry.example.com/files:2", 1,
					"volumes: [{name: data, persistentVolumeClaim: {claimName: files}}]", ""))
				s.begins()
			},
		},
		{
			name: "claim-deleted", ask: "deployments.apps/files", want: "persistentvolumeclaims/files delete",
			setup: func(s *stage) {
				s.create(byApply, volume)
				s.create(byApply, claim("files"))
				s.create(byApply, app("files", "registry.example.com/files:2", 1,
					"volumes: [{name: data, persistentVolumeClaim: {claimName: files}}]", ""))
				s.ready("files")
			},
			play: func(s *stage) {
				s.scale(byScale, "files", 0)
				s.sleep(6e9)
				s.cause(func() { s.delete("persistentvolumeclaims", "files"); s.sleep(1e9) })
				s.sleep(6e9)
				s.scale(byScale, "files", 1)
				s.begins()
			},
		},
		{
			name: "volume-deleted", ask: "persistentvolumeclaims/files", want: "persistentvolumes/NS delete",
			setup: func(s *stage) {
				s.create(byApply, volume)
				s.create(byApply, claim("files"))
				s.until("the claim is bound", func() bool {
					c, err := s.kube.CoreV1().PersistentVolumeClaims(s.namespace).Get(s, "files", metav1.GetOptions{})
					s.must(err, "get claim")
					return c.Status.Phase == "Bound"
				})
			},
			play: func(s *stage) {
				s.cause(func() {
					s.delete("persistentvolumes", s.namespace)
					s.patch(byPatch, "persistentvolumes", s.namespace, `{metadata: {finalizers: null}}`)
				})
				s.begins()
			},
		},
		{
			name: "scaler-target", ask: "horizontalpodautoscalers.autoscaling/web",
			want: "horizontalpodautoscalers.autoscaling/web update", fresh: true,
			setup: func(s *stage) {
				onOwn(1)(s)
				s.create(byApply, autoscaler)
				s.sleep(20e9)
			},
			play: func(s *stage) {
				s.cause(func() {
					s.patch(byEdit, "horizontalpodautoscalers.autoscaling", "web",
						`{spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: webb}}}`)
				})
				s.begins()
			},
		},
	}
}

// autoscaler is a HorizontalPodAutoscaler of the app web.
const autoscaler = `apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 1
  maxReplicas: 5
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]`

const volume = `apiVersion: v1
kind: PersistentVolume
metadata: {name: NS}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: NS
  persistentVolumeReclaimPolicy: Retain
  hostPath: {path: /data}`

// claim returns the manifest of a claim of the incident's StorageClass.
func claim(name string) string {
	return "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: " + name + "}\n" +
		"spec: {storageClassName: NS, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}"
}

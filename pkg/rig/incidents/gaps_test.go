package incidents_test

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// gaps are incidents of kinds that the corpus lacked. They were recorded after
// every change of a weight of package why. At first the causes had the ranks 2,
// 1, 1 and none: hosts in messages were not read.
func gaps() []incident {
	const requests = `resources: {requests: {cpu: 100m}}`
	return []incident{
		{
			name: "scaler-request-removed", class: "configuration", ask: "horizontalpodautoscalers.autoscaling/web",
			want: "deployments.apps/web update", fresh: true,
			setup: func(s *stage) {
				s.create(byApply, app("web", "registry.example.com/web:1.4.0", 2, "", requests))
				s.ready("web")
				s.serveMetrics()
				s.measure("web")
				s.create(byApply, autoscaler)
				s.scales("web", corev1.ConditionTrue)
			},
			play: func(s *stage) {
				s.cause(func() {
					s.patch(byEdit, "deployments.apps", "web", container("resources: {requests: {cpu: null}}"))
				})
				s.ready("web")
				s.measure("web")
				s.scales("web", corev1.ConditionFalse)
				s.begins()
			},
		},
		{
			name: "preempted", class: "infrastructure", ask: "deployments.apps/web",
			want: "deployments.apps/batch create",
			setup: func(s *stage) {
				s.create(byApply, "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: NS}\n"+
					"value: 1000000")
				s.create(byApply, app("web", "registry.example.com/web:1.4.0", 2, own(s, 1),
					`resources: {requests: {cpu: "7"}}`))
				s.ready("web")
			},
			play: func(s *stage) {
				s.scale(byScale, "cache", 2)
				s.sleep(6e9)
				s.cause(func() {
					s.create(byHelm, app("batch", "registry.example.com/batch:3", 1,
						"priorityClassName: "+s.namespace+"\nnodeSelector: {pool: "+s.namespace+"}",
						`resources: {requests: {cpu: "8"}}`))
				})
				s.begins()
			},
		},
		{
			name: "changed-in-gap", class: "configuration", ask: "deployments.apps/web",
			want: "configmaps/web-config update",
			setup: func(s *stage) {
				s.create(byApply, settings("web-config", "app.yaml", "timeout: 30s"))
				s.create(byApply, app("web", "registry.example.com/web:1.4.0", 2, "",
					"envFrom: [{configMapRef: {name: web-config}}]"))
				s.ready("web")
			},
			play: func(s *stage) {
				s.outage(func() { s.patch(byEdit, "configmaps", "web-config", `{data: {app.yaml: "timeout: .30"}}`) })
				s.sleep(5e9)
				s.failNew(fault{exit: 1, message: "yaml: timeout: missing unit"}, "web")
				s.restart("web")
			},
		},
		{
			name: "cause-in-other-namespace", class: "people", ask: "deployments.apps/web",
			want: "deployments.apps/payments update",
			setup: func(s *stage) {
				shared := s.in("shared")
				shared.create(byHelm, app("payments", "registry.example.com/payments:2", 2, "", ""))
				shared.create(byHelm, service("payments"))
				shared.ready("payments")
				s.create(byApply, app("web", "registry.example.com/web:1.4.0", 2, "",
					"env: [{name: PAYMENTS, value: \"http://payments."+shared.namespace+".svc\"}]"))
				s.ready("web")
			},
			play: func(s *stage) {
				shared := *s
				shared.namespace += "-shared"
				s.cause(func() { shared.scale(byScale, "payments", 0) })
				s.sleep(4e9)
				s.fail(fault{exit: 1, message: "dial tcp payments." + shared.namespace + ".svc:80: connection refused"},
					"web")
			},
		},
	}
}

// serveMetrics makes the API server serve the metrics API. Its objects are
// those that measure creates.
func (s *stage) serveMetrics() {
	s.create(byApply, `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: pods.metrics.k8s.io
  annotations: {api-approved.kubernetes.io: "unapproved, for a test"}
spec:
  group: metrics.k8s.io
  scope: Namespaced
  names: {plural: pods, singular: pod, kind: PodMetrics, listKind: PodMetricsList}
  versions:
  - {name: v1beta1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}`)
	s.until("metrics are served", func() bool {
		_, err := s.of("pods.metrics.k8s.io").List(s, metav1.ListOptions{})
		return err == nil
	})
}

// measure creates the metrics of the pods of an app that run. Their time is in
// the future, because an autoscaler ignores what it gets within a window after
// a pod is ready.
func (s *stage) measure(name string) {
	pods, err := s.kube.CoreV1().Pods(s.namespace).List(s, metav1.ListOptions{LabelSelector: "app=" + name})
	s.must(err, "list pods")
	for i := range pods.Items {
		if pods.Items[i].DeletionTimestamp != nil {
			continue
		}
		s.create("metrics-server", fmt.Sprintf(`apiVersion: metrics.k8s.io/v1beta1
kind: PodMetrics
metadata: {name: %s, labels: {app: %s}}
timestamp: %q
window: 15s
containers: [{name: app, usage: {cpu: 50m, memory: 64Mi}}]`,
			pods.Items[i].Name, name, time.Now().Add(time.Minute).UTC().Format("2006-01-02T15:04:05Z")))
	}
}

// scales waits until an autoscaler can read its metrics, or can't.
func (s *stage) scales(name string, status corev1.ConditionStatus) {
	s.until(fmt.Sprint("autoscaler ", name, " is active: ", status), func() bool {
		a, err := s.kube.AutoscalingV2().HorizontalPodAutoscalers(s.namespace).Get(s, name, metav1.GetOptions{})
		s.must(err, "get autoscaler")
		for _, c := range a.Status.Conditions {
			if c.Type == "ScalingActive" {
				return c.Status == status
			}
		}
		return false
	})
}

package incidents_test

import corev1 "k8s.io/api/core/v1"

// rollouts are incidents that a new version of an app causes.
func rollouts() []incident {
	const deployments = "deployments.apps"
	notFound := fault{waiting: "ImagePullBackOff", message: "rpc error: code = NotFound desc = image not found"}
	hasImage := func(image string) func(*corev1.Pod) bool {
		return func(p *corev1.Pod) bool { return p.Spec.Containers[0].Image == image }
	}
	return []incident{
		{
			name: "bad-image", ask: "deployments.apps/web", want: "deployments.apps/web update",
			setup: func(s *stage) {
				s.create(byApply, app("web", "registry.example.com/web:1.4.0", 3, "", ""))
				s.create(byApply, service("web"))
				s.ready("web")
			},
			play: func(s *stage) {
				s.scale(byScale, "web", 4)
				s.sleep(12e9)
				const image = "registry.example.com/web:1.5.0-rc1"
				s.failIf(notFound, hasImage(image), "web")
				s.cause(func() { s.image(bySet, deployments, "web", image) })
			},
		},
		{
			name: "image-rolled-back-and-forth", ask: "deployments.apps/web", want: "deployments.apps/web update",
			fresh: true,
			setup: func(s *stage) {
				s.create(byApply, app("web", "registry.example.com/web:1.4.0", 2, "", ""))
				s.ready("web")
			},
			play: func(s *stage) {
				const bad = "registry.example.com/web:1.5.0"
				s.failIf(fault{exit: 1, message: "panic: schema version 12, want 11"}, hasImage(bad), "web")
				s.image(byArgo, deployments, "web", bad)
				s.sleep(10e9)
				s.image(byRestart, deployments, "web", "registry.example.com/web:1.4.0")
				s.sleep(15e9)
				s.onset = s.to
				s.cause(func() { s.image(byArgo, deployments, "web", bad) })
				s.begins()
			},
		},
		{
			name: "bad-arguments", ask: "deployments.apps/api", want: "deployments.apps/api update", fresh: true,
			setup: func(s *stage) {
				s.create(byHelm, app("api", "registry.example.com/api:2.1", 2, "", `args: ["serve", "--port=8080"]`))
				s.create(byHelm, settings("api-settings", "log", "info"))
				s.ready("api")
			},
			play: func(s *stage) {
				s.patch(byEdit, "configmaps", "api-settings", `{data: {log: debug}}`)
				s.sleep(8e9)
				s.failNew(fault{exit: 2, message: "flag provided but not defined: -prot"}, "api")
				s.cause(func() { s.patch(byHelm, deployments, "api", container(`args: ["serve", "--prot=8080"]`)) })
			},
		},
		{
			name: "memory-limit-lowered", ask: "deployments.apps/cart", want: "deployments.apps/cart update",
			setup: func(s *stage) {
				s.create(byApply, app("cart", "registry.example.com/cart:3.2", 2, "",
					`resources: {limits: {memory: 512Mi, cpu: "1"}, requests: {memory: 256Mi, cpu: 100m}}`))
				s.ready("cart")
			},
			play: func(s *stage) {
				s.failNew(fault{exit: 137, reason: "OOMKilled"}, "cart")
				s.cause(func() {
					s.patch(byFlux, deployments, "cart", container(
						`resources: {limits: {memory: 64Mi}, requests: {memory: 64Mi}}`))
				})
				s.sleep(15e9)
				s.patch(byEdit, deployments, "cart", `{metadata: {annotations: {oncall: alice}}}`)
			},
		},
		{
			name: "probe-path", ask: "deployments.apps/web", want: "deployments.apps/web update",
			setup: func(s *stage) {
				s.create(byApply, app("web", "registry.example.com/web:7", 2, "",
					`readinessProbe: {httpGet: {path: /healthz, port: 8080}}`))
				s.create(byApply, service("web"))
				s.ready("web")
			},
			play: func(s *stage) {
				s.failNew(fault{unready: true, message: "HTTP probe failed with statuscode: 404"}, "web")
				s.cause(func() {
					s.patch(byEdit, deployments, "web", container(
						`readinessProbe: {httpGet: {path: /readyz, port: 8080}}`))
				})
			},
		},
		{
			name: "requests-too-large", ask: "deployments.apps/search", want: "deployments.apps/search update",
			fresh: true,
			setup: func(s *stage) {
				s.create(byApply, app("search", "registry.example.com/search:9", 2, "",
					`resources: {requests: {cpu: 200m}}`))
				s.ready("search")
			},
			play: func(s *stage) {
				s.cause(func() {
					s.patch(byArgo, deployments, "search", container(
						`resources: {requests: {cpu: "64"}}`))
				})
				s.begins()
			},
		},
		{
			name: "node-selector", ask: "deployments.apps/ml", want: "deployments.apps/ml update",
			setup: func(s *stage) {
				s.create(byApply, app("ml", "registry.example.com/ml:1", 1, "", ""))
				s.ready("ml")
			},
			play: func(s *stage) {
				s.cause(func() {
					s.patch(byPatch, deployments, "ml",
						`{spec: {template: {spec: {nodeSelector: {accelerator: a100}}}}}`)
				})
				s.begins()
			},
		},
		{
			name: "chart-upgrade", ask: "deployments.apps/api", want: "deployments.apps/api update",
			setup: func(s *stage) {
				s.create(byArgo, app("api", "registry.example.com/api:1.2.3", 2, "",
					"resources: {limits: {memory: 512Mi}}\nenv: [{name: RETRIES, value: \"3\"}]"))
				s.create(byArgo, settings("api-flags", "beta", "off"))
				s.ready("api")
			},
			play: func(s *stage) {
				s.failNew(fault{exit: 1, message: "FATAL: migration 41 is not applied"}, "api")
				s.cause(func() {
					s.patch(byArgo, deployments, "api", container(
						`image: "registry.example.com/api:1.2.4", resources: {limits: {memory: 256Mi}},
  env: [{name: RETRIES, value: "0"}]`))
				})
				s.sleep(3e9)
				s.patch(byArgo, "configmaps", "api-flags", `{data: {beta: "on"}}`)
			},
		},
		{
			name: "statefulset-update", ask: "statefulsets.apps/db", want: "statefulsets.apps/db update",
			setup: func(s *stage) {
				s.create(byApply, workload("StatefulSet", "db", "registry.example.com/db:14.2",
					"  replicas: 2\n  serviceName: db\n", "", ""))
				s.create(byApply, service("db"))
				s.running("db", 2)
			},
			play: func(s *stage) {
				s.failNew(fault{exit: 1, message: "database files are incompatible with server"}, "db")
				s.cause(func() { s.image("db-operator", "statefulsets.apps", "db", "registry.example.com/db:15.1") })
			},
		},
		{
			name: "daemonset-update", ask: "daemonsets.apps/agent", want: "daemonsets.apps/agent update", fresh: true,
			setup: func(s *stage) {
				s.create(byApply, workload("DaemonSet", "agent", "registry.example.com/agent:5", "", "", ""))
				s.running("agent", 2)
			},
			play: func(s *stage) {
				s.failNew(notFound, "agent")
				s.cause(func() { s.image(byFlux, "daemonsets.apps", "agent", "registry.example.com/agent:5.1") })
			},
		},
		{
			name: "cronjob-image", ask: "cronjobs.batch/report", want: "cronjobs.batch/report update",
			setup: func(s *stage) {
				s.create(byApply, `apiVersion: batch/v1
kind: CronJob
metadata: {name: report}
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec:
      backoffLimit: 0
      template:
        metadata: {labels: {app: report}}
        spec:
          restartPolicy: Never
          nodeSelector: {pool: shared}
          containers: [{name: app, image: "registry.example.com/report:1"}]`)
			},
			play: func(s *stage) {
				const image = "registry.example.com/report:2"
				s.failIf(fault{exit: 2, message: `FATAL: relation "orders" does not exist`}, hasImage(image), "report")
				s.cause(func() {
					s.patch(bySet, "cronjobs.batch", "report",
						`{spec: {jobTemplate: {spec: {template:
  {spec: {containers: [{name: app, image: "`+image+`"}]}}}}}}`)
				})
				s.until("the job runs", func() bool { return !s.kubelet.firstFailure(s.namespace).IsZero() })
			},
		},
		{
			name: "env-removed", ask: "deployments.apps/worker", want: "deployments.apps/worker update", fresh: true,
			setup: func(s *stage) {
				s.create(byHelm, app("worker", "registry.example.com/worker:6", 1, "",
					`env: [{name: QUEUE_URL, value: "amqp://queue"}, {name: LEVEL, value: info}]`))
				s.ready("worker")
			},
			play: func(s *stage) {
				s.failNew(fault{exit: 1, message: "QUEUE_URL is not set"}, "worker")
				s.cause(func() {
					s.patch(byHelm, deployments, "worker", container(`env: [{$patch: delete, name: QUEUE_URL}]`))
				})
				s.sleep(20e9)
				s.scale(byScale, "worker", 2)
			},
		},
	}
}

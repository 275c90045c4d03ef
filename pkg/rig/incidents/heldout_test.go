package incidents_test

// heldOut are incidents that were recorded after the weights of package why
// were chosen. The last seven are younger than every change of a weight.
func heldOut() []incident {
	const deployments = "deployments.apps"
	web := func(s *stage) {
		s.create(byApply, settings("web-config", "app.yaml", "timeout: 30s"))
		s.create(byApply, app("web", "registry.example.com/web:1.4.0", 2, "", envFromWeb))
		s.create(byApply, service("web"))
		s.ready("web")
	}
	operator := func(s *stage) {
		s.create(byHelm, rights)
		s.create(byHelm, app("operator", "registry.example.com/operator:1", 1, "serviceAccountName: operator", ""))
		s.ready("operator")
	}
	return []incident{
		{
			name: "pull-secret-deleted", class: "people", ask: "deployments.apps/web", want: "secrets/registry delete",
			setup: func(s *stage) {
				s.create(byApply, secret("registry", "token: x"))
				s.create(byApply, app("web", "registry.example.com/web:1", 2, "imagePullSecrets: [{name: registry}]",
					""))
				s.ready("web")
			},
			play: func(s *stage) {
				s.cause(func() { s.delete("secrets", "registry") })
				s.sleep(20e9)
				s.failNew(fault{waiting: "ImagePullBackOff", message: "401 Unauthorized"}, "web")
				s.scale(byScale, "web", 3)
			},
		},
		{
			name: "role-edited", class: "people", ask: "deployments.apps/operator",
			want: "roles.rbac.authorization.k8s.io/operator update", setup: operator, fresh: true,
			play: func(s *stage) {
				s.cause(func() {
					s.patch(byEdit, "roles.rbac.authorization.k8s.io", "operator",
						`{rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]}`)
				})
				s.sleep(12e9)
				s.fail(fault{exit: 1, message: "cannot list resource in API group"}, "operator")
			},
		},
		{
			name: "node-label-removed", class: "infrastructure", ask: "deployments.apps/web", want: "nodes/NS-1 update",
			setup: func(s *stage) {
				s.create(byApply, app("web", "registry.example.com/web:1", 2, own(s, 1), ""))
				s.ready("web")
			},
			play: func(s *stage) {
				s.cause(func() {
					s.patch("kubectl-label", "nodes", s.namespace+"-1",
						`{metadata: {labels: {pool: null}}}`)
				})
				s.sleep(15e9)
				s.restart("web")
				s.begins()
			},
		},
		{
			name: "ingress-backend", class: "configuration", ask: "ingresses.networking.k8s.io/shop",
			want: "ingresses.networking.k8s.io/shop update", fresh: true,
			setup: func(s *stage) {
				web(s)
				s.create(byApply, ingress("web"))
			},
			play: func(s *stage) {
				s.scale(byScale, "web", 3)
				s.sleep(8e9)
				s.cause(func() {
					s.patch(byEdit, "ingresses.networking.k8s.io", "shop", `{spec: {rules: [{host: shop.example.com,
  http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: webb, port: {number: 80}}}}]}}]}}`)
				})
				s.begins()
			},
		},
		{
			name: "pods-deleted-after-edit", class: "configuration", ask: "deployments.apps/web",
			want: "configmaps/web-config update", setup: web,
			play: func(s *stage) {
				s.cause(func() { s.patch(byFlux, "configmaps", "web-config", `{data: {app.yaml: "timeout: -1"}}`) })
				s.sleep(25e9)
				s.failNew(fault{exit: 1, message: "timeout must be positive"}, "web")
				s.deletePods("web")
			},
		},
		{
			name: "job-secret", class: "configuration", ask: "jobs.batch/migrate", want: "secrets/db update",
			setup: func(s *stage) { s.create(byApply, secret("db", "password: old")) },
			play: func(s *stage) {
				s.cause(func() { s.patch("external-secrets", "secrets", "db", `{stringData: {password: new}}`) })
				s.sleep(10e9)
				s.fail(fault{exit: 1, message: "FATAL: password authentication failed"}, "migrate")
				s.create("pipeline", `apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec:
  backoffLimit: 0
  template:
    metadata: {labels: {app: migrate}}
    spec:
      restartPolicy: Never
      nodeSelector: {pool: shared}
      containers: [{name: app, image: "registry.example.com/migrate:1", envFrom: [{secretRef: {name: db}}]}]`)
			},
		},
		{
			name: "template-labels", class: "rollout", ask: "services/web", want: "deployments.apps/web update",
			fresh: true,
			setup: func(s *stage) {
				web(s)
				s.patch(byPatch, deployments, "web", `{spec: {template: {metadata: {labels: {version: v1}}}}}`)
				s.ready("web")
				s.patch(byPatch, "services", "web", `{spec: {selector: {version: v1}}}`)
			},
			play: func(s *stage) {
				s.cause(func() {
					s.patch(byArgo, deployments, "web", `{spec: {template: {metadata: {labels: {version: v2}}}}}`)
				})
				s.ready("web")
				s.begins()
			},
		},
		{
			name: "network-policy-edited", class: "configuration", ask: "deployments.apps/web",
			want: "networkpolicies.networking.k8s.io/egress update",
			setup: func(s *stage) {
				web(s)
				s.create(byApply, "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: egress}\n"+
					"spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], "+
					"egress: [{ports: [{port: 5432}]}]}")
			},
			play: func(s *stage) {
				s.cause(func() {
					s.patch(byEdit, "networkpolicies.networking.k8s.io", "egress",
						`{spec: {egress: [{ports: [{port: 5433}]}]}}`)
				})
				s.sleep(5e9)
				s.fail(fault{unready: true, message: "HTTP probe failed with statuscode: 500"}, "web")
			},
		},
		{
			name: "sync-of-three", class: "rollout", ask: "deployments.apps/web", want: "deployments.apps/web update",
			setup: func(s *stage) { web(s); s.create(byArgo, settings("web-assets", "theme", "blue")) },
			play: func(s *stage) {
				const image = "registry.example.com/web:1.5.0"
				s.failNew(fault{exit: 139, message: "segmentation fault"}, "web")
				s.patch(byArgo, "configmaps", "web-assets", `{data: {theme: green}}`)
				s.patch(byArgo, "services", "web", `{metadata: {labels: {release: "15"}}}`)
				s.cause(func() { s.image(byArgo, deployments, "web", image) })
			},
		},
		{
			name: "service-of-others-deleted", class: "people", ask: "deployments.apps/shop",
			want: "services/payments delete",
			setup: func(s *stage) {
				s.create(byApply, app("payments", "registry.example.com/payments:1", 1, "", ""))
				s.create(byApply, service("payments"))
				s.create(byApply, app("shop", "registry.example.com/shop:1", 2, "", ""))
				s.ready("shop", "payments")
			},
			play: func(s *stage) {
				s.cause(func() { s.delete("services", "payments") })
				s.sleep(7e9)
				s.fail(fault{exit: 1, message: "dial tcp: lookup payments on 10.0.0.10:53: no such host"}, "shop")
			},
		},
		{
			name: "claim-of-unknown-class", class: "infrastructure", ask: "persistentvolumeclaims/data",
			want:  "persistentvolumeclaims/data create",
			setup: func(s *stage) { web(s) },
			play: func(s *stage) {
				s.cause(func() { s.create(byHelm, claim("data")) })
				s.begins()
				s.sleep(10e9)
			},
		},
		{
			name: "created-broken", class: "rollout", ask: "deployments.apps/new", want: "deployments.apps/new create",
			setup: func(s *stage) { web(s) },
			play: func(s *stage) {
				s.fail(fault{waiting: "ImagePullBackOff", message: "not found"}, "new")
				s.cause(func() { s.create(byHelm, app("new", "registry.example.com/new:1", 1, "", "")) })
			},
		},
		{
			name: "none-unrelated-deletion", class: "people", ask: "deployments.apps/web", fresh: true,
			setup: func(s *stage) { web(s); s.create(byApply, service("old")) },
			play: func(s *stage) {
				s.delete("services", "old")
				s.sleep(6e9)
				s.fail(fault{exit: 1, message: "too many open files"}, "web")
			},
		},
		{
			name: "none-other-rollout", class: "rollout", ask: "deployments.apps/web",
			setup: func(s *stage) {
				web(s)
				s.create(byApply, app("other", "registry.example.com/other:1", 2, "", ""))
			},
			play: func(s *stage) {
				s.image(byArgo, deployments, "other", "registry.example.com/other:2")
				s.sleep(5e9)
				s.fail(fault{unready: true, message: "connection refused"}, "web")
			},
		},
		{
			name: "dependency-scaled", class: "people", ask: "deployments.apps/shop",
			want: "deployments.apps/payments update",
			setup: func(s *stage) {
				s.create(byApply, app("payments", "registry.example.com/payments:1", 2, "", ""))
				s.create(byApply, service("payments"))
				s.create(byApply, app("shop", "registry.example.com/shop:1", 2, "", ""))
				s.ready("shop", "payments")
			},
			play: func(s *stage) {
				s.cause(func() { s.scale(byArgo, "payments", 0) })
				s.sleep(9e9)
				s.fail(fault{exit: 1, message: "dial tcp: payments:80: connect: connection refused"}, "shop")
			},
		},
		{
			name: "cronjob-configmap", class: "configuration", ask: "cronjobs.batch/report",
			want: "configmaps/report delete",
			setup: func(s *stage) {
				s.create(byApply, settings("report", "a", "b"))
				s.create(byApply, `apiVersion: batch/v1
kind: CronJob
metadata: {name: report}
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec:
      template:
        metadata: {labels: {app: report}}
        spec:
          restartPolicy: Never
          nodeSelector: {pool: shared}
          containers: [{name: app, image: "registry.example.com/report:1", envFrom: [{configMapRef: {name: report}}]}]`)
			},
			play: func(s *stage) {
				s.failNew(fault{waiting: "CreateContainerConfigError", message: `configmap "report" not found`},
					"report")
				s.cause(func() { s.delete("configmaps", "report") })
				s.until("the job runs", func() bool { return !s.kubelet.firstFailure(s.namespace).IsZero() })
			},
		},
		{
			name: "network-policy-deleted", class: "people", ask: "deployments.apps/web", fresh: true,
			want: "networkpolicies.networking.k8s.io/allow-db delete",
			setup: func(s *stage) {
				web(s)
				s.create(byApply, "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: allow-db}\n"+
					"spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], "+
					"egress: [{ports: [{port: 5432}]}]}")
			},
			play: func(s *stage) {
				s.cause(func() { s.delete("networkpolicies.networking.k8s.io", "allow-db") })
				s.sleep(8e9)
				s.fail(fault{unready: true, message: "HTTP probe failed with statuscode: 503"}, "web")
			},
		},
		{
			name: "quota-created", class: "configuration", ask: "deployments.apps/web",
			want:  "resourcequotas/cpu create",
			setup: web,
			play: func(s *stage) {
				s.cause(func() {
					s.create("platform-controller", "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: cpu}\n"+
						"spec: {hard: {requests.cpu: \"4\"}}")
				})
				s.sleep(14e9)
				s.image(byFlux, deployments, "web", "registry.example.com/web:1.4.1")
				s.begins()
			},
		},
		{
			name: "image-among-scalings", class: "rollout", ask: "deployments.apps/web",
			want:  "deployments.apps/web update",
			setup: web, fresh: true,
			play: func(s *stage) {
				for n := range 3 {
					s.scale("horizontal-pod-autoscaler", "web", 3+n%2)
					s.sleep(4e9)
				}
				s.failNew(fault{unready: true, message: "HTTP probe failed with statuscode: 500"}, "web")
				s.cause(func() { s.image(byArgo, deployments, "web", "registry.example.com/web:2.0.0") })
				for n := range 3 {
					s.sleep(3e9)
					s.scale("horizontal-pod-autoscaler", "web", 3+n%2)
				}
			},
		},
		{
			name: "service-account-changed", class: "people", ask: "deployments.apps/operator",
			want: "deployments.apps/operator update", setup: operator,
			play: func(s *stage) {
				s.failNew(fault{exit: 1, message: "configmaps is forbidden"}, "operator")
				s.cause(func() {
					s.patch(byEdit, deployments, "operator",
						`{spec: {template: {spec: {serviceAccountName: default}}}}`)
				})
			},
		},
		{
			name: "none-unknown-host", class: "infrastructure", ask: "deployments.apps/web", setup: web, fresh: true,
			play: func(s *stage) {
				s.create(byHelm, app("mailer", "registry.example.com/mailer:1", 1, "", ""))
				s.sleep(10e9)
				s.fail(fault{exit: 1, message: "dial tcp: lookup redis.example.org: no such host"}, "web")
			},
		},
	}
}

func ingress(backend string) string {
	return `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop}
spec:
  rules:
  - host: shop.example.com
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: ` + backend + `, port: {number: 80}}}}]}`
}

// rights are a ServiceAccount with a Role.
const rights = `apiVersion: v1
kind: ServiceAccount
metadata: {name: operator}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: operator}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: operator}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: operator}
subjects: [{kind: ServiceAccount, name: operator, namespace: NS}]`

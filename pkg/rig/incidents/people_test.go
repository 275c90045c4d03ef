package incidents_test

import "time"

// people are incidents that a person causes by hand.
func people() []incident {
	web := func(s *stage) {
		s.create(byApply, app("web", "registry.example.com/web:1.4.0", 2, "", ""))
		s.create(byApply, service("web"))
		s.ready("web")
	}
	return []incident{
		{
			name: "scaled-to-zero", ask: "services/web", want: "deployments.apps/web update", setup: web,
			play: func(s *stage) {
				s.patch(byEdit, "services", "web", `{metadata: {labels: {tier: front}}}`)
				s.sleep(5e9)
				s.cause(func() { s.scale(byScale, "web", 0) })
				s.begins()
			},
		},
		{
			name: "deployment-deleted", ask: "services/web", want: "deployments.apps/web delete", setup: web,
			fresh: true,
			play: func(s *stage) {
				s.scale(byScale, "web", 3)
				s.sleep(9e9)
				s.cause(func() { s.delete("deployments.apps", "web") })
				s.begins()
			},
		},
		{
			name: "service-deleted", ask: "ingresses.networking.k8s.io/shop", want: "services/web delete",
			setup: func(s *stage) {
				web(s)
				s.create(byApply, ingress("web"))
			},
			play: func(s *stage) {
				s.cause(func() { s.delete("services", "web") })
				s.begins()
				s.sleep(9e9)
				s.scale(byScale, "web", 3)
			},
		},
		{
			name: "deployment-relabelled", ask: "services/web", want: "deployments.apps/web create", setup: web,
			play: func(s *stage) {
				s.cause(func() {
					s.delete("deployments.apps", "web")
					s.sleep(500e6)
					s.create(byApply, `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app.kubernetes.io/name: web}}
  template:
    metadata: {labels: {app.kubernetes.io/name: web}}
    spec: {nodeSelector: {pool: shared}, containers: [{name: app, image: "registry.example.com/web:1.4.0"}]}`)
				})
				s.begins()
			},
		},
		{
			name: "edited-by-hand", ask: "deployments.apps/web", want: "deployments.apps/web update", setup: web,
			fresh: true,
			play: func(s *stage) {
				s.restart("web")
				s.sleep(8e9)
				s.scale("horizontal-pod-autoscaler", "web", 3)
				s.sleep(5e9)
				s.failNew(fault{exit: 127, message: "/bin/sh: srever: not found"}, "web")
				s.cause(func() {
					s.patch(byEdit, "deployments.apps", "web", container(`command: [/bin/sh, -c, "srever --port 80"]`))
				})
				s.sleep(6e9)
				s.scale("horizontal-pod-autoscaler", "web", 4)
			},
		},
		{
			name: "role-binding-deleted", ask: "deployments.apps/operator",
			want: "rolebindings.rbac.authorization.k8s.io/operator delete",
			setup: func(s *stage) {
				s.create(byHelm, rights)
				s.create(byHelm, app("operator", "registry.example.com/operator:1", 1, "serviceAccountName: operator",
					""))
				s.ready("operator")
			},
			play: func(s *stage) {
				s.cause(func() { s.delete("rolebindings.rbac.authorization.k8s.io", "operator") })
				s.sleep(5e9)
				s.fail(fault{exit: 1, message: "configmaps is forbidden: User cannot list resource"}, "operator")
			},
		},
		{
			name: "two-writers", ask: "deployments.apps/ledger", want: "deployments.apps/ledger update", fresh: true,
			setup: func(s *stage) {
				s.create(byApply,
					"apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: ledger}\nspec: {hard: {pods: \"14\"}}")
				s.create(byApply, app("ledger", "registry.example.com/ledger:1", 2, "", ""))
				s.ready("ledger")
			},
			play: func(s *stage) {
				for range 2 {
					s.scale("ledger-operator", "ledger", 3)
					s.sleep(4e9)
					s.scale(byScale, "ledger", 2)
					s.sleep(4e9)
				}
				s.cause(func() { s.scale(byScale, "ledger", 30) })
				s.begins()
			},
		},
		{
			name: "secret-deleted", ask: "deployments.apps/pay", want: "secrets/pay-key delete",
			setup: func(s *stage) {
				s.create(byApply, secret("pay-key", "key: x"))
				s.create(byApply, app("pay", "registry.example.com/pay:1", 2,
					"volumes: [{name: key, secret: {secretName: pay-key}}]", ""))
				s.create(byApply, settings("pay-flags", "retry", "on"))
				s.ready("pay")
			},
			play: func(s *stage) {
				s.cause(func() { s.delete("secrets", "pay-key") })
				s.sleep(30 * time.Second)
				s.patch(byEdit, "configmaps", "pay-flags", `{data: {retry: "off"}}`)
				s.failNew(fault{
					waiting: "ContainerCreating",
					message: `MountVolume.SetUp failed for volume "key" : secret "pay-key" not found`,
				}, "pay")
				s.restart("pay")
			},
		},
	}
}

// causeless are incidents whose causes are outside of the record.
func causeless() []incident {
	web := func(s *stage) {
		s.create(byApply, settings("web-config", "app.yaml", "timeout: 30s"))
		s.create(byApply, app("web", "registry.example.com/web:1.4.0", 2, "", envFromWeb))
		s.create(byApply, service("web"))
		s.ready("web")
	}
	return []incident{
		{
			name: "none-crash", class: "rollout", ask: "deployments.apps/web", setup: web,
			play: func(s *stage) {
				s.sleep(15e9)
				s.fail(fault{exit: 2, message: "panic: index out of range [3] with length 3"}, "web")
			},
		},
		{
			name: "none-dependency", class: "infrastructure", ask: "deployments.apps/web", setup: web, fresh: true,
			play: func(s *stage) {
				s.sleep(10e9)
				s.fail(fault{unready: true, message: "HTTP probe failed with statuscode: 503"}, "web")
			},
		},
		{
			name: "none-memory-leak", class: "rollout", ask: "deployments.apps/cart", fresh: true,
			setup: func(s *stage) {
				s.create(byApply, app("cart", "registry.example.com/cart:3.2", 2, "",
					"resources: {limits: {memory: 512Mi}}"))
				s.ready("cart")
			},
			play: func(s *stage) {
				s.sleep(20e9)
				s.fail(fault{exit: 137, reason: "OOMKilled"}, "cart")
			},
		},
		{
			name: "none-registry-down", class: "infrastructure", ask: "cronjobs.batch/report",
			setup: func(s *stage) {
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
          containers: [{name: app, image: "registry.example.com/report:1"}]`)
			},
			play: func(s *stage) {
				s.failNew(fault{waiting: "ImagePullBackOff", message: "502 Bad Gateway"}, "report")
				s.until("the job runs", func() bool { return !s.kubelet.firstFailure(s.namespace).IsZero() })
			},
		},
		{
			name: "none-certificate-expired", class: "configuration", ask: "certificates.pki.example.com/shop",
			setup: func(s *stage) {
				s.create(byApply, "apiVersion: pki.example.com/v1\nkind: Certificate\nmetadata: {name: shop}\n"+
					"spec: {issuer: internal}\nstatus: {conditions: [{type: Ready, status: \"True\", reason: Issued}]}")
			},
			play: func(s *stage) {
				s.sleep(5e9)
				s.patch("pki-operator", "certificates.pki.example.com", "shop",
					`{status: {conditions: [{type: Ready, status: "False",
  reason: Expired, message: "Certificate expired"}]}}`)
				s.begins()
			},
		},
		{
			name: "none-before-recording", class: "people", ask: "deployments.apps/web",
			setup: func(s *stage) {
				s.create(byApply, app("web", "registry.example.com/web:1.5.0", 2, "", ""))
				s.fail(fault{exit: 1, message: "FATAL: no configuration"}, "web")
				s.begins()
				s.sleep(5e9)
			},
			play: func(s *stage) {},
		},
		{
			name: "none-scaled-before", class: "people", ask: "deployments.apps/web", setup: web,
			play: func(s *stage) {
				s.scale("horizontal-pod-autoscaler", "web", 3)
				s.ready("web")
				s.sleep(40e9)
				s.fail(fault{exit: 2, message: "fatal error: all goroutines are asleep - deadlock!"}, "web")
			},
		},
	}
}

package incidents_test

import corev1 "k8s.io/api/core/v1"

const envFromWeb = "envFrom: [{configMapRef: {name: web-config}}]"

// configurations are incidents that a change of configuration causes.
func configurations() []incident {
	web := func(s *stage) {
		s.create(byApply, settings("web-config", "app.yaml", "timeout: 30s\nttl: 300\n"))
		s.create(byApply, app("web", "registry.example.com/web:1.4.0", 2, "", envFromWeb))
		s.create(byApply, service("web"))
		s.ready("web")
	}
	anyPod := func(*corev1.Pod) bool { return true }
	return []incident{
		{
			name: "configmap-edited", ask: "deployments.apps/web", want: "configmaps/web-config update", setup: web,
			play: func(s *stage) {
				s.cause(func() {
					s.patch(byEdit, "configmaps", "web-config", `{data: {app.yaml: "timeout: .30\nttl: .0\n"}}`)
				})
				s.sleep(21e9)
				s.failNew(fault{exit: 1, message: "yaml: timeout: missing unit"}, "web")
				s.restart("web")
			},
		},
		{
			name: "configmap-edited-pod-asked", ask: "services/web", want: "configmaps/web-config update", setup: web,
			fresh: true,
			play: func(s *stage) {
				s.cause(func() {
					s.patch(byEdit, "configmaps", "web-config", `{data: {app.yaml: "timeout: never\nttl: 300\n"}}`)
				})
				s.sleep(4e9)
				s.fail(fault{exit: 1, message: "reload: timeout: invalid duration"}, "web") // it reads the file again
			},
		},
		{
			name: "configmap-deleted", ask: "deployments.apps/web", want: "configmaps/web-config delete", setup: web,
			play: func(s *stage) {
				s.cause(func() { s.delete("configmaps", "web-config") })
				s.sleep(25e9)
				s.failNew(fault{waiting: "CreateContainerConfigError", message: `configmap "web-config" not found`},
					"web")
				s.scale(byScale, "web", 4)
			},
		},
		{
			name: "configmap-recreated", ask: "deployments.apps/web", want: "configmaps/web-config create", setup: web,
			play: func(s *stage) {
				s.cause(func() {
					s.delete("configmaps", "web-config")
					s.create(byApply, settings("web-config", "app.yml", "timeout: 30s"))
				})
				s.sleep(6e9)
				s.failNew(fault{exit: 1, message: "open app.yaml: no such file or directory"}, "web")
				s.restart("web")
			},
		},
		{
			name: "secret-rotated", ask: "deployments.apps/orders", want: "secrets/db-credentials update", fresh: true,
			setup: func(s *stage) {
				s.create("external-secrets", secret("db-credentials", "password: old"))
				s.create(byApply, app("orders", "registry.example.com/orders:3", 2, "",
					"env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: db-credentials, key: password}}}]"))
				s.ready("orders")
			},
			play: func(s *stage) {
				s.cause(func() {
					s.patch("external-secrets", "secrets", "db-credentials",
						`{stringData: {password: new}}`)
				})
				s.sleep(10e9)
				s.fail(fault{exit: 1, message: `FATAL: password authentication failed for user "orders"`}, "orders")
			},
		},
		{
			name: "secret-key-removed", ask: "deployments.apps/mail", want: "secrets/smtp update",
			setup: func(s *stage) {
				s.create(byApply, secret("smtp", "user: mail\n  password: x"))
				s.create(byApply, app("mail", "registry.example.com/mail:3", 1, "",
					"env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: smtp, key: password}}}]"))
				s.ready("mail")
			},
			play: func(s *stage) {
				s.cause(func() { s.patch(byFlux, "secrets", "smtp", `{data: {password: null, pass: eA==}}`) })
				s.sleep(8e9)
				s.failNew(fault{
					waiting: "CreateContainerConfigError", message: "couldn't find key password in Secret",
				}, "mail")
				s.image(byArgo, "deployments.apps", "mail", "registry.example.com/mail:3.0.1")
			},
		},
		{
			name: "service-selector", ask: "services/web", want: "services/web update", setup: web,
			play: func(s *stage) {
				s.scale(byScale, "web", 3)
				s.sleep(6e9)
				s.cause(func() { s.patch(byPatch, "services", "web", `{spec: {selector: {app: wep}}}`) })
				s.begins()
			},
		},
		{
			name: "quota-lowered", ask: "deployments.apps/web", want: "resourcequotas/team update",
			setup: func(s *stage) {
				s.create(byApply,
					"apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: team}\nspec: {hard: {pods: \"40\"}}")
				web(s)
			},
			play: func(s *stage) {
				s.cause(func() {
					s.patch("platform-controller", "resourcequotas", "team",
						`{spec: {hard: {pods: "2"}}}`)
				})
				s.sleep(9e9)
				s.restart("web")
				s.begins()
			},
		},
		{
			name: "limit-range", ask: "deployments.apps/batch", want: "limitranges/limits create", fresh: true,
			setup: func(s *stage) {
				s.create(byApply, app("batch", "registry.example.com/batch:3", 1, "",
					`resources: {limits: {memory: 2Gi, cpu: "2"}}`))
				s.ready("batch")
			},
			play: func(s *stage) {
				s.cause(func() {
					s.create(byApply, "apiVersion: v1\nkind: LimitRange\nmetadata: {name: limits}\n"+
						"spec: {limits: [{type: Container, max: {memory: 1Gi}}]}")
				})
				s.sleep(9e9)
				s.image(bySet, "deployments.apps", "batch", "registry.example.com/batch:4")
				s.begins()
			},
		},
		{
			name: "network-policy", ask: "deployments.apps/web", want: "networkpolicies.networking.k8s.io/deny create",
			setup: web,
			play: func(s *stage) {
				s.patch(byEdit, "deployments.apps", "web", `{metadata: {annotations: {owner: team-web}}}`)
				s.sleep(4e9)
				s.cause(func() {
					s.create(byApply, "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny}\n"+
						"spec: {podSelector: {}, policyTypes: [Ingress, Egress]}")
				})
				s.sleep(3e9)
				s.failIf(fault{unready: true, message: "context deadline exceeded"}, anyPod, "web")
			},
		},
		{
			name: "pod-security", ask: "deployments.apps/host", want: "namespaces/NS update",
			setup: func(s *stage) {
				s.create(byApply, app("host", "registry.example.com/host:1", 1, "hostNetwork: true", ""))
				s.ready("host")
			},
			play: func(s *stage) {
				s.cause(func() {
					s.patch(byPatch, "namespaces", s.namespace,
						`{metadata: {labels: {pod-security.kubernetes.io/enforce: baseline}}}`)
				})
				s.sleep(9e9)
				s.restart("host")
				s.begins()
			},
		},
		{
			name: "admission-policy", ask: "deployments.apps/web",
			want: "validatingadmissionpolicybindings.admissionregistration.k8s.io/NS create", setup: web,
			play: func(s *stage) {
				s.create(byApply, `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: NS}
spec:
  failurePolicy: Fail
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}
  validations: [{expression: "object.spec.containers.all(c, has(c.resources.limits))", message: every container needs limits}]`)
				s.sleep(5e9)
				s.cause(func() {
					s.create(byApply, `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: NS}
spec:
  policyName: NS
  validationActions: [Deny]
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NS}}}`)
				})
				s.sleep(10e9)
				s.scale(byScale, "web", 5)
				s.begins()
			},
		},
		{
			name: "webhook-without-service", ask: "deployments.apps/web", setup: web, fresh: true,
			want: "validatingwebhookconfigurations.admissionregistration.k8s.io/NS create",
			play: func(s *stage) {
				s.cause(func() {
					s.create(byHelm, `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: NS}
webhooks:
- name: policy.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  timeoutSeconds: 2
  clientConfig: {service: {namespace: NS, name: policy}}
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NS}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]`)
				})
				s.sleep(10e9)
				s.restart("web")
				s.begins()
			},
		},
		{
			name: "mounted-configmap-deleted", ask: "deployments.apps/proxy", want: "configmaps/proxy-config delete",
			setup: func(s *stage) {
				s.create(byApply, settings("proxy-config", "proxy.conf", "listen 80"))
				s.create(byApply, app("proxy", "registry.example.com/proxy:1", 2,
					"volumes: [{name: config, configMap: {name: proxy-config}}]",
					"volumeMounts: [{name: config, mountPath: /etc/proxy}]"))
				s.ready("proxy")
			},
			play: func(s *stage) {
				s.cause(func() { s.delete("configmaps", "proxy-config") })
				s.sleep(12e9)
				s.failNew(fault{
					waiting: "ContainerCreating",
					message: `MountVolume.SetUp failed for volume "config" : configmap "proxy-config" not found`,
				}, "proxy")
				s.restart("proxy")
			},
		},
		{
			name: "custom-resource-issuer", ask: "certificates.pki.example.com/shop",
			want: "issuers.pki.example.com/internal update",
			setup: func(s *stage) {
				s.create(byApply,
					"apiVersion: pki.example.com/v1\nkind: Issuer\nmetadata: {name: internal}\n"+
						"spec: {url: \"https://ca\"}")
				s.create(byApply, "apiVersion: pki.example.com/v1\nkind: Certificate\nmetadata: {name: shop}\n"+
					"spec: {issuer: internal}\nstatus: {conditions: [{type: Ready, status: \"True\", reason: Issued}]}")
			},
			play: func(s *stage) {
				s.cause(func() {
					s.patch(byEdit, "issuers.pki.example.com", "internal",
						`{spec: {url: "https://cq"}}`)
				})
				s.sleep(3e9)
				s.patch("pki-operator", "certificates.pki.example.com", "shop",
					`{status: {conditions: [{type: Ready, status: "False",
  reason: IssuerFailed, message: "no such host: cq"}]}}`)
				s.begins()
			},
		},
	}
}

func secret(name, data string) string {
	return "apiVersion: v1\nkind: Secret\nmetadata: {name: " + name + "}\nstringData:\n  " + data + "\n"
}

package diff_test

import (
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/diff"
)

// template returns an object with a pod template. Its container has the fields.
func template(container string) string {
	return `{"spec":{"template":{"spec":{"containers":[{"name":"app"` + container + `}]}}}}`
}

func containers(list string) string {
	return `{"spec":{"template":{"spec":{"containers":[` + list + `]}}}}`
}

// condition returns an object with one condition.
func condition(fields string) string {
	return `{"status":{"conditions":[{"type":"Ready",` + fields + `}]}}`
}

// terminated returns a Pod with a container that ended, or runs if state is "".
func terminated(state string) string {
	if state == "" {
		return `{"status":{"containerStatuses":[{"name":"migrate","state":{"running":{"startedAt":"1"}}}]}}`
	}
	return `{"status":{"containerStatuses":[{"name":"migrate","state":{"terminated":` + state + `}}]}}`
}

// configMap returns a ConfigMap with one file, given as a JSON string without
// quotes.
func configMap(file, text string) string { return `{"data":{"` + file + `":"` + text + `"}}` }

const (
	hash      = "hmac-sha256:0123456789abcdef0123456789abcdef"
	otherHash = "hmac-sha256:f123456789abcdef0123456789abcdef"
)

// TestSummary_SaysTheFact has what readers need after an incident.
func TestSummary_SaysTheFact(t *testing.T) {
	const rules = `{"spec":{"rules":[{"host":"shop.example.com"},{"host":"admin.shop.example.com"}%s]}}`
	for _, tt := range []struct{ name, old, new, want string }{
		// Nodes
		{
			"taints", `{"spec":{}}`,
			`{"spec":{"taints":[{"key":"node.kubernetes.io/unreachable","effect":"NoExecute","timeAdded":"1"}]}}`,
			"taint unreachable:NoExecute added",
		},
		{
			"one more taint", `{"spec":{"taints":[{"key":"a","value":"b","effect":"NoSchedule"}]}}`,
			`{"spec":{"taints":[{"key":"a","value":"b","effect":"NoSchedule"},{"key":"c","effect":"NoExecute"}]}}`,
			"taint c:NoExecute added",
		},
		{
			"taint removed", `{"spec":{"taints":[{"key":"a","value":"b","effect":"NoSchedule"}]}}`, `{"spec":{}}`,
			"taint a=b:NoSchedule removed",
		},
		{
			"node not ready", condition(`"status":"True","reason":"KubeletReady","message":"kubelet is ready"`),
			condition(`"status":"False","reason":"KubeletNotReady","message":"PLEG is not healthy"`),
			"Ready False: KubeletNotReady, PLEG is not healthy",
		},
		{
			"kubelet lost",
			`{"status":{"conditions":[{"type":"MemoryPressure","status":"False"},{"type":"Ready","status":"True"}]}}`,
			`{"status":{"conditions":[{"type":"MemoryPressure","status":"Unknown","reason":"NodeStatusUnknown"},` +
				`{"type":"Ready","status":"Unknown","reason":"NodeStatusUnknown"}]}}`,
			"Ready Unknown: NodeStatusUnknown, MemoryPressure Unknown",
		},
		{
			"message of a condition", condition(`"status":"True","message":"a"`),
			condition(`"status":"True","message":"b"`),
			"Ready: b",
		},
		{
			"reordered conditions", `{"status":{"conditions":[{"type":"A"},{"type":"B"}]}}`,
			`{"status":{"conditions":[{"type":"B"},{"type":"A"}]}}`, "",
		},
		{
			"first conditions", `{"status":{"active":1}}`,
			`{"status":{"active":1,"conditions":[{"type":"Failed","status":"True","reason":"BackoffLimitExceeded",` +
				`"message":"Job has reached the limit"}]}}`,
			"Failed True: BackoffLimitExceeded, Job has reached the limit",
		},
		{
			"conditions of several parents",
			`{"status":{"parents":[{"conditions":[{"type":"Ready","status":"True","reason":"a"}]},` +
				`{"conditions":[{"type":"Ready","status":"True","reason":"a"}]}]}}`,
			`{"status":{"parents":[{"conditions":[{"type":"Ready","status":"False","reason":"b"}]},` +
				`{"conditions":[{"type":"Ready","status":"True","reason":"c"}]}]}}`,
			"Ready False: b (+1 more)",
		},
		{"cordoned", `{"spec":{}}`, `{"spec":{"unschedulable":true}}`, "cordoned"},

		// Networks
		{
			"host", strings.Replace(rules, "%s", `,{"host":"api.shop.example.com"}`, 1), strings.Replace(rules, "%s",
				"", 1),
			"host api.shop.example.com removed",
		},
		{
			"another host", `{"spec":{"rules":[{"host":"a.example.com"}]}}`,
			`{"spec":{"rules":[{"host":"b.example.com"}]}}`,
			"host a.example.com → b.example.com",
		},
		{
			"TLS", `{"spec":{"tls":[{"hosts":["a.example.com"],"secretName":"a"}]}}`, `{"spec":{}}`,
			"TLS a.example.com removed",
		},
		{
			"path of a host", `{"spec":{"rules":[{"host":"a","http":{"paths":[{"path":"/"},{"path":"/api"}]}}]}}`,
			`{"spec":{"rules":[{"host":"a","http":{"paths":[{"path":"/"}]}}]}}`, "path /api removed",
		},
		{
			"backend",
			`{"spec":{"rules":[{"http":{"paths":[{"backend":{"service":{"name":"a","port":{"number":80}}}}]}}]}}`,
			`{"spec":{"rules":[{"http":{"paths":[{"backend":{"service":{"name":"b","port":{"number":81}}}}]}}]}}`,
			"backend a → b, backend port 80 → 81",
		},
		{
			"selector", `{"spec":{"selector":{"app":"web","x":"y"}}}`, `{"spec":{"selector":{"app":"wep","x":"y"}}}`,
			"selector app web → wep",
		},
		{
			"port", `{"spec":{"ports":[{"port":80,"protocol":"TCP","targetPort":80}]}}`,
			`{"spec":{"ports":[{"port":8080,"protocol":"TCP","targetPort":8000}]}}`,
			"port 80 → 8080, port 8080/TCP targetPort 80 → 8000",
		},
		{
			"named port", `{"spec":{"ports":[{"name":"http","port":80}]}}`,
			`{"spec":{"ports":[{"name":"http","port":8080}]}}`,
			"port 80 → 8080",
		},
		{
			"ports", `{"spec":{"ports":[{"port":80},{"port":81}]}}`, `{"spec":{"ports":[{"port":82}]}}`,
			"port 80 removed, port 81 removed, port 82 added",
		},
		{
			"network policy", `{"spec":{"ingress":[]}}`,
			`{"spec":{"ingress":[{"from":[{"podSelector":{"matchLabels":{"app":"web"}}},` +
				`{"ipBlock":{"cidr":"10.0.0.0/8"}}],"ports":[{"port":8080}]}]}}`,
			"ingress rule app=web 10.0.0.0/8 8080 added",
		},
		{
			"peer of a network policy",
			`{"spec":{"ingress":[{"from":[{"podSelector":{"matchLabels":{"app":"web"}}}]}]}}`,
			`{"spec":{"ingress":[{"from":[]}]}}`, "from app=web removed",
		},
		{
			"policy type", `{"spec":{"policyTypes":["Ingress"]}}`, `{"spec":{"policyTypes":["Ingress","Egress"]}}`,
			"policyType Egress added",
		},

		// Workloads
		{
			"limit", template(`,"resources":{"limits":{"cpu":"1","memory":"512Mi"}}`),
			template(`,"resources":{"limits":{"cpu":"1","memory":"256Mi"}}`), "memory limit 512Mi → 256Mi",
		},
		{
			"limit and request",
			template(`,"resources":{"limits":{"memory":"512Mi"},"requests":{"cpu":"1","memory":"512Mi"}}`),
			template(`,"resources":{"limits":{"memory":"256Mi"},"requests":{"cpu":"2","memory":"256Mi"}}`),
			"memory 512Mi → 256Mi, cpu request 1 → 2",
		},
		{
			"first limits", template(``), template(`,"resources":{"limits":{"cpu":"1","memory":"1Gi"}}`),
			"cpu limit set to 1, memory limit set to 1Gi",
		},
		{
			"release",
			template(`,"image":"registry/api:1.2.3","resources":{"limits":{"memory":"512Mi"}},` +
				`"env":[{"name":"TIMEOUT","value":"30s"},{"name":"RETRIES","value":"3"}]`),
			template(`,"image":"registry/api:1.2.4","resources":{"limits":{"memory":"256Mi"}},` +
				`"env":[{"name":"TIMEOUT","value":"30s"},{"name":"RETRIES","value":"0"}]`),
			"image app 1.2.3 → 1.2.4, memory limit 512Mi → 256Mi, RETRIES 3 → 0",
		},
		{
			"several containers",
			containers(`{"name":"a","image":"a:1","env":[{"name":"X","value":"1"}]},{"name":"b","tty":false}`),
			containers(`{"name":"a","image":"a:2","env":[{"name":"X","value":"2"}]},{"name":"b","tty":true}`),
			"image a 1 → 2, a X 1 → 2, b tty false → true",
		},
		{
			"environment", template(`,"env":[{"name":"A","value":"1"},{"name":"B","value":"1"}]`),
			template(`,"env":[{"name":"B","valueFrom":{"secretKeyRef":{}}},{"name":"C","value":"x"},{"name":"D"}]`),
			"A removed, B removed (was 1), B source added, C=x added, D added",
		},
		{
			"hidden environment", template(`,"env":[{"name":"A","value":"` + hash + `"}]`),
			template(`,"env":[{"name":"A","value":"` + otherHash + `"},{"name":"B","value":"` + hash + `"}]`),
			"A changed, B added",
		},
		{
			"container", containers(`{"name":"a"}`), containers(`{"name":"a"},{"name":"proxy","image":"p"}`),
			"container proxy added",
		},
		{
			"init container", `{"spec":{"initContainers":[{"name":"a"}]}}`, `{"spec":{}}`, "init container a removed",
		},
		{
			"probe", template(`,"livenessProbe":{"timeoutSeconds":1,"httpGet":{"path":"/a"}},"readinessProbe":{}`),
			template(`,"livenessProbe":{"timeoutSeconds":5,"httpGet":{"path":"/b"}}`),
			"readiness probe removed, liveness probe timeoutSeconds 1 → 5, liveness probe path /a → /b",
		},
		{
			"argument", template(`,"args":["--a=1","--b"]`), template(`,"args":["--a=2","--b"]`), "arg --a=1 → --a=2",
		},
		{
			"volumes",
			`{"spec":{"template":{"spec":{"volumes":[{"name":"a","configMap":{"name":"x"}},{"name":"b"}]}}}}`,
			`{"spec":{"template":{"spec":{"volumes":[{"name":"a","configMap":{"name":"y"}},{"name":"c"}]}}}}`,
			"volume b removed, volume c added, volume a configMap x → y",
		},
		{
			"mount", template(`,"volumeMounts":[{"mountPath":"/a","name":"a"}]`),
			template(`,"volumeMounts":[{"mountPath":"/a","name":"a"},{"mountPath":"/b","name":"b"}]`),
			"mount /b added",
		},
		{
			"envFrom", template(`,"envFrom":[{"configMapRef":{"name":"web"}}]`), template(``),
			"envFrom configMap web removed",
		},
		{
			"restarted", `{"spec":{"template":{"metadata":{}}}}`,
			`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":` +
				`"2026-01-01T00:00:00Z"}}}}}`,
			"restarted",
		},
		{
			"restarted again",
			`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"1"}}}}}`,
			`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"2"}}}}}`,
			"restarted",
		},
		{
			"label of pods", `{"spec":{"template":{"metadata":{"labels":{"version":"1"}}}}}`,
			`{"spec":{"template":{"metadata":{"labels":{"version":"2"}}}}}`, "pod label version 1 → 2",
		},
		{"replicas", `{"spec":{"replicas":2}}`, `{"spec":{"replicas":4}}`, "replicas 2 → 4"},
		{"paused", `{"spec":{}}`, `{"spec":{"paused":true}}`, "paused"},
		{"resumed", `{"spec":{"paused":true}}`, `{"spec":{}}`, "resumed"},
		{"suspended", `{"spec":{"suspend":false}}`, `{"spec":{"suspend":true}}`, "suspended"},
		{"running again", `{"spec":{"suspend":true}}`, `{"spec":{"suspend":false}}`, "resumed"},
		{"budget", `{"spec":{"minAvailable":2}}`, `{"spec":{"minAvailable":"50%"}}`, "minAvailable 2 → 50%"},
		{
			"autoscaler",
			`{"spec":{"minReplicas":2,"maxReplicas":10,"metrics":[{"type":"Resource","resource":{"target":` +
				`{"averageUtilization":80}}}]}}`,
			`{"spec":{"minReplicas":4,"maxReplicas":6,"metrics":[{"type":"Resource","resource":{"target":` +
				`{"averageUtilization":50}}}]}}`,
			"maxReplicas 10 → 6, minReplicas 2 → 4, metric Resource averageUtilization 80 → 50",
		},
		{
			"claim", `{"spec":{"resources":{"requests":{"storage":"8Gi"}}}}`,
			`{"spec":{"resources":{"requests":{"storage":"16Gi"}}}}`, "storage request 8Gi → 16Gi",
		},
		{
			"node selector", `{"spec":{"template":{"spec":{"nodeSelector":{"disk":"ssd"}}}}}`,
			`{"spec":{"template":{"spec":{"nodeSelector":{"disk":"hdd"}}}}}`, "nodeSelector disk ssd → hdd",
		},

		// Pods
		{
			"failed", terminated(""), terminated(`{"exitCode":2,"reason":"Error",` +
				`"message":"migrating\nFATAL: relation \"orders\" does not exist\nbye\n"}`),
			`migrate exit 2: FATAL: relation "orders" does not exist (+1 more)`,
		},
		{
			"failed without a word", terminated(""), terminated(`{"exitCode":2,"reason":"Error"}`),
			"migrate exit 2 (+1 more)",
		},
		{
			"trouble and its conditions",
			`{"status":{"conditions":[{"type":"Ready","status":"True"}],"containerStatuses":[{"name":"app",` +
				`"restartCount":0,"state":{"running":{}}}]}}`,
			`{"status":{"conditions":[{"type":"Ready","status":"False","reason":"x"}],` +
				`"containerStatuses":[{"name":"app",` +
				`"restartCount":1,"state":{"waiting":{"reason":"CrashLoopBackOff"}}}]}}`,
			"app waiting CrashLoopBackOff, restarts 0 → 1 (+2 more)",
		},
		{
			"counts", `{"status":{"availableReplicas":1,"readyReplicas":1}}`,
			`{"status":{"availableReplicas":2,"readyReplicas":2}}`, "status.readyReplicas 1 → 2 (+1 more)",
		},
		{
			"out of memory", terminated(""), terminated(`{"exitCode":137,"reason":"OOMKilled","message":"a\nb\n\n"}`),
			"migrate terminated OOMKilled (exit 137): b (+1 more)",
		},

		// Data
		{
			"YAML", configMap("app.yaml", `# web\ntimeout: 30s\nttl: 300\nname: web\n`),
			configMap("app.yaml", `# web\ntimeout: .30\nttl: .0\nname: web\n`),
			"app.yaml: timeout 30s → .30, ttl 300 → .0",
		},
		{
			"nested YAML", configMap("a", `db:\n  pool: {size: 3}\n  hosts: [a, b]\ncache:\n  size: 1\n`),
			configMap("a", `db:\n  pool: {size: 4}\n  hosts: [a]\ncache:\n  size: 2\n`),
			"a: cache.size 1 → 2, host b removed, pool.size 3 → 4",
		},
		{
			"JSON", configMap("a.json", `{\"a\": 1, \"b\": {\"enabled\": true}}`),
			configMap("a.json", `{\"a\": 1.0, \"b\": {\"enabled\": false}}`),
			"a.json: a 1 → 1.0, b.enabled true → false",
		},
		{
			"properties", configMap("p", `# x\n[db]\nurl = jdbc:a\nuser=b\n`), configMap("p",
				`# y\n[db]\nurl = jdbc:c\n`),
			"p: db.url jdbc:a → jdbc:c, db.user removed (was b)",
		},
		{
			"another file", configMap("nginx.conf", `http {\n  listen 80;\n}\n`),
			configMap("nginx.conf", `http {\n  listen 81;\n}\n`), "nginx.conf listen 80; → listen 81;",
		},
		{
			"a comment", configMap("a.yaml", `a: 1\n`), configMap("a.yaml", `# one\na: 1\n`), "a.yaml # one added",
		},
		{
			"spelling", configMap("a.yaml", `a: 1\nb: 2`), configMap("a.yaml", `a: \"1\"\nb: 2`),
			`a.yaml a: 1 → a: "1"`,
		},
		{
			"several lines", configMap("a", `a b\nc d\n`), configMap("a", `x\ny\n`), "a changed",
		},
		{
			"Secret", `{"data":{"password":"` + hash + `","gone":"` + hash + `"}}`,
			`{"data":{"password":"` + otherHash + `","new":"` + hash + `"}}`,
			"gone removed, new added, password changed",
		},
		{
			"hidden hashes", `{"data":{"password":"` + hash + `"}}`, `{"data":{"password":"hmac-sha256:hidden"}}`,
			"password changed",
		},
		{
			"hidden key", `{"metadata":{"labels":{"a/` + hash + `":"x"}}}`,
			`{"metadata":{"labels":{"a/` + hash + `":"y"}}}`,
			"label a/(hidden) x → y",
		},

		// Rights
		{
			"rules", `{"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["get","list"]}]}`,
			`{"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["get","list","delete"]},` +
				`{"apiGroups":[""],"resources":["secrets"],"verbs":["get"]}]}`,
			"rule get secrets added, verb delete added",
		},
		{
			"subjects", `{"subjects":[{"kind":"User","name":"ann"}]}`,
			`{"subjects":[{"kind":"ServiceAccount","name":"ci","namespace":"shop"}]}`,
			"User ann removed, ServiceAccount shop/ci added",
		},
		{
			"webhook",
			`{"webhooks":[{"name":"a.example.com","failurePolicy":"Ignore","clientConfig":{"caBundle":"a"}}]}`,
			`{"webhooks":[{"name":"a.example.com","failurePolicy":"Fail","clientConfig":{"caBundle":"b"}}]}`,
			"webhook a.example.com failurePolicy Ignore → Fail, caBundle changed",
		},

		// Custom resources
		{
			"custom resource",
			`{"spec":{"backup":{"retention":"7d"},"size":3,"users":[{"name":"app"},{"name":"ro"}],"version":"14.2"}}`,
			`{"spec":{"backup":{"retention":"1d"},"size":1,"users":[{"name":"ro"}],"version":"15.1"}}`,
			"version 14.2 → 15.1, size 3 → 1, user app removed, retention 7d → 1d",
		},
		{
			"ambiguous fields",
			`{"spec":{"a":{"size":1},"b":{"size":1},"secretRef":{"name":"x"},"tls":{"enabled":true}}}`,
			`{"spec":{"a":{"size":2},"b":{"size":2},"secretRef":{"name":"y"},"tls":{"enabled":false}}}`,
			"a.size 1 → 2, b.size 1 → 2, secretRef x → y, tls.enabled true → false",
		},
		{
			"item of a custom resource", `{"spec":{"pools":[{"name":"a","size":1,"roles":["x"]}]}}`,
			`{"spec":{"pools":[{"name":"a","size":2,"roles":[]}]}}`, "pool a role x removed, size 1 → 2",
		},
		{
			"many fields",
			`{"spec":{"aaaaaaaaaaaaaaaa":1,"bbbbbbbbbbbbbbbb":1,"cccccccccccccccc":1,"dddddddddddddddd":1,` +
				`"eeeeeeeeeeeeeeee":1,"f":1}}`,
			`{"spec":{"aaaaaaaaaaaaaaaa":2,"bbbbbbbbbbbbbbbb":2,"cccccccccccccccc":2,"dddddddddddddddd":2,` +
				`"eeeeeeeeeeeeeeee":2,"f":2}}`,
			"aaaaaaaaaaaaaaaa 1 → 2, bbbbbbbbbbbbbbbb 1 → 2, cccccccccccccccc 1 → 2, dddddddddddddddd 1 → 2, " +
				"f 1 → 2 (+1 more)",
		},
		{
			"chart", `{"metadata":{"labels":{"helm.sh/chart":"api-1.2.3"}}}`,
			`{"metadata":{"labels":{"helm.sh/chart":"api-1.2.4"}}}`, "chart api-1.2.3 → api-1.2.4",
		},
		{
			"metadata", `{"metadata":{}}`,
			`{"metadata":{"labels":{"a":"b","c":"d"},"finalizers":["x"],"ownerReferences":[` +
				`{"uid":"u","kind":"ReplicaSet","name":"web"}]}}`,
			"finalizer x added, label a set to b, label c set to d, owner replicaset/web added",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := diff.Summary(diff.Objects(object(t, tt.old), object(t, tt.new)))
			if got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			checkSummary(t, got)
			if strings.Contains(got, "hmac") {
				t.Errorf("got %q, want no hash", got)
			}
		})
	}
}

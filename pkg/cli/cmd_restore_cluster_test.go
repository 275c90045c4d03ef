package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/manifest"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

// billingType is the type of a custom resource of the namespace billing.
const billingType = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ledgers.billing.example}
spec:
  group: billing.example
  scope: Namespaced
  names: {plural: ledgers, singular: ledger, kind: Ledger}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

// billingObjects are those of the namespace billing, without billingSecret. Its
// volume is kept when the claim is deleted.
const billingObjects = `
apiVersion: v1
kind: PersistentVolume
metadata: {name: billing-data}
spec:
  accessModes: [ReadWriteOnce]
  capacity: {storage: 1Gi}
  persistentVolumeReclaimPolicy: Retain
  storageClassName: kept
  hostPath: {path: /data}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: billing}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: kept
  resources: {requests: {storage: 1Gi}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: billing, labels: {app: invoices}, annotations: {note: "a: b # c"}}
data: {mode: fast, "on": "yes"}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: invoices, namespace: billing}
---
apiVersion: v1
kind: Service
metadata: {name: invoices, namespace: billing}
spec:
  type: NodePort
  selector: {app: invoices}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: billing.example/v1
kind: Ledger
metadata: {name: main, namespace: billing}
spec: {currency: EUR, size: 3}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: invoices, namespace: billing}
spec:
  rules:
  - host: invoices.example
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: invoices, port: {name: http}}}}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: invoices, namespace: billing, labels: {app: invoices}}
spec:
  replicas: 2
  selector: {matchLabels: {app: invoices}}
  template:
    metadata: {labels: {app: invoices}}
    spec:
      serviceAccountName: invoices
      containers:
      - name: web
        image: shop/invoices:1
        envFrom: [{configMapRef: {name: settings}}, {secretRef: {name: smtp, optional: true}}]
        volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
`

// billingSecret is a Secret whose values are recorded as hashes.
const billingSecret = `
---
apiVersion: v1
kind: Secret
metadata: {name: smtp, namespace: billing}
stringData: {password: hunter2-hunter2}
`

// inNamespace returns manifests of the namespace billing for another one.
func inNamespace(namespace, manifests string) string {
	return strings.NewReplacer("namespace: billing", "namespace: "+namespace, "name: billing-data",
		"name: "+namespace+"-data").Replace(manifests)
}

// restorer runs state and restore against a cluster and its recorder.
type restorer struct {
	*testing.T
	cluster *clustertest.Cluster
	url     string
	client  *client.Client
}

func newRestorer(t *testing.T, cluster *clustertest.Cluster) *restorer {
	t.Helper()
	config, err := daemon.ParseConfig([]byte("discover: all\n"))
	if err != nil {
		t.Fatal(err)
	}
	config.ServerPort = 0
	url := "http://" + recordertest.RunDaemon(t, cluster.Config(), config).Address()
	c, err := client.New(url, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &restorer{t, cluster, url, c}
}

// on returns the restorer of a subtest.
func (r *restorer) on(t *testing.T) *restorer {
	t.Helper()
	return &restorer{t, r.cluster, r.url, r.client}
}

// run runs the plugin.
func (r *restorer) run(args ...string) (code int, stdout, stderr string) {
	r.Helper()
	var out bytes.Buffer
	code, stderr = run(r.Context(), &recording{now: time.Now()}, &out, append(args,
		"--recorder-url", r.url, "--kubeconfig", r.cluster.Kubeconfig, "--cache-dir", r.TempDir())...)
	return code, out.String(), stderr
}

// expect runs the plugin, and compares its exit code and lines of its output
// with expressions.
func (r *restorer) expect(code int, args string, want ...string) (stdout string) {
	r.Helper()
	got, stdout, stderr := r.run(strings.Fields(args)...)
	if got != code {
		r.Errorf("%s: got exit code %d, want %d\n%s%s", args, got, code, stdout, stderr)
	}
	for _, line := range want {
		if !regexp.MustCompile(`(?m)` + line).MatchString(stdout + stderr) {
			r.Errorf("%s: got\n%s%s\nwant a line like %s", args, stdout, stderr, line)
		}
	}
	return stdout
}

// kubectl runs the real kubectl, and returns its stdout.
func (r *restorer) kubectl(stdin string, args ...string) string {
	r.Helper()
	stdout, _ := kubectl(r.T, r.cluster, stdin, args...)
	return stdout
}

// recorded waits until the recorded objects of a namespace satisfy a condition,
// and returns them by their kinds and names.
func (r *restorer) recorded(namespace, what string, done func(map[string]map[string]any) bool) (
	objects map[string]map[string]any,
) {
	r.Helper()
	recordertest.Eventually(r.T, what+" is recorded", func() (bool, string) {
		objects = map[string]map[string]any{}
		for item, err := range r.client.Objects(r.Context(), client.StateQuery{Namespace: history.ScopeOf(namespace)}) {
			if err != nil {
				return false, err.Error()
			}
			var body map[string]any
			if err := json.Unmarshal(item, &body); err != nil {
				return false, err.Error()
			}
			metadata, _ := body["metadata"].(map[string]any)
			objects[fmt.Sprintf("%s/%s", body["kind"], metadata["name"])] = body
		}
		return done(objects), ""
	})
	return objects
}

// field returns the value at a path of fields.
func field(value any, path ...string) any {
	for _, name := range path {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

// live returns an object of the cluster.
func (r *restorer) live(namespace, object string) (body map[string]any) {
	r.Helper()
	if err := json.Unmarshal([]byte(r.kubectl("", "get", object, "-n", namespace, "-o", "json")), &body); err != nil {
		r.Fatal(err)
	}
	return body
}

// same compares an object of the cluster with a recorded one, field by field,
// except for what servers and controllers set. The addresses of a Service are
// compared, too.
func (r *restorer) same(resource schema.GroupResource, namespace, object string, recorded map[string]any) {
	r.Helper()
	got := r.live(namespace, object)
	if !cmp.Equal(field(got, "spec", "clusterIP"), field(recorded, "spec", "clusterIP")) ||
		!cmp.Equal(field(got, "spec", "ports"), field(recorded, "spec", "ports")) ||
		!cmp.Equal(field(got, "spec", "volumeName"), field(recorded, "spec", "volumeName")) {
		r.Errorf("%s: got addresses and volume %v, want %v", object, got["spec"], recorded["spec"])
	}
	recorded = runtime.DeepCopyJSON(recorded)
	for _, body := range []map[string]any{got, recorded} {
		manifest.Strip(resource, body)
		if spec, isObject := body["spec"].(map[string]any); isObject {
			delete(spec, "volumeName")
		}
	}
	if !cmp.Equal(recorded, got) {
		r.Errorf("%s: got another object than the recorded one (-recorded +got):\n%s", object, cmp.Diff(recorded, got))
	}
}

func TestRestore_Cluster(t *testing.T) {
	cluster := clustertest.New(t, clustertest.Options{All: true, Nodes: 2})
	r := newRestorer(t, cluster)
	t.Run("mistake", func(t *testing.T) { r.on(t).mistake() })
	t.Run("hashes", func(t *testing.T) { r.on(t).hashes() })
	t.Run("restricted", func(t *testing.T) { r.on(t).restricted() })
	t.Run("objects", func(t *testing.T) { r.on(t).objects() })
	t.Run("rights", func(t *testing.T) { r.on(t).rights() })
	t.Run("terminating", func(t *testing.T) { r.on(t).terminating() })
}

// createBilling creates the objects of a namespace with their type, and returns
// them as they were recorded when they were ready.
func (r *restorer) createBilling(namespace, manifests string) map[string]map[string]any {
	r.Helper()
	r.kubectl(billingType, "apply", "-f", "-")
	r.kubectl("", "wait", "--for=condition=Established", "crd/ledgers.billing.example")
	r.kubectl("", "create", "namespace", namespace)
	r.kubectl("", "label", "namespace", namespace, "team=money")
	r.kubectl(inNamespace(namespace, manifests), "apply", "-f", "-")
	wantsSecret := strings.Contains(manifests, "kind: Secret")
	return r.recorded(namespace, "the namespace", func(o map[string]map[string]any) bool {
		return isBillingReady(o) && (o["Secret/smtp"] != nil || !wantsSecret)
	})
}

// isBillingReady reports whether the objects of the namespace billing run.
func isBillingReady(o map[string]map[string]any) bool {
	return field(o["Deployment/invoices"], "status", "readyReplicas") == 2.0 &&
		field(o["PersistentVolumeClaim/data"], "status", "phase") == "Bound" &&
		o["Ledger/main"] != nil && o["Ingress/invoices"] != nil &&
		o["ServiceAccount/default"] != nil && o["ConfigMap/kube-root-ca.crt"] != nil
}

// deleteBilling deletes a namespace and the definition of one of its types, and
// waits until that is recorded.
func (r *restorer) deleteBilling(namespace string) {
	r.Helper()
	r.kubectl("", "delete", "namespace", namespace, "--timeout=60s")
	r.kubectl("", "delete", "crd", "ledgers.billing.example", "--timeout=60s")
	r.recorded(namespace, "the deletion", func(o map[string]map[string]any) bool { return len(o) == 0 })
	recordertest.Eventually(r.T, "the deletions of the namespace and the type are recorded", func() (bool, string) {
		for resource, name := range map[string]string{
			"namespaces": namespace, "customresourcedefinitions.apiextensions.k8s.io": "ledgers.billing.example",
		} {
			page, err := r.client.Events(r.Context(), client.EventsQuery{
				Resources: []string{resource}, Name: name, Order: history.NewestFirst, Limit: 1, Summary: true,
			})
			if err != nil || len(page.Events) == 0 || page.Events[0].Verb != "delete" {
				return false, ""
			}
		}
		return true, ""
	})
}

// expectBilling checks that a namespace is as it was before, and that it runs:
// the claim is bound to its volume, the pods are ready, and the Service has
// their addresses.
func (r *restorer) expectBilling(namespace string, before map[string]map[string]any) {
	r.Helper()
	r.kubectl("", "wait", "--for=condition=Available", "deploy/invoices", "-n", namespace, "--timeout=60s")
	r.recorded(namespace, "the restored namespace", isBillingReady)
	for object, of := range map[string]struct{ group, resource, key string }{
		"configmap/settings":         {"", "configmaps", "ConfigMap/settings"},
		"serviceaccount/invoices":    {"", "serviceaccounts", "ServiceAccount/invoices"},
		"service/invoices":           {"", "services", "Service/invoices"},
		"persistentvolumeclaim/data": {"", "persistentvolumeclaims", "PersistentVolumeClaim/data"},
		"ledger/main":                {"billing.example", "ledgers", "Ledger/main"},
		"ingress/invoices":           {"networking.k8s.io", "ingresses", "Ingress/invoices"},
		"deployment/invoices":        {"apps", "deployments", "Deployment/invoices"},
	} {
		r.same(schema.GroupResource{Group: of.group, Resource: of.resource}, namespace, object, before[of.key])
	}
	if labels := field(r.live("", "namespace/"+namespace), "metadata", "labels", "team"); labels != "money" {
		r.Errorf("namespace: got the label %v, want money", labels)
	}
	r.expectBound(namespace)
	recordertest.Eventually(r.T, "the Service has the addresses of both pods", func() (bool, string) {
		got := r.kubectl("", "get", "endpointslices", "-n", namespace, "-l", "kubernetes.io/service-name=invoices",
			"-o", "jsonpath={range .items[*].endpoints[?(@.conditions.ready==true)]}{.addresses[0]} {end}")
		return len(strings.Fields(got)) == 2, "ready addresses: " + got
	})
}

// expectBound checks that the claim of a namespace and its volume are bound to
// each other.
func (r *restorer) expectBound(namespace string) {
	r.Helper()
	recordertest.Eventually(r.T, "the claim is bound to its volume", func() (bool, string) {
		claim, volume := r.live(namespace, "pvc/data"), r.live("", "pv/"+namespace+"-data")
		return field(claim, "status", "phase") == "Bound" && field(claim, "spec", "volumeName") == namespace+"-data" &&
			field(volume, "spec", "claimRef", "uid") == field(claim, "metadata", "uid"), fmt.Sprint(claim["status"])
	})
}

// mistake deletes a namespace with the definition of one of its types, and
// brings it back with one command.
func (r *restorer) mistake() {
	before := r.createBilling("billing", billingObjects)
	r.deleteBilling("billing")

	plan := []string{
		`^namespace/billing: deleted at .*\d\d:\d\d:\d\d; \d+ objects in it at .*\d\d:\d\d:\d\d$`,
		`^  create +namespace/billing`,
		`^  create +customresourcedefinition/ledgers.billing.example +other objects need it$`,
		`^  create +configmap/settings`, `^  create +deployment/invoices`, `^  create +ledger/main`,
		`^  create +service/invoices +with its address 10\.\d+\.\d+\.\d+ if that is free$`,
		`^  release +persistentvolume/billing-data +was bound to the deleted claim billing/data$`,
		`^  create +persistentvolumeclaim/data +bound to its volume billing-data once that is released$`,
		`^  skip +\d objects +made by controllers: .*serviceaccount/default`, `replicaset/invoices-`, `pod ×2`,
		`^Nothing was changed. --yes creates \d+ objects, updates 0 and releases 1 volume.$`,
	}
	r.expect(0, "restore ns/billing", append(plan,
		`^\d+ objects can't be validated before the namespace or the type exists.$`)...)
	r.expect(0, "restore ns/billing --dry-run=client", plan...)
	if namespaces := r.kubectl("", "get", "namespaces", "-o", "name"); strings.Contains(namespaces, "billing") {
		r.Errorf("got the namespaces %s after dry runs, want none that was created", namespaces)
	}
	if uid := field(r.live("", "pv/billing-data"), "spec", "claimRef", "uid"); uid == nil {
		r.Error("got a volume that is released after dry runs, want one that is not")
	}

	r.expect(0, "restore ns/billing --yes", `^namespace/billing created$`, `^ledger/main created$`,
		`^service/invoices created$`, `^persistentvolume/billing-data released$`,
		`^\d+ objects restored, 1 volume released.$`)
	r.expectBilling("billing", before)

	// The same command, and one with the time, have nothing more to do.
	versions := func() string {
		return r.kubectl("", "get", "ns,cm,svc,pvc,pv,sa,ledger,secret", "-n", "billing", "-o",
			"jsonpath={range .items[*]}{.metadata.name}={.metadata.resourceVersion} {end}")
	}
	earlier := versions()
	at := time.Now().UTC().Format(time.RFC3339Nano)
	for _, args := range []string{"restore ns/billing --yes", "restore ns/billing --yes --at " + at} {
		r.expect(0, args, `^  = +\d+ objects +as they were$`, `^Nothing to do: `)
	}
	if later := versions(); later != earlier {
		r.Errorf("a second run: got the versions\n%s\nwant\n%s", later, earlier)
	}
}

// hashes brings a namespace back with a Secret whose values are not recorded.
func (r *restorer) hashes() {
	before := r.createBilling("hashed", billingObjects+billingSecret)
	r.deleteBilling("hashed")
	plan := []string{
		`^  CANNOT +secret/smtp +only hashes are recorded of password$`,
		`^secret/smtp: Set the values yourself: kubectl create secret generic smtp -n hashed ` +
			`--from-literal=password=VALUE$`,
	}
	r.expect(1, "restore ns/hashed", append(plan, `^error: 1 object can't be brought back: secret/smtp$`)...)
	stdout := r.expect(1, "restore ns/hashed --yes", append(plan,
		`^error: (\d+) of \d+ objects restored; 1 object can't be brought back: secret/smtp$`)...)
	if n := strings.Count(stdout, " created\n"); n != 9 {
		r.Errorf("got\n%s\nwant all 9 objects created but the Secret", stdout)
	}
	r.expectBilling("hashed", before)
	r.kubectl("", "create", "secret", "generic", "smtp", "-n", "hashed", "--from-literal=password=another")
	r.recorded("hashed", "the Secret", func(o map[string]map[string]any) bool { return o["Secret/smtp"] != nil })
	r.expect(0, "restore ns/hashed --yes", `^  skip +1 object +created again; only hashes were recorded`)
}

// restricted restores as a user with all rights in one namespace, and none on
// volumes.
func (r *restorer) restricted() {
	const namespace = "owned"
	before := r.createBilling(namespace, billingObjects)
	r.kubectl(`
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: everything, namespace: owned}
rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: jill, namespace: owned}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: everything}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: jill}]
`, "apply", "-f", "-")
	r.recorded(namespace, "the binding", func(o map[string]map[string]any) bool { return o["RoleBinding/jill"] != nil })
	at := time.Now().UTC().Format(time.RFC3339Nano)
	r.kubectl("", "delete", "deploy,svc,pvc,ledger,ingress", "--all", "-n", namespace, "--timeout=60s")
	r.kubectl("", "delete", "cm/settings", "sa/invoices", "-n", namespace)
	r.recorded(namespace, "the deletion", func(o map[string]map[string]any) bool {
		return o["Deployment/invoices"] == nil && o["PersistentVolumeClaim/data"] == nil &&
			o["ConfigMap/settings"] == nil && o["ServiceAccount/invoices"] == nil && o["Ledger/main"] == nil &&
			o["Ingress/invoices"] == nil && o["Service/invoices"] == nil
	})

	command := "restore ns/owned --at " + at
	plan := []string{
		`^  CANNOT +persistentvolume/owned-data +persistentvolumes "owned-data" is forbidden: User "jill" cannot get `,
		`^persistentvolume/owned-data: An administrator can release it for the claim: kubectl patch pv owned-data `,
		`^persistentvolume/owned-data: If it does not exist, create the claim with a new volume: ` +
			`.* state pvc/data -n owned --at `,
		`^  create +persistentvolumeclaim/data +bound to its volume owned-data once that is released$`,
	}
	r.expect(1, command+" --as jill", append(plan,
		`^error: 1 volume can't be released: persistentvolume/owned-data$`)...)
	r.expect(1, command+" --as jill --yes", append(plan, `^persistentvolumeclaim/data created$`,
		`^error: 7 of 7 objects restored; 1 volume can't be released: persistentvolume/owned-data$`)...)
	if phase := field(r.live(namespace, "pvc/data"), "status", "phase"); phase != "Pending" {
		r.Errorf("got a claim that is %v, want Pending", phase)
	}

	// With the right to read volumes, the dry run of the patch is refused.
	r.kubectl("", "create", "clusterrole", "see-volumes", "--verb=get", "--resource=persistentvolumes")
	r.kubectl("", "create", "clusterrolebinding", "see-volumes", "--clusterrole=see-volumes", "--user=jill")
	var stdout, stderr string
	recordertest.Eventually(r.T, "the right is in force", func() (bool, string) {
		_, stdout, stderr = r.run(strings.Fields(command + " --as jill --yes")...)
		return strings.Contains(stdout, `User "jill" cannot patch resource "persistentvolumes"`), stdout
	})
	patch := regexp.MustCompile(`kubectl patch pv owned-data --type=json -p '(.*)'`).FindStringSubmatch(stderr)
	if patch == nil {
		r.Fatalf("got\n%s\nwant a command for an administrator", stderr)
	}
	r.kubectl("", "patch", "pv", "owned-data", "--type=json", "-p", patch[1], "--dry-run=server")

	// An administrator continues with the same command.
	r.expect(0, command, `^  release +persistentvolume/owned-data `, `^  = +\d+ objects +as they were$`,
		`^Nothing was changed. --yes creates 0 objects, updates 0 and releases 1 volume.$`)
	r.expect(0, command+" --yes", `^persistentvolume/owned-data released$`, `^1 volume released.$`)
	r.expectBilling(namespace, before)
}

// objects sets objects back that exist, and one that was deleted.
func (r *restorer) objects() {
	const namespace = "edited"
	r.kubectl("", "create", "namespace", namespace)
	change := func(stdin string, args ...string) { r.kubectl(stdin, append(args, "-n", namespace)...) }
	change(viewedObjects, "apply", "-f", "-")
	before := r.recorded(namespace, "a Deployment", func(o map[string]map[string]any) bool {
		return o["Deployment/front"] != nil && o["ConfigMap/flags"] != nil
	})
	change("", "scale", "deploy/front", "--replicas=3")
	change("", "label", "deploy/front", "tier=edge")
	change(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"flags","labels":{"new":"x"}},`+
		`"data":{"a":"c","added":"y"}}`, "apply", "-f", "-")
	change(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"later"}}`, "apply", "-f", "-")
	r.recorded(namespace, "the changes", func(o map[string]map[string]any) bool {
		return field(o["Deployment/front"], "metadata", "labels", "tier") == "edge" && o["ConfigMap/later"] != nil &&
			field(o["ConfigMap/flags"], "data", "added") == "y"
	})

	r.expect(0, "restore cm/flags#1 -n edited", `^  update +configmap/flags +as in revision 1 of .*\d\d:\d\d:\d\d$`,
		`^configmap/flags$`, `^-   added: "y"$`, `^\+   a: b$`,
		`^Nothing was changed. --yes creates 0 objects and updates 1.$`)
	r.expect(0, "restore cm/flags#1 deploy/front#1 -n edited --yes",
		`^configmap/flags updated$`, `^deployment/front updated$`, `^2 objects restored.$`)
	flags := schema.GroupResource{Resource: "configmaps"}
	r.same(flags, namespace, "configmap/flags", before["ConfigMap/flags"])
	r.same(schema.GroupResource{Group: "apps", Resource: "deployments"}, namespace, "deployment/front",
		before["Deployment/front"])
	managers := r.kubectl("", "get", "cm", "flags", "-n", namespace, "-o", "jsonpath={.metadata.managedFields}",
		"--show-managed-fields")
	if !strings.Contains(managers, "kubectl-watchhistory") {
		r.Errorf("got the managers %s, want one that is kubectl-watchhistory", managers)
	}
	r.expect(0, "restore cm/flags#1 deploy/front#1 -n edited --yes",
		`^  = +2 objects +as they were$`, `^Nothing to do: `)

	// An autoscaler keeps its replicas.
	change("", "autoscale", "deploy/front", "--min=4", "--max=9")
	change("", "scale", "deploy/front", "--replicas=5")
	change("", "label", "deploy/front", "tier=edge", "--overwrite")
	r.expect(0, "restore deploy/front#1 -n edited --yes", `its replicas stay \d: a HorizontalPodAutoscaler sets them`,
		`^deployment/front updated$`)
	if replicas := field(r.live(namespace, "deployment/front"), "spec", "replicas"); replicas == 1.0 {
		r.Error("got 1 replica, want those of the autoscaler")
	}

	// What can't be restored.
	created := r.kubectl("", "get", "cm", "flags", "-n", namespace, "-o", "jsonpath={.metadata.creationTimestamp}")
	r.expect(1, "restore cm/later --at "+created+" -n edited",
		`^error: configmaps "later" in edited namespace did not exist`,
		`kubectl delete configmaps later -n edited' removes it.$`)
	r.expect(1, "restore cm/later --at 20h -n edited",
		`^error: no version of configmaps "later" in edited namespace was recorded until `)
	r.expect(1, "restore cm/flags -n edited",
		`exists: want a revision or a time to go back to, as in restore cm/flags#-2$`)

	// Deleted, and created again with other contents.
	change("", "delete", "cm", "flags")
	r.recorded(namespace, "the deletion", func(o map[string]map[string]any) bool { return o["ConfigMap/flags"] == nil })
	r.expect(0, "restore cm/flags -n edited", `^  create +configmap/flags +as in revision \d of `)
	r.expect(0, "restore cm/flags -n edited --yes", `^configmap/flags created$`)
	r.same(flags, namespace, "configmap/flags", before["ConfigMap/flags"])
	change("", "delete", "cm", "flags")
	change(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"flags"},"data":{"a":"other"}}`,
		"create", "-f", "-")
	r.expect(0, "restore cm/flags#1 -n edited --uid "+fmt.Sprint(field(before["ConfigMap/flags"], "metadata", "uid")),
		`it was deleted and created again since, at 2`)

	// A Service whose address is in use gets another one.
	change("", "create", "service", "clusterip", "taken", "--tcp=80")
	r.recorded(namespace, "a Service", func(o map[string]map[string]any) bool { return o["Service/taken"] != nil })
	address := r.kubectl("", "get", "svc", "taken", "-n", namespace, "-o", "jsonpath={.spec.clusterIP}")
	change("", "delete", "svc", "taken")
	change("", "create", "service", "clusterip", "thief", "--tcp=80", "--clusterip="+address)
	r.recorded(namespace, "the deletion", func(o map[string]map[string]any) bool { return o["Service/taken"] == nil })
	r.expect(0, "restore svc/taken -n edited", `with its address `+regexp.QuoteMeta(address)+` if that is free$`)
	r.expect(0, "restore svc/taken -n edited --yes", `^service/taken created with a new address$`)

	// Immutable fields.
	change("", "delete", "deploy", "front")
	change(strings.ReplaceAll(viewedObjects, "app: front", "app: other"), "apply", "-f", "-")
	uid := fmt.Sprint(field(before["Deployment/front"], "metadata", "uid"))
	r.expect(1, "restore deploy/front#1 -n edited --uid "+uid,
		`^  CANNOT +deployment/front +.*field is immutable`,
		`To replace it: kubectl delete deployments.apps front -n edited, `)
}

// rights restores as a user who may write ConfigMaps only.
func (r *restorer) rights() {
	const namespace = "limited"
	r.kubectl("", "create", "namespace", namespace)
	change := func(stdin string, args ...string) { r.kubectl(stdin, append(args, "-n", namespace)...) }
	change(viewedObjects, "apply", "-f", "-")
	change("", "create", "role", "configs", "--verb=*", "--resource=configmaps")
	change("", "create", "rolebinding", "configs", "--role=configs", "--user=jane")
	at := r.recorded(namespace, "a Deployment", func(o map[string]map[string]any) bool {
		return o["Deployment/front"] != nil && o["ConfigMap/flags"] != nil && o["RoleBinding/configs"] != nil
	})
	change("", "delete", "cm/flags", "deploy/front")
	r.recorded(namespace, "the deletion", func(o map[string]map[string]any) bool {
		return o["ConfigMap/flags"] == nil && o["Deployment/front"] == nil
	})
	want := []string{
		`^  create +configmap/flags`, `^  CANNOT +deployment/front +.*forbidden: User "jane" cannot get resource`,
		`kubectl auth can-i create deployments.apps -n limited$`,
	}
	r.expect(1, "restore cm/flags deploy/front -n limited --as jane", want...)
	r.expect(1, "restore cm/flags deploy/front -n limited --as jane --yes", append(want, `^configmap/flags created$`,
		`^error: 1 of 2 objects restored; 1 object can't be brought back: deployment/front$`)...)
	r.same(schema.GroupResource{Resource: "configmaps"}, namespace, "configmap/flags", at["ConfigMap/flags"])
	if names := r.kubectl("", "get", "deploy", "-n", namespace, "-o", "name"); names != "" {
		r.Errorf("got %s, want no Deployment", names)
	}
}

// terminating restores while a namespace is being deleted.
func (r *restorer) terminating() {
	r.kubectl("", "create", "namespace", "held")
	r.kubectl(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"held","namespace":"held",`+
		`"finalizers":["example.com/hold"]}}`, "create", "-f", "-")
	r.recorded("held", "a ConfigMap", func(o map[string]map[string]any) bool { return o["ConfigMap/held"] != nil })
	r.kubectl("", "delete", "namespace", "held", "--wait=false")
	for _, args := range []string{"restore ns/held --yes", "restore ns/held --at now --yes"} {
		r.expect(1, args, `^error: namespaces "held" is being deleted$`,
			`^Wait until it is gone, .*kubectl wait --for=delete namespaces/held --timeout=5m$`)
	}
	r.kubectl("", "patch", "cm", "held", "-n", "held", "--type=json", "-p",
		`[{"op":"remove","path":"/metadata/finalizers"}]`)
	r.kubectl("", "wait", "--for=delete", "namespace/held", "--timeout=60s")
}

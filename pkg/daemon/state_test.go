package daemon_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
)

// stateObjects has an object of each kind from which something is stripped, and
// others. Each name is unique.
const stateObjects = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: default, namespace: state}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: state, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: app, image: "shop:1.0", ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: front, namespace: state}
spec: {type: LoadBalancer, externalTrafficPolicy: Local, selector: {app: web}, ports: [{port: 80, name: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: headless, namespace: state}
spec: {clusterIP: None, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: state, finalizers: [example.com/keep]}
data: {a: "1", status: "<on>"}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: data
  namespace: state
  finalizers: [kubernetes.io/pvc-protection]
  annotations: {pv.kubernetes.io/bind-completed: "yes", pv.kubernetes.io/bound-by-controller: "yes"}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}, volumeName: pvc-1}
---
apiVersion: v1
kind: Pod
metadata: {name: alone, namespace: state}
spec:
  nodeName: node-that-is-gone
  containers: [{name: app, image: "shop:1.0", volumeMounts: [{name: cache, mountPath: /cache}]}]
  volumes: [{name: cache, emptyDir: {}}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: migration, namespace: state}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: app, image: "shop:1.0"}]}}}
---
apiVersion: state.example.com/v1
kind: Capsule
metadata: {name: mine, namespace: state}
spec: {size: 1}
status: {phase: Ready}
`

const capsules = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: capsules.state.example.com}
spec:
  group: state.example.com
  scope: Namespaced
  names: {plural: capsules, singular: capsule, kind: Capsule}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`

// stateNames are the names of stateObjects, in the order of a state.
func stateNames() []string {
	return []string{"settings", "data", "alone", "default", "front", "headless", "web", "migration", "mine"}
}

// TestState_AppliesToEmptyNamespace applies a stripped state to another
// namespace, while the original objects still exist.
func TestState_AppliesToEmptyNamespace(t *testing.T) {
	noLeaks(t)
	apply(t, capsules)
	t.Cleanup(func() {
		_, _ = cluster.Kubectl(context.WithoutCancel(t.Context()), "delete", "crd", "capsules.state.example.com")
	})
	kubectl(t, "wait", "--for=condition=Established", "crd/capsules.state.example.com")
	kubectl(t, "create", "namespace", "state")
	kubectl(t, "create", "namespace", "empty")
	apply(t, stateObjects)
	// The owner does not exist, so a garbage collector deletes its objects.
	kubectl(t, "patch", "configmap", "settings", "-n", "state", "-p",
		`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"owner","uid":"gone"}]}}`)
	r := start(t, t.TempDir(), cluster.Config(), nil)
	const types = "cm,pvc,po,sa,svc,deploy,jobs,capsules"
	r.eventually(t, "all objects are recorded", func() (bool, string) {
		_, body := r.get(t, v1.StatePath+"?namespace=state&resourceType="+types)
		got := namesOf(body)
		return slices.Equal(got, stateNames()), fmt.Sprint(got)
	})
	before := time.Now().UTC().Format(time.RFC3339Nano) // the recorder has the same clock
	kubectl(t, "patch", "configmap", "settings", "-n", "state",
		"--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	kubectl(t, "delete", "configmap", "settings", "-n", "state")
	r.eventually(t, "the deletion is recorded", func() (bool, string) {
		_, body := r.get(t, v1.StatePath+"?namespace=state&resourceType=cm")
		return len(namesOf(body)) == 0, body
	})

	_, list := r.get(t, v1.StatePath+"?strip=true&namespace=state&resourceType="+types+"&at="+url.QueryEscape(before))
	if got := namesOf(list); !slices.Equal(got, stateNames()) {
		t.Fatalf("got objects %v, want %v", got, stateNames())
	}
	file := t.TempDir() + "/state.json"
	manifest := strings.ReplaceAll(list, `"namespace":"state"`, `"namespace":"empty"`)
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"apply", "--server-side", "--dry-run=server", "-f", file},
		{"apply", "--dry-run=server", "-f", file},
		{"apply", "--server-side", "-f", file},
	} {
		if out := kubectl(t, args...); strings.Count(out, "\n") != len(stateNames()) ||
			strings.Contains(out, "Warning") {
			t.Errorf("kubectl %v: got\n%swant %d objects without a warning", args, out, len(stateNames()))
		}
	}
	var difference v1.Comparison
	r.eventually(t, "the new namespace is recorded", func() (bool, string) {
		_, body := r.get(t,
			v1.ComparePath+"?summary=true&namespace=empty&resourceType="+types+"&from="+url.QueryEscape(before))
		if err := json.Unmarshal([]byte(body), &difference); err != nil {
			return false, body
		}
		return len(difference.Differences) == len(stateNames()), body
	})
	for _, d := range difference.Differences {
		if d.Change != "created" {
			t.Errorf("%s %s: got %s, want created", d.ResourceType, d.ResourceName, d.Change)
		}
	}
}

// namesOf returns the names of a List's objects.
func namesOf(list string) []string {
	var l struct {
		Items []struct{ Metadata struct{ Name string } }
	}
	_ = json.Unmarshal([]byte(list), &l) // an error has no items
	names := []string{}
	for _, item := range l.Items {
		names = append(names, item.Metadata.Name)
	}
	return names
}

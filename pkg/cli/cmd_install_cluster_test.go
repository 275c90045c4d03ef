package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

// installation runs the plugin against a cluster, as an administrator unless
// the arguments impersonate another user.
type installation struct {
	t       *testing.T
	cluster *clustertest.Cluster
	flags   []string // of every command line that does not name a namespace
}

// run returns the exit code and the output of a command line.
func (i *installation) run(line string) (code int, stdout, stderr string) {
	i.t.Helper()
	var out bytes.Buffer
	args := append(strings.Fields(line), "--kubeconfig", i.cluster.Kubeconfig, "--cache-dir", i.t.TempDir())
	if !strings.Contains(line, "--recorder-namespace") {
		args = append(args, i.flags...)
	}
	code, stderr = run(i.t.Context(), &recording{now: time.Now()}, &out, args...)
	return code, out.String(), stderr
}

// want runs a command line that succeeds, and checks that its output has some
// texts.
func (i *installation) want(line string, texts ...string) (stdout string) {
	i.t.Helper()
	code, stdout, stderr := i.run(line)
	if code != 0 {
		i.t.Fatalf("%s: got exit code %d, stdout %q, stderr %q; want 0", line, code, stdout, stderr)
	}
	for _, text := range texts {
		if !strings.Contains(stdout+stderr, text) {
			i.t.Errorf("%s: got stdout\n%sstderr\n%swant %q", line, stdout, stderr, text)
		}
	}
	return stdout
}

// refused runs a command line that fails with an error that has some texts.
func (i *installation) refused(line string, texts ...string) {
	i.t.Helper()
	code, stdout, stderr := i.run(line)
	if code != 1 || !strings.Contains(stderr, "error: ") {
		i.t.Fatalf("%s: got exit code %d, stdout %q, stderr %q; want 1 and an error", line, code, stdout, stderr)
	}
	for _, text := range texts {
		if !strings.Contains(stderr, text) {
			i.t.Errorf("%s: got stderr\n%swant %q", line, stderr, text)
		}
	}
}

// results returns the last word of each line of the output, each once.
func results(stdout string) (words []string) {
	for line := range strings.Lines(stdout) {
		fields := strings.Fields(line)
		words = append(words, fields[1])
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// testInstall installs the recorder, changes and removes it. Its pod does not
// run, because the cluster has no controllers.
func testInstall(t *testing.T, cluster *clustertest.Cluster) {
	t.Helper()
	i := &installation{t, cluster, []string{"--recorder-namespace", "audit"}}
	i.want("uninstall", "There is no recorder in namespace audit.")

	// Nothing is changed by a dry run, or without the rights.
	if got := results(i.want("install --dry-run", "Of 7 objects in it, only your rights were checked")); len(got) != 1 {
		t.Errorf("dry run: got results %v, want only created", got)
	}
	i.refused("install --apply --as jane", `User "jane" cannot patch resource "namespaces"`, "(and 11 other objects)",
		"An administrator of the cluster can apply what this prints: kubectl watchhistory install")
	if out, _ := kubectl(t, cluster, "", "get", "namespace", "audit", "--ignore-not-found"); out != "" {
		t.Fatalf("got namespace %s, want none after a dry run", out)
	}

	out := i.want("install --apply --wait=false")
	if got := results(out); fmt.Sprint(got) != "[created]" || strings.Count(out, "\n") != 12 {
		t.Errorf("install: got\n%swant 12 objects created", out)
	}
	managers, _ := kubectl(t, cluster, "", "get", "statefulset", "watchhistory-recorder", "-n", "audit",
		"--show-managed-fields", "-o",
		"jsonpath={.metadata.managedFields[*].manager} {.spec.template.spec.containers[0].image}")
	if want := "kubectl-watchhistory ghcr.io/watchhistory/watchhistory-recorder:v1.2.3"; managers != want {
		t.Errorf("StatefulSet: got %q, want %q", managers, want)
	}
	for _, line := range []string{"install --apply --wait=false", "install --dry-run=server"} {
		if got := results(i.want(line)); fmt.Sprint(got) != "[unchanged]" {
			t.Errorf("%s: got results %v, want unchanged", line, got)
		}
	}
	i.want("install --dry-run --retention 30d", "configmap/watchhistory-recorder configured (server dry run)\n",
		"statefulset.apps/watchhistory-recorder unchanged (server dry run)\n")
	i.want("install --apply --wait=false --retention 30d", "configmap/watchhistory-recorder configured\n")
	config, _ := kubectl(t, cluster, "", "get", "configmap", "watchhistory-recorder", "-n", "audit",
		"-o", "jsonpath={.data}")
	if !strings.Contains(config, `retentionDays: 30\n`) {
		t.Errorf("got configuration %s, want 30 days", config)
	}

	// What can't be changed changes nothing else.
	i.refused("install --apply --wait=false --storage 60Gi", "Give the same --storage and --storage-class as before")
	i.want("install --dry-run --retention 30d", "configmap/watchhistory-recorder unchanged (server dry run)\n")
	kubectl(t, cluster, "", "label", "service", "watchhistory-recorder", "-n", "audit",
		"app.kubernetes.io/managed-by=me", "--overwrite", "--field-manager=somebody")
	i.refused("install --apply --wait=false", `conflict with "somebody"`, "Take them over with --force-conflicts.")
	i.want("install --apply --wait=false --force-conflicts", "service/watchhistory-recorder configured\n")

	testWait(i)
	testUninstall(i)
}

// testWait waits for a recorder whose status the test writes.
func testWait(i *installation) {
	i.t.Helper()
	i.refused("install --apply --timeout 100ms", "the recorder is not ready after 100ms",
		"kubectl -n audit get pods,events")
	kubectl(i.t, i.cluster, `
apiVersion: v1
kind: Pod
metadata:
  name: watchhistory-recorder-0
  namespace: audit
  labels: {app.kubernetes.io/name: watchhistory-recorder}
spec:
  serviceAccountName: watchhistory-recorder
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, runAsUser: 1, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: recorder
    image: none
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`, "create", "-f", "-")
	kubectl(i.t, i.cluster, "", "patch", "pod", "watchhistory-recorder-0", "-n", "audit",
		"--subresource=status", "--type=merge", "-p", `{"status": {"phase": "Pending", "containerStatuses": [{
			"name": "recorder", "image": "none", "imageID": "", "ready": false, "restartCount": 0,
			"state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}}]}}`)
	i.refused("install --apply --timeout 100ms",
		"pod watchhistory-recorder-0: container recorder: ImagePullBackOff (not found)",
		"kubectl -n audit describe pod watchhistory-recorder-0")
	code, stdout, _ := i.run("check")
	if want := "! recorder    audit/watchhistory-recorder, pod watchhistory-recorder-0 is not ready: " +
		"container recorder: ImagePullBackOff (not found)\n"; code != 1 || !strings.Contains(stdout, want) {
		i.t.Errorf("check: got exit code %d\n%swant 1 and %q", code, stdout, want)
	}
	kubectl(i.t, i.cluster, "", "patch", "statefulset", "watchhistory-recorder", "-n", "audit",
		"--subresource=status", "--type=merge", "-p",
		`{"status": {"observedGeneration": 99, "replicas": 1, "readyReplicas": 1}}`)
	i.want("install --apply", "recorder in namespace audit ready after ")
	kubectl(i.t, i.cluster, "", "delete", "pod", "watchhistory-recorder-0", "-n", "audit", "--now")
}

// testUninstall removes the recorder that testInstall installed, once with a
// claim for its volume and once without.
func testUninstall(i *installation) {
	t := i.t
	t.Helper()
	kubectl(t, i.cluster, "", "create", "namespace", "tools")
	i.refused("install --apply --recorder-namespace tools", "a recorder is installed in namespace audit")
	kubectl(t, i.cluster, `
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: data-watchhistory-recorder-0
  namespace: audit
  labels: {app.kubernetes.io/name: watchhistory-recorder}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
`, "create", "-f", "-")
	plan := []string{
		"statefulset.apps/watchhistory-recorder deleted (dry run)\n",
		"persistentvolumeclaim/data-watchhistory-recorder-0 kept: the history\n",
		"namespace/audit kept: it contains the history\n", "Nothing was deleted. Delete with --apply.\n",
	}
	i.want("uninstall", plan...)
	i.refused("uninstall --apply --as jane", `User "jane" cannot get resource`, "Only an administrator")
	out := i.want("uninstall --apply", "The history is kept. Delete it, too, with --delete-history.\n")
	if n := strings.Count(out, " deleted\n"); n != 11 || strings.Contains(out, "namespace/audit deleted") {
		t.Errorf("uninstall: got\n%swant 11 objects deleted, and the namespace kept", out)
	}
	if left, _ := kubectl(t, i.cluster, "", "get", "pvc,namespace", "-n", "audit", "-o", "name"); !strings.Contains(
		left, "persistentvolumeclaim/data-watchhistory-recorder-0\n") {
		t.Errorf("got %s, want the claim with the history", left)
	}

	// An installation continues with the history. Other objects keep the
	// namespace.
	i.want("install --apply --wait=false", "statefulset.apps/watchhistory-recorder created\n",
		"namespace/audit unchanged\n")
	kubectl(t, i.cluster, "", "create", "configmap", "mine", "-n", "audit")
	i.want("uninstall --yes --delete-history", "persistentvolumeclaim/data-watchhistory-recorder-0 deleted\n",
		"namespace/audit kept: it contains configmap/mine\n")
	kubectl(t, i.cluster, "", "delete", "configmap", "mine", "-n", "audit")
	kubectl(t, i.cluster, "", "patch", "pvc", "data-watchhistory-recorder-0", "-n", "audit", "--type=merge",
		"-p", `{"metadata": {"finalizers": null}}`)
	i.want("uninstall --apply", "namespace/audit deleted\n")

	// A namespace that existed before stays as it was.
	out = i.want("install --apply --wait=false --recorder-namespace tools --readers developers",
		"Namespace tools exists already, and is left as it is.\n",
		"role.rbac.authorization.k8s.io/watchhistory-client created\n")
	if strings.Contains(out, "namespace/tools") {
		t.Errorf("install: got\n%swant the namespace unchanged", out)
	}
	i.want("uninstall --apply --recorder-namespace tools",
		"namespace/tools kept: it was not created by this program\n",
		"role.rbac.authorization.k8s.io/watchhistory-client deleted\n")
}

// TestInstall_WaitsForTheStatefulSet installs into a cluster whose controllers
// run: the pod is scheduled as soon as there is a volume.
func TestInstall_WaitsForTheStatefulSet(t *testing.T) {
	cluster := clustertest.New(t, clustertest.Options{All: true, Nodes: 2})
	i := &installation{t, cluster, []string{"--recorder-namespace", "audit"}}
	i.refused("install --apply --timeout 4s",
		"error: the recorder is not ready after 4s: pod watchhistory-recorder-0: ",
		"unbound immediate PersistentVolumeClaims", "The manifests are applied, and it may still start.",
		"kubectl -n audit describe pod watchhistory-recorder-0")

	// Ctrl-C ends the waiting, and nothing else.
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var out bytes.Buffer
	timer := time.AfterFunc(2*time.Second, interrupt)
	defer timer.Stop()
	code, stderr := run(ctx, &recording{now: time.Now()}, &out, "install", "--apply", "--recorder-namespace", "audit",
		"--kubeconfig", cluster.Kubeconfig, "--cache-dir", t.TempDir())
	const interrupted = "Interrupted: the recorder is not ready yet. The manifests are applied, and it may still start."
	if code != 130 || !strings.Contains(stderr, interrupted) || strings.Contains(stderr, "error: ") {
		t.Errorf("interrupted: got exit code %d, stderr\n%swant 130 and %q", code, stderr, interrupted)
	}

	kubectl(t, cluster, `{"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"history"},"spec":{
		"accessModes":["ReadWriteOnce"],"capacity":{"storage":"50Gi"},"hostPath":{"path":"/history"}}}`,
		"create", "-f", "-")
	ready := func(line string) {
		t.Helper()
		i.want(line, "recorder in namespace audit ready after ")
		status, _ := kubectl(t, cluster, "", "get", "statefulset", "watchhistory-recorder", "-n", "audit", "-o",
			"jsonpath={.status.readyReplicas} {.spec.template.spec.containers[0].image} "+
				"{.status.currentRevision} {.status.updateRevision}")
		fields := strings.Fields(status)
		if len(fields) != 4 || fields[0] != "1" || fields[2] != fields[3] {
			t.Errorf("%s: got status %q, want one ready pod of the newest revision", line, status)
		}
		pod, _ := kubectl(t, cluster, "", "get", "pod", "watchhistory-recorder-0", "-n", "audit", "-o",
			"jsonpath={.spec.containers[0].image}")
		if len(fields) == 4 && pod != fields[1] {
			t.Errorf("%s: got a pod with the image %s, want %s", line, pod, fields[1])
		}
	}
	ready("install --apply")
	ready("install --apply --image registry.example/recorder:v9") // the rollout replaces the pod
}

package command_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/cluster"
)

// These tests share one cluster with all components, because a boot takes
// seconds.
func TestWholeCluster(t *testing.T) {
	local := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "from this process")
	}))
	defer local.Close()
	f := newFixture(t)
	client, err := kubernetes.NewForConfig(f.up(t, "--forward", "8080="+local.Listener.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("status", func(t *testing.T) { statusShowsEverything(t, f) })
	t.Run("kubectl", func(t *testing.T) { kubectlIsTheServersVersion(t, f) })
	t.Run("port-forward", func(t *testing.T) { portForwardReachesThisProcess(t, f, client) })
	t.Run("broken-rollout", func(t *testing.T) { brokenRolloutLooksReal(t, f, client) })
	for _, scenario := range []string{"crash-loop", "scale-and-delete", "configmap-change", "custom-resource"} {
		t.Run(scenario, func(t *testing.T) {
			f.run(t, "play", scenario, "--pause", "0")
			f.run(t, "play", scenario, "--pause", "0") // again, with objects left from the first play
		})
	}
}

func statusShowsEverything(t *testing.T, f fixture) {
	t.Helper()
	out := f.run(t, "status")
	if !strings.Contains(out, "default: running") || !strings.Contains(out, "KUBECONFIG="+f.root) {
		t.Errorf("status:\n%s", out)
	}
	for _, component := range cluster.Components() {
		if !regexp.MustCompile(component + ` +running +\d+ +\d+ +1 +[1-9]\d* MiB`).MatchString(out) {
			t.Errorf("status does not show %s:\n%s", component, out)
		}
	}
}

func kubectlIsTheServersVersion(t *testing.T, f fixture) {
	t.Helper()
	out := f.run(t, "kubectl", "version")
	if strings.Count(out, "Version: v1.37.2") != 2 {
		t.Errorf("kubectl version:\n%s", out)
	}
	if out := f.run(t, "kubectl", "get", "nodes", "--no-headers"); strings.Count(out, " Ready ") != 2 {
		t.Errorf("nodes:\n%s", out)
	}
	if _, _, err := f.try(t, "kubectl", "get", "nothing"); err == nil {
		t.Error("kubectl's failure is not devcluster's")
	}
}

func portForwardReachesThisProcess(t *testing.T, f fixture, client kubernetes.Interface) {
	t.Helper()
	f.run(t, "kubectl", "create", "deployment", "local", "--image=registry.example.com/local:1")
	f.run(t, "kubectl", "expose", "deployment", "local", "--port=80", "--target-port=8080")
	eventually(t, "a pod runs", func() bool {
		pods, err := client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{LabelSelector: "app=local"})
		return err == nil && len(pods.Items) == 1 && pods.Items[0].Status.Phase == corev1.PodRunning
	})
	cmd := f.command(t.Context(), "kubectl", "port-forward", "--address=127.0.0.1", "service/local", ":80")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var port int
	if _, err := fmt.Sscanf(line, "Forwarding from 127.0.0.1:%d -> 8080", &port); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	address := "http://" + net.JoinHostPort("127.0.0.1", fmt.Sprint(port))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != "from this process" {
		t.Errorf("through the port-forward came %q, %v", body, err)
	}
}

func brokenRolloutLooksReal(t *testing.T, f fixture, client kubernetes.Interface) {
	t.Helper()
	f.run(t, "play", "broken-rollout", "--pause", "0")
	pods, err := client.CoreV1().Pods("shop").List(t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
	if err != nil {
		t.Fatal(err)
	}
	var running, failing int
	for _, pod := range pods.Items {
		switch waiting := pod.Status.ContainerStatuses[0].State.Waiting; {
		case waiting == nil:
			running++
		case waiting.Reason == "ImagePullBackOff" && managers(pod.ManagedFields)["kubelet"]:
			failing++
		}
	}
	if running != 3 || failing != 1 {
		t.Errorf("%d pods run and %d fail, want 3 and 1", running, failing)
	}
	events, err := client.CoreV1().Events("shop").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		source, reason string
		count          int32
	}{
		{"kubelet", "Failed", 3}, {"kubelet", "BackOff", 3}, {"deployment-controller", "ScalingReplicaSet", 1},
	} {
		if !slices.ContainsFunc(events.Items, func(e corev1.Event) bool {
			return e.Source.Component == want.source && e.Reason == want.reason && e.Count == want.count
		}) {
			t.Errorf("no event like %+v", want)
		}
	}
	f.run(t, "play", "broken-rollout", "--pause", "0",
		"--rollback", "--kubeconfig", filepath.Join(f.root, "default", "kubeconfig"))
	web, err := client.AppsV1().Deployments("shop").Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if image := web.Spec.Template.Spec.Containers[0].Image; !strings.HasSuffix(image, ":1.4") {
		t.Errorf("after the rollback: %s", image)
	}
	if by := managers(web.ManagedFields); !by["kubectl-create"] || !by["kubectl-rollout"] ||
		!by["kube-controller-manager"] {
		t.Errorf("managers: %v", by)
	}
}

func managers(fields []metav1.ManagedFieldsEntry) map[string]bool {
	found := map[string]bool{}
	for _, entry := range fields {
		found[entry.Manager] = true
	}
	return found
}

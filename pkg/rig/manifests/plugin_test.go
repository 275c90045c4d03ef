package manifests_test

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/watchhistory/watchhistory/pkg/cli"
	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

// place is a cluster with the manifests and a recorder. The pod is simulated:
// port-forwards to it reach a daemon in this process, which has the rights of
// the pod's service account.
type place struct {
	*clustertest.Cluster
	recorder *daemon.Daemon
}

func newPlace(t *testing.T) *place {
	t.Helper()
	free, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	p := &place{Cluster: clustertest.New(t, clustertest.Options{
		Components: []string{"etcd", "kube-apiserver", "kwok"},
		Nodes:      1,
		Forwards:   map[int]string{8443: free.Addr().String()},
	})}
	for _, dir := range []string{deploy, deploy + "/client"} {
		if _, err := p.Kubectl(t.Context(), "apply", "-k", dir); err != nil {
			t.Fatal(err)
		}
	}
	p.createPod(t)
	p.startDaemon(t, port)
	return p
}

// createPod creates the pod of the StatefulSet, whose controller does not run,
// on the simulated node.
func (p *place) createPod(t *testing.T) {
	t.Helper()
	client := p.Client(t)
	nodes, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(nodes.Items) == 0 {
		t.Fatalf("nodes: %v, %v", nodes, err)
	}
	template := decoded[appsv1.StatefulSet](t, built(t, deploy), "StatefulSet").Spec.Template
	template.Spec.NodeName = nodes.Items[0].Name
	template.Spec.Volumes = append(template.Spec.Volumes, corev1.Volume{Name: "data"})
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name + "-0", Labels: template.Labels}, Spec: template.Spec}
	if _, err := client.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Kubectl(t.Context(), "-n", namespace, "wait", "--for=condition=Ready", "pod/"+pod.Name); err != nil {
		t.Fatal(err)
	}
}

// startDaemon starts the daemon with the configuration of the manifests.
func (p *place) startDaemon(t *testing.T, port int) {
	t.Helper()
	config, err := daemon.NewSource(func(string) string { return "" }, deploy+"/base/resources.yaml").Load()
	if err != nil {
		t.Fatal(err)
	}
	config.SecurePort, config.Namespace = port, namespace
	token, err := p.Token(t.Context(), namespace, name)
	if err != nil {
		t.Fatal(err)
	}
	p.recorder = recordertest.RunDaemon(t, p.WithToken(token), config)
}

// kubeconfig writes the kubeconfig of a user with a client certificate.
func (p *place) kubeconfig(t *testing.T, user string, groups ...string) string {
	t.Helper()
	pair, err := p.Certificate(clustertest.ClientCA, user, groups...)
	if err != nil {
		t.Fatal(err)
	}
	config, err := p.WithCertificate(pair)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{"c": {
			Server: config.Host, CertificateAuthorityData: config.CAData, CertificateAuthority: config.CAFile,
		}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{"u": {
			ClientCertificateData: config.CertData, ClientKeyData: config.KeyData,
		}},
		Contexts:       map[string]*clientcmdapi.Context{"c": {Cluster: "c", AuthInfo: "u"}},
		CurrentContext: "c",
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(kubeconfig, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// plugin runs a command line of the plugin.
func (p *place) plugin(t *testing.T, kubeconfig, line string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	env := cli.Environment{
		IOStreams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &errOut},
		Now:       time.Now, LookupEnv: os.LookupEnv, Name: "kubectl watchhistory",
	}
	args := append(strings.Fields(line), "--kubeconfig", kubeconfig, "--cache-dir", t.TempDir())
	code = cli.Main(t.Context(), env, args)
	return code, out.String(), errOut.String()
}

// TestManifests_ServePlugin installs the recorder and asks it with the plugin,
// as users with different rights.
func TestManifests_ServePlugin(t *testing.T) {
	p := newPlace(t)
	admin := func(args ...string) {
		t.Helper()
		if _, err := p.Kubectl(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	admin("create", "configmap", "lamp")
	admin("create", "role", "lamps", "--verb=get,list", "--resource=configmaps")
	admin("create", "rolebinding", "lamps", "--role=lamps", "--user=jane")
	jane := p.kubeconfig(t, "jane", "watchhistory-readers")
	const get = "get cm lamp -n default -o name"

	deadline := time.Now().Add(patience)
	for {
		code, stdout, stderr := p.plugin(t, jane, get)
		if code == 0 && stdout == "configmap/lamp\n" && stderr == "" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("reader: got exit code %d, stdout %q, stderr %q, want the ConfigMap", code, stdout, stderr)
		}
		time.Sleep(50 * time.Millisecond)
	}

	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, p.recorder.Authorities(), 0o600); err != nil {
		t.Fatal(err)
	}
	url := " --recorder-url https://" + p.recorder.SecureAddress()
	stranger := p.kubeconfig(t, "stranger")
	for _, tt := range []struct {
		name, kubeconfig, line string
		code                   int
		stdout, stderr         string // a part of it
	}{
		{"administrator as reader", p.Kubeconfig, get + " --as jane", 0, "configmap/lamp\n", ""},
		{"reader as administrator", jane, get + " --as root", 1, "", `user "jane" may not impersonate user "root"`},
		{"nothing in a namespace", jane, "get cm -n nowhere", 0, "", "Only what you may read in the cluster is shown"},
		{"proxy", jane, get + " --connect proxy", 1, "", "Leave out --connect=proxy"},
		{"stranger", stranger, get, 1, "", "resourceNames: [watchhistory-recorder-ca]"},
		{"URL", jane, get + url + " --send-credentials --recorder-ca " + ca, 0, "configmap/lamp\n", ""},
		{"URL without authority", jane, get + url + " --send-credentials", 1, "", "--recorder-ca"},
		{"URL without credentials", jane, get + url + " --recorder-ca " + ca, 1, "", "Give --send-credentials"},
		{"URL without TLS", jane, get + " --recorder-url http://h --send-credentials", 1, "", "needs --recorder-url"},
	} {
		code, stdout, stderr := p.plugin(t, tt.kubeconfig, tt.line)
		if code != tt.code || stdout != tt.stdout || !strings.Contains(stderr, tt.stderr) ||
			tt.stderr == "" && stderr != "" {
			t.Errorf("%s: got exit code %d, stdout %q, stderr %q, want %d, %q, %q",
				tt.name, code, stdout, stderr, tt.code, tt.stdout, tt.stderr)
		}
	}

	const nothing = " --until 2020-01-01T00:00:00Z"
	for _, tt := range []struct {
		name, kubeconfig, line string
		want                   bool // the note that only a part is shown
	}{
		{"administrator", p.Kubeconfig, "get -A" + nothing, false},
		{"administrator, history", p.Kubeconfig, "history cm/lamp -n default" + nothing, false},
		{"administrator, Events", p.Kubeconfig, "related cm/lamp -n default" + nothing, false},
		{"reader of a namespace", jane, "get cm -n default" + nothing, false},
		{"reader of some types", jane, "get -n default" + nothing, true},
		{"reader of all namespaces", jane, "get cm -A" + nothing, true},
	} {
		code, stdout, stderr := p.plugin(t, tt.kubeconfig, tt.line)
		got := strings.Contains(stderr, "Only what you may read in the cluster is shown")
		if code != 0 || stdout != "" || got != tt.want {
			t.Errorf("%s: got exit code %d, stdout %q, stderr %q, want 0, nothing, the note: %t",
				tt.name, code, stdout, stderr, tt.want)
		}
	}
}

// TestManifests_AreInThePlugin compares what the plugin prints with what the
// real kubectl builds, and applies it.
func TestManifests_AreInThePlugin(t *testing.T) {
	p := &place{Cluster: cluster}
	for flags, dir := range map[string]string{
		"": "", " --openshift": "/overlays/openshift", " --mcp": "/overlays/mcp",
	} {
		code, stdout, _ := p.plugin(t, cluster.Kubeconfig, "install"+flags)
		if want := kubectl(t, "kustomize", deploy+dir); code != 0 || stdout != want {
			t.Errorf("install%s: got exit code %d and\n%swant 0 and\n%s", flags, code, stdout, want)
		}
		file := filepath.Join(t.TempDir(), "manifests.yaml")
		if err := os.WriteFile(file, []byte(stdout), 0o600); err != nil {
			t.Fatal(err)
		}
		kubectl(t, "apply", "-f", deploy+"/base/namespace.yaml")
		kubectl(t, "apply", "-f", file, "--dry-run=server")
	}
}

// TestManifests_PassCheck checks an installed recorder through port-forwards,
// as users with different rights.
func TestManifests_PassCheck(t *testing.T) {
	p := newPlace(t)
	for _, args := range [][]string{
		{"create", "rolebinding", "jane", "--clusterrole=view", "--user=jane"},
	} {
		if _, err := p.Kubectl(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	jane := p.kubeconfig(t, "jane", "watchhistory-readers")
	deadline := time.Now().Add(patience)
	for {
		code, stdout, stderr := p.plugin(t, p.Kubeconfig, "check")
		if code == 0 && stderr == "" && strings.Contains(stdout, " kinds recorded") &&
			!strings.Contains(stdout, "listed for the first time") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("administrator: got exit code %d, stderr %q, stdout\n%swant 0", code, stderr, stdout)
		}
		time.Sleep(50 * time.Millisecond)
	}
	for _, tt := range []struct {
		name, kubeconfig string
		code             int
		want             []string
	}{
		{"administrator", p.Kubeconfig, 0, []string{
			"✓ recorder    watchhistory/watchhistory-recorder, pod watchhistory-recorder-0 is ready, ",
			"✓ connection  port-forward with TLS, and with your credentials\n", ", recorder ",
			"✓ rights      you may read everything that is recorded\n", "✓ history     kept for 14 days, begins at ",
			"✓ gaps        none now and within the last day\n", "✓ disk        ", " used of 40 GiB (",
		}},
		{"reader of a namespace", jane, 0, []string{
			", as jane\n", "! rights      you may read a part of namespace default, or nothing of it\n",
			"kubectl -n default create rolebinding watchhistory-view --clusterrole=view --user='jane'\n",
			"! disk        not known: ", "--clusterrole=watchhistory-metrics --user='jane'\n",
		}},
		{"stranger", p.kubeconfig(t, "stranger"), 1, []string{
			"✗ recorder    you may not look for the recorder's Service: ", "resourceNames: [watchhistory-recorder-ca]",
		}},
	} {
		code, stdout, stderr := p.plugin(t, tt.kubeconfig, "check")
		if code != tt.code || stderr != "" {
			t.Errorf("%s: got exit code %d, stderr %q, want %d and nothing", tt.name, code, stderr, tt.code)
		}
		for _, want := range tt.want {
			if !strings.Contains(stdout, want) {
				t.Errorf("%s: got\n%swant %q", tt.name, stdout, want)
			}
		}
	}
}

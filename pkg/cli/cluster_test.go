package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

// sharedShortName contains two CRDs with the same short name and category.
const sharedShortName = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.a.cli.example}
spec:
  group: a.cli.example
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, shortNames: [wg], categories: [all, gear]}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
  - {name: v2, served: true, storage: false, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: wagons.b.cli.example}
spec:
  group: b.cli.example
  scope: Cluster
  names: {plural: wagons, singular: wagon, kind: Wagon, shortNames: [wg], categories: [gear]}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`

// kubectl runs the real kubectl, and returns its stdout and stderr.
func kubectl(t *testing.T, cluster *clustertest.Cluster, stdin string, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(t.Context(), cluster.Binary,
		append([]string{"kubectl", "--kubeconfig=" + cluster.Kubeconfig}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECACHEDIR="+t.TempDir())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	if err := cmd.Run(); err != nil {
		t.Fatalf("kubectl %v: %v\n%s", args, err, errOut.String())
	}
	return out.String(), errOut.String()
}

// nameCase is a command line and its expected output.
type nameCase struct {
	args, stdout, stderr string
	code                 int
}

// nameCases returns command lines for a story with the CRDs. The warning is the
// one of kubectl about their short name.
func nameCases(warning string) []nameCase {
	const workloads = "deployment.apps/web\nreplicaset.apps/web-7d9f\npod/web-7d9f-x2k1p\n"
	return []nameCase{
		{"get wg", "widget.a.cli.example/w\n", warning + "\n", 0},
		{"get wg,wg", "widget.a.cli.example/w\n", warning + "\n", 0},
		{"get wg w", "widget.a.cli.example/w\n", warning + "\n", 0},
		{"history wg/w", "widget.a.cli.example/w\n", warning + "\n", 0},
		{
			"related wg w", "",
			warning + "\nNo Events regarding widgets.a.cli.example \"w\" found in shop namespace.\n", 0,
		},
		{"get wg.b.cli.example", "wagon.b.cli.example/g\n", "", 0},
		{"get wagons", "wagon.b.cli.example/g\n", "", 0},
		{"get gear", "widget.a.cli.example/w\nwagon.b.cli.example/g\n", "", 0},
		{"get all --since 13m", workloads + "widget.a.cli.example/w\n", "", 0},
		{"get all -A --since 13m", workloads + "widget.a.cli.example/w\n", "", 0},
		{"get all,cm,deploy --since 13m", workloads + "widget.a.cli.example/w\nconfigmap/events\n", "", 0},
		{"get cm events", "configmap/events\n", "", 0},
		{"get deploy events", "", "error: no history of deployments.apps \"events\" in shop namespace\n" +
			"'kubectl watchhistory get deployments.apps -A' lists the objects with history.\n", 1},
		{"get cm,deploy events", "configmap/events\n", "error: no history of deployments.apps \"events\" in shop " +
			"namespace\n'kubectl watchhistory get deployments.apps -A' lists the objects with history.\n", 1},
		{"get all web", "", "error: \"all\" is a category of several types\nGive the type of \"web\".\n", 1},
		{"get all/web", "", "error: \"all\" is a category of several types\nGive the type of \"web\".\n", 1},
		{"get deploy.apps,deployments.v1.apps,Deployment --since 13m", "deployment.apps/web\n", "", 0},
	}
}

// testNames checks that types, names, categories and shared short names have
// the same meaning as in kubectl.
func testNames(t *testing.T, cluster *clustertest.Cluster) {
	t.Helper()
	kubectl(t, cluster, sharedShortName, "apply", "-f", "-")
	kubectl(t, cluster, "", "wait", "--for=condition=Established",
		"crd/widgets.a.cli.example", "crd/wagons.b.cli.example")
	r := newRecording(t)
	for _, resource := range []history.Resource{
		{
			Group: "a.cli.example", Version: "v1", Plural: "widgets", Singular: "widget",
			Kind: "Widget", ShortNames: []string{"wg"}, Namespaced: true,
		},
		{
			Group: "b.cli.example", Version: "v1", Plural: "wagons",
			Singular: "wagon", Kind: "Wagon", ShortNames: []string{"wg"},
		},
	} {
		if err := r.log.Register(t.Context(), resource); err != nil {
			t.Fatal(err)
		}
	}
	r.writeStory()
	r.write(6*time.Minute, &history.Record{
		Ref:  ref("a.cli.example", "widgets", "shop", "w", "uid-w"),
		Kind: "Widget", Verb: history.Create, Object: []byte(`{}`),
	})
	r.write(5*time.Minute, &history.Record{
		Ref:  ref("b.cli.example", "wagons", "", "g", "uid-g"),
		Kind: "Wagon", Verb: history.Create, Object: []byte(`{}`),
	})
	r.write(4*time.Minute, &history.Record{
		Ref:  ref("", "configmaps", "shop", "events", "uid-e"),
		Kind: "ConfigMap", Verb: history.Create, Object: []byte(`{}`),
	})
	_, warning := kubectl(t, cluster, "", "get", "wg", "-n", "default", "--ignore-not-found")
	warning, _, _ = strings.Cut(warning, "\n")
	if !strings.Contains(warning, "could also match lower priority resource") {
		t.Fatalf("kubectl: got stderr %q, want a warning about the short name", warning)
	}
	for _, tt := range nameCases(warning) {
		t.Run(tt.args, func(t *testing.T) {
			var out bytes.Buffer
			args := append(strings.Fields(tt.args), "-o", "name", "-n", "shop", "--recorder-url", r.url,
				"--kubeconfig", cluster.Kubeconfig, "--cache-dir", t.TempDir())
			code, stderr := run(t.Context(), r, &out, args...)
			if stderr = strings.ReplaceAll(stderr, "'cli.test ", "'kubectl watchhistory "); code != tt.code ||
				out.String() != tt.stdout || stderr != tt.stderr {
				t.Errorf("got exit code %d, want %d\nstdout %q\nwant   %q\nstderr %q\nwant   %q",
					code, tt.code, out.String(), tt.stdout, stderr, tt.stderr)
			}
		})
	}
}

// applied returns manifests of one version of several objects, with strings
// that are difficult in YAML.
func applied(version int) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, annotations: {note: "a: b # c"}}
data:
  version: "%[1]d"
  "on": "yes"
  "1.5": "0x1F"
  %[2]s: long
  script: "#!/bin/sh\n\techo\t'hi' \n\n"
  hidden: "\u200b\u202e\u00a0"
binaryData: {bytes: AAEC/w==}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: back, labels: {app: back}}
spec:
  replicas: %[1]d
  selector: {matchLabels: {app: back}}
  template:
    metadata: {labels: {app: back}}
    spec:
      containers:
      - {name: app, image: "shop/back:1.%[1]d", env: [{name: DEBUG, value: "true"}], resources: {limits: {memory: 1Gi, cpu: 1500m}}}
---
apiVersion: v1
kind: Service
metadata: {name: back}
spec: {selector: {app: back}, ports: [{name: http, port: %[1]d0, targetPort: http}]}
---
apiVersion: v1
kind: Secret
metadata: {name: token}
type: Opaque
stringData: {token: "%[1]d"}
`, version, strings.Repeat("k", 200))
}

// testApply checks that kubectl can apply the output of --revision: over a
// newer version, and after the object was deleted.
func testApply(t *testing.T, cluster *clustertest.Cluster) {
	t.Helper()
	const namespace = "bring-back"
	kubectl(t, cluster, "", "create", "namespace", namespace)
	r := newRecording(t)
	objects := map[string]history.ObjectRef{
		"configmap": ref("", "configmaps", namespace, "settings", "uid-settings"),
		"deploy":    ref("apps", "deployments", namespace, "back", "uid-back"),
		"service":   ref("", "services", namespace, "back", "uid-service"),
	}
	if err := r.log.Register(t.Context(), history.Resource{
		Version: "v1", Plural: "services", Singular: "service", Kind: "Service", Namespaced: true,
	}); err != nil {
		t.Fatal(err)
	}
	original := map[string]*unstructured.Unstructured{}
	live := func(kind string) *unstructured.Unstructured {
		text, _ := kubectl(t, cluster, "", "get", kind, objects[kind].Name, "-n", namespace,
			"-o", "json", "--show-managed-fields")
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON([]byte(text)); err != nil {
			t.Fatal(err)
		}
		return object
	}
	for version := range 3 {
		kubectl(t, cluster, applied(version+1), "apply", "-n", namespace, "-f", "-")
		for kind, at := range objects {
			object := live(kind)
			if original[kind] == nil {
				original[kind] = object
			}
			body, err := object.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			verb := map[bool]history.Verb{true: history.Create, false: history.Update}[version == 0]
			r.write(time.Duration(10-version)*time.Minute,
				&history.Record{Ref: at, Kind: object.GetKind(), Verb: verb, Object: body})
		}
	}
	common := []string{
		"-n", namespace, "--recorder-url", r.url, "--kubeconfig", cluster.Kubeconfig, "--cache-dir", t.TempDir(),
	}
	restore := func(kind, revision, format string) {
		var out bytes.Buffer
		args := []string{"history", kind + "/" + objects[kind].Name, "--revision", revision, "-o", format}
		code, stderr := run(t.Context(), r, &out, append(args, common...)...)
		if code != 0 || stderr != "" {
			t.Fatalf("%s: exit code %d, want 0; stderr %s", kind, code, stderr)
		}
		file := filepath.Join(t.TempDir(), "object."+format)
		if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		kubectl(t, cluster, "", "apply", "-f", file)
	}
	same := func(kind, after string) {
		got, want := live(kind), original[kind]
		for _, field := range []string{"spec", "data", "binaryData"} {
			got, want := fmt.Sprintf("%q", got.Object[field]), fmt.Sprintf("%q", want.Object[field])
			if kind == "service" { // a new Service gets a new address
				continue
			}
			if got != want {
				t.Errorf("%s %s: %s: got\n%s\nwant\n%s", after, kind, field, got, want)
			}
		}
		if got.GetAnnotations()["note"] != want.GetAnnotations()["note"] {
			t.Errorf("%s %s: annotations: got %q, want %q", after, kind, got.GetAnnotations(), want.GetAnnotations())
		}
	}
	for kind := range objects {
		restore(kind, "1", "yaml")
		same(kind, "applied over a newer version,")
		restore(kind, "2..3", "yaml")
		restore(kind, "1", "json")
		same(kind, "applied as JSON,")
		kubectl(t, cluster, "", "delete", kind, objects[kind].Name, "-n", namespace)
		restore(kind, "1", "yaml")
		same(kind, "applied after the deletion,")
	}
}

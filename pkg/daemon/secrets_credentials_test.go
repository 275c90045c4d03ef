package daemon_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

// anyDefinition is a CRD that accepts any object.
const anyDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: %[1]s.%[3]s
  annotations: {api-approved.kubernetes.io: unapproved}
spec:
  group: %[3]s
  scope: Namespaced
  names: {plural: %[1]s, singular: %[4]s, kind: %[2]s}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
`

// credentialManifests are objects of well-known kinds with credentials in the
// clear. Values that are not credentials contain "shown".
const credentialManifests = `
apiVersion: route.openshift.io/v1
kind: Route
metadata: {name: r, namespace: clear}
spec: {host: shown, tls: {termination: edge, key: VALUE}}
---
apiVersion: build.openshift.io/v1
kind: BuildConfig
metadata: {name: b, namespace: clear}
spec: {runPolicy: shown, triggers: [{type: GitHub, github: {secret: VALUE}}, {type: Generic, generic: {secret: VALUE}}, {gitlab: {secret: VALUE}}, {bitbucket: {secret: VALUE}}]}
---
apiVersion: bootstrap.cluster.x-k8s.io/v1
kind: KubeadmConfig
metadata: {name: k, namespace: clear}
spec:
  format: shown
  initConfiguration: {bootstrapTokens: [{token: VALUE}], certificateKey: VALUE}
  joinConfiguration: {discovery: {bootstrapToken: {token: VALUE}}, controlPlane: {certificateKey: VALUE}}
  users: [{name: u, passwd: VALUE}]
---
apiVersion: bootstrap.cluster.x-k8s.io/v1
kind: KubeadmConfigTemplate
metadata: {name: t, namespace: clear}
spec:
  template:
    spec:
      format: shown
      initConfiguration: {bootstrapTokens: [{token: VALUE}], certificateKey: VALUE}
      joinConfiguration: {discovery: {bootstrapToken: {token: VALUE}}, controlPlane: {certificateKey: VALUE}}
      users: [{passwd: VALUE}]
`

// TestCredentials_AreRedactedByDefault records kinds of OpenShift and Cluster
// API that hold credentials outside of Secrets. Only the credentials are
// redacted.
func TestCredentials_AreRedactedByDefault(t *testing.T) {
	definitions := ""
	for _, d := range [][2]string{
		{"routes", "Route/route.openshift.io"},
		{"buildconfigs", "BuildConfig/build.openshift.io"},
		{"kubeadmconfigs", "KubeadmConfig/bootstrap.cluster.x-k8s.io"},
		{"kubeadmconfigtemplates", "KubeadmConfigTemplate/bootstrap.cluster.x-k8s.io"},
	} {
		kind, group, _ := strings.Cut(d[1], "/")
		definitions += fmt.Sprintf(anyDefinition, d[0], kind, group, strings.ToLower(kind))
		t.Cleanup(func() {
			out, err := cluster.Kubectl(context.WithoutCancel(t.Context()), "delete", "crd", d[0]+"."+group)
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	apply(t, definitions)
	kubectl(t, "wait", "--for=condition=Established", "crd", "--all")
	kubectl(t, "create", "namespace", "clear")
	r := start(t, t.TempDir(), cluster.Config(), nil)
	// Adds a copy of the object as an annotation.
	apply(t, strings.ReplaceAll(credentialManifests, "VALUE", hiddenValue))
	const path = v1.EventsPath +
		"?namespace=clear&resourceType=routes,buildconfigs,kubeadmconfigs,kubeadmconfigtemplates"
	var body string
	r.eventually(t, "four creations are recorded", func() (bool, string) {
		_, body = r.get(t, path)
		return strings.Count(body, `"verb":"create"`) == 4, body
	})
	if got, want := strings.Count(body, "shown"), 4; got < want {
		t.Errorf("got %d values that are not credentials, want %d:\n%s", got, want, body)
	}
	refuseValues(t, "the API", []byte(body))
	r.stop(t)
	refuseValues(t, "the database", recordertest.FilesIn(t, r.dir))
	refuseValues(t, "the log", r.log.Bytes())
}

// TestDefaultRedactions_AreTestedAndDocumented fails if
// [TestCredentials_AreRedactedByDefault] has no value at a path, or if
// docs/secrets.md does not list it.
func TestDefaultRedactions_AreTestedAndDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/secrets.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range daemon.DefaultRedactions() {
		_, rest, _ := strings.Cut(string(page), "\n| `"+rule.Resource.String()+"` |")
		row, _, _ := strings.Cut(rest, "\n")
		object := credentialObject(t, rule.Resource)
		for _, path := range rule.Paths {
			values := 0
			selector := rawjson.Selector{Path: rawjson.MustParsePath(path)}
			err := rawjson.Find(object, []rawjson.Selector{selector}, func(scan *rawjson.Scanner, _ int) {
				if scan.Text() == "VALUE" {
					values++
				}
			})
			if values == 0 || err != nil {
				t.Errorf("credentialManifests: got no VALUE at %s of %s, error %v, want one", path, rule.Resource, err)
			}
			if !strings.Contains(row, "`"+path+"`") {
				t.Errorf("docs/secrets.md: got row %q of %s, want one with `%s`", row, rule.Resource, path)
			}
		}
	}
}

// credentialObject returns the JSON of the object in credentialManifests that
// belongs to a resource, or "null".
func credentialObject(t *testing.T, resource schema.GroupResource) []byte {
	t.Helper()
	for manifest := range strings.SplitSeq(credentialManifests, "---\n") {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(manifest), &object); err != nil {
			t.Fatal(err)
		}
		group, _, _ := strings.Cut(fmt.Sprint(object["apiVersion"]), "/")
		if plural := strings.ToLower(fmt.Sprint(object["kind"])) + "s"; group != resource.Group ||
			plural != resource.Resource {
			continue
		}
		data, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	return []byte("null")
}

package cli_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// writeRelated records a Deployment of the namespace shop with everything
// around it, an hour ago. Half an hour ago its ConfigMap was deleted and the
// Service's selector broken.
func (r *recording) writeRelated() {
	r.t.Helper()
	for _, resource := range []history.Resource{
		{Version: "v1", Plural: "services", Singular: "service", Kind: "Service", Namespaced: true},
		{
			Group: "autoscaling", Version: "v2", Plural: "horizontalpodautoscalers",
			Kind: "HorizontalPodAutoscaler", ShortNames: []string{"hpa"}, Namespaced: true,
		},
		{
			Group: "rbac.authorization.k8s.io", Version: "v1", Plural: "rolebindings", Kind: "RoleBinding",
			Namespaced: true,
		},
	} {
		if err := r.log.Register(r.t.Context(), resource); err != nil {
			r.t.Fatal(err)
		}
	}
	put := func(ago time.Duration, verb history.Verb, o history.ObjectRef, kind, owner, rest string) {
		rec := &history.Record{Ref: o, Kind: kind, Verb: verb}
		references := "[]"
		if owner != "" {
			version, name, _ := strings.Cut(owner, " ")
			ownerKind, name, _ := strings.Cut(name, " ")
			references = fmt.Sprintf(`[{"apiVersion":%q,"kind":%q,"name":%q,"uid":"uid-%s"}]`,
				version, ownerKind, name, name)
			rec.Owners = []types.UID{types.UID("uid-" + name)}
		}
		rec.Object = fmt.Appendf(nil, `{"metadata":{"name":%q,"labels":{"app":"web"},"ownerReferences":%s}%s}`,
			o.Name, references, rest)
		r.write(ago, rec)
	}
	const spec = `"spec":{"serviceAccountName":"web","containers":[{"name":"app","envFrom":[` +
		`{"configMapRef":{"name":"web-config"}},{"secretRef":{"name":"db"}}]}],"volumes":[` +
		`{"name":"c","configMap":{"name":"web-config"}},{"name":"o","configMap":{"name":"extra","optional":true}}]`
	create, shop := history.Create, "shop"
	at := time.Hour
	put(at, create, ref("", "configmaps", shop, "web-config", "uid-c"), "ConfigMap", "", `,"data":{}`)
	put(at, create, ref("", "nodes", "", "node-1", "uid-n"), "Node", "", ``)
	put(at, create, ref("toys.example", "wolves", shop, "grey", "uid-grey"), "Wolf", "", ``)
	put(at, create, ref("apps", "deployments", shop, "web", "uid-web"), "Deployment", "toys.example/v1 Wolf grey",
		`,"spec":{"template":{`+spec+`}}}`)
	put(at, create, ref("apps", "replicasets", shop, "web-1", "uid-web-1"), "ReplicaSet", "apps/v1 Deployment web",
		`,"spec":{"template":{`+spec+`}}}`)
	for _, pod := range []string{"web-1-a", "web-1-b"} {
		put(at, create, ref("", "pods", shop, pod, "uid-"+pod), "Pod", "apps/v1 ReplicaSet web-1",
			`,`+spec+`,"nodeName":"node-1"}`)
	}
	service := ref("", "services", shop, "web", "uid-s")
	put(at, create, service, "Service", "", `,"spec":{"selector":{"app":"web"}}`)
	put(at, create, ref("autoscaling", "horizontalpodautoscalers", shop, "web", "uid-h"), "HorizontalPodAutoscaler", "",
		`,"spec":{"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"web"}}`)
	put(at, create, ref("rbac.authorization.k8s.io", "rolebindings", "other", "web", "uid-b"), "RoleBinding", "",
		`,"subjects":[{"kind":"ServiceAccount","name":"web","namespace":"shop"}]`)
	at = 30 * time.Minute
	put(at, history.Delete, ref("", "configmaps", shop, "web-config", "uid-c"), "ConfigMap", "", `,"data":{}`)
	put(at, history.Update, service, "Service", "", `,"spec":{"selector":{"app":"wep"}}`)
}

func TestTree_ShowsRelationsOfTheTime(t *testing.T) {
	r := newRecording(t)
	r.writeRelated()
	for args, want := range map[string]string{
		"tree deploy/web --at 45m": `
wolf.toys.example/grey#1
└── deployment.apps/web#1
    ├── replicaset.apps/web-1#1
    │   ├── pod/web-1-a#1
    │   └── pod/web-1-b#1
    ├── uses
    │   ├── configmap/extra  MISSING  volume (optional)
    │   ├── configmap/web-config#1  envFrom, volume
    │   ├── secrets/db  (not known)  envFrom
    │   └── serviceaccounts/web  (not known)  serviceAccount
    └── used by
        ├── horizontalpodautoscaler.autoscaling/web#1  scaleTarget
        └── service/web#1  selector of 2 owned objects
`,
		"tree deploy web": `
wolf.toys.example/grey#1
└── deployment.apps/web#1
    ├── replicaset.apps/web-1#1
    │   ├── pod/web-1-a#1
    │   └── pod/web-1-b#1
    ├── uses
    │   ├── configmap/extra  MISSING  volume (optional)
    │   ├── configmap/web-config  MISSING  envFrom, volume
    │   ├── secrets/db  (not known)  envFrom
    │   └── serviceaccounts/web  (not known)  serviceAccount
    └── used by
        └── horizontalpodautoscaler.autoscaling/web#1  scaleTarget
`,
		"tree cm/web-config": `
configmap/web-config  MISSING
└── used by
    └── deployment.apps/web#1  envFrom, volume, and 3 objects that it owns
`,
		"tree cm/web-config -o wide --at 45m": `
configmap/web-config#1
└── used by
    └── deployment.apps/web#1  envFrom, volume: ` +
			`spec.template.spec.containers[name=app].envFrom[0].configMapRef.name, ` +
			`spec.template.spec.volumes[name=c].configMap.name, and 3 objects that it owns
`,
		"tree service/web": `
service/web#2
└── uses
    └── pods  SELECTS NONE  selector
`,
		"tree service/web --at 45m": `
service/web#1
└── uses
    ├── pod/web-1-a#1  selector
    └── pod/web-1-b#1  selector
`,
		"tree no/node-1": `
node/node-1#1
└── used by
    ├── pod/web-1-a#1 in shop  node
    └── pod/web-1-b#1 in shop  node
`,
		"tree hpa web --depth 2": `
horizontalpodautoscaler.autoscaling/web#1
└── uses
    └── deployment.apps/web#1  scaleTarget
        ├── configmap/extra  MISSING  volume (optional)
        ├── configmap/web-config  MISSING  envFrom, volume
        ├── secrets/db  (not known)  envFrom
        └── serviceaccounts/web  (not known)  serviceAccount
`,
		"tree deploy/web -o name --at 45m": `
wolf.toys.example/grey
replicaset.apps/web-1
pod/web-1-a
pod/web-1-b
configmap/web-config
service/web
horizontalpodautoscaler.autoscaling/web
`,
	} {
		code, stdout, stderr := r.run(t, strings.Fields(args)...)
		if stdout != want[1:] || code != 0 {
			t.Errorf("%s: got exit code %d\n%swant\n%s%s", args, code, stdout, want[1:], stderr)
		}
	}
}

func TestTree_WritesDocuments(t *testing.T) {
	r := newRecording(t)
	r.writeRelated()
	_, stdout, _ := r.run(t, "tree", "cm/web-config", "-o", "json")
	var graph v1.RelationGraph
	if err := json.Unmarshal([]byte(stdout), &graph); err != nil {
		t.Fatal(err)
	}
	if len(graph.Objects) != 5 || graph.Objects[0].State != "missing" {
		t.Errorf("got %+v, want the missing ConfigMap and four others", graph.Objects)
	}
	_, stdout, _ = r.run(t, "tree", "cm/web-config", "-o", "jsonpath={.objects[0].state} {.relations[0].rule}")
	if stdout != "missing envFrom" {
		t.Errorf("got %q, want the state and the rule", stdout)
	}
	if _, stdout, _ = r.run(t, "tree", "cm/web-config", "-o", "yaml"); !strings.Contains(stdout, "state: missing\n") {
		t.Errorf("got %s, want YAML", stdout)
	}
}

// Names come from objects, so they may contain anything.
func TestTree_EscapesNames(t *testing.T) {
	r := newRecording(t)
	r.write(time.Hour, &history.Record{
		Ref: ref("", "pods", "shop", "web", "uid-web"), Kind: "Pod", Verb: history.Create,
		Object: []byte(`{"spec":{"nodeName":"a\u009bb","priorityClassName":"<script>"},"metadata":{"ownerReferences":` +
			`[{"apiVersion":"x.y/v1","kind":"Ki\u202end","name":"x","uid":"u"}]}}`),
	})
	_, stdout, _ := r.run(t, "tree", "pod/web", "-o", "wide")
	for _, unsafe := range []string{"\u009b", "\u202e", "\x1b"} {
		if strings.Contains(stdout, unsafe) {
			t.Errorf("got %q, want nothing unsafe", stdout)
		}
	}
}

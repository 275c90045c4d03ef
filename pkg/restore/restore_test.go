package restore_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/watchhistory/watchhistory/pkg/restore"
)

// resources are those of the kinds in the tests. A Zoo is cluster-scoped.
var resources = map[string]string{
	"Namespace": "namespaces", "ConfigMap": "configmaps", "Secret": "secrets", "Service": "services", "Pod": "pods",
	"ServiceAccount": "serviceaccounts", "PersistentVolume": "persistentvolumes", "Endpoints": "endpoints",
	"PersistentVolumeClaim": "persistentvolumeclaims", "Deployment": "deployments", "ReplicaSet": "replicasets",
	"Job": "jobs", "HorizontalPodAutoscaler": "horizontalpodautoscalers", "Zoo": "zoos", "Lease": "leases",
	"CustomResourceDefinition": "customresourcedefinitions", "Wolf": "wolves",
}

func resourceOf(apiVersion, kind string) (schema.GroupVersionResource, bool, bool) {
	version, err := schema.ParseGroupVersion(apiVersion)
	return version.WithResource(resources[kind]), kind != "Zoo", err == nil && resources[kind] != ""
}

// object returns an object of a JSON document.
func object(t *testing.T, document string) *restore.Object {
	t.Helper()
	o := &restore.Object{}
	if err := utiljson.Unmarshal([]byte(document), &o.Body); err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	version, _ := o.Body["apiVersion"].(string)
	o.Kind, _ = o.Body["kind"].(string)
	o.GVR, _, _ = resourceOf(version, o.Kind)
	metadata, _ := o.Body["metadata"].(map[string]any)
	o.Name, _ = metadata["name"].(string)
	o.Namespace, _ = metadata["namespace"].(string)
	return o
}

// state returns objects by their keys.
func state(t *testing.T, documents ...string) restore.State {
	t.Helper()
	all := restore.State{}
	for _, document := range documents {
		o := object(t, document)
		all[o.Key()] = o
	}
	return all
}

// plan returns the steps for objects by their names.
func plan(t *testing.T, live, now restore.State, objects ...*restore.Object) map[string]*restore.Step {
	t.Helper()
	p, err := restore.New(t.Context(), live, objects, restore.Options{Now: now, ResourceOf: resourceOf})
	if err != nil {
		t.Fatal(err)
	}
	steps := map[string]*restore.Step{}
	for _, s := range p.Steps {
		steps[s.Name] = s
	}
	return steps
}

const hash = `hmac-sha256:0123456789abcdef0123456789abcdef`

func TestNew_DecidesAboutObjectsThatAreGone(t *testing.T) {
	live := state(t, `{"apiVersion":"zoo.example/v1","kind":"Zoo","metadata":{"name":"z","uid":"z"}}`)
	meta := func(name, rest string) string {
		return `"metadata":{"name":"` + name + `","namespace":"n"` + rest + `}`
	}
	owner := func(version, kind, name, uid string) string {
		return `,"uid":"u","ownerReferences":[{"apiVersion":"` + version + `","kind":"` + kind + `","name":"` + name +
			`","uid":"` + uid + `","controller":true}]`
	}
	var objects []*restore.Object
	want := map[string]string{}
	for _, c := range []struct{ document, want string }{
		{`{"apiVersion":"v1","kind":"ConfigMap",` + meta("plain", `,"uid":"p"`) + `}`, "create"},
		{`{"apiVersion":"v1","kind":"ConfigMap",` + meta("kube-root-ca.crt", "") + `}`, "made by controllers"},
		{`{"apiVersion":"v1","kind":"ServiceAccount",` + meta("default", `,"uid":"s"`) + `}`, "made by controllers"},
		{`{"apiVersion":"v1","kind":"Endpoints",` + meta("web", "") + `}`, "made by controllers"},
		{`{"apiVersion":"v1","kind":"Endpoints",` + meta("by-hand", "") + `}`, "create"},
		{`{"apiVersion":"coordination.k8s.io/v1","kind":"Lease",` + meta("lock", "") + `}`, "made by controllers"},
		{
			`{"apiVersion":"apps/v1","kind":"ReplicaSet",` +
				meta("of-restored", owner("v1", "ConfigMap", "plain", "p")) + `}`,
			"made by controllers",
		},
		{
			`{"apiVersion":"v1","kind":"ConfigMap",` +
				meta("of-living", owner("zoo.example/v1", "Zoo", "z", "z")) + `}`,
			"made by controllers",
		},
		{
			`{"apiVersion":"v1","kind":"ConfigMap",` +
				meta("of-gone", owner("zoo.example/v1", "Zoo", "z", "other")) + `}`,
			"create: without its owner zoo/z, which does not exist any more",
		},
		{
			`{"apiVersion":"v1","kind":"ConfigMap",` + meta("of-unknown", owner("b/v1", "Unknown", "z", "x")) + `}`,
			"create: without its owner unknown/z, which does not exist any more",
		},
		{
			`{"apiVersion":"v1","kind":"Pod",` + meta("ended", "") + `,"status":{"phase":"Succeeded"}}`,
			"had finished, and would run again",
		},
		{`{"apiVersion":"v1","kind":"Pod",` + meta("bare", "") + `,"status":{"phase":"Running"}}`, "create"},
		{
			`{"apiVersion":"batch/v1","kind":"Job",` + meta("done", "") +
				`,"status":{"conditions":[{"type":"Complete","status":"True"}]}}`,
			"had finished, and would run again",
		},
		{`{"apiVersion":"batch/v1","kind":"Job",` + meta("running", "") + `}`, "create"},
		{
			`{"apiVersion":"v1","kind":"Secret",` + meta("hashed", "") + `,"data":{"password":"` + hash + `"}}`,
			"refuse data.password",
		},
		{
			`{"apiVersion":"v1","kind":"Secret",` +
				meta("token", `,"annotations":{"kubernetes.io/service-account.name":"x"}`) +
				`,"type":"kubernetes.io/service-account-token","data":{"token":"` + hash + `"}}`,
			"create: with a new token",
		},
		{
			`{"apiVersion":"v1","kind":"ConfigMap",` + meta("note", `,"annotations":{"a":"`+hash+`"}`) + `}`,
			"create: without the annotation a, of which only a hash is recorded",
		},
	} {
		o := object(t, c.document)
		objects, want[o.Name] = append(objects, o), c.want
	}
	objects = append(objects, object(t, `{"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"n",
		"uid":"w"},"spec":{"selector":{"a":"b"}}}`))
	p, err := restore.New(t.Context(), live, objects, restore.Options{ResourceOf: resourceOf})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Steps {
		if s.Kind != "Service" && describe(s) != want[s.Name] {
			t.Errorf("%s: got %q, want %q", s.Name, describe(s), want[s.Name])
		}
	}
}

// describe returns the action of a step in a few words.
func describe(s *restore.Step) string {
	action := map[restore.Action]string{
		restore.None: "none", restore.Create: "create", restore.Update: "update", restore.Skip: s.Reason,
		restore.Refuse: "refuse " + strings.Join(s.Hashed, " "), restore.Release: "release",
	}[s.Action]
	if len(s.Notes) > 0 {
		action += ": " + strings.Join(s.Notes, "; ")
	}
	return action
}

func TestNew_RestoresNamedObjectsThatControllersMake(t *testing.T) {
	const done = `{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"done","namespace":"n","ownerReferences":[
		{"apiVersion":"zoo.example/v1","kind":"Zoo","name":"z","uid":"z","controller":true},
		{"apiVersion":"zoo.example/v1","kind":"Zoo","name":"y","uid":"y"}]},
		"status":{"conditions":[{"type":"Failed","status":"True"}]}}`
	o := object(t, done)
	o.Named = true
	live := state(t, `{"apiVersion":"zoo.example/v1","kind":"Zoo","metadata":{"name":"z","uid":"z"}}`)
	s := plan(t, live, nil, o)["done"]
	const want = "create: it had finished, and runs again; without its owner zoo/y, which does not exist any more"
	if got := describe(s); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	metadata, _ := s.Manifest["metadata"].(map[string]any)
	if owners, _ := metadata["ownerReferences"].([]any); len(owners) != 1 {
		t.Errorf("got owners %v, want the one that exists", metadata["ownerReferences"])
	}
}

func TestNew_OrdersWhatOthersNeed(t *testing.T) {
	var objects []*restore.Object
	for _, kind := range []string{
		"zoo.example/v1 Wolf", "autoscaling/v2 HorizontalPodAutoscaler", "apps/v1 Deployment", "v1 Service",
		"v1 PersistentVolumeClaim", "v1 ConfigMap", "v1 Secret", "v1 ServiceAccount",
		"apiextensions.k8s.io/v1 CustomResourceDefinition", "v1 Namespace",
	} {
		version, kind, _ := strings.Cut(kind, " ")
		objects = append(objects, object(t, `{"apiVersion":"`+version+`","kind":"`+kind+`","metadata":{"name":"x"}}`))
	}
	p, err := restore.New(t.Context(), restore.State{}, objects, restore.Options{ResourceOf: resourceOf})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range p.Steps {
		got = append(got, s.Kind)
	}
	want := []string{
		"Namespace", "CustomResourceDefinition", "ServiceAccount", "Secret", "ConfigMap", "PersistentVolumeClaim",
		"Service", "Deployment", "HorizontalPodAutoscaler", "Wolf",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestNew_KeepsWhatServersSet sets objects back: what was added since is
// removed, and what belongs to the life of the object stays.
func TestNew_KeepsWhatServersSet(t *testing.T) {
	for name, c := range map[string]struct{ before, live, want string }{
		"metadata": {
			`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","uid":"u","resourceVersion":"1",
				"labels":{"a":"1"}},"data":{"a":"1","gone":"x"}}`,
			`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","uid":"u","resourceVersion":"7",
				"labels":{"a":"1","b":"2"},"finalizers":["example.com/hold"],"managedFields":[{}],
				"annotations":{"added":"x","kubectl.kubernetes.io/last-applied-configuration":"{}"}},"data":{"a":"2","new":"y"}}`,
			`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","uid":"u","resourceVersion":"7",
				"labels":{"a":"1"},"finalizers":["example.com/hold"],
				"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}"}},"data":{"a":"1","gone":"x"}}`,
		},
		"hashed annotation": {
			`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","uid":"u","annotations":{"n":"` + hash + `"}},
				"data":{"a":"1"}}`,
			`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","uid":"u","annotations":{"n":"v"}},
				"data":{"a":"2"}}`,
			`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","uid":"u","annotations":{"n":"v"}},
				"data":{"a":"1"}}`,
		},
		"service": {
			`{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","uid":"u"},"spec":{"type":"NodePort",
				"clusterIP":"10.0.0.1","clusterIPs":["10.0.0.1"],"selector":{"a":"1"},
				"ports":[{"port":80,"protocol":"TCP","nodePort":30001}]}}`,
			`{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","uid":"u"},"spec":{"type":"NodePort",
				"clusterIP":"10.0.0.2","clusterIPs":["10.0.0.2"],"selector":{"a":"2"},
				"ports":[{"port":80,"protocol":"TCP","nodePort":30002}]},"status":{"loadBalancer":{}}}`,
			`{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","uid":"u"},"spec":{"type":"NodePort",
				"clusterIP":"10.0.0.2","clusterIPs":["10.0.0.2"],"selector":{"a":"1"},
				"ports":[{"port":80,"protocol":"TCP","nodePort":30002}]},"status":{"loadBalancer":{}}}`,
		},
		"service of another type": {
			`{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","uid":"u"},"spec":{"type":"ClusterIP",
				"ports":[{"port":80}]}}`,
			`{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","uid":"u"},"spec":{"type":"LoadBalancer",
				"clusterIP":"10.0.0.2","externalTrafficPolicy":"Local","healthCheckNodePort":30009,
				"ports":[{"port":80,"nodePort":30002}]}}`,
			`{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","uid":"u"},"spec":{"type":"ClusterIP",
				"clusterIP":"10.0.0.2","ports":[{"port":80}]}}`,
		},
		"job": {
			`{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"a","uid":"u"},"spec":{"parallelism":1,
				"selector":{"matchLabels":{"controller-uid":"old"}},"template":{"metadata":{"labels":{"controller-uid":"old"}}}}}`,
			`{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"a","uid":"u"},"spec":{"parallelism":2,
				"selector":{"matchLabels":{"controller-uid":"new"}},"template":{"metadata":{"labels":{"controller-uid":"new"}}}}}`,
			`{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"a","uid":"u"},"spec":{"parallelism":1,
				"selector":{"matchLabels":{"controller-uid":"new"}},"template":{"metadata":{"labels":{"controller-uid":"new"}}}}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := plan(t, state(t, c.live), nil, object(t, c.before))["a"]
			if want := object(t, c.want).Body; s.Action != restore.Update || !cmp.Equal(s.Manifest, want) {
				t.Errorf("got %s, %v and the difference\n%s", describe(s), s.Err, cmp.Diff(want, s.Manifest))
			}
		})
	}
}

func TestNew_ComparesObjectsThatExist(t *testing.T) {
	const web = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"n","uid":"u"},
		"spec":{"replicas":2,"template":{"metadata":{"labels":{"a":"b"}}}},"status":{"readyReplicas":2}}`
	const scaler = `{"apiVersion":"autoscaling/v2","kind":"HorizontalPodAutoscaler",
		"metadata":{"name":"h","namespace":"n"},
		"spec":{"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"web"}}}`
	secret := func(uid, digits string) string {
		return `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"web","namespace":"n","uid":"` + uid + `"},
			"data":{"password":"hmac-sha256:` + strings.Repeat(digits, 32) + `"}}`
	}
	replace := strings.NewReplacer
	for name, c := range map[string]struct {
		before    string
		live, now []string
		want      string
	}{
		"status": {web, []string{replace(`"readyReplicas":2`, `"readyReplicas":0`).Replace(web)}, nil, "none"},
		"restart": {web, []string{replace(`"labels":{"a":"b"}`,
			`"labels":{"a":"b"},"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}`).Replace(web)}, nil, "none"},
		"scaled":        {web, []string{replace(`"replicas":2`, `"replicas":5`).Replace(web)}, nil, "update"},
		"scaled by HPA": {web, []string{replace(`"replicas":2`, `"replicas":5`).Replace(web), scaler}, nil, "none"},
		"changed and scaled by HPA": {
			web,
			[]string{replace(`"replicas":2`, `"replicas":5`, `"a":"b"`, `"a":"c"`).Replace(web), scaler},
			nil,
			"update: its replicas stay 5: a HorizontalPodAutoscaler sets them",
		},
		"recreated": {
			web,
			[]string{replace(`"uid":"u"`, `"uid":"v","creationTimestamp":"2026-01-01T00:00:00Z"`,
				`"a":"b"`, `"a":"c"`).Replace(web)},
			nil,
			"update: it was deleted and created again since, at 2026-01-01T00:00:00Z",
		},
		"GitOps": {
			web, []string{replace(`"uid":"u"`, `"uid":"u","labels":{"kustomize.toolkit.fluxcd.io/name":"x"}`).
				Replace(web)}, nil, "update: Flux manages it, and may change it again",
		},
		"same hashes": {
			secret("u", "1"), []string{secret("u", "9")}, []string{secret("u", "1")}, "none",
		},
		"other hashes": {
			secret("u", "1"), []string{secret("u", "9")}, []string{secret("u", "2")}, "refuse data.password",
		},
		"hashes of another life": {
			secret("u", "1"),
			[]string{secret("v", "9")},
			[]string{secret("v", "1")},
			"created again; only hashes were recorded, so its values can't be compared",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := plan(t, state(t, c.live...), state(t, c.now...), object(t, c.before))["web"]
			if got := describe(s); s.Err != nil || got != c.want {
				t.Errorf("got %q and error %v, want %q", got, s.Err, c.want)
			}
		})
	}
	deleting := replace(`"uid":"u"`, `"uid":"u","deletionTimestamp":"2026-01-01T00:00:00Z"`).Replace(web)
	if s := plan(t, state(t, deleting), nil, object(t, web))["web"]; !errors.Is(s.Err, restore.ErrBeingDeleted) {
		t.Errorf("being deleted: got %q and error %v, want %v", describe(s), s.Err, restore.ErrBeingDeleted)
	}
}

func TestNew_BindsClaims(t *testing.T) {
	const claim = `{"apiVersion":"v1","kind":"PersistentVolumeClaim",
		"metadata":{"name":"data","namespace":"n","uid":"u",
		"annotations":{"pv.kubernetes.io/bound-by-controller":"yes"}},"spec":{"volumeName":"pv-1"}}`
	volume := func(policy, claim string) string {
		return `{"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"pv-1"},
			"spec":{"persistentVolumeReclaimPolicy":"` + policy + `"` + claim + `}}`
	}
	waiting := func(phase string) string {
		return `{"apiVersion":"v1","kind":"PersistentVolumeClaim",
			"metadata":{"name":"data","namespace":"n","uid":"new"},
			"spec":{"volumeName":"pv-1"},"status":{"phase":"` + phase + `"}}`
	}
	const ours = `,"claimRef":{"namespace":"n","name":"data","uid":"u"}`
	for name, c := range map[string]struct {
		live         []string
		volume, want string
		release      string
	}{
		"gone": {nil, "", "create: with a new volume: its volume pv-1 does not exist any more", ""},
		"released": {
			[]string{volume("Retain", ours)},
			"pv-1",
			"create: bound to its volume pv-1 once that is released", "release",
		},
		"available": {[]string{volume("Retain", "")}, "pv-1", "create", ""},
		"reserved": {
			[]string{volume("Retain", `,"claimRef":{"namespace":"n","name":"data"}`)}, "pv-1", "create", "",
		},
		"of another claim": {
			[]string{volume("Retain", `,"claimRef":{"namespace":"n","name":"other","uid":"u"}`)},
			"",
			"create: with a new volume: its volume pv-1 is in use or being deleted", "",
		},
		"of another namespace": {
			[]string{volume("Retain", `,"claimRef":{"namespace":"m","name":"data","uid":"u"}`)},
			"",
			"create: with a new volume: its volume pv-1 is in use or being deleted", "",
		},
		"of a later claim": {
			[]string{volume("Retain", `,"claimRef":{"namespace":"n","name":"data","uid":"v"}`)},
			"pv-1",
			"create: bound to its volume pv-1 once that is released", restore.ErrLaterClaim.Error(),
		},
		"that is deleted with its claim": {
			[]string{volume("Delete", ours)},
			"pv-1",
			"create: bound to its volume pv-1 once that is released", restore.ErrOtherPolicy.Error(),
		},
		"of a claim that waits": {[]string{volume("Retain", ours), waiting("Pending")}, "", "none", "release"},
		"of a claim with it":    {[]string{volume("Retain", ours), waiting("Bound")}, "", "none", ""},
	} {
		t.Run(name, func(t *testing.T) {
			steps := plan(t, state(t, c.live...), nil, object(t, claim))
			s, release, got := steps["data"], steps["pv-1"], ""
			if release != nil && release.Action == restore.Release {
				got = "release"
				if release.Err != nil {
					got = release.Err.Error()
				}
			}
			if got != c.release {
				t.Errorf("got the release %q, want %q", got, c.release)
			}
			spec, _ := s.Manifest["spec"].(map[string]any)
			got, _ = spec["volumeName"].(string)
			if describe(s) != c.want || s.Action == restore.Create && got != c.volume {
				t.Errorf("got %q and volume %q, want %q and %q", describe(s), got, c.want, c.volume)
			}
		})
	}
}

// TestNew_KeepsVolumesThatCannotBeRead checks that a claim does not get an
// empty volume if its own may exist.
func TestNew_KeepsVolumesThatCannotBeRead(t *testing.T) {
	forbidden := errors.New("forbidden")
	p, err := restore.New(t.Context(), unreadable{"persistentvolumes", forbidden}, []*restore.Object{object(t, `
		{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"data","namespace":"n","uid":"u",
		"annotations":{"pv.kubernetes.io/bound-by-controller":"yes"}},"spec":{"volumeName":"pv-1"}}`)},
		restore.Options{ResourceOf: resourceOf})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Steps) != 2 || p.Steps[0].Action != restore.Release || !errors.Is(p.Steps[0].Err, forbidden) {
		t.Fatalf("got %d steps, want a release with the error %v first", len(p.Steps), forbidden)
	}
	spec, _ := p.Steps[1].Manifest["spec"].(map[string]any)
	if spec["volumeName"] != "pv-1" {
		t.Errorf("got volume %v, want pv-1", spec["volumeName"])
	}
}

// unreadable is a cluster without objects, in which a resource can't be read.
type unreadable struct {
	resource string
	err      error
}

func (u unreadable) Get(_ context.Context, o *restore.Object) (map[string]any, error) {
	if o.GVR.Resource == u.resource {
		return nil, u.err
	}
	return nil, nil
}

func (unreadable) List(context.Context, schema.GroupVersionResource, string) ([]map[string]any, error) {
	return nil, nil
}

// TestStep_ChangesHideSecrets checks that no value of a Secret is shown.
func TestStep_ChangesHideSecrets(t *testing.T) {
	const before = `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a","uid":"u"}}`
	const live = `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a","uid":"u"},
		"data":{"password":"aHVudGVyMg=="}}`
	s := plan(t, state(t, live), nil, object(t, before))["a"]
	old, new := s.Changes()
	want := map[string]any{"password": "***"}
	if !cmp.Equal(old["data"], any(want)) || new["data"] != nil {
		t.Errorf("got %v and %v, want %v and nothing", old["data"], new["data"], want)
	}
}

func TestNew_EndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	objects := []*restore.Object{object(t, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}`)}
	if _, err := restore.New(ctx, restore.State{}, objects, restore.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
}

package query_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// relatedResources are the resources of a [relatedWorld].
func relatedResources() []history.Resource {
	resource := func(group, plural, kind string, namespaced bool) history.Resource {
		return history.Resource{Group: group, Version: "v1", Plural: plural, Kind: kind, Namespaced: namespaced}
	}
	return []history.Resource{
		resource("", "pods", "Pod", true),
		resource("", "configmaps", "ConfigMap", true),
		resource("", "secrets", "Secret", true),
		resource("", "services", "Service", true),
		resource("", "serviceaccounts", "ServiceAccount", true),
		resource("", "persistentvolumeclaims", "PersistentVolumeClaim", true),
		resource("", "persistentvolumes", "PersistentVolume", false),
		resource("", "nodes", "Node", false),
		resource("", "namespaces", "Namespace", false),
		resource("", "resourcequotas", "ResourceQuota", true),
		resource("apps", "deployments", "Deployment", true),
		resource("apps", "replicasets", "ReplicaSet", true),
		resource("autoscaling", "horizontalpodautoscalers", "HorizontalPodAutoscaler", true),
		resource("policy", "poddisruptionbudgets", "PodDisruptionBudget", true),
		resource("networking.k8s.io", "ingresses", "Ingress", true),
		resource("rbac.authorization.k8s.io", "rolebindings", "RoleBinding", true),
		resource("rbac.authorization.k8s.io", "clusterroles", "ClusterRole", false),
		resource("admissionregistration.k8s.io", "validatingwebhookconfigurations",
			"ValidatingWebhookConfiguration", false),
		resource("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition", false),
		resource("example.com", "widgets", "Widget", true),
		resource("other.example.org", "tools", "Tool", true),
	}
}

// relatedWorld is a log with objects that are related to each other.
type relatedWorld struct {
	*log

	only   func(history.ObjectRef) bool // the objects that are recorded; nil: all
	class  history.Class                // of the versions that are put
	number int
}

func newRelatedWorld(t *testing.T, without ...string) *relatedWorld {
	t.Helper()
	w := &relatedWorld{log: newEmptyLog(t)}
	for _, r := range relatedResources() {
		if slices.Contains(without, r.Plural) {
			continue
		}
		if err := w.Register(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// put records the next version of "plural namespace/name". The rest of the
// object follows its metadata, and owner is the text of another object, or "".
// It returns the time of the version.
func (w *relatedWorld) put(verb history.Verb, object, owner, rest string) time.Time {
	w.t.Helper()
	o, kind := w.ref(object)
	w.number++
	r := &history.Record{Ref: o, Version: "v1", Kind: kind, Verb: verb, RV: fmt.Sprint(w.number), Class: w.class}
	references := "[]"
	if owner != "" {
		by, kind := w.ref(owner)
		group := by.Group + "/v1"
		if by.Group == "" {
			group = "v1"
		}
		references = fmt.Sprintf(`[{"apiVersion":%q,"kind":%q,"name":%q,"uid":%q,"controller":true}]`,
			group, kind, by.Name, by.UID)
		r.Owners = []types.UID{by.UID}
	}
	labels, rest, labelled := strings.Cut(rest, "|")
	if !labelled {
		labels, rest = "{}", labels
	}
	r.Object = fmt.Appendf(nil, `{"metadata":{"name":%q,"namespace":%q,"uid":%q,"labels":%s,"ownerReferences":%s}%s}`,
		o.Name, o.Namespace, o.UID, labels, references, rest)
	if w.only == nil || w.only(o) {
		w.log.put(r)
	} else {
		w.now = w.now.Add(time.Second)
	}
	return w.now
}

// ref returns the object of a text such as "pods shop/web", and its kind.
func (w *relatedWorld) ref(object string) (history.ObjectRef, string) {
	plural, name, _ := strings.Cut(object, " ")
	namespace, name, namespaced := strings.Cut(name, "/")
	if !namespaced {
		namespace, name = "", namespace
	}
	for _, r := range relatedResources() {
		if r.Plural == plural {
			uid := types.UID("uid-of-" + strings.NewReplacer(" ", "-", "/", "-").Replace(object))
			o := history.ObjectRef{Group: r.Group, Resource: plural, Namespace: namespace, Name: name, UID: uid}
			return o, r.Kind
		}
	}
	w.t.Fatalf("unknown resource %q", plural)
	return history.ObjectRef{}, ""
}

// fill records a Deployment with everything around it. It returns a time at
// which all of it exists.
func (w *relatedWorld) fill() time.Time {
	const spec = `{"serviceAccountName":"web","containers":[{"name":"app",` +
		`"envFrom":[{"configMapRef":{"name":"web-config"}}],` +
		`"env":[{"name":"PW","valueFrom":{"secretKeyRef":{"name":"db","key":"pw","optional":true}}}]}],` +
		`"volumes":[{"name":"data","persistentVolumeClaim":{"claimName":"data"}}],"nodeName":"node-1"}`
	app := `{"app":"web"}|`
	w.put(history.Create, "namespaces shop", "", `{"team":"a"}|`)
	w.put(history.Create, "namespaces vault", "", "")
	w.put(history.Create, "nodes node-1", "", "")
	w.put(history.Create, "configmaps shop/web-config", "", `,"data":{}`)
	w.put(history.Create, "configmaps vault/web-config", "", `,"data":{}`)
	w.put(history.Create, "serviceaccounts shop/web", "", "")
	w.put(history.Create, "persistentvolumes pv-1", "", `,"spec":{"claimRef":{"namespace":"shop","name":"data"}}`)
	w.put(history.Create, "persistentvolumeclaims shop/data", "",
		`,"spec":{"volumeName":"pv-1","storageClassName":"fast"}`)
	w.put(history.Create, "widgets shop/app", "", "")
	w.put(history.Create, "deployments shop/web", "widgets shop/app", `,"spec":{"template":{"spec":`+spec+`}}`)
	w.put(history.Create, "replicasets shop/web-1", "deployments shop/web", `,"spec":{"template":{"spec":`+spec+`}}`)
	w.put(history.Create, "pods shop/web-1-a", "replicasets shop/web-1", app+`,"spec":`+spec)
	w.put(history.Create, "pods shop/web-1-b", "replicasets shop/web-1", app+`,"spec":`+spec)
	w.put(history.Create, "pods vault/web-1-b", "", app+`,"spec":`+spec)
	w.put(history.Create, "services shop/web", "", `,"spec":{"selector":{"app":"web"}}`)
	w.put(history.Create, "services shop/typo", "", `,"spec":{"selector":{"app":"wep"}}`)
	w.put(history.Create, "poddisruptionbudgets shop/web", "", `,"spec":{"selector":{}}`)
	w.put(history.Create, "horizontalpodautoscalers shop/web", "",
		`,"spec":{"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"web"}}`)
	w.put(history.Create, "ingresses shop/web", "", `,"spec":{"tls":[{"secretName":"cert"}],`+
		`"defaultBackend":{"service":{"name":"web"}}}`)
	w.put(history.Create, "clusterroles view", "", "")
	w.put(history.Create, "rolebindings vault/web", "", `,"roleRef":{"kind":"ClusterRole","name":"view"},`+
		`"subjects":[{"kind":"ServiceAccount","name":"web","namespace":"shop"}]`)
	w.put(history.Create, "customresourcedefinitions widgets.example.com", "",
		`,"spec":{"group":"example.com","names":{"plural":"widgets"}}`)
	return w.put(history.Create, "validatingwebhookconfigurations check", "", `,"webhooks":[{"name":"a",`+
		`"clientConfig":{"service":{"name":"web","namespace":"shop"}},`+
		`"namespaceSelector":{"matchLabels":{"team":"a"}},`+
		`"rules":[{"apiGroups":["apps"],"resources":["deployments"]}]}]`)
}

// ask returns the relations of "plural namespace/name" at a time.
func (w *relatedWorld) ask(s *query.Service, object string, at time.Time, depth int) (query.RelationGraph, error) {
	o, _ := w.ref(object)
	return s.Relations(w.t.Context(), query.Relations{
		Namespace: o.Scope(), Type: o.GroupResource().String(), Name: o.Name, At: at, Depth: depth,
	})
}

// relatedText returns an object of a graph as text, with its state unless it
// existed.
func relatedText(o query.RelatedObject) string {
	text := o.Ref.Resource
	if text == "" {
		text = o.Kind
	}
	text += " "
	if o.Ref.Namespace != "" {
		text += o.Ref.Namespace + "/"
	}
	if text += o.Ref.Name; o.State != query.Existed {
		text += " (" + string(o.State) + ")"
	}
	return text
}

// relationTexts returns the relations of a graph as "from -rule-> to".
func relationTexts(g query.RelationGraph) (all []string) {
	for _, r := range g.Relations {
		mark := ""
		if r.Optional {
			mark = "?"
		}
		text := relatedText(g.Objects[r.From]) + " -" + r.Rule + mark + "-> " + relatedText(g.Objects[r.To])
		all = append(all, strings.TrimSpace(text))
	}
	slices.Sort(all)
	return all
}

// checkRelations compares the relations of an object with those in lines.
func (w *relatedWorld) checkRelations(s *query.Service, object string, at time.Time, depth int, lines string) {
	w.t.Helper()
	g, err := w.ask(s, object, at, depth)
	if err != nil {
		w.t.Errorf("%s: %v", object, err)
		return
	}
	var want []string
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line != "" {
			want = append(want, line)
		}
	}
	slices.Sort(want)
	if got := relationTexts(g); !slices.Equal(got, want) {
		w.t.Errorf("%s: got\n%s\nwant\n%s", object, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !g.Exact {
		w.t.Errorf("%s: got an answer that is not exact, want an exact one", object)
	}
}

func TestRelations_LeadBothWays(t *testing.T) {
	w := newRelatedWorld(t)
	at := w.fill()
	s := w.service(query.Options{})
	w.checkRelations(s, "configmaps shop/web-config", at, 1, `
		replicasets shop/web-1 -owner-> deployments shop/web
		pods shop/web-1-a -owner-> replicasets shop/web-1
		pods shop/web-1-b -owner-> replicasets shop/web-1
		deployments shop/web -envFrom-> configmaps shop/web-config
		replicasets shop/web-1 -envFrom-> configmaps shop/web-config
		pods shop/web-1-a -envFrom-> configmaps shop/web-config
		pods shop/web-1-b -envFrom-> configmaps shop/web-config
	`)
	w.checkRelations(s, "deployments shop/web", at, 1, `
		deployments shop/web -owner-> widgets shop/app
		replicasets shop/web-1 -owner-> deployments shop/web
		pods shop/web-1-a -owner-> replicasets shop/web-1
		pods shop/web-1-b -owner-> replicasets shop/web-1
		deployments shop/web -envFrom-> configmaps shop/web-config
		deployments shop/web -env?-> secrets shop/db (missing)
		deployments shop/web -serviceAccount-> serviceaccounts shop/web
		deployments shop/web -claim-> persistentvolumeclaims shop/data
		deployments shop/web -node-> nodes node-1
		horizontalpodautoscalers shop/web -scaleTarget-> deployments shop/web
		validatingwebhookconfigurations check -admission-> deployments shop/web
		services shop/web -selector-> pods shop/web-1-a
		services shop/web -selector-> pods shop/web-1-b
		poddisruptionbudgets shop/web -disruption-> pods shop/web-1-a
		poddisruptionbudgets shop/web -disruption-> pods shop/web-1-b
	`)
	w.checkRelations(s, "services shop/web", at, 1, `
		services shop/web -selector-> pods shop/web-1-a
		services shop/web -selector-> pods shop/web-1-b
		ingresses shop/web -backend-> services shop/web
		validatingwebhookconfigurations check -webhook-> services shop/web
	`)
	w.checkRelations(s, "services shop/typo", at, 1, `services shop/typo -selector-> pods shop/ (missing)`)
	w.checkRelations(s, "persistentvolumeclaims shop/data", at, 1, `
		replicasets shop/web-1 -owner-> deployments shop/web
		pods shop/web-1-a -owner-> replicasets shop/web-1
		pods shop/web-1-b -owner-> replicasets shop/web-1
		persistentvolumeclaims shop/data -volumeName-> persistentvolumes pv-1
		persistentvolumes pv-1 -claimRef-> persistentvolumeclaims shop/data
		persistentvolumeclaims shop/data -storageClass-> storageclasses fast (unrecorded)
		deployments shop/web -claim-> persistentvolumeclaims shop/data
		replicasets shop/web-1 -claim-> persistentvolumeclaims shop/data
		pods shop/web-1-a -claim-> persistentvolumeclaims shop/data
		pods shop/web-1-b -claim-> persistentvolumeclaims shop/data
	`)
	w.checkRelations(s, "serviceaccounts shop/web", at, 1, `
		replicasets shop/web-1 -owner-> deployments shop/web
		pods shop/web-1-a -owner-> replicasets shop/web-1
		pods shop/web-1-b -owner-> replicasets shop/web-1
		rolebindings vault/web -subject-> serviceaccounts shop/web
		deployments shop/web -serviceAccount-> serviceaccounts shop/web
		replicasets shop/web-1 -serviceAccount-> serviceaccounts shop/web
		pods shop/web-1-a -serviceAccount-> serviceaccounts shop/web
		pods shop/web-1-b -serviceAccount-> serviceaccounts shop/web
	`)
	w.checkRelations(s, "widgets shop/app", at, 1, `
		customresourcedefinitions widgets.example.com -definition-> widgets shop/app
		deployments shop/web -owner-> widgets shop/app
		replicasets shop/web-1 -owner-> deployments shop/web
		pods shop/web-1-a -owner-> replicasets shop/web-1
		pods shop/web-1-b -owner-> replicasets shop/web-1
		horizontalpodautoscalers shop/web -scaleTarget-> deployments shop/web
		validatingwebhookconfigurations check -admission-> deployments shop/web
		services shop/web -selector-> pods shop/web-1-a
		services shop/web -selector-> pods shop/web-1-b
		poddisruptionbudgets shop/web -disruption-> pods shop/web-1-a
		poddisruptionbudgets shop/web -disruption-> pods shop/web-1-b
	`)
	w.checkRelations(s, "validatingwebhookconfigurations check", at, 1, `
		validatingwebhookconfigurations check -admission-> deployments
		validatingwebhookconfigurations check -webhook-> services shop/web
	`)
	w.checkRelations(s, "customresourcedefinitions widgets.example.com", at, 1, `
		customresourcedefinitions widgets.example.com -definition-> widgets shop/app
	`)
	w.checkRelations(s, "clusterroles view", at, 1, `rolebindings vault/web -roleRef-> clusterroles view`)
	w.checkRelations(s, "nodes node-1", at, 1, `
		replicasets shop/web-1 -owner-> deployments shop/web
		pods shop/web-1-a -owner-> replicasets shop/web-1
		pods shop/web-1-b -owner-> replicasets shop/web-1
		deployments shop/web -node-> nodes node-1
		replicasets shop/web-1 -node-> nodes node-1
		pods shop/web-1-a -node-> nodes node-1
		pods shop/web-1-b -node-> nodes node-1
		pods vault/web-1-b -node-> nodes node-1
	`)
}

// refer records custom resources that refer to others by the conventions. It
// returns the time of the last one.
func (w *relatedWorld) refer() time.Time {
	const spec = `,"spec":{"secretName":"db","storageClassName":"fast","templateRef":{"name":"base"},` +
		`"ownerRef":{"name":"x"},"config":{"configMapRef":{"name":"gone"}},` +
		`"toolRef":{"kind":"Tool","name":"saw"},"remote":{"kind":"Secret","name":"key","namespace":"vault"},` +
		`"unknown":{"apiVersion":"example.net/v1","kind":"Thing","name":"saw"},` +
		`"wrong":{"apiVersion":"example.com/v1","kind":"Tool","name":"saw"},` +
		`"next":{"kind":"Widget","name":"two"}}`
	w.put(history.Create, "secrets shop/db", "", "")
	w.put(history.Create, "secrets vault/key", "", "")
	w.put(history.Create, "tools shop/saw", "", "")
	w.put(history.Create, "widgets shop/two", "", "")
	return w.put(history.Create, "widgets shop/one", "", spec)
}

// TestRelations_FollowConventions checks references of custom resources. Those
// to kinds that are not recorded are not claimed.
func TestRelations_FollowConventions(t *testing.T) {
	w := newRelatedWorld(t)
	at := w.refer()
	s := w.service(query.Options{})
	w.checkRelations(s, "widgets shop/one", at, 1, `
		widgets shop/one -reference?-> secrets shop/db
		widgets shop/one -reference?-> configmaps shop/gone (missing)
		widgets shop/one -reference?-> tools shop/saw
		widgets shop/one -reference?-> secrets vault/key
		widgets shop/one -reference?-> widgets shop/two
	`)
	for _, object := range []string{"secrets shop/db", "tools shop/saw", "widgets shop/two"} {
		w.checkRelations(s, object, at, 1, `widgets shop/one -reference?-> `+object)
	}

	// The kind is ambiguous if several other groups have it.
	if err := w.Register(t.Context(), history.Resource{
		Group: "third.example.net", Version: "v1", Plural: "tools", Kind: "Tool", Namespaced: true,
	}); err != nil {
		t.Fatal(err)
	}
	w.checkRelations(s, "widgets shop/one", at, 1, `
		widgets shop/one -reference?-> secrets shop/db
		widgets shop/one -reference?-> configmaps shop/gone (missing)
		widgets shop/one -reference?-> secrets vault/key
		widgets shop/one -reference?-> widgets shop/two
	`)

	w = newRelatedWorld(t, "secrets", "tools")
	w.only = func(o history.ObjectRef) bool { return o.Resource != "secrets" && o.Resource != "tools" }
	at = w.refer()
	w.checkRelations(w.service(query.Options{}), "widgets shop/one", at, 1, `
		widgets shop/one -reference?-> configmaps shop/gone (missing)
		widgets shop/one -reference?-> widgets shop/two
	`)
}

func TestRelations_AreThoseOfTheTime(t *testing.T) {
	w := newRelatedWorld(t)
	before := w.fill()
	w.put(history.Delete, "configmaps shop/web-config", "", "")
	deleted := w.put(history.Delete, "pods shop/web-1-a", "replicasets shop/web-1", `{"app":"web"}|`)
	moved := w.put(history.Update, "pods shop/web-1-b", "replicasets shop/web-1", `{"app":"other"}|`)
	s := w.service(query.Options{})
	w.checkRelations(s, "services shop/web", before, 1, `
		services shop/web -selector-> pods shop/web-1-a
		services shop/web -selector-> pods shop/web-1-b
		ingresses shop/web -backend-> services shop/web
		validatingwebhookconfigurations check -webhook-> services shop/web
	`)
	w.checkRelations(s, "services shop/web", deleted, 1, `
		services shop/web -selector-> pods shop/web-1-b
		ingresses shop/web -backend-> services shop/web
		validatingwebhookconfigurations check -webhook-> services shop/web
	`)
	w.checkRelations(s, "services shop/web", moved, 1, `
		services shop/web -selector-> pods shop/ (missing)
		ingresses shop/web -backend-> services shop/web
		validatingwebhookconfigurations check -webhook-> services shop/web
	`)
	// What does not exist may have users.
	w.checkRelations(s, "configmaps shop/web-config", moved, 1, `
		replicasets shop/web-1 -owner-> deployments shop/web
		deployments shop/web -envFrom-> configmaps shop/web-config (missing)
		replicasets shop/web-1 -envFrom-> configmaps shop/web-config (missing)
	`)
	// A deleted object had relations.
	g, err := w.ask(s, "pods shop/web-1-a", before, 1)
	if err != nil || g.Objects[0].State != query.Existed || g.Objects[0].Version.Revision != 1 {
		t.Errorf("got %+v, error %v, want the pod with revision 1", g.Objects, err)
	}
}

func TestRelations_DeeperIncludesOthersRelations(t *testing.T) {
	w := newRelatedWorld(t)
	at := w.fill()
	s := w.service(query.Options{})
	w.checkRelations(s, "ingresses shop/web", at, 1, `
		ingresses shop/web -backend-> services shop/web
		ingresses shop/web -tls-> secrets shop/cert (missing)
	`)
	w.checkRelations(s, "ingresses shop/web", at, 2, `
		ingresses shop/web -backend-> services shop/web
		ingresses shop/web -tls-> secrets shop/cert (missing)
		services shop/web -selector-> pods shop/web-1-a
		services shop/web -selector-> pods shop/web-1-b
		validatingwebhookconfigurations check -webhook-> services shop/web
	`)
	deep, err := w.ask(s, "ingresses shop/web", at, 3)
	if err != nil {
		t.Fatal(err)
	}
	texts := relationTexts(deep)
	for _, want := range []string{
		"pods shop/web-1-a -envFrom-> configmaps shop/web-config",
		"pods shop/web-1-a -owner-> replicasets shop/web-1",
		"poddisruptionbudgets shop/web -disruption-> pods shop/web-1-b",
	} {
		if !slices.Contains(texts, want) {
			t.Errorf("got %v, want %s among them", texts, want)
		}
	}
}

func TestRelations_OfWhatIsNotKnown(t *testing.T) {
	w := newRelatedWorld(t, "secrets")
	start := w.now
	at := w.fill()
	s := w.service(query.Options{})
	g, err := w.ask(s, "deployments shop/web", at, 1)
	if err != nil {
		t.Fatal(err)
	}
	if texts := relationTexts(g); !slices.Contains(texts, "deployments shop/web -env?-> secrets shop/db (unrecorded)") {
		t.Errorf("got %v, want a Secret of which nothing is known", texts)
	}
	for _, object := range []string{"configmaps shop/none", "nodes node-9"} {
		if _, err := w.ask(s, object, at, 1); history.CodeOf(err) != history.NotFound {
			t.Errorf("%s: got error %v, want code %s", object, err, history.NotFound)
		}
	}
	_, err = w.ask(s, "secrets shop/db", at, 1)
	if _, unknown := errors.AsType[*query.UnknownTypeError](err); !unknown {
		t.Errorf("got error %v, want one of an unknown type", err)
	}
	// Discovery knows the type, so its users are found.
	served := func() []history.Resource { return relatedResources() }
	w.checkRelations(w.service(query.Options{Served: served}), "secrets shop/db", at, 1, `
		replicasets shop/web-1 -owner-> deployments shop/web
		pods shop/web-1-a -owner-> replicasets shop/web-1
		pods shop/web-1-b -owner-> replicasets shop/web-1
		deployments shop/web -env?-> secrets shop/db (unrecorded)
		replicasets shop/web-1 -env?-> secrets shop/db (unrecorded)
		pods shop/web-1-a -env?-> secrets shop/db (unrecorded)
		pods shop/web-1-b -env?-> secrets shop/db (unrecorded)
	`)
	for name, wrong := range map[string]time.Time{
		"future": w.now.Add(1000 * time.Hour), "past": start.Add(-1000 * time.Hour),
	} {
		_, err := w.ask(s, "deployments shop/web", wrong, 1)
		if _, is := errors.AsType[*query.TimeError](err); !is && history.CodeOf(err) != history.NotFound {
			t.Errorf("%s: got error %v, want one of the time", name, err)
		}
	}
}

func TestRelations_GapMakesAbsenceUncertain(t *testing.T) {
	w := newRelatedWorld(t)
	at := w.fill()
	if err := w.Append(t.Context(), &history.Batch{Gaps: []history.Gap{{
		Resource: "secrets", Start: at.Add(-time.Minute), End: at.Add(time.Minute), Reason: history.GapDisconnected,
	}}}); err != nil {
		t.Fatal(err)
	}
	g, err := w.ask(w.service(query.Options{}), "deployments shop/web", at, 1)
	if err != nil {
		t.Fatal(err)
	}
	if texts := relationTexts(g); !slices.Contains(texts, "deployments shop/web -env?-> secrets shop/db (unrecorded)") {
		t.Errorf("got %v, want a Secret of which nothing is known", texts)
	}
	if len(g.Gaps) != 1 {
		t.Errorf("got gaps %v, want that of Secrets", g.Gaps)
	}
}

func TestRelations_IgnoredIsNotMissing(t *testing.T) {
	w := newRelatedWorld(t)
	at := w.fill()
	for _, rule := range []history.IgnoreRule{
		{Resource: schema.GroupResource{Resource: "secrets"}},
		{Resource: schema.GroupResource{Resource: "secrets"}, Namespaces: []string{"shop"}},
		{Namespaces: []string{"shop"}},
	} {
		s := w.service(query.Options{IgnoreRules: func() []history.IgnoreRule { return []history.IgnoreRule{rule} }})
		g, err := w.ask(s, "deployments shop/web", at, 1)
		if err != nil {
			t.Fatal(err)
		}
		texts := relationTexts(g)
		if !slices.Contains(texts, "deployments shop/web -env?-> secrets shop/db (unrecorded)") {
			t.Errorf("%+v: got %v, want a Secret of which nothing is known", rule, texts)
		}
	}
}

func TestRelations_EffortIsBounded(t *testing.T) {
	w := newRelatedWorld(t)
	at := w.fill()
	whole, err := w.ask(w.service(query.Options{}), "deployments shop/web", at, 3)
	if err != nil {
		t.Fatal(err)
	}
	all, exact := relationTexts(whole), false
	for effort := 1; !exact && effort < 10_000; effort++ {
		g, err := w.ask(w.service(query.Options{Effort: effort}), "deployments shop/web", at, 3)
		if err != nil && history.CodeOf(err) != history.NotFound {
			t.Fatal(err)
		}
		exact = err == nil && g.Exact
		if n := len(g.Relations); exact && n != len(all) || n > len(all) {
			t.Errorf("effort %d: got %d relations, exact %t, want %d", effort, n, exact, len(all))
		}
		if g.Final && !g.Exact {
			t.Errorf("effort %d: got a final answer that is not exact", effort)
		}
	}
	if !exact {
		t.Error("got no exact answer with any effort")
	}
}

func TestRelations_WholeResourceAndEmptySelectionDiffer(t *testing.T) {
	w := newRelatedWorld(t)
	w.put(history.Create, "pods shop/web", "", `{"app":"web"}|`)
	w.put(history.Create, "services shop/web", "", `,"spec":{"selector":{"app":"web"}}`)
	w.put(history.Create, "services shop/typo", "", `,"spec":{"selector":{"app":"wep"}}`)
	w.put(history.Create, "resourcequotas shop/all", "", "")
	w.put(history.Create, "ingresses shop/web", "", `,"spec":{"defaultBackend":{"service":{"name":"web"}},`+
		`"rules":[{"http":{"paths":[{"backend":{"service":{"name":"typo"}}}]}}]}`)
	w.checkRelations(w.service(query.Options{}), "ingresses shop/web", w.now, 5, `
		ingresses shop/web -backend-> services shop/web
		ingresses shop/web -backend-> services shop/typo
		services shop/web -selector-> pods shop/web
		services shop/typo -selector-> pods shop/ (missing)
		resourcequotas shop/all -quota-> pods shop/web
		resourcequotas shop/all -quota-> pods shop/
		resourcequotas shop/all -quota-> persistentvolumeclaims shop/
	`)
}

// The right to get an object applies if another one names it.
func TestRelations_NamedObjectIsOneObject(t *testing.T) {
	w := newRelatedWorld(t)
	at := w.fill()
	caller := newRights("get persistentvolumeclaims shop/data", "list persistentvolumes /")
	caller.namespaces = map[string]time.Time{"shop": {}}
	w.checkRelations(w.service(query.Options{}).As(caller), "persistentvolumeclaims shop/data", at, 3, `
		persistentvolumeclaims shop/data -volumeName-> persistentvolumes pv-1
		persistentvolumeclaims shop/data -storageClass-> storageclasses fast (unrecorded)
		persistentvolumes pv-1 -claimRef-> persistentvolumeclaims shop/data
	`)
}

func TestRelations_OwnersAreFollowedByUID(t *testing.T) {
	w := newRelatedWorld(t)
	w.put(history.Create, "deployments shop/web", "", "")
	w.put(history.Create, "replicasets shop/web-1", "deployments shop/web", "")
	w.put(history.Delete, "deployments shop/web", "", "")
	other, kind := w.ref("deployments shop/web")
	other.UID = "another"
	w.log.put(&history.Record{
		Ref: other, Version: "v1", Kind: kind, Verb: history.Create, RV: "9", Object: []byte(`{}`),
	})
	s := w.service(query.Options{})
	w.checkRelations(s, "replicasets shop/web-1", w.now, 1,
		`replicasets shop/web-1 -owner-> deployments shop/web (missing)`)
	w.checkRelations(s, "deployments shop/web", w.now, 1, ``)
}

func TestRelations_CircularOwnershipEnds(t *testing.T) {
	w := newRelatedWorld(t)
	w.put(history.Create, "widgets shop/a", "widgets shop/b", "")
	w.put(history.Create, "widgets shop/b", "widgets shop/a", "")
	w.checkRelations(w.service(query.Options{}), "widgets shop/a", w.now, 2, `
		widgets shop/a -owner-> widgets shop/b
		widgets shop/b -owner-> widgets shop/a
	`)
}

// objects returns all objects of the world's scenario.
func (w *relatedWorld) allObjects(at time.Time) (all []string) {
	w.t.Helper()
	for r, err := range w.State(w.t.Context(), history.StateScan{At: at}) {
		if err != nil {
			w.t.Fatal(err)
		}
		text := r.Ref.Resource + " "
		if r.Ref.Namespace != "" {
			text += r.Ref.Namespace + "/"
		}
		all = append(all, text+r.Ref.Name)
	}
	return all
}

// What an object leads to, and what leads to it, are found in different ways.
func TestRelations_BothWaysAgree(t *testing.T) {
	w := newRelatedWorld(t)
	w.fill()
	before := w.refer()
	w.put(history.Delete, "configmaps shop/web-config", "", "")
	w.put(history.Update, "pods shop/web-1-b", "replicasets shop/web-1", `{"app":"wep"}|,"spec":{"nodeName":"node-2"}`)
	w.put(history.Delete, "pods shop/web-1-a", "replicasets shop/web-1", `{"app":"web"}|`)
	s := w.service(query.Options{})
	for _, at := range []time.Time{before, w.now} {
		var out, in []string
		for _, object := range w.allObjects(at) {
			g, err := w.ask(s, object, at, 1)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range g.Relations {
				to := g.Objects[r.To]
				one := query.RelationGraph{Objects: g.Objects, Relations: g.Relations[i : i+1]}
				text := relationTexts(one)[0] + " " + r.Path
				switch {
				case to.Ref.Name == "" || to.State != query.Existed || r.Rule == "admission":
				case r.Rule == "reference" && to.Ref.Namespace == "vault": // not searched for from there
				case r.From == 0:
					out = append(out, text)
				case r.To == 0:
					in = append(in, text)
				}
			}
		}
		slices.Sort(out)
		slices.Sort(in)
		if len(out) < 20 || !slices.Equal(out, in) {
			t.Errorf("at %s: got\n%s\nfrom the objects, and\n%s\nto them, want the same", at,
				strings.Join(out, "\n"), strings.Join(in, "\n"))
		}
	}
}

// A restricted caller gets the answers of a log without what they may not read.
func TestRelations_HideWhatCallerMayNotRead(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 1))
	full := newRelatedWorld(t)
	full.fill()
	at := full.refer()
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		var allowed []string
		granted := map[schema.GroupResource]map[string]bool{}
		for _, r := range relatedResources() {
			granted[r.GroupResource()] = map[string]bool{}
			for _, namespace := range []string{"", "shop", "vault"} {
				if r.Namespaced == (namespace != "") && rng.IntN(3) > 0 {
					allowed = append(allowed, fmt.Sprintf("list %s %s/", r.GroupResource(), namespace))
					granted[r.GroupResource()][namespace] = true
				}
			}
		}
		var hidden []string
		for _, r := range relatedResources() {
			if len(granted[r.GroupResource()]) == 0 {
				hidden = append(hidden, r.Plural)
			}
		}
		caller := newRights(allowed...)
		caller.namespaces = map[string]time.Time{"shop": {}, "vault": {}}
		part := newRelatedWorld(t, hidden...)
		part.now = full.now.Add(-time.Duration(full.number) * time.Second)
		part.only = func(o history.ObjectRef) bool { return granted[o.GroupResource()][o.Namespace] }
		part.fill()
		if got := part.refer(); !got.Equal(at) {
			t.Fatalf("got time %s, want %s", got, at)
		}
		options := query.Options{Now: func() time.Time { return at.Add(time.Second) }}
		if round%2 == 0 { // discovery has types that the caller may not read
			options.Served = func() []history.Resource { return relatedResources() }
		}
		for _, object := range full.allObjects(at) {
			for depth := 1; depth <= 3; depth++ {
				want, wantErr := part.ask(part.service(options).As(caller), object, at, depth)
				got, err := full.ask(full.service(options).As(caller), object, at, depth)
				if fmt.Sprint(err) != fmt.Sprint(wantErr) {
					t.Fatalf("%v: %s: got error %v, want %v", allowed, object, err, wantErr)
				}
				for _, g := range []*query.RelationGraph{&want, &got} {
					g.Coverage = query.Coverage{} // has the times of the two logs
					for i := range g.Objects {
						if v := g.Objects[i].Version; v != nil {
							g.Objects[i].Version = &history.Record{Ref: v.Ref, Revision: v.Revision, Time: v.Time}
						}
					}
				}
				a, b := fmt.Sprintf("%+v", versions(got)), fmt.Sprintf("%+v", versions(want))
				if a != b {
					t.Fatalf("%v: %s, depth %d: got\n%s\nwant as without what is hidden\n%s",
						allowed, object, depth, a, b)
				}
			}
		}
	}
}

// versions returns a graph whose versions are texts.
func versions(g query.RelationGraph) []string {
	all := []string{fmt.Sprint(g.At, g.Relations, g.Exact, g.Final, g.Gaps, g.Ignored, g.Restricted)}
	for _, o := range g.Objects {
		text := fmt.Sprint(o.Ref, o.Ref.UID, o.Kind, o.State)
		if o.Version != nil {
			text += fmt.Sprint(" ", o.Version.Revision, o.Version.Time)
		}
		all = append(all, text)
	}
	return all
}

package daemon_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// world is a recorded cluster whose objects have recognizable names, and the
// questions about it. Everything in it is older than its end.
type world struct {
	recorder    *running
	admin       *caller
	namespaces  map[string]time.Time // creations
	middle, end time.Time
	mentions    map[string][]string // names in the versions of an object, by its name
	created     map[string]time.Time
	plurals     map[schema.GroupKind]string
	namespaced  map[schema.GroupResource]bool
	uid         string // of a ConfigMap
}

// mark matches the names of objects of a world: mk-RESOURCE-NAMESPACE-NUMBER.
// The namespace of cluster-scoped objects is x.
var mark = regexp.MustCompile(`mk-[a-z]+-[a-z]+-[0-9a-z]+`)

// worldNamespaces are the namespaces of a world. The last one was deleted and
// created again.
var worldNamespaces = []string{"alpha", "beta", "gamma"}

// worldResources are the resources of named objects.
var worldResources = []schema.GroupResource{
	{Resource: "configmaps"},
	{Resource: "secrets"},
	{Resource: "pods"},
	{Resource: "events"},
	{Group: "apps", Resource: "deployments"},
	{Group: "apps", Resource: "replicasets"},
}

// newWorld records a world. Its database has closed gaps.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		namespaces: map[string]time.Time{}, mentions: map[string][]string{},
		created: map[string]time.Time{}, plurals: map[schema.GroupKind]string{},
		namespaced: map[schema.GroupResource]bool{},
	}
	dir := t.TempDir()
	addGaps(t, dir)
	for _, namespace := range worldNamespaces {
		kubectl(t, "create", "namespace", namespace)
	}
	apply(t, "apiVersion: v1\nkind: Node\nmetadata: {name: mk-nodes-x-1}\n")
	w.recorder = start(t, dir, cluster.Config(), func(c *daemon.Config) {
		c.SecurePort, c.MaxQueryRate, c.MaxQueryLimit = 0, 0, 10_000
	})
	for _, namespace := range worldNamespaces {
		createObjects(t, namespace, "1")
	}
	w.awaits(t, "mk-events-gamma-1b")
	recreate(t, "gamma")
	w.middle = time.Now()
	createObjects(t, "gamma", "2")
	for _, namespace := range worldNamespaces {
		number := map[string]string{"gamma": "2"}[namespace]
		if number == "" {
			number = "1"
		}
		kubectl(t, "label", "configmap,secret,deployment", "-n", namespace, "--all", "app=changed")
		kubectl(t, "delete", "configmap", "-n", namespace, "mk-configmaps-"+namespace+"-"+number+"b")
	}
	w.awaits(t, "mk-events-gamma-2b")
	w.recorder.observesAll(t)
	w.end = time.Now()
	w.recorder.eventually(t, "a later record", func() (bool, string) {
		kubectl(t, "label", "node", "mk-nodes-x-1", "--overwrite", fmt.Sprint("n=", time.Now().UnixNano()))
		status, _ := w.recorder.get(t, v1.EventsPath+"?start="+w.end.UTC().Format(time.RFC3339Nano))
		return status == 200, ""
	})
	client := kubernetes.NewForConfigOrDie(cluster.Config())
	list, err := client.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		w.namespaces[list.Items[i].Name] = list.Items[i].CreationTimestamp.Time
	}
	w.readMentions(t)
	var catalogue v1.ResourceList
	if _, body := w.recorder.get(t, v1.ResourcesPath); json.Unmarshal([]byte(body), &catalogue) != nil {
		t.Fatalf("got %s, want a catalogue", body)
	}
	for _, r := range catalogue.Resources {
		w.namespaced[schema.GroupResource{Group: r.Group, Resource: r.Plural}] = r.Namespaced
	}
	return w
}

// addGaps creates a database with closed gaps of some resources.
func addGaps(t *testing.T, dir string) {
	t.Helper()
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	var b history.Batch
	for _, resource := range []string{"configmaps", "secrets", "nodes"} {
		b.Gaps = append(b.Gaps, history.Gap{
			Resource: resource, Start: now.Add(-2 * time.Hour), End: now.Add(time.Hour), Reason: history.GapExpired,
		})
	}
	if err := s.Append(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// createObjects creates a workload with Events, ConfigMaps and Secrets.
func createObjects(t *testing.T, namespace, number string) {
	t.Helper()
	kubectl(t, "create", "serviceaccount", "default", "-n", namespace)
	fill := strings.NewReplacer("NS", namespace, "#", number)
	apply(t, fill.Replace(`
apiVersion: v1
kind: ConfigMap
metadata: {name: mk-configmaps-NS-#, namespace: NS}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: mk-configmaps-NS-#b, namespace: NS}
---
apiVersion: v1
kind: Secret
metadata: {name: mk-secrets-NS-#, namespace: NS}
stringData: {pin: "123456"}
---
apiVersion: v1
kind: Secret
metadata: {name: mk-secrets-NS-#b, namespace: NS}
stringData: {pin: "123456"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: mk-deployments-NS-#, namespace: NS}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: web}]}}
`))
	uid := func(of string) string {
		return kubectl(t, "get", "-n", namespace, of, "-o", "jsonpath={.metadata.uid}")
	}
	owner := uid("deployment/" + fill.Replace("mk-deployments-NS-#"))
	apply(t, fill.Replace(`
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: mk-replicasets-NS-#
  namespace: NS
  ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: mk-deployments-NS-#, uid: "`+owner+`"}]
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: web}]}}
`))
	owner = uid("replicaset/" + fill.Replace("mk-replicasets-NS-#"))
	apply(t, fill.Replace(`
apiVersion: v1
kind: Pod
metadata:
  name: mk-pods-NS-#
  namespace: NS
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: mk-replicasets-NS-#, uid: "`+owner+`"}]
spec: {containers: [{name: c, image: web}]}
`))
	pod := uid("pod/" + fill.Replace("mk-pods-NS-#"))
	apply(t, fill.Replace(`
apiVersion: v1
kind: Event
metadata: {name: mk-events-NS-#, namespace: NS}
involvedObject: {kind: Pod, namespace: NS, name: mk-pods-NS-#, uid: "`+pod+`"}
reason: BackOff
type: Warning
message: of a pod
---
apiVersion: v1
kind: Event
metadata: {name: mk-events-NS-#b, namespace: NS}
involvedObject: {kind: Deployment, apiVersion: apps/v1, namespace: NS, name: mk-deployments-NS-#}
reason: Scaled
type: Normal
message: of a deployment
`))
}

// recreate deletes a namespace, as the namespace controller would, and creates
// it again in another second.
func recreate(t *testing.T, namespace string) {
	t.Helper()
	kubectl(t, "delete", "-n", namespace, "--wait=true", "--grace-period=0", "--force", "--all",
		"configmap,secret,pod,replicaset,deployment,event,serviceaccount")
	kubectl(t, "delete", "namespace", namespace, "--wait=false")
	client := kubernetes.NewForConfigOrDie(cluster.Config()).CoreV1().Namespaces()
	n, err := client.Get(t.Context(), namespace, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n.Spec.Finalizers = nil
	if _, err := client.Finalize(t.Context(), n, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Unix()
	for deadline := time.Now().Add(patience); time.Now().Unix() == old; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("got the same second for a minute, want the next one")
		}
	}
	_, err = client.Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// awaits waits until an object is recorded.
func (w *world) awaits(t *testing.T, name string) {
	t.Helper()
	w.recorder.eventually(t, name+" is recorded", func() (bool, string) {
		status, body := w.recorder.get(t, v1.EventsPath+"?resourceName="+name)
		return status == 200, body
	})
}

// readMentions reads which objects name others, and when objects were created.
func (w *world) readMentions(t *testing.T) {
	t.Helper()
	for _, e := range w.recorder.events(t, "end="+w.end.UTC().Format(time.RFC3339Nano)) {
		var o metav1.PartialObjectMetadata
		if err := json.Unmarshal(e.ObjectChanges, &o); err != nil {
			t.Fatal(err)
		}
		w.created[e.UID] = o.CreationTimestamp.Time
		w.plurals[schema.GroupKind{Group: e.Group, Kind: e.Kind}] = e.ResourceType
		if !mark.MatchString(e.ResourceName) {
			continue
		}
		if e.ResourceType == "configmaps" {
			w.uid = e.UID
		}
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		w.mentions[e.ResourceName] = append(w.mentions[e.ResourceName], mark.FindAllString(string(text), -1)...)
	}
	if len(w.mentions) < 4*len(worldResources) {
		t.Fatalf("got %d named objects, want all of the world", len(w.mentions))
	}
}

// item is an object in an answer.
type item struct {
	schema.GroupResource

	namespace, name, uid string
	version              string // what distinguishes elements about the same object
	hashes               bool   // it has hashes of a Secret
}

// hash matches the hash of a value of a Secret.
var hash = regexp.MustCompile(`hmac-sha256:[0-9a-f]{32}`)

// items returns the elements of an answer.
func (w *world) items(t *testing.T, body string) (items []item) {
	t.Helper()
	var events []v1.Event
	var all struct {
		WatchEvents, RelatedEvents []v1.Event
		Items                      []json.RawMessage
		Differences                []v1.Difference
	}
	var err error
	if strings.HasPrefix(body, "[") {
		err = json.Unmarshal([]byte(body), &events)
	} else {
		err = json.Unmarshal([]byte(body), &all)
	}
	if err != nil {
		t.Fatalf("got %v in %.300s, want an answer", err, body)
	}
	for _, e := range slices.Concat(events, all.WatchEvents, all.RelatedEvents) {
		items = append(items, item{
			schema.GroupResource{Group: e.Group, Resource: e.ResourceType},
			e.Namespace, e.ResourceName, e.UID,
			e.ResourceVersion, hash.Match(e.ObjectChanges),
		})
	}
	for _, d := range all.Differences {
		changes, err := json.Marshal(d.Changes)
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, item{
			schema.GroupResource{Group: d.Group, Resource: d.ResourceType},
			d.Namespace, d.ResourceName, d.UID,
			fmt.Sprint(d.Change, d.Versions, d.FromRevision, d.ToRevision), hash.Match(changes),
		})
	}
	for _, raw := range all.Items {
		var o metav1.PartialObjectMetadata
		if err := json.Unmarshal(raw, &o); err != nil {
			t.Fatal(err)
		}
		kind := o.GroupVersionKind().GroupKind()
		if kind.Group == "v1" {
			kind.Group = ""
		}
		plural, known := w.plurals[kind]
		if !known {
			t.Errorf("got an object of the unknown kind %s, want those of the world", kind)
		}
		items = append(items, item{
			schema.GroupResource{Group: kind.Group, Resource: plural},
			o.Namespace, o.Name, string(o.UID),
			"", hash.Match(raw),
		})
	}
	return items
}

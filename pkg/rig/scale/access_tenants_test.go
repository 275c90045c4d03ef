package scale_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// tenants is a log of a cluster with many namespaces, which it generates
// without a recorder: the records have summaries, managers, owners and targets
// as a recorder sets them.
//
// The namespaces differ in their activity: the first has the most versions. The
// last tenth of them is quiet: it has no version after the first tenth of the
// log.
type tenants struct {
	store      *store.Store
	start      time.Time
	now        atomic.Int64 // the clock of the log, in nanoseconds since 1970
	namespaces int
	versions   int

	rng     *rand.Rand
	rv      int
	objects map[tenantPlace]*tenantObject
	kinds   []tenantKind
}

// tenantKind is a kind of objects, with its share of the versions.
type tenantKind struct {
	resource history.Resource
	share    int // of 100 versions
	objects  int // in each namespace, or in the cluster
	body     func(g *tenants, o *tenantObject) string
}

// tenantPlace is a place that one object after another has.
type tenantPlace struct{ kind, namespace, number int }

// tenantObject is the present object of a place.
type tenantObject struct {
	ref         history.ObjectRef
	incarnation int
	alive       bool
	created     time.Time
	revision    int
	body        []byte
	about       *tenantObject // the owner, or the target of an Event
}

// noNamespace is the number of the namespace of cluster-scoped objects.
const noNamespace = -1

// newTenants returns the kinds of a cluster, and an empty log.
func newTenants(namespaces, versions int) *tenants {
	resource := func(group, plural, kind string, namespaced bool) history.Resource {
		return history.Resource{Group: group, Version: "v1", Plural: plural, Kind: kind, Namespaced: namespaced}
	}
	g := &tenants{
		namespaces: namespaces, versions: versions, objects: map[tenantPlace]*tenantObject{},
		start: time.Now().UTC().Truncate(24 * time.Hour).Add(-(days - 1) * 24 * time.Hour),
		rng:   rand.New(rand.NewPCG(1, uint64(versions))), //nolint:gosec // repeatable
	}
	g.kinds = []tenantKind{
		{resource("", "pods", "Pod", true), 43, 16, podBody},
		{resource("", "events", "Event", true), 20, 24, eventBody},
		{resource("apps", "replicasets", "ReplicaSet", true), 8, 8, workloadBody},
		{resource("apps", "deployments", "Deployment", true), 8, 4, workloadBody},
		{resource("", "configmaps", "ConfigMap", true), 7, 6, configBody},
		{resource("", "secrets", "Secret", true), 4, 6, secretBody},
		{resource("", "nodes", "Node", false), 10, 100, nodeBody},
	}
	return g
}

// The numbers of kinds in tenants.kinds that other kinds refer to.
const (
	tenantPods        = 0
	tenantEvents      = 1
	tenantReplicaSets = 2
	tenantDeployments = 3
)

// namespace returns the name of a namespace.
func (g *tenants) namespace(n int) string { return fmt.Sprintf("team-%03d", n) }

// quiet is the number of the first quiet namespace.
func (g *tenants) quiet() int { return g.namespaces - g.namespaces/10 }

// recreated reports whether a namespace was created again in the middle of the
// log. Objects that were created before belong to its predecessor.
func (g *tenants) recreated(n int) bool { return n%10 == 3 }

// created returns the creation of a present namespace.
func (g *tenants) created(n int) time.Time {
	if g.recreated(n) {
		return g.start.Add(days * 12 * time.Hour).Truncate(time.Second)
	}
	return g.start.Add(-30 * 24 * time.Hour)
}

// fill records all versions, and returns the time that the log took for it.
func (g *tenants) fill(t *testing.T, dir string) (elapsed time.Duration) {
	t.Helper()
	g.now.Store(g.start.UnixNano())
	var err error
	g.store, err = store.Open(dir, store.Options{
		MaxBytes: maxStorage, NoSync: true, Now: func() time.Time { return time.Unix(0, g.now.Load()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.store.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, k := range g.kinds {
		if err := g.store.Register(t.Context(), k.resource); err != nil {
			t.Fatal(err)
		}
	}
	checkpoints := []history.Checkpoint{}
	for _, k := range g.kinds {
		checkpoints = append(checkpoints, history.Checkpoint{
			Group: k.resource.Group, Resource: k.resource.Plural, RV: "1",
		})
	}
	if err := g.store.Append(t.Context(), &history.Batch{Checkpoints: checkpoints}); err != nil {
		t.Fatal(err)
	}
	const size = 500
	for n := 0; n < g.versions; n += size {
		var b history.Batch
		for i := n; i < min(n+size, g.versions); i++ {
			b.Versions = append(b.Versions, g.next(i))
		}
		g.now.Store(g.at(n).UnixNano())
		began := time.Now()
		if err := g.store.Append(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		elapsed += time.Since(began)
	}
	g.now.Store(g.at(g.versions).Add(time.Second).UnixNano())
	return elapsed
}

// at returns the time of the nth version.
func (g *tenants) at(n int) time.Time {
	return g.start.Add(time.Duration(float64(days*24*time.Hour-2*time.Hour) * float64(n) / float64(g.versions)))
}

// next returns the nth version.
func (g *tenants) next(n int) history.NewVersion {
	kind, share := 0, g.rng.IntN(100)
	for share >= g.kinds[kind].share {
		share -= g.kinds[kind].share
		kind++
	}
	k, p := &g.kinds[kind], tenantPlace{kind: kind, namespace: noNamespace}
	if p.number = g.rng.IntN(k.objects); k.resource.Namespaced {
		active := g.namespaces
		if n > g.versions/10 {
			active = g.quiet()
		}
		// Half of the versions are in a fifth of the namespaces.
		if p.namespace = g.rng.IntN(active); g.rng.IntN(2) == 0 {
			p.namespace /= 5
		}
	}
	return g.version(p, g.at(n))
}

// version returns the next version of a place.
func (g *tenants) version(p tenantPlace, at time.Time) history.NewVersion {
	o, k := g.objects[p], &g.kinds[p.kind]
	if o == nil {
		o = &tenantObject{}
		g.objects[p] = o
	}
	verb := history.Update
	switch ends := p.kind == tenantEvents && o.revision > 2 || p.kind == tenantPods && o.revision > 25; {
	case !o.alive:
		verb = history.Create
		g.create(p, o, at)
	case ends, p.namespace >= 0 && g.recreated(p.namespace) && o.created.Before(g.created(p.namespace)) &&
		at.After(g.created(p.namespace)):
		verb, o.alive = history.Delete, false
	}
	before := o.body
	if verb == history.Create {
		before = nil
	}
	if o.revision++; verb != history.Delete {
		o.body = []byte(k.body(g, o))
	}
	g.rv++
	r := &history.Record{
		Ref: o.ref, Version: k.resource.Version, Kind: k.resource.Kind, Verb: verb, RV: fmt.Sprint(g.rv),
		Summary:  &history.Summary{Text: fmt.Sprintf("generation %d → %d", o.revision-1, o.revision)},
		Managers: []history.Manager{{Name: "kube-controller-manager", Operation: "Update", Fields: []string{"status"}}},
		Object:   o.body,
	}
	switch derived := p.kind == tenantPods || p.kind == tenantEvents || p.kind == tenantReplicaSets; {
	case derived && g.rv%50 == 0:
		r.Class, r.Summary.Problem = history.Onset, "NotReady"
	case derived, verb == history.Update && g.rv%60 != 0:
		r.Class = history.Consequence
	}
	if o.about != nil && p.kind == tenantEvents {
		pod := &o.about.ref
		r.Regarding = &history.Target{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}
	} else if o.about != nil {
		r.Owners = []types.UID{o.about.ref.UID}
	}
	return history.NewVersion{Record: r, Before: before}
}

// create makes the next object of a place. An Event regards a Pod of its
// namespace. Pods and ReplicaSets have owners.
func (g *tenants) create(p tenantPlace, o *tenantObject, at time.Time) {
	k := &g.kinds[p.kind]
	*o = tenantObject{incarnation: o.incarnation + 1, alive: true, created: at.Truncate(time.Second)}
	o.ref = history.ObjectRef{Group: k.resource.Group, Resource: k.resource.Plural}
	o.ref.UID = types.UID(fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", g.rng.Uint32(), p.kind, p.number, o.incarnation,
		g.rng.Uint64()>>16))
	if p.namespace >= 0 {
		o.ref.Namespace = g.namespace(p.namespace)
	}
	owner := tenantPlace{namespace: p.namespace}
	switch p.kind {
	case tenantPods:
		o.ref.Name = fmt.Sprintf("app-%d-%08x", p.number, g.rng.Uint32())
		owner.kind, owner.number = tenantReplicaSets, p.number/2
	case tenantEvents:
		o.ref.Name = fmt.Sprintf("app-%d.%016x", p.number, g.rng.Uint64())
		owner.kind, owner.number = tenantPods, p.number%g.kinds[tenantPods].objects
	case tenantReplicaSets:
		o.ref.Name = fmt.Sprintf("app-%d-%d", p.number/2, p.number%2)
		owner.kind, owner.number = tenantDeployments, p.number/2
	default:
		o.ref.Name = fmt.Sprintf("%s-%d", strings.ToLower(k.resource.Kind), p.number)
		if p.kind == tenantDeployments {
			o.ref.Name = fmt.Sprintf("app-%d", p.number)
		}
		return
	}
	if about := g.objects[owner]; about != nil && about.ref.UID != "" {
		known := *about
		o.about = &known
	}
}

// metadata returns the metadata of an object, and the beginning of its JSON.
func metadata(apiVersion, kind string, o *tenantObject) string {
	return fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":%q,"namespace":%q,"uid":%q,"generation":%d,`+
		`"creationTimestamp":%q,"labels":{"app":"web","tier":"t%d"}}`, apiVersion, kind, o.ref.Name, o.ref.Namespace,
		o.ref.UID, o.revision, o.created.Format(time.RFC3339), o.incarnation%3)
}

func podBody(g *tenants, o *tenantObject) string {
	var containers strings.Builder
	for i := range 3 {
		fmt.Fprintf(&containers, `,{"name":"c%d","image":"registry.example/app@sha256:%016x","restartCount":%d,`+
			`"ready":%t,"resources":{"limits":{"cpu":"500m","memory":"512Mi"},"requests":{"cpu":"100m"}},`+
			`"env":[{"name":"A","value":"%d"},{"name":"B","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}]}`,
			i, g.rng.Uint64(), o.revision, o.revision%4 != 0, i)
	}
	return metadata("v1", "Pod", o) + `,"spec":{"nodeName":"node-` + fmt.Sprint(g.rng.IntN(100)) + `","containers":[` +
		containers.String()[1:] + `]},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}`
}

func eventBody(_ *tenants, o *tenantObject) string {
	reasons := []string{"Scheduled", "Pulled", "Created", "Started", "Unhealthy"}
	pod := history.ObjectRef{}
	if o.about != nil {
		pod = o.about.ref
	}
	return metadata("v1", "Event", o) + fmt.Sprintf(`,"involvedObject":{"kind":"Pod",`+
		`"namespace":%q,"name":%q,"uid":%q},"reason":%q,"type":"Normal",`+
		`"message":"message of the event number %d","count":%d}`,
		pod.Namespace, pod.Name, pod.UID, reasons[o.incarnation%len(reasons)], o.incarnation, o.revision)
}

func workloadBody(_ *tenants, o *tenantObject) string {
	return metadata("apps/v1", "Deployment", o) + fmt.Sprintf(`,"spec":{"replicas":%d,"selector":{"matchLabels":`+
		`{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"c",`+
		`"image":"registry.example/app:%d"}]}}},"status":{"observedGeneration":%d,"readyReplicas":%d}}`,
		o.revision%5, o.revision, o.revision, o.revision%5)
}

func configBody(g *tenants, o *tenantObject) string {
	return metadata("v1", "ConfigMap", o) + fmt.Sprintf(`,"data":{"a":"%016x","b":"%d"}}`, g.rng.Uint64(), o.revision)
}

func secretBody(g *tenants, o *tenantObject) string {
	return metadata("v1", "Secret", o) + fmt.Sprintf(`,"data":{"a":"hmac-sha256:%016x%016x"}}`,
		g.rng.Uint64(), g.rng.Uint64())
}

func nodeBody(g *tenants, o *tenantObject) string {
	return metadata("v1", "Node", o) + fmt.Sprintf(`,"status":{"conditions":[{"type":"Ready","status":"True",`+
		`"lastHeartbeatTime":"%d"}],"nodeInfo":{"bootID":"%016x"}}}`, o.revision, g.rng.Uint64())
}

// example returns an object of a kind and a namespace with many versions.
func (g *tenants) example(kind, namespace int) history.ObjectRef {
	var best *tenantObject
	for number := range g.kinds[kind].objects {
		o := g.objects[tenantPlace{kind, namespace, number}]
		if o != nil && (best == nil || cmp.Compare(o.revision, best.revision) > 0) {
			best = o
		}
	}
	if best == nil {
		return history.ObjectRef{Resource: g.kinds[kind].resource.Plural, Namespace: g.namespace(0), Name: "absent"}
	}
	return best.ref
}

// namespacedResources returns the resources whose objects are in namespaces.
func (g *tenants) namespacedResources() (all []schema.GroupResource) {
	for _, k := range g.kinds {
		if k.resource.Namespaced {
			all = append(all, k.resource.GroupResource())
		}
	}
	return all
}

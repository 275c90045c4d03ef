package cli_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// recording is a real log with a story, served by the real API.
type recording struct {
	t           *testing.T
	log         *store.Store
	resources   []history.Resource
	mu          sync.Mutex // guards clock
	clock       time.Time
	rv          int
	now         time.Time // of the reader; the story is relative to it
	url         string
	server      *httptest.Server
	rules       []history.IgnoreRule
	gapQueries  atomic.Int32  // the number of queries for gaps
	streams     atomic.Int32  // the number of streams that were opened
	onEvents    func()        // called before each page of events; may be nil
	still       bool          // the recorder's clock stands
	clockOffset time.Duration // the recorder's time minus the reader's
}

// recorderNow returns the time of the recorder's clock.
func (r *recording) recorderNow() time.Time { return r.now.Add(r.clockOffset) }

// newRecording returns a recording whose catalogue has some types, except those
// with the given plurals.
func newRecording(t *testing.T, without ...string) *recording {
	t.Helper()
	r := &recording{t: t, rv: 100, now: time.Now().UTC().Truncate(time.Second)}
	log, err := store.Open(t.TempDir(), store.Options{NoSync: true, Now: func() time.Time {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.clock
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	r.log = log
	r.resources = []history.Resource{
		{Version: "v1", Plural: "pods", Singular: "pod", Kind: "Pod", ShortNames: []string{"po"}, Namespaced: true},
		{Version: "v1", Plural: "nodes", Singular: "node", Kind: "Node", ShortNames: []string{"no"}},
		{
			Version: "v1", Plural: "configmaps", Singular: "configmap",
			Kind: "ConfigMap", ShortNames: []string{"cm"}, Namespaced: true,
		},
		{
			Version: "v1", Plural: "events", Singular: "event",
			Kind: "Event", ShortNames: []string{"ev"}, Namespaced: true,
		},
		{
			Group: "apps", Version: "v1", Plural: "deployments", Singular: "deployment",
			Kind: "Deployment", ShortNames: []string{"deploy"}, Namespaced: true,
		},
		{
			Group: "apps", Version: "v1", Plural: "replicasets", Singular: "replicaset",
			Kind: "ReplicaSet", ShortNames: []string{"rs"}, Namespaced: true,
		},
		{Group: "toys.example", Version: "v1", Plural: "wolves", Singular: "wolf", Kind: "Wolf", Namespaced: true},
		{
			Group: "packs.example", Version: "v1", Plural: "packs",
			Kind: "Pack", ShortNames: []string{"wolves"}, Namespaced: true,
		},
		{Group: "a.example", Version: "v1", Plural: "things", Kind: "Thing", Namespaced: true},
		{Group: "b.example", Version: "v1", Plural: "things", Kind: "Thing", Namespaced: true},
	}
	r.resources = slices.DeleteFunc(r.resources, func(known history.Resource) bool {
		return slices.Contains(without, known.Plural)
	})
	for _, resource := range r.resources {
		if err := log.Register(t.Context(), resource); err != nil {
			t.Fatal(err)
		}
	}
	recorder := api.New(query.New(log, query.Options{
		IgnoreRules: func() []history.IgnoreRule { return r.rules }, Feed: log,
		Now: func() time.Time {
			if r.still {
				return r.recorderNow()
			}
			return time.Now()
		},
	}), api.Options{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == v1.GapsPath {
			r.gapQueries.Add(1)
		}
		if req.URL.Query().Has(v1.ParamWatch) {
			r.streams.Add(1)
		}
		if req.URL.Path == v1.EventsPath && r.onEvents != nil {
			r.onEvents()
		}
		w.Header().Set("Date", r.recorderNow().Format(http.TimeFormat))
		recorder.ServeHTTP(w, req)
	}))
	t.Cleanup(server.Close)
	r.url, r.server = server.URL, server
	return r
}

// setClock sets the clock of the log.
func (r *recording) setClock(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock = at
}

// write records a version that was observed some time ago.
func (r *recording) write(ago time.Duration, rec *history.Record) {
	r.t.Helper()
	r.setClock(r.now.Add(-ago))
	r.rv++
	rec.RV, rec.Version = fmt.Sprint(r.rv), "v1"
	if err := r.log.Append(r.t.Context(), &history.Batch{Versions: []history.NewVersion{{Record: rec}}}); err != nil {
		r.t.Fatal(err)
	}
}

// writeGaps records a gap for each resource. The gaps started and ended the
// given times ago, and are open if to is negative.
func (r *recording) writeGaps(
	from, to time.Duration, reason history.GapReason, detail string, resources ...schema.GroupResource,
) {
	r.t.Helper()
	batch := &history.Batch{}
	for i, resource := range resources {
		g := history.Gap{
			Group: resource.Group, Resource: resource.Resource,
			Start: r.now.Add(time.Duration(i)*time.Second - from), Reason: reason, Detail: detail,
		}
		if to >= 0 {
			g.End = r.now.Add(-to)
		}
		batch.Gaps = append(batch.Gaps, g)
	}
	r.setClock(r.now.Add(-max(to, 0)))
	if err := r.log.Append(r.t.Context(), batch); err != nil {
		r.t.Fatal(err)
	}
}

func ref(group, resource, namespace, name, uid string) history.ObjectRef {
	return history.ObjectRef{Group: group, Resource: resource, Namespace: namespace, Name: name, UID: types.UID(uid)}
}

func by(manager string) []history.Manager {
	return []history.Manager{{Name: manager, Operation: "Update"}}
}

const day = 24 * time.Hour

// writeStory records the story: a rollout that crashes.
func (r *recording) writeStory() {
	r.t.Helper()
	r.writeDeployment()
	r.writeRollout()
	r.writeOthers()
}

// writeStoryWithGaps records the same story with gaps: the recorder was
// stopped, and can no longer watch pods.
func (r *recording) writeStoryWithGaps() {
	r.t.Helper()
	deployments := schema.GroupResource{Group: "apps", Resource: "deployments"}
	r.writeGaps(10*day, 9*day, history.GapExpired, "", deployments, schema.GroupResource{Resource: "events"})
	r.writeDeployment()
	r.writeGaps(30*time.Minute, 25*time.Minute, history.GapDisconnected, "connection refused", deployments)
	r.writeRollout()
	r.writeOthers()
	var all []schema.GroupResource
	for _, resource := range r.resources {
		all = append(all, resource.GroupResource())
	}
	r.writeGaps(6*time.Minute, 5*time.Minute, history.GapRestarted, "the recorder was away", all...)
	r.writeGaps(3*time.Minute, -1, history.GapForbidden, "pods is \x1b[31mforbidden",
		schema.GroupResource{Resource: "pods"})
}

// writeOthers records changes of objects that do not belong to the rollout.
func (r *recording) writeOthers() {
	r.t.Helper()
	r.write(9*time.Minute, &history.Record{
		Ref: ref("", "nodes", "", "node-1", "uid-node"), Kind: "Node",
		Verb: history.Create, Initial: true, Object: []byte(`{}`),
	})
	r.write(8*time.Minute, &history.Record{
		Ref: ref("", "configmaps", "other", "settings", "uid-cm"), Kind: "ConfigMap", Verb: history.Create,
		Managers: by("helm"), Object: []byte(`{"data":{"a":"b"}}`),
	})
	r.write(7*time.Minute, &history.Record{
		Ref:  ref("toys.example", "wolves", "shop", "grey", "uid-wolf"),
		Kind: "Wolf", Verb: history.Create, Object: []byte(`{}`),
	})
}

func deployment(uid, image string, ready int, noise string) *history.Record {
	object := fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"shop",`+
		`"annotations":{"deployment.kubernetes.io/revision":%q}},
		"spec":{"replicas":3,"template":{"spec":{"containers":[{"name":"app","image":"shop/web:%s"}]}}},`+
		`"status":{"readyReplicas":%d}}`, noise, image, ready)
	return &history.Record{
		Ref:  ref("apps", "deployments", "shop", "web", uid),
		Kind: "Deployment", Verb: history.Update, Object: []byte(object),
	}
}

func (r *recording) writeDeployment() {
	r.t.Helper()
	old := deployment("uid-old", "1.0", 1, "1")
	old.Verb = history.Create
	r.write(8*day, old)
	gone := deployment("uid-old", "1.0", 1, "1")
	gone.Verb = history.Delete
	r.write(7*day, gone)
	initial := deployment("uid-web", "1.4", 2, "1")
	initial.Verb, initial.Initial = history.Create, true
	r.write(6*day, initial)
	ready := deployment("uid-web", "1.4", 3, "1")
	ready.Managers, ready.Class = by("kube-controller-manager"), history.Consequence
	r.write(41*time.Minute, ready)
	noise := deployment("uid-web", "1.4", 3, "2")
	noise.Class = history.Consequence
	r.write(40*time.Minute, noise)
}

func (r *recording) writeRollout() {
	r.t.Helper()
	rollout := deployment("uid-web", "1.5", 3, "3")
	rollout.Managers = by("kubectl-set")
	r.write(12*time.Minute, rollout)
	r.writePods()
}

func (r *recording) writePods() {
	owned := func(ref history.ObjectRef, kind, ownerKind, owner, ownerUID, status string) *history.Record {
		object := fmt.Sprintf(
			`{"metadata":{"ownerReferences":[{"kind":%q,"name":%q,"uid":%q,"controller":true}]},"status":%s}`,
			ownerKind, owner, ownerUID, status,
		)
		return &history.Record{
			Ref: ref, Kind: kind, Verb: history.Create, Managers: by("kube-controller-manager"),
			Owners: []types.UID{types.UID(ownerUID)}, Object: []byte(object), Class: history.Consequence,
		}
	}
	r.write(12*time.Minute, owned(ref("apps", "replicasets", "shop", "web-7d9f", "uid-rs"),
		"ReplicaSet", "Deployment", "web", "uid-web", `{}`))
	pod := func(status string) *history.Record {
		return owned(ref("", "pods", "shop", "web-7d9f-x2k1p", "uid-pod"), "Pod",
			"ReplicaSet", "web-7d9f", "uid-rs", status)
	}
	r.write(12*time.Minute, pod(`{"containerStatuses":[{"name":"app","restartCount":0,"state":{"running":{}}}]}`))
	crash := pod(`{"containerStatuses":[{"name":"app","restartCount":3,` +
		`"state":{"waiting":{"reason":"CrashLoopBackOff"}}}]}`)
	crash.Verb, crash.Managers = history.Update, by("kubelet")
	r.write(11*time.Minute, crash)
	event := func(name, kind, target, targetUID, fields string) *history.Record {
		return &history.Record{
			Ref: ref("", "events", "shop", name, "uid-"+name), Kind: "Event",
			Verb: history.Create, Managers: by("kubelet"), Class: history.Consequence,
			Regarding: &history.Target{Kind: kind, Namespace: "shop", Name: target, UID: types.UID(targetUID)},
			Object:    []byte(fmt.Sprintf(`{"involvedObject":{"kind":%q,"name":%q},%s}`, kind, target, fields)),
		}
	}
	scaled := event("scaled", "Deployment", "web", "uid-web",
		`"type":"Normal","reason":"ScalingReplicaSet","message":"Scaled up replica set web-7d9f to 3"`)
	scaled.Regarding.Group = "apps"
	r.write(12*time.Minute, scaled)
	r.write(10*time.Minute, event("backoff", "Pod", "web-7d9f-x2k1p", "uid-pod",
		`"type":"Warning","reason":"BackOff","message":"Back-off restarting failed container"`))
}

// readerNow returns the time of the reader's clock.
func (r *recording) readerNow() time.Time { return r.now }

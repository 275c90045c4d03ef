package query_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/symptom"
)

const (
	webTemplate = `,"spec":{"replicas":2,"selector":{"matchLabels":{"app":"web"}},"template":` +
		`{"metadata":{"labels":{"app":"web"}},"spec":{"serviceAccountName":"robot",` +
		`"containers":[{"name":"app","image":"web:%s"}]}}},"status":{"observedGeneration":1,"replicas":2,` +
		`"updatedReplicas":2,"readyReplicas":%[2]d,"availableReplicas":%[2]d}`
	webPod = `{"app":"web"}|,"spec":{"serviceAccountName":"robot","containers":[{"name":"app","image":"web:1"}]},` +
		`"status":{"phase":"Running","containerStatuses":[{"name":"app","ready":%t,"state":%s}]}`
	webService = `,"spec":{"selector":{"app":"web"}}`
	robotView  = `,"roleRef":{"kind":"ClusterRole","name":"view"},` +
		`"subjects":[{"kind":"ServiceAccount","name":"robot","namespace":"shop"}]`
	waiting = `{"waiting":{"reason":"CrashLoopBackOff"}}`
	runs    = `{"running":{"startedAt":"2026-11-25T09:00:00Z"}}`
)

// whyWorld is a log with a Deployment, its pod, and what they use.
func whyWorld(t *testing.T) *relatedWorld {
	t.Helper()
	w := newRelatedWorld(t)
	w.put(history.Create, "services shop/web", "", webService)
	w.put(history.Create, "serviceaccounts shop/robot", "", "")
	w.put(history.Create, "rolebindings shop/robot", "",
		robotView)
	w.put(history.Create, "deployments shop/web", "", fmt.Sprintf(webTemplate, "1", 2))
	w.follows("replicasets shop/web-1", "deployments shop/web", "")
	w.follows("pods shop/web-1-a", "replicasets shop/web-1", fmt.Sprintf(webPod, true, runs))
	w.now = w.now.Add(time.Hour)
	return w
}

// follows records the first version of an object that a controller created.
func (w *relatedWorld) follows(object, owner, rest string) {
	w.t.Helper()
	w.class = history.Consequence
	w.put(history.Create, object, owner, rest)
	w.class = history.Root
}

// crashes records that the pod crashes.
func (w *relatedWorld) crashes() time.Time {
	w.t.Helper()
	w.class = history.Onset
	at := w.put(history.Update, "pods shop/web-1-a", "replicasets shop/web-1", fmt.Sprintf(webPod, false, waiting))
	w.class = history.Root
	return at
}

// why asks why an object fails.
func (w *relatedWorld) why(object string) query.WhyAnswer {
	w.t.Helper()
	of, _ := w.ref(object)
	answer, err := w.service(query.Options{Now: func() time.Time { return w.now.Add(time.Second) }}).Why(w.t.Context(),
		query.Why{Namespace: of.Scope(), Type: of.Resource, Group: of.Group, Name: of.Name, Limit: 10})
	if err != nil {
		w.t.Fatal(err)
	}
	return answer
}

// checkCause checks the onset and the first cause.
func (w *relatedWorld) checkCause(answer query.WhyAnswer, onset time.Time, verb history.Verb, object string) {
	w.t.Helper()
	if !answer.Onset.Equal(onset) {
		w.t.Errorf("got the onset %v, want %v", answer.Onset, onset)
	}
	want, _ := w.ref(object)
	if len(answer.Causes) == 0 {
		w.t.Fatalf("got no cause, want %s", object)
	}
	first := answer.Causes[0]
	if first.Change.Ref != want || first.Change.Verb != verb || !first.Likely() {
		w.t.Errorf("got first %s %s, score %.2f, want %s %s, likely",
			first.Change.Verb, first.Change.Ref, first.Score, verb, want)
	}
}

// TestWhy_CustomResourceNamesSecret changes a Secret that a custom resource
// names in a field that follows the conventions.
func TestWhy_CustomResourceNamesSecret(t *testing.T) {
	const widget = `,"spec":{"credentialsSecretRef":{"name":"keys","key":"token"}},"status":{"conditions":[` +
		`{"type":"Ready","status":%q,"reason":"Login","message":"login failed"}]}`
	w := whyWorld(t)
	w.put(history.Create, "secrets shop/keys", "", `,"data":{"token":"a"}`)
	w.put(history.Create, "secrets shop/other", "", `,"data":{"token":"a"}`)
	w.put(history.Create, "widgets shop/crane", "", fmt.Sprintf(widget, "True"))
	w.now = w.now.Add(time.Hour)
	w.put(history.Update, "secrets shop/keys", "", `,"data":{"token":"b"}`)
	w.put(history.Update, "secrets shop/other", "", `,"data":{"token":"b"}`)
	w.class = history.Onset
	onset := w.put(history.Update, "widgets shop/crane", "", fmt.Sprintf(widget, "False"))
	w.class = history.Root
	answer := w.why("widgets shop/crane")
	w.checkCause(answer, onset, history.Update, "secrets shop/keys")
	if got := answer.Causes[0].Path; len(got) != 1 || got[0].Rule != "reference" {
		t.Errorf("got the path %+v, want a reference", got)
	}
}

// TestWhy_ServiceOfOtherNamespace scales what a Service of another namespace
// selects, whose host is in the message of the pods that crash.
func TestWhy_ServiceOfOtherNamespace(t *testing.T) {
	w := whyWorld(t)
	w.put(history.Create, "deployments pay/payments", "", fmt.Sprintf(webTemplate, "1", 2))
	w.put(history.Create, "deployments pay/other", "", fmt.Sprintf(webTemplate, "1", 2))
	w.now = w.now.Add(time.Hour)
	scaled := strings.Replace(fmt.Sprintf(webTemplate, "1", 0), `"replicas":2`, `"replicas":0`, 1)
	w.put(history.Update, "deployments pay/payments", "", scaled)
	w.put(history.Update, "deployments pay/other", "", scaled)
	const crashed = `{"waiting":{"reason":"CrashLoopBackOff"}},"lastState":{"terminated":{"exitCode":1,` +
		`"reason":"Error","message":"dial tcp: payments.pay.svc.cluster.local:80: connection refused"}}`
	w.class = history.Onset
	onset := w.put(history.Update, "pods shop/web-1-a", "replicasets shop/web-1", fmt.Sprintf(webPod, false, crashed))
	w.class = history.Root
	answer := w.why("deployments shop/web")
	want, _ := w.ref("deployments pay/payments")
	if len(answer.Causes) == 0 || answer.Causes[0].Change.Ref != want || !answer.Onset.Equal(onset) {
		t.Errorf("got the onset %v and causes %+v, want %v and first %s", answer.Onset, answer.Causes, onset, want)
	}
	for _, c := range answer.Causes {
		if c.Change.Ref.Name == "other" {
			t.Errorf("got %s as a cause, want nothing that the message does not name", c.Change.Ref)
		}
	}

	caller := newRights("list pods shop/", "list deployments.apps shop/", "list replicasets.apps shop/")
	caller.namespaces = map[string]time.Time{"shop": {}, "pay": {}}
	answer, err := w.service(query.Options{Now: func() time.Time { return w.now.Add(time.Second) }}).As(caller).
		Why(t.Context(), query.Why{Namespace: "shop", Type: "deployments", Name: "web", Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range answer.Causes {
		if c.Change.Ref.Namespace == "pay" {
			t.Errorf("got %s as a cause, want nothing that the caller may not read", c.Change.Ref)
		}
	}
	if answer.Onset.IsZero() {
		t.Error("got no onset for a caller who may read the pods, want one")
	}
}

func TestWhy_ServiceWithoutPods(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(w *relatedWorld) time.Time
		verb   history.Verb
		object string
	}{
		{"selector", func(w *relatedWorld) time.Time {
			return w.put(history.Update, "services shop/web", "", `,"spec":{"selector":{"app":"wep"}}`)
		}, history.Update, "services shop/web"},
		{"deployment deleted", func(w *relatedWorld) time.Time {
			w.put(history.Delete, "deployments shop/web", "", fmt.Sprintf(webTemplate, "1", 2))
			w.class = history.Consequence
			w.put(history.Delete, "replicasets shop/web-1", "deployments shop/web", "")
			return w.put(history.Delete, "pods shop/web-1-a", "replicasets shop/web-1", fmt.Sprintf(webPod, true, runs))
		}, history.Delete, "deployments shop/web"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := whyWorld(t)
			onset := test.change(w)
			w.class = history.Root
			w.put(history.Create, "configmaps shop/other", "", "")
			answer := w.why("services shop/web")
			if got, want := answer.Health.State, symptom.Failing; got != want {
				t.Errorf("got the state %v, want %v", got, want)
			}
			w.checkCause(answer, onset, test.verb, test.object)
		})
	}
}

func TestWhy_RouteToMissingService(t *testing.T) {
	w := whyWorld(t)
	w.put(history.Create, "ingresses shop/shop", "", `,"spec":{"defaultBackend":{"service":{"name":"web"}}}`)
	w.now = w.now.Add(time.Hour)
	onset := w.put(history.Delete, "services shop/web", "", webService)
	w.checkCause(w.why("ingresses shop/shop"), onset, history.Delete, "services shop/web")
}

func TestWhy_RelatesDeletedObjects(t *testing.T) {
	w := whyWorld(t)
	w.put(history.Delete, "rolebindings shop/robot", "",
		robotView)
	w.put(history.Update, "configmaps shop/other", "", `,"data":{"a":"1"}`)
	onset := w.crashes()
	w.checkCause(w.why("deployments shop/web"), onset, history.Delete, "rolebindings shop/robot")
}

func TestWhy_RecreationIsOneChange(t *testing.T) {
	w := whyWorld(t)
	w.put(history.Create, "configmaps shop/web", "", `,"data":{"a":"1"}`)
	w.put(history.Delete, "configmaps shop/web", "", `,"data":{"a":"1"}`)
	w.put(history.Delete, "configmaps shop/old", "", `,"data":{"b":"1"}`)
	w.put(history.Create, "configmaps shop/web", "", `,"data":{"a":"2"}`)
	w.crashes()
	for _, c := range w.why("deployments shop/web").Causes {
		if c.Change.Ref.Name == "web" && c.Change.Ref.Resource == "configmaps" && c.Change.Verb == history.Delete {
			t.Errorf("got the deletion %s as a cause, want the creation after it only", c.Change.Ref)
		}
	}
}

func TestWhy_NewEpisodeAfterHealthyTime(t *testing.T) {
	w := whyWorld(t)
	w.put(history.Update, "deployments shop/web", "", fmt.Sprintf(webTemplate, "2", 2))
	w.crashes()
	w.put(history.Update, "deployments shop/web", "", fmt.Sprintf(webTemplate, "1", 2))
	w.class = history.Consequence
	w.put(history.Update, "pods shop/web-1-a", "replicasets shop/web-1", fmt.Sprintf(webPod, true, runs))
	w.class = history.Root
	w.now = w.now.Add(time.Minute)
	changed := w.put(history.Update, "deployments shop/web", "", fmt.Sprintf(webTemplate, "2", 2))
	onset := w.crashes()
	answer := w.why("deployments shop/web")
	w.checkCause(answer, onset, history.Update, "deployments shop/web")
	if got := answer.Causes[0].Change.Time; !got.Equal(changed) {
		t.Errorf("got the change at %v first, want that at %v", got, changed)
	}
}

// TestWhy_HealedProblemIsNoSymptomOfNextRollout asks during a rollout after
// another one that was rolled back.
func TestWhy_HealedProblemIsNoSymptomOfNextRollout(t *testing.T) {
	const (
		rolling = `,"spec":{"replicas":2,"template":{"spec":{"containers":[{"name":"app","image":"web:%s"}]}}},` +
			`"status":{"observedGeneration":1,"replicas":3,"updatedReplicas":1,"readyReplicas":2,"availableReplicas":2}`
		broken = `{"waiting":{"reason":"ErrImagePull"}}`
	)
	for _, test := range []struct {
		name    string
		ready   time.Duration // between the rollouts
		deleted bool          // the pod that failed
		now     string        // the state of the container
		failing bool
	}{
		{"pod deleted, ready for long", 20 * time.Second, true, "", false},
		{"pod deleted, ready shortly", time.Second, true, "", false},
		{"pod runs again, ready for long", 20 * time.Second, false, runs, false},
		{"pod runs again, ready shortly", time.Second, false, runs, true},
		{"pod still fails", 20 * time.Second, false, broken, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := whyWorld(t)
			w.put(history.Update, "deployments shop/web", "", fmt.Sprintf(rolling, "2"))
			w.follows("replicasets shop/web-2", "deployments shop/web", "")
			w.class = history.Onset
			w.put(history.Create, "pods shop/web-2-b", "replicasets shop/web-2", fmt.Sprintf(webPod, false, broken))
			w.class = history.Root
			w.put(history.Update, "deployments shop/web", "", fmt.Sprintf(rolling, "1"))
			w.class = history.Consequence
			verb := history.Update
			if test.deleted {
				verb, test.now = history.Delete, broken
			}
			w.put(history.Update, "deployments shop/web", "", fmt.Sprintf(webTemplate, "1", 2))
			w.put(verb, "pods shop/web-2-b", "replicasets shop/web-2", fmt.Sprintf(webPod, test.now == runs, test.now))
			w.now = w.now.Add(test.ready)
			w.class = history.Root
			w.put(history.Update, "deployments shop/web", "", fmt.Sprintf(rolling, "3"))
			answer := w.why("deployments shop/web")
			if got, want := answer.Health.State, symptom.Progressing; got != want {
				t.Errorf("got the state %v, want %v", got, want)
			}
			if failing := len(answer.Symptoms) > 0 || !answer.Onset.IsZero(); failing != test.failing {
				t.Errorf("got onset %v, symptoms %+v, want some: %t", answer.Onset, answer.Symptoms, test.failing)
			}
		})
	}
}

// TestWhy_EventOfHealedPodIsNoSymptom has the Event about a pod that failed in
// an earlier rollout.
func TestWhy_EventOfHealedPodIsNoSymptom(t *testing.T) {
	for _, test := range []struct {
		name    string
		verb    history.Verb // of the newest version of the pod
		state   string
		healthy time.Duration
		failing bool
	}{
		{"deleted", history.Delete, waiting, 0, false},
		{"runs for long", history.Update, runs, time.Minute, false},
		{"runs for a moment", history.Update, runs, 0, true},
		{"crashes", history.Update, waiting, time.Minute, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := whyWorld(t)
			w.class = history.Consequence
			pod, _ := w.ref("pods shop/web-1-a")
			r := event("web-1-a.1", pod, pod.UID)
			r.Object = []byte(`{"type":"Warning","reason":"BackOff",` +
				`"message":"Back-off restarting failed container app","involvedObject":` +
				`{"kind":"Pod","name":"web-1-a","namespace":"shop"}}`)
			r.Class = history.Onset
			w.log.put(r)
			ready := test.state == runs
			status := fmt.Sprintf(`"status":{"conditions":[{"type":"Ready","status":"%s"}],`,
				map[bool]string{true: "True", false: "False"}[ready])
			w.put(test.verb, "pods shop/web-1-a", "replicasets shop/web-1",
				strings.Replace(fmt.Sprintf(webPod, ready, test.state), `"status":{`, status, 1))
			w.put(history.Update, "deployments shop/web", "", strings.Replace(fmt.Sprintf(webTemplate, "1", 1),
				`"updatedReplicas":2`, `"updatedReplicas":1`, 1))
			w.now = w.now.Add(test.healthy)
			answer := w.why("deployments shop/web")
			if failing := len(answer.Symptoms) > 0; failing != test.failing {
				t.Errorf("got state %+v, symptoms %+v, want some: %t", answer.Health, answer.Symptoms, test.failing)
			}
		})
	}
}

// TestWhy_FailsSinceBeforeRecording has an object whose pod had failed when
// recording began. An unrelated change after that did not cause it.
func TestWhy_FailsSinceBeforeRecording(t *testing.T) {
	w := whyWorld(t)
	w.put(history.Create, "deployments shop/old", "", fmt.Sprintf(webTemplate, "1", 0))
	o, _ := w.ref("pods shop/old-a")
	by, _ := w.ref("deployments shop/old")
	first := record(o, history.Create, fmt.Sprintf(`{"metadata":{"name":"old-a","namespace":"shop","uid":%q,`+
		`"ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"old","uid":%q,"controller":true}]},`+
		`"status":{"phase":"Running","containerStatuses":[{"name":"app","state":%s}]}}`, o.UID, by.UID, waiting))
	first.Owners, first.Initial, first.Class = []types.UID{by.UID}, true, history.Consequence
	w.log.put(first)
	w.now = w.now.Add(time.Minute)
	w.put(history.Update, "configmaps shop/other", "", `,"data":{"a":"1"}`)
	answer := w.why("deployments shop/old")
	if got := answer.Onset; got.After(first.Time) || got.IsZero() {
		t.Errorf("got the onset %v, want %v or earlier", got, first.Time)
	}
	if !answer.Initial || len(answer.Symptoms) != 1 || !answer.Symptoms[0].Initial {
		t.Errorf("got initial %t, symptoms %+v, want an initial one", answer.Initial, answer.Symptoms)
	}
}

// TestWhy_OwnProblemIsOlderThanRecording labels a Deployment that had a symptom
// of its own when its recording began.
func TestWhy_OwnProblemIsOlderThanRecording(t *testing.T) {
	const failed = `,"spec":{"replicas":1},"status":{"conditions":[{"type":"Progressing","status":"False",` +
		`"reason":"ProgressDeadlineExceeded","message":"exceeded"}]}`
	w := newRelatedWorld(t)
	of, _ := w.ref("deployments shop/web")
	first := record(of, history.Create, fmt.Sprintf(
		`{"metadata":{"name":"web","namespace":"shop","uid":%q}%s}`, of.UID, failed))
	first.Initial = true
	w.log.put(first)
	onset := w.now
	w.put(history.Update, "deployments shop/web", "", `{"seen":"yes"}|`+failed)
	answer := w.why("deployments shop/web")
	if !answer.Onset.Equal(onset) || !answer.Initial || len(answer.Causes) > 0 {
		t.Errorf("got the onset %v, initial %t, causes %+v, want %v, initial, and no cause",
			answer.Onset, answer.Initial, answer.Causes, onset)
	}
}

// TestWhy_ChangesAfterOnset changes objects after a pod began to fail: right
// after it, and later.
func TestWhy_ChangesAfterOnset(t *testing.T) {
	for _, test := range []struct {
		name    string
		initial bool // it had failed when its recording began
		before  bool // the Deployment was changed right before
		want    string
	}{
		{"cause recorded late", false, false, "1s after"},
		{"cause recorded before", false, true, "1s before"},
		{"failed when the recording began", true, false, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := whyWorld(t)
			if test.before {
				w.put(history.Update, "deployments shop/web", "", fmt.Sprintf(webTemplate, "2", 2))
			}
			var onset time.Time
			if test.initial {
				pod, _ := w.ref("pods shop/web-1-b")
				by, _ := w.ref("replicasets shop/web-1")
				r := record(pod, history.Create, fmt.Sprintf(`{"metadata":{"name":"web-1-b","namespace":"shop",`+
					`"uid":%q,"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-1",`+
					`"uid":%q,"controller":true}]},"status":{"phase":"Running",`+
					`"containerStatuses":[{"name":"app","state":%s}]}}`,
					pod.UID, by.UID, waiting))
				r.Owners, r.Initial, r.Class = []types.UID{by.UID}, true, history.Consequence
				w.log.put(r)
				onset = w.now
			} else {
				onset = w.crashes()
			}
			w.put(history.Update, "deployments shop/web", "", strings.Replace(fmt.Sprintf(webTemplate, "3", 2),
				`"readyReplicas":2`, `"readyReplicas":1`, 1))
			w.now = w.now.Add(20 * time.Second)
			w.put(history.Update, "configmaps shop/other", "", `,"data":{"a":"1"}`)
			answer := w.why("deployments shop/web")
			if !answer.Onset.Equal(onset) || answer.Initial != test.initial {
				t.Errorf("got the onset %v, initial %t, want %v, %t", answer.Onset, answer.Initial, onset, test.initial)
			}
			likely := ""
			for _, c := range answer.Causes {
				after := c.Change.Time.Sub(onset)
				if after > 2*time.Second || test.initial && after > 0 {
					t.Errorf("got the cause %s %s after the onset, want none so late", c.Change.Ref, after)
				}
				if c.Likely() && c.Change.Ref.Resource == "deployments" && likely == "" {
					likely = after.Abs().String() + map[bool]string{true: " after", false: " before"}[after > 0]
				}
			}
			if likely != test.want {
				t.Errorf("got the likely change %q, want %q", likely, test.want)
			}
		})
	}
}

func TestWhy_NothingLikelyWithoutChange(t *testing.T) {
	w := whyWorld(t)
	w.put(history.Update, "configmaps shop/other", "", `,"data":{"a":"1"}`)
	w.put(history.Delete, "secrets shop/other", "", "")
	onset := w.crashes()
	answer := w.why("deployments shop/web")
	if !answer.Onset.Equal(onset) {
		t.Errorf("got the onset %v, want %v", answer.Onset, onset)
	}
	// When the recording began is not known.
	if want := onset.Add(-24 * time.Hour); !answer.Searched.Equal(want) {
		t.Errorf("got a search since %v, want %v", answer.Searched, want)
	}
	for _, c := range answer.Causes {
		if c.Likely() {
			t.Errorf("got %s as a likely cause, score %.2f, want none", c.Change.Ref, c.Score)
		}
	}
}

// TestWhy_SearchBeginsWithRecording asks why a pod crashes that began to before
// and after the recording.
func TestWhy_SearchBeginsWithRecording(t *testing.T) {
	for name, before := range map[string]time.Duration{
		"a day": 25 * time.Hour, "half an hour": 30 * time.Minute, "not": -time.Second,
	} {
		t.Run(name+" before the onset", func(t *testing.T) {
			w := whyWorld(t)
			onset := w.crashes()
			begin := onset.Add(-before)
			w.now = w.now.Add(time.Minute)
			batch := &history.Batch{}
			for _, r := range relatedResources() {
				batch.Checkpoints = append(batch.Checkpoints,
					history.Checkpoint{Group: r.Group, Resource: r.Plural, RV: "1", Time: begin})
			}
			if err := w.Append(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
			want := begin
			if day := onset.Add(-24 * time.Hour); want.Before(day) {
				want = day
			} else if want.After(onset) {
				want = onset
			}
			if answer := w.why("deployments shop/web"); !answer.Onset.Equal(onset) || !answer.Searched.Equal(want) {
				t.Errorf("got the onset %v, searched since %v, want %v and %v",
					answer.Onset, answer.Searched, onset, want)
			}
		})
	}
}

// TestWhy_CountsObjectsOfOneKind has a symptom that a Deployment and its
// ReplicaSet have: that is one ReplicaSet, or one Deployment, and not two.
func TestWhy_CountsObjectsOfOneKind(t *testing.T) {
	w := whyWorld(t)
	const refused = `,"status":{"conditions":[{"type":"ReplicaFailure","status":"True","reason":"FailedCreate",` +
		`"message":"pods \"a\" is forbidden: exceeded quota: pods"}]}`
	w.class = history.Onset
	w.put(history.Update, "replicasets shop/web-1", "deployments shop/web", refused)
	w.put(history.Update, "deployments shop/web", "", refused)
	answer := w.why("deployments shop/web")
	if len(answer.Symptoms) != 1 || answer.Symptoms[0].Count != 1 {
		t.Errorf("got symptoms %+v, want one of one object", answer.Symptoms)
	}
}

// TestWhy_SaysWhatIsUnread asks why a Service has no pods with more and more
// effort. Until the effort is enough, the answer says what was not looked at,
// and its onset is not before the true one.
func TestWhy_SaysWhatIsUnread(t *testing.T) {
	w := whyWorld(t)
	for n := range 30 { // each of them is a moment at which the Service may have lost its pods
		w.put(history.Create, fmt.Sprint("services shop/other-", n), "", webService)
	}
	changed := w.put(history.Update, "services shop/web", "", `,"spec":{"selector":{"app":"wep"}}`)
	for n := range 30 {
		w.put(history.Update, fmt.Sprint("services shop/other-", n), "", webService)
	}
	whole := w.why("services shop/web")
	if !whole.Onset.Equal(changed) || len(whole.Unread) > 0 {
		t.Fatalf("got onset %s, unread %v, want %s and nothing unread", whole.Onset, whole.Unread, changed)
	}
	seen := map[query.Unread]bool{}
	enough := 0
	for effort := 2; effort < 4_000 && enough < 3; effort += 1 + effort/20 {
		s := w.service(query.Options{Effort: effort, Now: func() time.Time { return w.now.Add(time.Second) }})
		got, err := s.Why(t.Context(), query.Why{Namespace: history.ScopeOf("shop"), Type: "services", Name: "web"})
		if history.CodeOf(err) == history.NotFound {
			continue // not even the object was read
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, what := range got.Unread {
			seen[what] = true
		}
		switch {
		case len(got.Unread) > 0 && !got.Onset.IsZero() && got.Onset.Before(changed):
			t.Errorf("effort %d: got onset %s, want %s or later", effort, got.Onset, changed)
		case len(got.Unread) == 0 && !got.Onset.Equal(changed):
			t.Errorf("effort %d: got onset %s and nothing unread, want %s", effort, got.Onset, changed)
		case len(got.Unread) == 0:
			enough++
		}
	}
	for _, want := range []query.Unread{query.UnreadRelations, query.UnreadDangling, query.UnreadEarlierRelations} {
		if !seen[want] {
			t.Errorf("got unread %v, want also %s", seen, want)
		}
	}
	if enough == 0 {
		t.Error("got no answer without anything unread with any effort")
	}
}

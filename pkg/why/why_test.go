package why_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/why"
)

var onset = time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)

// change returns a candidate that happened some seconds before the onset.
func change(resource string, verb history.Verb, before int, paths ...string) why.Candidate {
	group := ""
	if resource == "deployments" {
		group = "apps"
	}
	at := onset.Add(-time.Duration(before) * time.Second)
	return why.Candidate{
		Began: at,
		Change: &history.Record{
			Ref:  history.ObjectRef{Group: group, Resource: resource, Namespace: "shop", Name: "web"},
			Verb: verb, Time: at,
		},
		Paths: paths,
	}
}

// TestRank_TriggerPutsOldChangeIntoEffect has changes of an hour ago that a
// restart puts into effect.
func TestRank_TriggerPutsOldChangeIntoEffect(t *testing.T) {
	const hour = 3600
	// All annotations of the template are new at the first restart.
	restart := change("deployments", history.Update, 1, "spec.template.metadata.annotations")
	for _, test := range []struct {
		symptom, resource string
		verb              history.Verb
		path              string
	}{
		{"CrashLoop", "configmaps", history.Update, "data.a"},
		{"Quota", "resourcequotas", history.Update, "spec.hard.pods"},
		{"ContainerConfig", "secrets", history.Update, "data.password"},
		{"Unschedulable", "nodes", history.Update, "spec.unschedulable"},
		{"FailedMount", "configmaps", history.Delete, ""},
	} {
		old := change(test.resource, test.verb, hour, test.path)
		old.Distance = why.Direct
		ranked := why.Rank(why.Symptom{Codes: []string{test.symptom}, Onset: onset}, []why.Candidate{restart, old})
		if got := ranked[0].Change; got != old.Change || !ranked[0].Likely() {
			t.Errorf("%s: got first %s with %.2f (second %.2f), want %s",
				test.symptom, got.Ref.Resource, ranked[0].Score, ranked[1].Score, test.resource)
		}
	}
}

func TestRank_PutsCauseFirst(t *testing.T) {
	const (
		image    = "spec.template.spec.containers[name=app].image"
		replicas = "spec.replicas"
	)
	with := func(c why.Candidate, edit func(*why.Candidate)) why.Candidate {
		edit(&c)
		return c
	}
	more := with(change("deployments", history.Update, 5, replicas), func(c *why.Candidate) { c.Delta = 2 })
	fewer := with(change("deployments", history.Update, 30, replicas), func(c *why.Candidate) { c.Delta = -2 })
	far := func(c why.Candidate) why.Candidate {
		return with(c, func(c *why.Candidate) { c.Distance = why.Nearby })
	}
	for _, test := range []struct {
		name    string
		symptom string
		healthy time.Time
		cause   why.Candidate
		other   why.Candidate
	}{
		{"fewer replicas leave no endpoints", "NoEndpoints", time.Time{}, fewer, more},
		{"more replicas exceed a quota", "Quota", time.Time{}, more, fewer},
		{
			"a change after which it was healthy", "CrashLoop", onset.Add(-time.Minute),
			with(change("configmaps", history.Update, 120, "data.a"),
				func(c *why.Candidate) { c.Distance = why.Direct }),
			change("deployments", history.Update, 300, image),
		},
		{
			"named by the symptom", "CrashLoop",
			time.Time{},
			with(far(change("services", history.Delete, 60)), func(c *why.Candidate) { c.Named = true }),
			far(change("services", history.Delete, 10)),
		},
		{
			"Pod Security refuses pods", "AdmissionDenied",
			time.Time{},
			with(change("namespaces", history.Update, 60, `metadata.labels["pod-security.kubernetes.io/enforce"]`),
				func(c *why.Candidate) { c.Distance = why.Direct }),
			change("deployments", history.Update, 1, `spec.template.metadata.annotations["restartedAt"]`),
		},
		{
			"a new claim is no cause", "Unschedulable",
			time.Time{},
			with(change("storageclasses", history.Delete, 8), func(c *why.Candidate) {
				c.Distance, c.Dangling = why.Indirect, true
			}),
			with(change("persistentvolumeclaims", history.Create, 0),
				func(c *why.Candidate) { c.Distance = why.Direct }),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := why.Symptom{Codes: []string{test.symptom}, Onset: onset, Healthy: test.healthy}
			ranked := why.Rank(s, []why.Candidate{test.other, test.cause})
			if got := ranked[0].Change; got != test.cause.Change {
				t.Errorf("got first %s %v with %.2f (second %.2f), want the other", got.Verb, got.Ref, ranked[0].Score,
					ranked[1].Score)
			}
		})
	}
}

// scoreOf returns the score of the first candidate, ranked with the others.
func scoreOf(t *testing.T, s why.Symptom, c why.Candidate, others ...why.Candidate) float64 {
	t.Helper()
	for _, r := range why.Rank(s, append([]why.Candidate{c}, others...)) {
		if r.Change == c.Change {
			return r.Score
		}
	}
	t.Fatalf("got no rank of %v, want one", c.Change.Ref)
	return 0
}

// TestRank_WeighsByDocumentedFactors compares the scores of two candidates that
// differ in one property. The factors are those of decision 28.
func TestRank_WeighsByDocumentedFactors(t *testing.T) {
	symptom := func(codes ...string) why.Symptom { return why.Symptom{Codes: codes, Onset: onset} }
	crash := symptom("CrashLoop")
	healthy := why.Symptom{Codes: []string{"CrashLoop"}, Onset: onset, Healthy: onset.Add(-time.Hour)}
	edited := func(edit func(*why.Candidate)) why.Candidate {
		c := change("configmaps", history.Update, 60, "data.a")
		edit(&c)
		return c
	}
	by := func(manager string) why.Candidate {
		return edited(func(c *why.Candidate) { c.Change.Managers = []history.Manager{{Name: manager}} })
	}
	at := func(d why.Distance) why.Candidate { return edited(func(c *why.Candidate) { c.Distance = d }) }
	plain := edited(func(*why.Candidate) {})
	webhook := change("validatingwebhookconfigurations", history.Update, 60, "webhooks")
	webhook.Change.Ref.Group = "admissionregistration.k8s.io"
	webhook.Distance = why.Nearby
	tainted := change("nodes", history.Update, 60, "spec.taints")
	untainted := change("nodes", history.Update, 60, "spec.taints")
	untainted.Removes = true
	for _, test := range []struct {
		name        string
		symptom     why.Symptom
		with        why.Candidate
		withSymptom why.Symptom // that of with, if it is another one
		without     why.Candidate
		want        float64
	}{
		{"related", crash, at(why.Direct), crash, plain, 0.8},
		{"related over another object", crash, at(why.Indirect), crash, plain, 0.4},
		{"in the namespace, no matter what it changed", crash, at(why.Nearby), symptom("-"), plain, 0.12},
		{"elsewhere, no matter what it changed", crash, at(why.Elsewhere), symptom("-"), plain, 0.08},
		{
			"after the onset", crash, change("configmaps", history.Update, -3, "data.a"), crash,
			change("configmaps", history.Update, 0, "data.a"), 0.02,
		},
		{
			"recorded a little late", healthy, change("configmaps", history.Update, -1, "data.a"), healthy,
			change("configmaps", history.Update, 0, "data.a"), 1,
		},
		{"a minute before", crash, plain, crash, change("configmaps", history.Update, 0, "data.a"), 0.5},
		{"three times in the day", crash, edited(func(c *why.Candidate) { c.Similar = 3 }), crash, plain, 1.0 / 3},
		{"dangling", crash, edited(func(c *why.Candidate) { c.Dangling = true }), crash, plain, 3},
		{"by a person", crash, by("kubectl-edit"), crash, plain, 1.2},
		{"by automation", crash, by("helm"), crash, plain, 1.1},
		{"by the cluster", crash, by("kube-controller-manager"), crash, plain, 0.5},
		{"typical of the symptom", crash, plain, symptom("-"), plain, 2},
		{"typical of a less serious symptom", symptom("-", "CrashLoop"), plain, symptom("-"), plain, 1.5},
		{"admission without a relation", symptom("AdmissionDenied"), webhook, symptom("-"), webhook, 4 * 5},
		{"a taint that was removed", symptom("Unschedulable"), untainted, symptom("Unschedulable"), tainted, 0.5 / 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := scoreOf(t, test.symptom, test.with) / scoreOf(t, test.withSymptom, test.without)
			if math.Abs(got/test.want-1) > 1e-9 {
				t.Errorf("got factor %.3f, want %.3f", got, test.want)
			}
		})
	}
}

// TestRank_OldChangeNeedsTrigger has a change of an hour ago. It counts more
// only if it is typical of the symptom, and a restart was right before the
// onset.
func TestRank_OldChangeNeedsTrigger(t *testing.T) {
	const hour = 3600
	old := func(resource, path string) why.Candidate {
		c := change(resource, history.Update, hour, path)
		c.Distance = why.Direct
		return c
	}
	restart := func(before int) why.Candidate {
		return change("deployments", history.Update, before, "spec.template.metadata.annotations")
	}
	for _, test := range []struct {
		name    string
		symptom string
		old     why.Candidate
		restart why.Candidate
		more    bool
	}{
		{"typical, right before", "Quota", old("resourcequotas", "spec.hard.pods"), restart(60), true},
		{"typical, long before", "Quota", old("resourcequotas", "spec.hard.pods"), restart(600), false},
		{"typical, after the onset", "Quota", old("resourcequotas", "spec.hard.pods"), restart(-60), false},
		{"not typical", "Quota", old("services", "spec.ports"), restart(60), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := why.Symptom{Codes: []string{test.symptom}, Onset: onset}
			alone, with := scoreOf(t, s, test.old), scoreOf(t, s, test.old, test.restart)
			if more := with > alone; more != test.more {
				t.Errorf("got score %.3f with the restart, %.3f without it, want more: %t", with, alone, test.more)
			}
		})
	}
}

// TestRank_ConfigurationBeforeItsRestart has a change of a ConfigMap and the
// restart that read it.
func TestRank_ConfigurationBeforeItsRestart(t *testing.T) {
	config := change("configmaps", history.Update, 36000, "data.a")
	config.Distance = why.Direct
	restart := change("deployments", history.Update, 1, "spec.template.metadata.annotations")
	s := why.Symptom{Codes: []string{"-"}, Onset: onset}
	got, of := scoreOf(t, s, config, restart), scoreOf(t, s, restart, config)
	if got < 1.5*of {
		t.Errorf("got score %.3f of the ConfigMap and %.3f of the restart, want at least 1.5 times as much", got, of)
	}
	later := change("configmaps", history.Update, 0, "data.a")
	later.Distance = why.Direct
	if got, alone := scoreOf(t, s, later, restart), scoreOf(t, s, later); got != alone {
		t.Errorf("changed after the restart: got score %.3f, want %.3f, as without one", got, alone)
	}
}

// TestRank_ChangeAfterOnset has a change after the first failure. It is likely
// only if its record may be late: right after the onset of an object that was
// healthy, and without a likely change before.
func TestRank_ChangeAfterOnset(t *testing.T) {
	const image = "spec.template.spec.containers[name=app].image"
	healthy := onset.Add(-time.Minute)
	rollback := func(after int) why.Candidate {
		c := change("deployments", history.Update, -after, image)
		c.Distance, c.Named, c.Dangling = why.Direct, true, true // all of which makes it likelier
		c.Change.Managers = []history.Manager{{Name: "kubectl-edit"}}
		return c
	}
	before := change("deployments", history.Update, 1, image)
	recreated := rollback(10)
	recreated.Began = onset
	for _, test := range []struct {
		name    string
		symptom why.Symptom
		after   why.Candidate
		others  []why.Candidate
		likely  bool
	}{
		{"record may be late", why.Symptom{Healthy: healthy}, rollback(1), nil, true},
		{"deleted before, created after it", why.Symptom{}, recreated, nil, true},
		{"at the onset", why.Symptom{Initial: true}, rollback(0), nil, true},
		{"too late", why.Symptom{Healthy: healthy}, rollback(3), nil, false},
		{"not known to be healthy before", why.Symptom{}, rollback(1), nil, false},
		{"failed before the recording", why.Symptom{Healthy: healthy, Initial: true}, rollback(1), nil, false},
		{"a likely change before", why.Symptom{Healthy: healthy}, rollback(1), []why.Candidate{before}, false},
		{
			"an unlikely change before",
			why.Symptom{Healthy: healthy},
			rollback(1),
			[]why.Candidate{change("services", history.Update, 36000, "spec.ports")},
			true,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.symptom.Codes, test.symptom.Onset = []string{"ImagePull"}, onset
			for _, r := range why.Rank(test.symptom, append(test.others, test.after)) {
				if r.Change == test.after.Change && r.Likely() != test.likely {
					t.Errorf("got likely: %t with score %.2f, want %t", r.Likely(), r.Score, test.likely)
				}
				if r.Change == before.Change && !r.Likely() {
					t.Errorf("got score %.2f of the change before, want it likely", r.Score)
				}
			}
		})
	}
}

func TestRank_SaysWhyItIsLessLikely(t *testing.T) {
	c := change("deployments", history.Update, 120, "spec.template.spec.containers[name=app].image")
	s := why.Symptom{Codes: []string{"CrashLoop"}, Onset: onset, Healthy: onset.Add(-time.Second)}
	got := why.Rank(s, []why.Candidate{c})[0].Against
	if want := []string{"healthy 1m59s after it"}; !slices.Equal(got, want) {
		t.Errorf("got reasons against it %q, want %q", got, want)
	}
	c = change("deployments", history.Update, 120, "metadata.labels.app")
	got = why.Rank(s, []why.Candidate{c})[0].Against
	if want := "labels rarely cause CrashLoop"; !slices.Contains(got, want) {
		t.Errorf("got reasons against labels %q, want %q", got, want)
	}
}

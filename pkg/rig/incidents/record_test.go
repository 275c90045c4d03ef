package incidents_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/watchhistory/watchhistory/pkg/archive"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
	"github.com/watchhistory/watchhistory/pkg/store"
)

const (
	sharedNodes  = 3
	elsewhere    = 20 // noisy Deployments in other namespaces
	quiet        = 45 * time.Second
	afterFailure = 80 * time.Second // what lasts a minute is a symptom
	spread       = 60               // seconds in which the plays begin
)

// incident is one play.
type incident struct {
	name, class string
	ask         string // RESOURCE.GROUP/NAME
	// want is the changed object and the verb: RESOURCE.GROUP/NAME VERB. NS in
	// it is the namespace. It is "" if the cause is not in the record.
	want  string
	fresh bool // set up while everything is recorded
	setup func(*stage)
	play  func(*stage)
}

// all returns the plays.
func all() (list []incident) {
	for _, class := range []struct {
		name string
		of   []incident
	}{
		{"rollout", rollouts()},
		{"configuration", configurations()},
		{"infrastructure", infrastructure()},
		{"people", people()},
		{"", causeless()},
		{"", heldOut()},
		{"", gaps()},
	} {
		for _, i := range class.of {
			if class.name != "" {
				i.class = class.name
			}
			list = append(list, i)
		}
	}
	return list
}

// recording plays and records incidents.
type recording struct {
	kube    kubernetes.Interface
	dynamic dynamic.Interface
	kubelet *kubelet
}

// stage returns a new namespace.
func (r *recording) stage(ctx context.Context, namespace string) (s *stage, err error) {
	s = &stage{Context: ctx, kube: r.kube, dynamic: r.dynamic, kubelet: r.kubelet, namespace: namespace}
	r.kubelet.fail(namespace, chronic)
	return s, try(func() { s.create(byApply, "apiVersion: v1\nkind: Namespace\nmetadata: {name: NS}") })
}

// try returns the error of a play.
func try(play func()) (err error) {
	defer func() {
		if e := recover(); e != nil {
			var ok bool
			if err, ok = e.(stageError); !ok {
				panic(e)
			}
		}
	}()
	play()
	return nil
}

// record plays the incidents, and writes an export and the answer for each.
func record(t *testing.T, incidents []incident) {
	t.Helper()
	binary, err := recordertest.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cluster := clustertest.New(t, clustertest.Options{
		Components: []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"},
	})
	config := cluster.Config()
	r := &recording{kube: kubernetes.NewForConfigOrDie(config), dynamic: dynamic.NewForConfigOrDie(config)}
	r.kubelet = newKubelet(r.kube)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go r.kubelet.run(ctx)
	for n := range sharedNodes {
		if err := r.kubelet.register(ctx, fmt.Sprint("worker-", n+1), nil); err != nil {
			t.Fatal(err)
		}
	}
	others, err := r.stage(ctx, "elsewhere")
	if err == nil {
		err = try(func() {
			for _, kind := range []string{"Certificate", "Issuer"} {
				others.create(byApply, definition(kind))
			}
			for n := range elsewhere {
				others.create(byApply, app(fmt.Sprint("svc-", n), fmt.Sprintf("registry.example.com/svc-%d:1", n), 1,
					"", ""))
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	stages := make([]*stage, len(incidents))
	set := func(fresh bool) {
		var group errgroup.Group
		group.SetLimit(8)
		for n, i := range incidents {
			if i.fresh == fresh {
				group.Go(func() error {
					if stages[n], err = r.stage(ctx, fmt.Sprintf("team-%02d", n+1)); err != nil {
						return err
					}
					s := stages[n]
					return try(func() { s.noise(n); i.setup(s) })
				})
			}
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	set(false)
	t.Log("the record begins")
	recorder := recordertest.New(t, binary, cluster.Kubeconfig)
	recorder.Ready(t)
	started := time.Now()
	set(true)
	var noise errgroup.Group
	noisy, silence := context.WithCancel(ctx)
	defer silence()
	for n := range stages {
		noise.Go(func() error { return stages[n].churn(noisy, n) })
	}
	noise.Go(func() error { return others.churnElsewhere(noisy) })
	pause(ctx, quiet)
	t.Log("the plays begin")
	var plays errgroup.Group
	ends := make([]time.Time, len(incidents))
	for n, i := range incidents {
		plays.Go(func() error {
			s := stages[n]
			pause(ctx, time.Duration(n*37%spread)*time.Second)
			err := try(func() { i.play(s) })
			if s.onset.IsZero() && err == nil {
				err = try(func() {
					s.until("a pod fails", func() bool { return !r.kubelet.firstFailure(s.namespace).IsZero() })
				})
				s.onset = r.kubelet.firstFailure(s.namespace)
			}
			pause(ctx, afterFailure)
			ends[n] = time.Now()
			if err != nil {
				t.Errorf("%s: %v", i.name, err)
			}
			return nil
		})
	}
	if err := plays.Wait(); err != nil {
		t.Fatal(err)
	}
	silence()
	if err := noise.Wait(); err != nil {
		t.Log(err)
	}
	pause(ctx, 3*time.Second)
	t.Log("the record ends after", time.Since(started).Round(time.Second))
	recorder.Terminate(t)
	log, err := store.Open(recorder.Database(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for n, i := range incidents {
		if err := save(ctx, log, i, stages[n], ends[n]); err != nil {
			t.Fatal(err)
		}
	}
}

// noise creates the Deployments that change all the time.
func (s *stage) noise(n int) {
	s.create(byArgo, app("catalog", "registry.example.com/catalog:1.0", 1, "", ""))
	s.create(byApply, app("cache", "registry.example.com/cache:4", 1, "", ""))
	s.create("toggle-controller", settings("feature-toggles", "percent", "1"))
	if n%2 == 0 {
		s.create(byApply, app("legacy-sync", "registry.example.com/legacy:0.9", 1, "", ""))
	}
}

// ended reports whether a context has ended.
func ended(ctx context.Context) bool { return ctx.Err() != nil }

// churn changes the noisy Deployments until the context ends.
func (s *stage) churn(ctx context.Context, n int) error {
	random := rand.New(rand.NewPCG(1, uint64(n))) //nolint:gosec // not a secret
	for round := 1; ; round++ {
		pause(ctx, time.Duration(9+random.IntN(10))*time.Second)
		if ended(ctx) {
			return nil
		}
		if err := try(func() {
			switch round % 4 {
			case 0:
				s.image(byArgo, "deployments.apps", "catalog", fmt.Sprint("registry.example.com/catalog:1.", round))
			case 2:
				s.scale("horizontal-pod-autoscaler", "cache", 1+round/2%2)
			default:
				s.patch("toggle-controller", "configmaps", "feature-toggles", fmt.Sprintf(`{data: {percent: "%d"}}`,
					round))
			}
		}); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// churnElsewhere changes the Deployments of other namespaces.
func (s *stage) churnElsewhere(ctx context.Context) error {
	for round := 0; ; round++ {
		pause(ctx, 2*time.Second)
		if ended(ctx) {
			return nil
		}
		name := fmt.Sprint("svc-", round%elsewhere)
		if err := try(func() {
			if round%3 == 0 {
				s.image(byFlux, "deployments.apps", name, fmt.Sprintf("registry.example.com/%s:%d", name, round))
				return
			}
			s.scale("horizontal-pod-autoscaler", name, 1+round%3)
		}); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// definition returns the manifest of a custom resource's definition.
func definition(kind string) string {
	plural := strings.ToLower(kind) + "s"
	return `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ` + plural + `.pki.example.com}
spec:
  group: pki.example.com
  scope: Namespaced
  names: {plural: ` + plural + `, singular: ` + strings.ToLower(kind) + `, kind: ` + kind + `}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}`
}

// answer is what the test knows of an incident.
type answer struct {
	Class     string    `json:"class"`
	Namespace string    `json:"namespace"`
	Ask       string    `json:"ask"`
	Onset     time.Time `json:"onset"`
	// Cause is nil if the cause is not in the record.
	Cause *cause `json:"cause"`
}

// cause is the change that caused an incident.
type cause struct {
	Object string    `json:"object"` // RESOURCE.GROUP/NAME
	Verb   string    `json:"verb"`
	From   time.Time `json:"from"` // before the write
	To     time.Time `json:"to"`   // after it
}

// save writes the export and the answer of an incident.
func save(ctx context.Context, log *store.Store, i incident, s *stage, end time.Time) error {
	a := answer{Class: i.class, Namespace: s.namespace, Ask: i.ask, Onset: s.onset.UTC().Truncate(time.Millisecond)}
	if i.want != "" {
		object, verb, _ := strings.Cut(strings.ReplaceAll(i.want, "NS", s.namespace), " ")
		a.Cause = &cause{
			Object: object, Verb: verb, From: s.from.UTC().Truncate(time.Millisecond),
			To: s.to.UTC().Truncate(time.Millisecond),
		}
	}
	var file bytes.Buffer
	err := log.Excerpt(ctx, history.Extent{End: end}, func(e *history.Excerpt) error {
		e.Baselines, e.Records = s.only(e.Baselines), s.only(e.Records)
		s.withGap(e)
		_, err := archive.Write(&file, e, "incidents", end, nil)
		return err
	})
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(a, "", "  ")
	path := filepath.Join("testdata", i.name)
	return errors.Join(err, os.WriteFile(path+".export", file.Bytes(), 0o600),
		os.WriteFile(path+".json", append(text, '\n'), 0o600))
}

// only yields the records of the incident's namespaces, and of cluster-scoped
// objects.
func (s *stage) only(of iter.Seq2[*history.Record, error]) iter.Seq2[*history.Record, error] {
	return func(yield func(*history.Record, error) bool) {
		for r, err := range of {
			if (err != nil || s.concerns(r)) && !yield(r, err) {
				return
			}
		}
	}
}

// withGap changes an excerpt to what the log would have if nothing had been
// recorded in the stage's gap: the state at its end is found by a relist, and
// the versions before are missing.
func (s *stage) withGap(e *history.Excerpt) {
	if s.gap.end.IsZero() {
		return
	}
	for _, r := range e.Catalogue {
		e.Gaps = append(e.Gaps, history.Gap{
			Group: r.Group, Resource: r.Plural, Start: s.gap.start, End: s.gap.end, Reason: history.GapRestarted,
		})
	}
	records := e.Records
	e.Records = func(yield func(*history.Record, error) bool) {
		var missed []*history.Record // the newest versions in the gap
		created := map[types.UID]bool{}
		found := func() bool {
			for n, r := range missed {
				if r.Verb == history.Delete && created[r.Ref.UID] {
					continue // a relist does not find it
				}
				if created[r.Ref.UID] {
					r.Verb = history.Create
				}
				r.InferredSince, r.Time = s.gap.start, s.gap.end.Add(time.Duration(n))
				if !yield(r, nil) {
					return false
				}
			}
			missed = nil
			return true
		}
		for r, err := range records {
			if err == nil && r.Time.After(s.gap.start) && r.Time.Before(s.gap.end) {
				missed = slices.DeleteFunc(missed, func(m *history.Record) bool { return m.Ref.UID == r.Ref.UID })
				missed = append(missed, r)
				created[r.Ref.UID] = created[r.Ref.UID] || r.Verb == history.Create
				continue
			}
			if err == nil && !r.Time.Before(s.gap.end) && !found() || !yield(r, err) {
				return
			}
		}
		found()
	}
}

// isChatter reports whether a record is an Event of a normal day of the noise.
// These were a fifth of an export, and are neither problems nor causes.
func isChatter(r *history.Record) bool {
	return r.Regarding != nil && bytes.Contains(r.Object, []byte(`"type":"Normal"`)) &&
		(strings.HasPrefix(r.Regarding.Name, "catalog") || strings.HasPrefix(r.Regarding.Name, "cache"))
}

// concerns reports whether the export of the incident has a record.
func (s *stage) concerns(r *history.Record) bool {
	switch {
	case history.IsReserved(r.Ref.GroupResource()), isChatter(r):
		return false
	case r.Ref.Namespace == s.namespace, strings.HasPrefix(r.Ref.Namespace, s.namespace+"-"):
		return true
	case r.Ref.Namespace != "":
		return r.Regarding != nil && strings.HasPrefix(r.Regarding.Name, s.namespace)
	case r.Ref.Resource == "namespaces":
		return r.Ref.Name == s.namespace || strings.HasPrefix(r.Ref.Name, s.namespace+"-")
	case r.Ref.Resource == "nodes", r.Ref.Resource == "persistentvolumes", r.Ref.Group == "storage.k8s.io",
		r.Ref.Group == "admissionregistration.k8s.io", r.Ref.Group == "apiextensions.k8s.io",
		r.Ref.Group == "scheduling.k8s.io":
		return true
	default:
		return false
	}
}

package causes_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

var rollouts = flag.Int("rollouts", 40, "number of rollouts; make load uses 10,000")

const (
	namespace   = "causes"
	deployments = 8 // that roll out concurrently
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

var (
	cluster *clustertest.Cluster
	program string // path of the recorder's binary
)

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "causes-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if program, err = recordertest.Build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return clustertest.Main(m, clustertest.Options{All: true, Nodes: 3}, func(c *clustertest.Cluster) { cluster = c })
}

// TestRollouts_CausesAreRecordedBeforeEffects rolls out Deployments. Every
// object must be recorded after its owner, every Event after the object it
// regards, and all records in the order of the writes.
//
// Ten records, and one of ten thousand, may be late: the recorder learns from
// them how long it must wait on a slow machine.
func TestRollouts_CausesAreRecordedBeforeEffects(t *testing.T) {
	r := recordertest.New(t, program, cluster.Kubeconfig)
	r.Ready(t)
	kube := kubernetes.NewForConfigOrDie(cluster.Config())
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	if _, err := kube.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	group, ctx := errgroup.WithContext(t.Context())
	for i := range deployments {
		group.Go(func() error { return roll(ctx, kube, fmt.Sprint("web-", i), *rollouts/deployments) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	last := writeMarker(t, kube)
	recordertest.Eventually(t, "the newest write is recorded", func() (bool, string) {
		page, err := r.Client.Events(t.Context(), client.EventsQuery{UID: string(last.UID), Limit: 1, Summary: true})
		return err == nil && len(page.Events) == 1, fmt.Sprint(err)
	})
	c := checker{known: map[string]bool{}, counts: map[string]int{}}
	for e, err := range r.Client.All(t.Context(), client.EventsQuery{Namespace: namespace, Limit: 500}) {
		if err != nil {
			t.Fatal(err)
		}
		c.record(t, &e)
	}
	t.Logf("%d records by type: %v; late: %v", c.records, c.counts, c.late)
	if got, most := len(c.late), 10+c.records/10_000; got > most {
		t.Errorf("got %d records out of order, want at most %d", got, most)
	}
	if got, want := c.counts["replicasets create"], *rollouts; got < want {
		t.Errorf("got %d ReplicaSets, want one for each of %d rollouts", got, want)
	}
	related(t, r)
}

// related queries a page of Events that regard a Deployment and everything it
// owned: a ReplicaSet and a pod for each rollout.
func related(t *testing.T, r *recordertest.Recorder) {
	t.Helper()
	const limit = 100
	start := time.Now()
	page, err := r.Client.Object(t.Context(), client.ObjectQuery{
		Namespace: namespace, Resource: "deployments", Group: "apps", Name: "web-0",
		Descendants: true, Limit: limit, Summary: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d related Events after %v", len(page.RelatedEvents), time.Since(start))
	// A rollout scales a ReplicaSet up, which creates a Pod, which is
	// scheduled.
	if got, want := len(page.RelatedEvents), min(limit, 3*(*rollouts/deployments)); got < want {
		t.Errorf("got %d related Events of %d rollouts, want at least %d", got, *rollouts/deployments, want)
	}
}

// roll creates a Deployment and changes its template. Each change waits until
// the previous rollout is complete.
func roll(ctx context.Context, kube kubernetes.Interface, name string, rollouts int) error {
	api := kube.AppsV1().Deployments(namespace)
	labels := map[string]string{"app": name}
	one, keep := int32(1), int32(1)
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &one, RevisionHistoryLimit: &keep, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					Containers: []corev1.Container{{Name: "web", Image: "registry.example/web:1"}},
				},
			},
		},
	}
	if _, err := api.Create(ctx, d, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	for n := 1; ; n++ {
		if err := complete(ctx, kube, name); err != nil || n >= rollouts {
			return err
		}
		patch := fmt.Appendf(nil, `{"spec":{"template":{"metadata":{"annotations":{"rollout":"%d"}}}}}`, n)
		if _, err := api.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return fmt.Errorf("roll out %s: %w", name, err)
		}
	}
}

// complete waits until the rollout of a Deployment is complete.
func complete(ctx context.Context, kube kubernetes.Interface, name string) error {
	ctx, cancel := context.WithTimeout(ctx, recordertest.Patience)
	defer cancel()
	for {
		d, err := kube.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("wait for %s: %w", name, err)
		}
		s := d.Status
		if s.ObservedGeneration == d.Generation && s.UpdatedReplicas == 1 &&
			s.AvailableReplicas == 1 && s.Replicas == 1 {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// writeMarker creates a ConfigMap after all other writes.
func writeMarker(t *testing.T, kube kubernetes.Interface) *corev1.ConfigMap {
	t.Helper()
	m, err := kube.CoreV1().ConfigMaps(namespace).Create(t.Context(),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "last"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// checker checks records, oldest first.
type checker struct {
	newest uint64          // resourceVersion
	known  map[string]bool // UIDs of objects that were recorded
	counts map[string]int

	records, failures int
	late              []string // records that are older than a previous one
}

// record checks the next record.
func (c *checker) record(t *testing.T, e *v1.Event) {
	t.Helper()
	c.records++
	c.counts[e.ResourceType+" "+e.Verb]++
	var object struct {
		Metadata struct {
			OwnerReferences []struct{ Kind, Name, UID string }
		}
		InvolvedObject struct{ Kind, Name, UID string }
	}
	if err := json.Unmarshal(e.ObjectChanges, &object); err != nil {
		t.Fatalf("%s %s at %s: %v", e.ResourceType, e.ResourceName, e.ResourceVersion, err)
	}
	rv, err := strconv.ParseUint(e.ResourceVersion, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if rv < c.newest {
		c.late = append(c.late, fmt.Sprintf("%s %s@%d after %d", e.ResourceType, e.ResourceName, rv, c.newest))
	}
	c.newest = max(c.newest, rv)
	c.known[e.UID] = true
	for _, o := range object.Metadata.OwnerReferences {
		if !c.known[o.UID] {
			c.fail(t, e, "got no earlier record of its owner %s %s, want one", o.Kind, o.Name)
		}
	}
	if o := object.InvolvedObject; o.UID != "" && !c.known[o.UID] {
		c.fail(t, e, "got no earlier record of the object it regards, %s %s, want one", o.Kind, o.Name)
	}
}

// fail reports the first 20 failures, and counts the others.
func (c *checker) fail(t *testing.T, e *v1.Event, format string, args ...any) {
	t.Helper()
	if c.failures++; c.failures <= 20 {
		t.Errorf("%s of %s %s at %s: %s",
			e.Verb, e.ResourceType, e.ResourceName, e.ResourceVersion, fmt.Sprintf(format, args...))
	}
}

package chaos_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

// scenario is a namespace that nothing else writes to, with the writes to it.
type scenario struct {
	namespace string
	truth     []clustertest.Write // all accepted writes
	markers   []clustertest.Write // the newest version of one object of each kind; see caughtUp
	marks     int                 // number of updates
	objects   dynamic.Interface
}

// kinds returns the resources that loads write to.
func kinds() []string { return []string{"pods", "configmaps", "secrets", "widgets"} }

// defineWidgets creates the load's custom resource, so that a recorder watches
// it from the start.
func defineWidgets(t *testing.T) {
	t.Helper()
	load := clustertest.Load{Namespace: "define", Kinds: []string{"widgets"}, Objects: 1, Writers: 1, Delete: true}
	if _, err := cluster.Load(t.Context(), load); err != nil {
		t.Fatal(err)
	}
}

// newScenario creates the namespace and the markers. The recorder must run
// already, so that no object is initial.
func newScenario(t *testing.T, namespace string) *scenario {
	t.Helper()
	objects, err := dynamic.NewForConfig(cluster.Config())
	if err != nil {
		t.Fatal(err)
	}
	markers, err := cluster.Load(t.Context(), clustertest.Load{
		Namespace: namespace, Kinds: kinds(), Objects: len(kinds()), Writers: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &scenario{namespace: namespace, truth: slices.Clone(markers), markers: markers, objects: objects}
}

// of returns the client for a write's resource.
func (w *scenario) of(write clustertest.Write) dynamic.ResourceInterface {
	gvr := schema.GroupVersionResource{Group: write.Group, Version: "v1", Resource: write.Resource}
	return w.objects.Resource(gvr).Namespace(w.namespace)
}

// update updates an object, adds the write to the truth and returns it.
func (w *scenario) update(t *testing.T, object clustertest.Write) clustertest.Write {
	t.Helper()
	w.marks++
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"touched":"%d"}}}`, w.marks)
	now, err := w.of(object).Patch(t.Context(), object.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	object.ResourceVersion, object.Verb = now.GetResourceVersion(), "update"
	w.truth = append(w.truth, object)
	return object
}

// recreate creates an object again under its name, adds the write to the truth
// and returns it.
func (w *scenario) recreate(t *testing.T, object clustertest.Write) clustertest.Write {
	t.Helper()
	gvk := map[string]schema.GroupVersionKind{
		"configmaps": {Version: "v1", Kind: "ConfigMap"},
		"secrets":    {Version: "v1", Kind: "Secret"},
		"widgets":    {Group: object.Group, Version: "v1", Kind: "Widget"},
	}[object.Resource]
	fresh := &unstructured.Unstructured{}
	fresh.SetGroupVersionKind(gvk)
	fresh.SetName(object.Name)
	now, err := w.of(object).Create(t.Context(), fresh, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	object.UID, object.ResourceVersion, object.Verb = string(now.GetUID()), now.GetResourceVersion(), "create"
	w.truth = append(w.truth, object)
	return object
}

// delete deletes an object and adds the write to the truth.
func (w *scenario) delete(t *testing.T, object clustertest.Write) {
	t.Helper()
	if err := w.of(object).Delete(t.Context(), object.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	object.ResourceVersion, object.Verb = "", "delete"
	w.truth = append(w.truth, object)
}

// caughtUp updates an object of each kind, and waits until the recorder has
// these versions. It returns the first of their resourceVersions.
func (w *scenario) caughtUp(t *testing.T, r *recorder) (first uint64) {
	t.Helper()
	for i, m := range w.markers {
		w.markers[i] = w.update(t, m)
	}
	first, err := strconv.ParseUint(w.markers[0].ResourceVersion, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range w.markers {
		recordertest.Eventually(t, "the recorder has the newest "+m.Resource, func() (bool, string) {
			r.Alive(t)
			page, err := r.Client.Events(t.Context(), client.EventsQuery{
				UID: m.UID, Order: history.NewestFirst, Limit: 1, Summary: true,
			})
			if err != nil || len(page.Events) == 0 {
				return false, fmt.Sprint(err)
			}
			return page.Events[0].ResourceVersion == m.ResourceVersion, page.Events[0].ResourceVersion
		})
	}
	return first
}

// watching waits until the recorder watches every kind, and returns a
// resourceVersion after which it receives everything.
//
// It catches up twice. The first time, the versions may come from the
// recorder's list, and those accepted between them and the list are not
// delivered.
func (w *scenario) watching(t *testing.T, r *recorder) uint64 {
	t.Helper()
	w.caughtUp(t, r)
	return w.caughtUp(t, r)
}

// runLoad runs loads, one after the other, until disturb has returned and at
// least this many rounds are done. It adds their writes to the truth.
func (w *scenario) runLoad(t *testing.T, load clustertest.Load, rounds int, disturb func()) {
	t.Helper()
	load.Namespace, load.Kinds, load.Writers = w.namespace, kinds(), 8
	over, done := make(chan struct{}), make(chan error, 1)
	var writes []clustertest.Write
	ctx := t.Context()
	go func() {
		for round := 0; round < rounds || !isClosed(over); round++ {
			more, err := drive(ctx, load)
			writes = append(writes, more...)
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	var failure error
	defer func() {
		if failure != nil {
			t.Fatal(failure)
		}
		w.truth = append(w.truth, writes...)
		t.Logf("%d writes", len(w.truth))
	}()
	defer func() {
		close(over)
		failure = <-done
	}()
	disturb()
}

// drive runs one load. The load survives an outage of the API server, but can't
// start in one, so drive retries.
func drive(ctx context.Context, load clustertest.Load) (writes []clustertest.Write, err error) {
	for deadline := time.Now().Add(recordertest.Patience); time.Now().Before(deadline); {
		writes, err = cluster.Load(ctx, load)
		if err == nil || len(writes) > 0 || ctx.Err() != nil {
			return writes, err
		}
	}
	return nil, err
}

// isClosed reports whether the channel is closed.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// verify waits until the recorder has caught up and compares its records with
// the truth. It does so again after a restart.
func (w *scenario) verify(t *testing.T, r *recorder, blind ...clustertest.Blind) clustertest.Result {
	t.Helper()
	w.caughtUp(t, r)
	w.compare(t, r, blind)
	r.restart(t)
	result := w.compare(t, r, blind)
	t.Logf("%d writes, %d of them not delivered; %d records inferred; %d findings",
		len(w.truth), result.Unseen, result.Inferred, len(result.Findings))
	return result
}

// compare compares the records with the truth once.
func (w *scenario) compare(t *testing.T, r *recorder, blind []clustertest.Blind) clustertest.Result {
	t.Helper()
	const shown = 20
	events := r.events(t, w.namespace)
	result := clustertest.Compare(w.truth, events, blind...)
	gaps, err := r.Client.Gaps(t.Context(), client.GapsQuery{})
	if err != nil {
		t.Fatal(err)
	}
	result.Findings = append(result.Findings, clustertest.OutsideGaps(w.truth, events, gaps)...)
	if n := len(result.Findings); n > 0 {
		t.Errorf("got %d findings, want none:\n%s", n, strings.Join(result.Findings[:min(n, shown)], "\n"))
	}
	return result
}

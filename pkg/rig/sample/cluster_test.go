package sample_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/sample"
)

func cluster(seed uint64) *sample.Cluster {
	return sample.New(sample.Options{Seed: seed, Objects: 300, Start: time.Unix(1_790_000_000, 0), Every: 100 * time.Millisecond})
}

func take(c *sample.Cluster, n int) []sample.WatchEvent {
	list := make([]sample.WatchEvent, n)
	for i := range list {
		list[i] = c.Next()
	}
	return list
}

// TestSameSeed checks that what is compared with one another sees the same data.
func TestSameSeed(t *testing.T) {
	if !reflect.DeepEqual(take(cluster(7), 500), take(cluster(7), 500)) {
		t.Error("the same seed gave other frames")
	}
	if reflect.DeepEqual(take(cluster(7), 5), take(cluster(8), 5)) {
		t.Error("another seed gave the same frames")
	}
}

// TestObjectsAreTheAPIs checks that the made-up objects are what an API server serves: all of their fields are known to the
// API's types, which write them the same way, byte by byte.
func TestObjectsAreTheAPIs(t *testing.T) {
	for _, f := range take(cluster(1), 3000) {
		var object any
		switch f.Resource.Kind {
		case "Pod":
			object = &corev1.Pod{}
		case "Node":
			object = &corev1.Node{}
		case "Event":
			object = &corev1.Event{}
		case "Lease":
			object = &coordinationv1.Lease{}
		case "ReplicaSet":
			object = &appsv1.ReplicaSet{}
		case "Deployment":
			object = &appsv1.Deployment{}
		case "EndpointSlice":
			object = &discoveryv1.EndpointSlice{}
		case "Database":
			object = &map[string]any{} // which are written in the order of their names, as custom resources are
		}
		decoder := json.NewDecoder(bytes.NewReader(f.Object))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(object); err != nil {
			t.Fatalf("%v in %s", err, f.Object)
		}
		var again bytes.Buffer
		encoder := json.NewEncoder(&again)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(object); err != nil {
			t.Fatal(err)
		}
		if got := bytes.TrimSpace(again.Bytes()); !bytes.Equal(got, f.Object) {
			t.Fatalf("the API's type writes %s otherwise (-frame +type):\n%s", f.Resource.Kind, cmp.Diff(string(f.Object), string(got)))
		}
	}
}

// TestLives checks that every object is created before anything else happens to it, that nothing happens to it behind its
// deletion, and that every version of it is another one.
func TestLives(t *testing.T) {
	alive := map[history.ObjectRef]string{}
	types, sizes := map[string]map[history.WatchEventType]int{}, map[string]int{}
	bytes := 0
	const frames = 10_000
	for _, f := range take(cluster(1), frames) {
		var o metav1.PartialObjectMetadata
		if err := json.Unmarshal(f.Object, &o); err != nil {
			t.Fatal(err)
		}
		ref := history.ObjectRef{Resource: f.Resource.Plural, Namespace: o.Namespace, Name: o.Name, UID: o.UID}
		if (alive[ref] == "") != (f.Type == history.Added) {
			t.Fatalf("%s of %s, which had the version %q", f.Type, ref, alive[ref])
		}
		if alive[ref] == o.ResourceVersion {
			t.Fatalf("%s has the version %s twice", ref, o.ResourceVersion)
		}
		if alive[ref] = o.ResourceVersion; f.Type == history.Deleted {
			delete(alive, ref)
		}
		if types[f.Resource.Plural] == nil {
			types[f.Resource.Plural] = map[history.WatchEventType]int{}
		}
		types[f.Resource.Plural][f.Type]++
		bytes += len(f.Object)
		sizes[f.Resource.Plural] += len(f.Object)
	}
	for kind, of := range types {
		n := of[history.Added] + of[history.Modified] + of[history.Deleted]
		t.Logf("%-15s %4.1f %%: %v, %d bytes on average", kind, float64(n)*100/frames, of, sizes[kind]/n)
		if of[history.Modified] < 100 {
			t.Errorf("only %d updates of %s", of[history.Modified], kind)
		}
	}
	if len(types) != 8 {
		t.Errorf("frames of %v", types)
	}
	if n := bytes / frames; n < 6500 || n > 6900 {
		t.Errorf("an object has %d bytes on average, and is said to have 6,700", n)
	}
	if n := len(alive); n < 250 || n > 350 {
		t.Errorf("%d objects are alive of about 300", n)
	}
	t.Logf("%d alive; %d bytes on average", len(alive), bytes/frames)
}

func BenchmarkNext(b *testing.B) {
	c := cluster(1)
	b.ReportAllocs()
	for b.Loop() {
		c.Next()
	}
}

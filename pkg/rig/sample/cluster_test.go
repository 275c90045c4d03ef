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

// cluster returns a cluster of 300 objects.
func cluster(seed uint64) *sample.Cluster {
	return sample.New(sample.Options{
		Seed: seed, Objects: 300, Start: time.Unix(1_790_000_000, 0), Every: 100 * time.Millisecond,
	})
}

// take returns the next n watch events.
func take(c *sample.Cluster, n int) []sample.WatchEvent {
	list := make([]sample.WatchEvent, n)
	for i := range list {
		list[i] = c.Next()
	}
	return list
}

// TestNext_DependsOnSeedOnly: compared measurements must see the same data.
func TestNext_DependsOnSeedOnly(t *testing.T) {
	if !reflect.DeepEqual(take(cluster(7), 500), take(cluster(7), 500)) {
		t.Error("same seed: got other watch events, want the same")
	}
	if reflect.DeepEqual(take(cluster(7), 5), take(cluster(8), 5)) {
		t.Error("other seed: got the same watch events, want others")
	}
}

// TestNext_ObjectsMatchAPITypes checks that the API's types have all fields of
// the generated objects, and write them as the same bytes.
func TestNext_ObjectsMatchAPITypes(t *testing.T) {
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
			object = &map[string]any{} // sorted by name, as the fields of custom resources are
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
			t.Fatalf("%s (-watch event +API type):\n%s", f.Resource.Kind, cmp.Diff(string(f.Object), string(got)))
		}
	}
}

// TestNext_ObjectLivesAreConsistent checks that every object is created first,
// that nothing follows its deletion, and that each version has a new
// resourceVersion. It also checks the sizes and numbers that docs/storage.md
// states.
func TestNext_ObjectLivesAreConsistent(t *testing.T) {
	alive := map[history.ObjectRef]string{}
	types, sizes := map[string]map[history.WatchEventType]int{}, map[string]int{}
	bytes := 0
	const total = 10_000
	for _, f := range take(cluster(1), total) {
		var o metav1.PartialObjectMetadata
		if err := json.Unmarshal(f.Object, &o); err != nil {
			t.Fatal(err)
		}
		ref := history.ObjectRef{Resource: f.Resource.Plural, Namespace: o.Namespace, Name: o.Name, UID: o.UID}
		if (alive[ref] == "") != (f.Type == history.Added) {
			t.Fatalf("got %s of %s with version %q, want it added if it has none, and only then",
				f.Type, ref, alive[ref])
		}
		if alive[ref] == o.ResourceVersion {
			t.Fatalf("%s: got version %s twice, want it once", ref, o.ResourceVersion)
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
		t.Logf("%-15s %4.1f %%: %v, %d bytes on average", kind, float64(n)*100/total, of, sizes[kind]/n)
		if of[history.Modified] < 100 {
			t.Errorf("%s: got %d updates, want at least 100", kind, of[history.Modified])
		}
	}
	if len(types) != 8 {
		t.Errorf("got watch events of %v, want 8 kinds", types)
	}
	if n := bytes / total; n < 6500 || n > 6900 {
		t.Errorf("got %d bytes per object on average, want about 6,700", n)
	}
	if n := len(alive); n < 250 || n > 350 {
		t.Errorf("got %d objects, want about 300", n)
	}
	t.Logf("%d objects; %d bytes on average", len(alive), bytes/total)
}

func BenchmarkNext(b *testing.B) {
	c := cluster(1)
	b.ReportAllocs()
	for b.Loop() {
		c.Next()
	}
}

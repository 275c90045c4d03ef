package sample_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/sample"
)

// TestSameSeed checks that benchmarks that are compared with one another see the same data.
func TestSameSeed(t *testing.T) {
	if !reflect.DeepEqual(sample.New(7, 30).Take(500), sample.New(7, 30).Take(500)) {
		t.Error("the same seed gave other versions")
	}
	if reflect.DeepEqual(sample.New(7, 30).Take(5), sample.New(8, 30).Take(5)) {
		t.Error("another seed gave the same versions")
	}
}

// TestSequence checks that every object is created before anything else happens to it, and that nothing happens to it
// behind its deletion.
func TestSequence(t *testing.T) {
	alive := map[history.ObjectRef]bool{}
	verbs := map[history.Verb]int{}
	for _, r := range sample.New(1, 20).Take(5000) {
		verbs[r.Verb]++
		if alive[r.Ref] == (r.Verb == history.Create) {
			t.Fatalf("%s of %s, alive: %v", r.Verb, r.Ref, alive[r.Ref])
		}
		alive[r.Ref] = r.Verb != history.Delete
		if !json.Valid(r.Object) {
			t.Fatalf("%s is no JSON", r.Ref)
		}
	}
	for _, v := range []history.Verb{history.Create, history.Update, history.Delete} {
		if verbs[v] < 20 {
			t.Errorf("only %d times %s", verbs[v], v)
		}
	}
}

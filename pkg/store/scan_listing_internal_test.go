package store

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// openListed opens a new log, and closes it when the test ends.
func openListed(t *testing.T, opts Options) *Store {
	t.Helper()
	opts.NoSync = true
	s, err := Open(t.TempDir(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func podRef(i int) history.ObjectRef {
	name := fmt.Sprintf("pod-%06d", i)
	return history.ObjectRef{Resource: "pods", Namespace: "shop", Name: name, UID: types.UID(name)}
}

// putPods appends a version of each of n pods.
func putPods(t *testing.T, s *Store, from, n int, verb history.Verb) {
	t.Helper()
	batch := &history.Batch{}
	for i := range n {
		batch.Versions = append(batch.Versions, history.NewVersion{Record: &history.Record{
			Ref: podRef(from + i), Version: "v1", Kind: "Pod", Verb: verb, RV: "1", Object: []byte(`{}`),
		}})
	}
	if err := s.Append(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
}

// pagesOf reads a state in pages, and returns the number of objects.
func pagesOf(t *testing.T, s *Store, at time.Time) (n int) {
	t.Helper()
	sc := history.StateScan{At: at, Limit: 500}
	for last := -1; last != n; {
		last = n
		for r, err := range s.State(t.Context(), sc) {
			if err != nil {
				t.Fatal(err)
			}
			sc.After = r.Ref
			n++
		}
	}
	return n
}

// TestListing_TooManyObjectsAreNotTriedAgain reads pages of a resource that has
// too many objects for a listing. Trying to make one costs as much as a page.
func TestListing_TooManyObjectsAreNotTriedAgain(t *testing.T) {
	const objects = minListed + 10
	s := openListed(t, Options{})
	s.listings.most = objects
	putPods(t, s, 0, objects, history.Create)
	pagesOf(t, s, time.Now())
	if len(s.listings.of) != 1 {
		t.Fatalf("%d objects: got %d listings, want 1", objects, len(s.listings.of))
	}
	putPods(t, s, objects, 2*objects, history.Create)
	pagesOf(t, s, time.Now())
	if len(s.listings.of) != 0 {
		t.Errorf("%d objects: got %d listings, want none, and that none is made", 3*objects, len(s.listings.of))
	}
}

// TestListing_PagesDoNotWaitForOneThatIsMade reads pages while another
// goroutine makes the listing that they would use.
func TestListing_PagesDoNotWaitForOneThatIsMade(t *testing.T) {
	const objects = 40
	s := openListed(t, Options{})
	s.listings.least = 10
	putPods(t, s, 0, objects, history.Create)
	pages := func() (n int) {
		sc := history.StateScan{At: time.Now(), Limit: 15}
		for range 2 {
			for r, err := range s.State(t.Context(), sc) {
				if err != nil {
					t.Fatal(err)
				}
				sc.After = r.Ref
				n++
			}
		}
		return n
	}
	var resource uint16
	err := s.view(func(r *reader) (err error) {
		resource, err = r.resource(podRef(0).GroupResource())
		return err
	})
	if err != nil || !s.listings.begin(resource) {
		t.Fatalf("begin a listing: got error %v or false, want true", err)
	}
	if n := pages(); n != 30 || s.listings.of[resource] != nil {
		t.Errorf("while it is made: got %d objects, listing %v, want 30 and none", n, s.listings.of[resource])
	}
	s.listings.end(resource)
	if n := pages(); n != 30 || s.listings.of[resource] == nil {
		t.Errorf("afterwards: got %d objects, listing %v, want 30 and one", n, s.listings.of[resource])
	}
}

// TestListing_ObjectThatCameBackIsListedOnce records an object again after the
// day of its deletion was dropped: it has another number then. Its earlier
// number is in a listing, and its earlier identity in a cache.
func TestListing_ObjectThatCameBackIsListedOnce(t *testing.T) {
	const objects, back = minListed + 10, 7
	now := time.Now().Add(-30 * 24 * time.Hour)
	s := openListed(t, Options{Retention: 24 * time.Hour, Now: func() time.Time { return now }})
	putPods(t, s, 0, objects, history.Create)
	if got := pagesOf(t, s, now.Add(time.Second)); got != objects {
		t.Fatalf("got %d objects, want %d", got, objects)
	}
	putPods(t, s, back, 1, history.Delete)
	now = now.Add(72 * time.Hour)
	putPods(t, s, objects, 1, history.Create)
	if err := s.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := pagesOf(t, s, now.Add(time.Second)); got != objects {
		t.Errorf("after a deletion was dropped: got %d objects, want %d", got, objects)
	}
	putPods(t, s, back, 1, history.Create)
	if got := pagesOf(t, s, now.Add(time.Second)); got != objects+1 {
		t.Errorf("after the object came back: got %d objects, want %d", got, objects+1)
	}
}

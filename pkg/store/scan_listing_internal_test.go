package store

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// TestListing_TooManyObjectsAreNotTriedAgain reads pages of a resource that has
// too many objects for a listing. Trying to make one costs as much as a page.
func TestListing_TooManyObjectsAreNotTriedAgain(t *testing.T) {
	s, err := Open(t.TempDir(), Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	const objects = minListed + 10
	s.listings.most = objects
	put := func(from, n int) {
		t.Helper()
		batch := &history.Batch{}
		for i := range n {
			name := fmt.Sprintf("pod-%06d", from+i)
			batch.Versions = append(batch.Versions, history.NewVersion{Record: &history.Record{
				Ref:     history.ObjectRef{Resource: "pods", Namespace: "shop", Name: name, UID: types.UID(name)},
				Version: "v1", Kind: "Pod", Verb: history.Create, RV: "1", Object: []byte(`{}`),
			}})
		}
		if err := s.Append(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	pages := func() {
		t.Helper()
		sc := history.StateScan{At: time.Now(), Limit: 100}
		for range 3 {
			for r, err := range s.State(t.Context(), sc) {
				if err != nil {
					t.Fatal(err)
				}
				sc.After = r.Ref
			}
		}
	}
	put(0, objects)
	pages()
	if len(s.listings.of) != 1 {
		t.Fatalf("%d objects: got %d listings, want 1", objects, len(s.listings.of))
	}
	put(objects, 2*objects)
	pages()
	if len(s.listings.of) != 0 {
		t.Errorf("%d objects: got %d listings, want none, and that none is made", 3*objects, len(s.listings.of))
	}
}

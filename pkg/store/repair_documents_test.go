package store_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// TestRepair_KeepsDocuments damages each block of a log with documents. The
// remaining versions have their content, the lost ones have a gap, and none is
// visible without naming its resource.
func TestRepair_KeepsDocuments(t *testing.T) {
	whole, reserved := t.TempDir(), history.Documents()
	s := open(t, whole, store.Options{})
	contents, versions := map[time.Time]string{}, 0
	for i := range 40 {
		name, content := fmt.Sprintf("apis/group-%d/v1", i%20), fmt.Sprintf(`{"n":%d,"text":"%x"}`, i, random(500))
		verb := []history.Verb{history.Create, history.Update}[i/20]
		r := &history.Record{
			Ref: history.ObjectRef{
				Group: reserved.Group, Resource: reserved.Resource, Name: name, UID: types.UID(name),
			},
			Version: "v1", Kind: "Document", Verb: verb, RV: history.VersionOfDocument([]byte(content), "").String(),
			Object: history.EncodeDocument(name, []byte(content)),
		}
		appendTo(t, s, r, pod(fmt.Sprint("web-", i), "1", history.Create))
		contents[r.Time], versions = content, versions+1
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	scan := history.Scan{Bodies: true}
	scan.Resources = append(scan.Resources, reserved)
	for _, block := range blocksOf(t, filepath.Join(whole, onlyTable(t, whole))) {
		dir := copied(t, whole)
		flip(t, filepath.Join(dir, onlyTable(t, dir)), block[0]+block[1]/2)
		if _, err := store.Repair(t.Context(), dir, store.Options{NoSync: true}); err != nil {
			t.Errorf("block at %d: got error %v, want a repair", block[0], err)
			continue
		}
		s := open(t, dir, store.Options{})
		got := all(t, s, scan)
		for _, r := range got {
			content, err := history.DecodeDocument(r.Ref.Name, r.Object)
			if len(r.Object) > 0 && (err != nil || string(content) != contents[r.Time]) {
				t.Errorf("block at %d: %s: got %.40s, error %v, want its content", block[0], r.Ref.Name, content, err)
			}
		}
		gaps, err := s.Gaps(t.Context(), []schema.GroupResource{reserved}, time.Time{}, time.Time{})
		if err != nil || len(got) < versions && len(gaps) == 0 {
			t.Errorf("block at %d: got %d versions, gaps %+v, error %v, want a gap for what is lost of %d",
				block[0], len(got), gaps, err, versions)
		}
		catalogue, err := s.Resources(t.Context())
		if err != nil || slices.ContainsFunc(catalogue, func(r history.Resource) bool {
			return history.IsReserved(r.GroupResource())
		}) {
			t.Errorf("block at %d: got catalogue %+v, error %v, want no reserved resource", block[0], catalogue, err)
		}
		if slices.ContainsFunc(all(t, s, history.Scan{}), func(r *history.Record) bool {
			return history.IsReserved(r.Ref.GroupResource())
		}) {
			t.Errorf("block at %d: got documents without naming them, want none", block[0])
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

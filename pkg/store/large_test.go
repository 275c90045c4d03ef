package store_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Read(b)
	return b
}

// TestLargeObjects appends objects that don't compress, up to more than a transaction takes, beside small ones.
func TestLargeObjects(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	var want []*history.Record
	for i, size := range []int{0, 1, 256 << 10, 256<<10 + 1, 1 << 20, 3 << 20, 10, 6 << 20, 3<<20 + 7, 100} {
		r := pod(fmt.Sprint("web-", i), fmt.Sprint(i), history.Create)
		if r.Object = random(size); size == 0 {
			r.Object = nil
		}
		want = append(want, r)
	}
	appendTo(t, s, want...)
	s = reopen(t, s, dir, store.Options{})
	for i, r := range all(t, s, history.Scan{Bodies: true}) {
		if r.Ref != want[i].Ref || !bytes.Equal(r.Object, want[i].Object) {
			t.Errorf("%s: %d bytes, want %s with %d", r.Ref, len(r.Object), want[i].Ref, len(want[i].Object))
		}
	}
	_ = s.Close()
	if n := audit(t, dir, store.DefaultRetention, false); n != len(want) {
		t.Errorf("%d records, want %d", n, len(want))
	}
}

// TestLargeBatch appends more records at once than a transaction takes, of an object that stays the same and of others.
func TestLargeBatch(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	b := &history.Batch{Checkpoints: []history.Checkpoint{{Resource: "pods", RV: "9000"}, {Group: "apps", Resource: "deployments", RV: "1"}}}
	for i := range 9000 {
		b.Records = append(b.Records, pod(fmt.Sprint("web-", i%5000), fmt.Sprint(i), history.Update))
	}
	if err := s.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	for i, r := range all(t, s, history.Scan{Bodies: true}) {
		if d := cmp.Diff(b.Records[i], r); d != "" {
			t.Fatal(d)
		}
	}
	if r := b.Records[8999]; r.Revision != 2 {
		t.Errorf("revision %d of %s, want 2", r.Revision, r.Ref)
	}
	c, err := s.Checkpoint(t.Context(), schema.GroupResource{Resource: "pods"})
	if err != nil || c.RV != "9000" || !c.Time.Equal(b.Checkpoints[0].Time) || c.Time.Before(b.Records[8999].Time) {
		t.Errorf("checkpoint %+v, %v; committed %+v", c, err, b.Checkpoints[0])
	}
	_ = s.Close()
	if n := audit(t, dir, store.DefaultRetention, false); n != 9000 {
		t.Errorf("%d records, want 9000", n)
	}
}

package store_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// TestLargeObjects appends objects that don't compress and are larger than any that is promised, more of them than a transaction
// takes, between small ones.
func TestLargeObjects(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	var want []*history.Record
	for i, size := range []int{0, 10, 6 << 20, 3<<20 + 7, 100} {
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

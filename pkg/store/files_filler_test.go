package store_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// random returns incompressible bytes, the same for the same length.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Read(b)
	return b
}

// filler appends incompressible bodies, and stores the acknowledged records.
type filler struct {
	log  *store.Store
	want []*history.Record
}

// add appends a batch of 1 MB.
func (f *filler) add(t *testing.T) error {
	t.Helper()
	return f.addWithin(t.Context())
}

func (f *filler) addWithin(ctx context.Context) error {
	var records []*history.Record
	for i := range 10 {
		records = append(records, fillRecord(len(f.want)+i))
	}
	err := f.log.Append(ctx, &history.Batch{Versions: newVersions(records...)})
	if err == nil {
		f.want = append(f.want, records...)
	}
	return err
}

// resume adds the records of a partially committed batch to the acknowledged
// ones. They must be complete and in order.
func (f *filler) resume(t *testing.T) {
	t.Helper()
	for _, r := range all(t, f.log, history.Scan{Bodies: true})[len(f.want):] {
		n := len(f.want)
		if want := fillRecord(n); r.RV != want.RV || r.Ref != want.Ref || !bytes.Equal(r.Object, want.Object) {
			t.Fatalf("record %d: got %s at %s with %d bytes, want %s at %s",
				n, r.Ref, r.RV, len(r.Object), want.Ref, want.RV)
		}
		f.want = append(f.want, r)
	}
}

// refused appends until a batch is rejected, and returns the error. It gives up
// after 1 GB.
func (f *filler) refused(t *testing.T) error {
	t.Helper()
	for range 1000 {
		if err := f.add(t); err != nil {
			return err
		}
	}
	t.Fatal("got 1000 batches of 1 MB accepted, want one rejected")
	return nil
}

// fill appends until the volume is full.
func (f *filler) fill(t *testing.T) {
	t.Helper()
	err := f.refused(t)
	if history.CodeOf(err) != history.Unavailable || !strings.Contains(err.Error(), "is full") ||
		strings.Contains(err.Error(), "\n") {
		t.Fatalf("got %q, want an Unavailable error in one line with \"is full\"", err)
	}
}

func (f *filler) check(t *testing.T) {
	t.Helper()
	got := all(t, f.log, history.Scan{Bodies: true})
	if len(got) != len(f.want) {
		t.Fatalf("got %d records, want the acknowledged %d", len(got), len(f.want))
	}
	for i, r := range got {
		if w := f.want[i]; r.Ref != w.Ref || r.RV != w.RV || r.Revision != w.Revision ||
			!bytes.Equal(r.Object, w.Object) {
			t.Fatalf("record %d: got %s at %s, revision %d, want %s at %s, revision %d",
				i, r.Ref, r.RV, r.Revision, w.Ref, w.RV, w.Revision)
		}
	}
}

func fillRecord(n int) *history.Record {
	r := pod(fmt.Sprint("web-", n%100), fmt.Sprint(n), history.Update)
	r.Object = random(100<<10 + n)
	return r
}

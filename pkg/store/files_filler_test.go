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

// random returns bytes that don't compress, the same ones for each length.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Read(b)
	return b
}

// filler appends bodies that don't compress, and remembers what was acknowledged.
type filler struct {
	log  *store.Store
	want []*history.Record
}

// add appends a batch of 1 MB, or returns why that was refused.
func (f *filler) add(t *testing.T) error {
	t.Helper()
	return f.addWithin(t.Context())
}

func (f *filler) addWithin(ctx context.Context) error {
	b := &history.Batch{}
	for i := range 10 {
		b.Records = append(b.Records, fillRecord(len(f.want)+i))
	}
	err := f.log.Append(ctx, b)
	if err == nil {
		f.want = append(f.want, b.Records...)
	}
	return err
}

// resume takes over what a batch left that failed half-way: whole records, in order.
func (f *filler) resume(t *testing.T) {
	t.Helper()
	for _, r := range all(t, f.log, history.Scan{Bodies: true})[len(f.want):] {
		n := len(f.want)
		if want := fillRecord(n); r.RV != want.RV || r.Ref != want.Ref || !bytes.Equal(r.Object, want.Object) {
			t.Fatalf("record %d is %s at %s", n, r.Ref, r.RV)
		}
		f.want = append(f.want, r)
	}
}

// refused appends until that is refused, and returns why. It gives up after 1 GB.
func (f *filler) refused(t *testing.T) error {
	t.Helper()
	for range 1000 {
		if err := f.add(t); err != nil {
			return err
		}
	}
	t.Fatal("1 GB is taken, and more")
	return nil
}

// fill appends until the volume is full.
func (f *filler) fill(t *testing.T) {
	t.Helper()
	err := f.refused(t)
	if history.CodeOf(err) != history.Unavailable || !strings.Contains(err.Error(), "is full") || strings.Contains(err.Error(), "\n") {
		t.Fatalf("refused with %q", err)
	}
}

func (f *filler) check(t *testing.T) {
	t.Helper()
	got := all(t, f.log, history.Scan{Bodies: true})
	if len(got) != len(f.want) {
		t.Fatalf("%d records, acknowledged %d", len(got), len(f.want))
	}
	for i, r := range got {
		if w := f.want[i]; r.Ref != w.Ref || r.RV != w.RV || r.Revision != w.Revision || !bytes.Equal(r.Object, w.Object) {
			t.Fatalf("record %d is %s at %s", i, r.Ref, r.RV)
		}
	}
}

func fillRecord(n int) *history.Record {
	r := pod(fmt.Sprint("web-", n%100), fmt.Sprint(n), history.Update)
	r.Object = random(100<<10 + n)
	return r
}

package store_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// filler appends bodies that don't compress, and remembers what was acknowledged.
type filler struct {
	log  *store.Store
	want []*history.Record
}

// add appends a batch of 1 MB, or returns why that was refused.
func (f *filler) add(t *testing.T) error {
	t.Helper()
	b := &history.Batch{}
	for i := range 10 {
		n := len(f.want) + i
		r := pod(fmt.Sprint("web-", n%100), fmt.Sprint(n), history.Update)
		r.Object = random(100<<10 + n)
		b.Records = append(b.Records, r)
	}
	err := f.log.Append(t.Context(), b)
	if err == nil {
		f.want = append(f.want, b.Records...)
	}
	return err
}

// fill appends until that is refused.
func (f *filler) fill(t *testing.T) {
	t.Helper()
	var err error
	for n := 0; err == nil; n++ {
		if n > 1000 {
			t.Fatal("the volume takes more than it has room for")
		}
		err = f.add(t)
	}
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

// TestFullVolume fills a volume, makes room, and fills it again. A log that writes where there is no room does not end with
// an error but with SIGBUS, and this test with it.
func TestFullVolume(t *testing.T) {
	onVolume(t, "160m", func(dir string) {
		ballast := filepath.Join(dir, "ballast")
		if err := os.WriteFile(ballast, make([]byte, 40<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(dir, "log")
		opts := store.Options{}
		f := &filler{log: open(t, dir, opts)}
		f.fill(t)
		f.check(t)
		full := len(f.want)
		f.log = reopen(t, f.log, dir, opts) // a restart does not make it worse
		f.check(t)
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if err := f.add(t); err != nil { // it goes on by itself
			t.Fatal(err)
		}
		f.fill(t)
		if more := len(f.want) - full; more < 100 {
			t.Errorf("40 MB of room took %d records of 100 KB", more)
		}
		f.check(t)
		f.log = reopen(t, f.log, dir, opts)
		f.check(t)
	})
}

// TestRegisterOnAFullVolume checks that a volume with room for nothing new takes no new names, and still knows the old ones.
func TestRegisterOnAFullVolume(t *testing.T) {
	onVolume(t, "32m", func(volume string) {
		s := open(t, filepath.Join(volume, "log"), store.Options{})
		pods := history.Resource{Version: "v1", Plural: "pods", Kind: "Pod"}
		if err := s.Register(t.Context(), pods); history.CodeOf(err) != history.Unavailable {
			t.Errorf("registered with less room than there has to be: %v", err)
		}
		if err := syscall.Mount("", volume, "", syscall.MS_REMOUNT, "size=100m"); err != nil {
			t.Fatal(err)
		}
		if err := s.Register(t.Context(), pods); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("", volume, "", syscall.MS_REMOUNT, "size=32m"); err != nil {
			t.Fatal(err)
		}
		if err := s.Register(t.Context(), pods); err != nil {
			t.Errorf("what is registered: %v", err)
		}
		pods.Version = "v2"
		if err := s.Register(t.Context(), pods); history.CodeOf(err) != history.Unavailable {
			t.Errorf("registered another version: %v", err)
		}
	})
}

// TestOpenOnAFullVolume fills the volume to the last block while the log is closed: opening says so, and harms nothing.
func TestOpenOnAFullVolume(t *testing.T) {
	onVolume(t, "64m", func(volume string) {
		dir := filepath.Join(volume, "log")
		f := &filler{log: open(t, dir, store.Options{})}
		if err := f.add(t); err != nil {
			t.Fatal(err)
		}
		if err := f.log.Close(); err != nil {
			t.Fatal(err)
		}
		ballast := filepath.Join(volume, "ballast")
		if err := os.WriteFile(ballast, make([]byte, 64<<20), 0o600); err == nil {
			t.Fatal("64 MB fit into what is left of 64 MB")
		}
		_, err := store.Open(dir, store.Options{})
		if history.CodeOf(err) != history.Unavailable || !strings.Contains(err.Error(), "is full") {
			t.Fatalf("opened: %v", err)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		f.log = open(t, dir, store.Options{})
		f.check(t)
	})
}

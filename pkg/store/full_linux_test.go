package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

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
		if more := len(f.want) - full; more < 50 { // how many it is depends on what is joined already
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

// TestRaiseTheFormatOnAFullVolume opens a log of an earlier format where there is room to open it, and not to index what stands.
func TestRaiseTheFormatOnAFullVolume(t *testing.T) {
	onVolume(t, "160m", func(volume string) {
		dir, c := filepath.Join(volume, "log"), &clock{noon(0)}
		opts := store.Options{Now: c.now}
		s := open(t, dir, opts)
		owned := pod("web", "1", history.Create)
		owned.Owners = []types.UID{"owner"}
		appendTo(t, s, owned)
		c.t = noon(20)
		appendTo(t, s, pod("other", "2", history.Create))
		if err := errors.Join(s.Prune(t.Context()), s.Close()); err != nil {
			t.Fatal(err)
		}
		aged(t, dir, 2, func(uint16) (string, error) { return "", nil })
		var ballast []string
		for n := 0; ; n++ {
			file := filepath.Join(volume, fmt.Sprint(n))
			ballast = append(ballast, file)
			if err := os.WriteFile(file, make([]byte, 1<<20), 0o600); err != nil {
				break
			}
		}
		remove := func(files []string) {
			for _, file := range files {
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
			}
		}
		remove(ballast[:25]) // 16 MB are for opening, and 32 for what is written
		_, err := store.Open(dir, opts)
		if history.CodeOf(err) != history.Unavailable || !strings.Contains(err.Error(), "is full") {
			t.Fatalf("opened: %v", err)
		}
		remove(ballast[25:])
		s = open(t, dir, opts)
		if got := all(t, s, history.Scan{Filter: history.Filter{Owner: "owner"}}); len(got) != 1 {
			t.Errorf("%d records of the owner, want the one that stands", len(got))
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

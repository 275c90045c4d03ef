package store_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// TestAppend_RejectedOnFullVolume fills a volume, frees space, and fills it
// again. A log that writes to a full volume does not fail with an error but
// with SIGBUS, which would end the test.
func TestAppend_RejectedOnFullVolume(t *testing.T) {
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
		f.log = reopen(t, f.log, dir, opts) // a restart needs no space
		f.check(t)
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if err := f.add(t); err != nil { // without a restart
			t.Fatal(err)
		}
		f.fill(t)
		if more := len(f.want) - full; more < 50 { // the number depends on compactions
			t.Errorf("got %d records of 100 KB in 40 MB, want at least 50", more)
		}
		f.check(t)
		f.log = reopen(t, f.log, dir, opts)
		f.check(t)
	})
}

// TestRegister_FullVolume checks that new names are rejected on a full volume,
// and known ones are not.
func TestRegister_FullVolume(t *testing.T) {
	onVolume(t, "32m", func(volume string) {
		s := open(t, filepath.Join(volume, "log"), store.Options{})
		pods := history.Resource{Version: "v1", Plural: "pods", Kind: "Pod"}
		if err := s.Register(t.Context(), pods); history.CodeOf(err) != history.Unavailable {
			t.Errorf("new resource: got error %v, want an unavailable one", err)
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
			t.Errorf("known resource: got error %v, want none", err)
		}
		pods.Version = "v2"
		if err := s.Register(t.Context(), pods); history.CodeOf(err) != history.Unavailable {
			t.Errorf("new API version: got error %v, want an unavailable one", err)
		}
	})
}

// TestOpen_FullVolume fills the volume completely while the log is closed.
// Opening fails, and changes nothing.
func TestOpen_FullVolume(t *testing.T) {
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
			t.Fatal("filling the volume: got no error, want one")
		}
		_, err := store.Open(dir, store.Options{})
		if history.CodeOf(err) != history.Unavailable || !strings.Contains(err.Error(), "is full") {
			t.Fatalf("Open: got error %v, want an unavailable one", err)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		f.log = open(t, dir, store.Options{})
		f.check(t)
	})
}

// TestPrune_FullVolume drops a day whose baselines don't fit on the volume.
// Prune fails instead of ending the process, as Badger would, and succeeds once
// there is space.
func TestPrune_FullVolume(t *testing.T) {
	onVolume(t, "600m", func(volume string) {
		c := &clock{noon(0)}
		s := open(t, filepath.Join(volume, "log"), store.Options{Now: c.now, Retention: 24 * time.Hour})
		const objects = 90
		for i := range objects {
			r := pod(fmt.Sprint("large-", i), "1", history.Create)
			r.Object = random(1<<20 + i)
			appendTo(t, s, r)
		}
		c.t = noon(1)
		appendTo(t, s, pod("other", "2", history.Create))
		c.t = noon(3)
		free, err := s.Free()
		if err != nil {
			t.Fatal(err)
		}
		leave := func(left int64) {
			err := syscall.Mount("", volume, "", syscall.MS_REMOUNT, fmt.Sprintf("size=%d", 600<<20-free+left))
			if err != nil {
				t.Fatal(err)
			}
		}
		leave(100 << 20)
		if err := s.Prune(t.Context()); history.CodeOf(err) != history.Unavailable {
			t.Errorf("Prune: got error %v, want an unavailable one", err)
		}
		leave(400 << 20)
		if err := s.Prune(t.Context()); err != nil || s.Usage().Dropped[store.ByAge].Days != 1 {
			t.Fatalf("Prune: got error %v, usage %+v, want one dropped day", err, s.Usage())
		}
		for i := range objects {
			if got := asOf(t, s, fmt.Sprint("large-", i), c.t); got != "1" {
				t.Errorf("object %d: got resourceVersion %q, want 1", i, got)
			}
		}
		verified(t, s)
	})
}

// volumeDir is the environment variable with the directory of a test that runs
// in its own mount namespace.
const volumeDir = "WATCHHISTORY_VOLUME_DIR"

// onVolume runs the calling test again in a process with a small file system,
// and calls f there with its directory. size is as for mount(8). It needs user
// namespaces or root.
func onVolume(t *testing.T, size string, f func(dir string)) {
	t.Helper()
	if dir := os.Getenv(volumeDir); dir != "" {
		// Mounts stay in this namespace.
		if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { // runs after the logs on it are closed
			if err := syscall.Unmount(dir, 0); err != nil {
				t.Error(err)
			}
		})
		f(dir)
		return
	}
	attr := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	dir := t.TempDir()
	out, err := rerun(t, volumeDir+"="+dir, attr)
	if errors.Is(err, fs.ErrPermission) || strings.Contains(out, "operation not permitted") {
		out, err = rerun(t, volumeDir+"="+dir,
			&syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL})
	}
	if errors.Is(err, fs.ErrPermission) {
		t.Fatalf("the test needs a user namespace (sysctl kernel.apparmor_restrict_unprivileged_userns=0, "+
			"kernel.unprivileged_userns_clone=1), or root: %v", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(out)
}

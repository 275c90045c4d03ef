package store_test

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
)

// volumeDir names the environment variable that tells a test that it runs in a mount namespace of its own, and where in it.
const volumeDir = "WATCHHISTORY_VOLUME_DIR"

// onVolume runs the test that calls it again, in a process with a small file system of its own, and calls f there with its
// directory. size is as mount(8) takes it. It needs no privilege where user namespaces are permitted, and root elsewhere.
func onVolume(t *testing.T, size string, f func(dir string)) {
	t.Helper()
	if dir := os.Getenv(volumeDir); dir != "" {
		if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil { // nobody else sees what is mounted
			t.Fatal(err)
		}
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { // after the logs on it are closed
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
	out, err := again(t, volumeDir+"="+dir, attr)
	if errors.Is(err, fs.ErrPermission) || strings.Contains(out, "operation not permitted") {
		out, err = again(t, volumeDir+"="+dir, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL})
	}
	if errors.Is(err, fs.ErrPermission) {
		t.Fatalf("a full disk takes a file system of its own, so a user namespace (sysctl kernel.apparmor_restrict_unprivileged_userns=0, "+
			"kernel.unprivileged_userns_clone=1), or root: %v", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(out)
}

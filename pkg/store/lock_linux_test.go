package store_test

import (
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// TestOpen_NamesTheFileSystemWithoutLocks lets flock fail as it does on file systems without locks. The error names the file system, the
// error of the system, and what to do; what only reads goes on.
func TestOpen_NamesTheFileSystemWithoutLocks(t *testing.T) {
	onVolume(t, "160m", func(volume string) {
		dir := filepath.Join(volume, "log")
		s := open(t, dir, store.Options{})
		appendTo(t, s, pod("web", "1", history.Create))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := failing(unix.SYS_FLOCK, unix.ENOLCK); err != nil {
			t.Fatal(err)
		}
		refused(t, dir, "can't be locked", "ENOLCK", "no locks available", "tmpfs", "block volume")
		i, err := store.Inspect(t.Context(), dir, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if v := verified(t, i.Store); v.Versions != 1 {
			t.Errorf("%d versions, want 1", v.Versions)
		}
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	})
}

// failing makes a system call fail for this process from now on.
func failing(call uint32, errno unix.Errno) error {
	const retErrno, retAllow = 0x00050000, 0x7fff0000
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the call's number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: retErrno | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: retAllow},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	const setModeFilter, ofAllThreads = 1, 1
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, setModeFilter, ofAllThreads, uintptr(unsafe.Pointer(&program)))
	if e != 0 {
		return e
	}
	return nil
}

package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// TestOpen_NamesFileSystemWithoutLocks makes flock fail as on file systems
// without locks. The error names the file system, the system's error, and a
// solution. Opening for reading succeeds.
func TestOpen_NamesFileSystemWithoutLocks(t *testing.T) {
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
			t.Errorf("got %d versions, want 1", v.Versions)
		}
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	})
}

// failing makes a system call of this process fail from now on.
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

// TestOpen_ReadsEachTableOnce counts the bytes that a process reads to open a
// log, and to verify the blocks for a complete scan: each at most the size of
// the tables. Badger's own reads don't count, because it maps the tables.
func TestOpen_ReadsEachTableOnce(t *testing.T) { alone(t, readsEachTableOnce) }

func readsEachTableOnce(t *testing.T, dir string) {
	t.Helper()
	const records = 5000
	s := open(t, dir, store.Options{})
	b := &history.Batch{}
	for i := range records {
		b.Versions = append(b.Versions, crashRecord(i+1))
	}
	appendBatch(t, s, b)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	tables := int64(0)
	for _, path := range files {
		tables += size(t, path)
	}
	before := bytesRead(t)
	s = open(t, dir, store.Options{})
	if got := all(t, s, history.Scan{}); len(got) != records {
		t.Errorf("got %d records, want %d", len(got), records)
	}
	const others = 16 << 10 // bytes of the manifest and other small files
	if read := bytesRead(t) - before; read == 0 || read > 2*tables+others {
		t.Errorf("got %d bytes read for %d tables, want at most twice their %d bytes", read, len(files), tables)
	}
}

// bytesRead returns how many bytes this process has read from files.
func bytesRead(t *testing.T) (n int64) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(b), "rchar: %d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestInspect_ReadOnlyVolume reads, verifies and backs up a log on a read-only
// volume, intact and damaged.
func TestInspect_ReadOnlyVolume(t *testing.T) {
	onVolume(t, "160m", func(volume string) {
		t.TempDir() // created now, since it is removed after the volume
		dir := filepath.Join(volume, "log")
		s := open(t, dir, store.Options{})
		load(t, s, records(t, 40), 400)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for _, damaged := range []bool{false, true} {
			if damaged {
				path := filepath.Join(dir, onlyTable(t, dir))
				flip(t, path, size(t, path)/2)
			}
			if err := syscall.Mount("", volume, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
			if _, err := store.Open(dir, store.Options{}); history.CodeOf(err) != history.Invalid {
				t.Errorf("Open: got error %v, want an invalid one", err)
			}
			inspected(t, dir, damaged)
			if err := syscall.Mount("", volume, "", syscall.MS_REMOUNT, ""); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// inspected inspects a log of 400 versions.
func inspected(t *testing.T, dir string, damaged bool) {
	t.Helper()
	i, err := store.Inspect(t.Context(), dir, store.Options{})
	if err != nil {
		t.Errorf("damaged %t: Inspect: got error %v, want none", damaged, err)
		return
	}
	v := verified(t, i.Store)
	lost, _ := i.Report().Lost()
	if i.Report().Damaged() != damaged || int(v.Versions)+lost != 400 || lost > 0 != damaged {
		t.Errorf("damaged %t: got %d versions and %d lost, report %+v, want 400 in total",
			damaged, v.Versions, lost, i.Report())
	}
	backedUp(t, i.Store, store.Position{})
	err = i.Append(t.Context(), &history.Batch{Versions: newVersions(pod("web", "1", history.Create))})
	if err == nil {
		t.Error("Append: got no error, want one")
	}
	if err := i.Close(); err != nil {
		t.Error(err)
	}
}

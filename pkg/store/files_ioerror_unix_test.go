//go:build unix

package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// limits returns functions that set a limit of this process, and that restore
// it. The test must run alone in its process.
func limits(t *testing.T, resource int) (set func(uint64), lift func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(resource, &before); err != nil {
		t.Fatal(err)
	}
	to := func(limit syscall.Rlimit) {
		if err := syscall.Setrlimit(resource, &limit); err != nil {
			t.Error(err)
		}
	}
	lift = func() { to(before) }
	t.Cleanup(lift)
	return func(n uint64) { to(syscall.Rlimit{Cur: n, Max: before.Max}) }, lift
}

// limitFiles limits the size of files that this process writes. Writing more is
// an I/O error. The returned function removes the limit.
func limitFiles(t *testing.T, bytes uint64) (lift func()) {
	t.Helper()
	set, lift := limits(t, syscall.RLIMIT_FSIZE)
	set(bytes)
	return lift
}

// TestAppend_FailsForGoodAfterWriteError makes the next WAL impossible. The
// commit that needs it fails with the cause, and so do all later ones until the
// log is opened again. No read returns less than what was acknowledged.
func TestAppend_FailsForGoodAfterWriteError(t *testing.T) { alone(t, failsForGoodAfterWriteError) }

func failsForGoodAfterWriteError(t *testing.T, dir string) {
	t.Helper()
	f := &filler{log: open(t, dir, store.Options{})}
	if err := f.add(t); err != nil {
		t.Fatal(err)
	}
	all(t, f.log, history.Scan{}) // caches the identities, so that a scan reads only bodies
	next, stop := iter.Pull2(f.log.Scan(t.Context(), history.Scan{Bodies: true}))
	defer stop()
	if r, err, _ := next(); err != nil || !bytes.Equal(r.Object, f.want[0].Object) {
		t.Fatalf("got %v, error %v, want the first record", r, err)
	}
	lift := limitFiles(t, 5<<20) // Badger creates a WAL with 6 MB
	if err := f.refused(t); history.CodeOf(err) != history.Internal ||
		!strings.Contains(err.Error(), "file too large") {
		t.Errorf("got error %q, want an internal one with the cause", err)
	}
	if r, err, ok := next(); history.CodeOf(err) != history.Unavailable {
		t.Errorf("running scan: got %v, error %v, %t, want an unavailable error", r, err, ok)
	}
	stop()
	for _, err := range f.log.Scan(t.Context(), history.Scan{}) {
		if history.CodeOf(err) != history.Unavailable {
			t.Errorf("new scan: got error %v, want an unavailable one", err)
		}
	}
	if _, err := f.log.Checkpoint(t.Context(), pods()); history.CodeOf(err) != history.Unavailable {
		t.Errorf("checkpoint: got error %v, want an unavailable one", err)
	}
	lift()
	if err := f.add(t); history.CodeOf(err) != history.Internal ||
		!strings.Contains(err.Error(), "must be opened again") {
		t.Errorf("later append: got error %v, want an internal one", err)
	}
	f.log = reopen(t, f.log, dir, store.Options{})
	f.resume(t)
	f.check(t)
	if err := f.add(t); err != nil {
		t.Error(err)
	}
	f.check(t)
}

// TestClose_GivesUpOnFailingFlush makes tables impossible. Badger retries
// forever. Closing the log does not wait forever, and once tables are possible
// again, nothing is lost.
func TestClose_GivesUpOnFailingFlush(t *testing.T) { alone(t, givesUpOnFailingFlush) }

func givesUpOnFailingFlush(t *testing.T, dir string) {
	t.Helper()
	f := &filler{log: open(t, dir, store.Options{})}
	for range 3 {
		if err := f.add(t); err != nil {
			t.Fatal(err)
		}
	}
	lift := limitFiles(t, 1<<20)
	err := f.log.Close()
	if err == nil || !strings.Contains(err.Error(), "did not respond") {
		t.Errorf("Close: got error %v, want that the disk did not respond", err)
	}
	if _, err := store.Open(dir, store.Options{}); history.CodeOf(err) != history.Invalid {
		t.Errorf("Open during Close: got error %v, want an invalid one", err)
	}
	lift()
	for err = errors.New("not yet"); err != nil; {
		f.log, err = store.Open(dir, store.Options{NoSync: true})
	}
	t.Cleanup(func() {
		if err := f.log.Close(); err != nil {
			t.Error(err)
		}
	})
	f.check(t)
}

// TestAppend_ContextEndsWaitForDisk makes tables impossible. Commits succeed
// until all memtables are full, and then wait. A commit whose context ends
// returns. Once tables are possible again, its batch is in the log.
func TestAppend_ContextEndsWaitForDisk(t *testing.T) {
	dir := t.TempDir()
	f := &filler{log: open(t, dir, store.Options{})}
	for n := range 200 {
		if err := os.Mkdir(filepath.Join(dir, fmt.Sprintf("%06d.sst", n)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	for err == nil {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err = f.addWithin(ctx)
		cancel()
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got error %v, want context.DeadlineExceeded", err)
	}
	for n := range 200 {
		if err := os.Remove(filepath.Join(dir, fmt.Sprintf("%06d.sst", n))); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.log.Append(t.Context(), &history.Batch{}); err != nil { // waits for the abandoned commit
		t.Fatal(err)
	}
	before := len(f.want)
	if f.resume(t); len(f.want) != before+10 {
		t.Errorf("got %d records of the abandoned batch, want 10", len(f.want)-before)
	}
	f.log = reopen(t, f.log, dir, store.Options{})
	f.check(t)
}

// TestAppend_RejectedBeforeTooManyTables limits the number of open files.
// Batches are rejected before a table can't be opened, because Badger drops the
// input of a compaction whose output can't be created.
func TestAppend_RejectedBeforeTooManyTables(t *testing.T) { alone(t, rejectedBeforeTooManyTables) }

func rejectedBeforeTooManyTables(t *testing.T, dir string) {
	t.Helper()
	limit, restore := limits(t, syscall.RLIMIT_NOFILE)
	limit(120)
	f := &filler{log: open(t, dir, store.Options{})}
	if err := f.refused(t); history.CodeOf(err) != history.Unavailable || !strings.Contains(err.Error(), "ulimit -n") {
		t.Errorf("got error %q, want an unavailable one that names the limit", err)
	}
	f.check(t)
	f.log = reopen(t, f.log, dir, store.Options{}) // a log that could be written can be opened
	f.check(t)
	if err := f.log.Close(); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	limit(2 * uint64(len(tables))) // too few to compact them all
	if _, err := store.Open(dir, store.Options{}); history.CodeOf(err) != history.Invalid ||
		!strings.Contains(err.Error(), "ulimit -n") {
		t.Errorf("Open with fewer files: got error %v, want an invalid one that names the limit", err)
	}
	restore()
	f.log = reopen(t, f.log, dir, store.Options{})
	if err := f.add(t); err != nil {
		t.Errorf("with the original limit: got error %v, want none", err)
	}
	f.check(t)
}

// TestPrune_WriteErrorFailsAppendsPermanently prevents the creation of the WAL
// after a drop. Commits then fail permanently, and not with the error of a full
// volume.
func TestPrune_WriteErrorFailsAppendsPermanently(t *testing.T) {
	alone(t, writeErrorFailsAppendsPermanently)
}

func writeErrorFailsAppendsPermanently(t *testing.T, dir string) {
	t.Helper()
	c := &clock{noon(0)}
	f := &filler{log: open(t, dir, store.Options{Now: c.now})}
	if err := f.add(t); err != nil {
		t.Fatal(err)
	}
	c.t = noon(30)
	appendTo(t, f.log, pod("late", "1", history.Create))
	lift := limitFiles(t, 5<<20) // Badger creates a WAL with 6 MB
	if err := f.log.Prune(t.Context()); err == nil {
		t.Fatal("Prune without a WAL: got no error, want one")
	}
	if err := f.add(t); history.CodeOf(err) != history.Internal {
		t.Errorf("append after a failed Prune: got error %q, want an internal one", err)
	}
	lift()
}

// aloneIn is the environment variable with the directory of a test that runs
// alone in a process.
const aloneIn = "WATCHHISTORY_ALONE_IN"

// alone runs the calling test again in its own process, and calls f there with
// an empty directory. A limit that f sets does not affect other tests, or the
// output of go test.
func alone(t *testing.T, f func(t *testing.T, dir string)) {
	t.Helper()
	if dir := os.Getenv(aloneIn); dir != "" {
		f(t, dir)
		return
	}
	out, err := rerun(t, aloneIn+"="+t.TempDir(), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(out)
}

// rerun runs the calling test in its own process, with an environment variable.
func rerun(t *testing.T, variable string, attr *syscall.SysProcAttr) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), variable)
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	return string(out), err
}

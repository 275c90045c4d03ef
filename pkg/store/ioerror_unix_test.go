//go:build unix

package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// limits returns what sets a limit of this process, which has to be the test's own, and what lifts it again.
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

// limitFiles lets files of this process grow to so many bytes only: writing more is an I/O error, wherever that happens. The
// returned function takes the limit away.
func limitFiles(t *testing.T, bytes uint64) (lift func()) {
	t.Helper()
	set, lift := limits(t, syscall.RLIMIT_FSIZE)
	set(bytes)
	return lift
}

// TestAWriteErrorEndsTheLog makes the next write-ahead log impossible: the commit that needs it fails with an error that says
// why, and so does every other until the log is opened again. Nothing that is read meanwhile is less than was acknowledged.
func TestAWriteErrorEndsTheLog(t *testing.T) { alone(t, aWriteErrorEndsTheLog) }

func aWriteErrorEndsTheLog(t *testing.T, dir string) {
	t.Helper()
	f := &filler{log: open(t, dir, store.Options{})}
	if err := f.add(t); err != nil {
		t.Fatal(err)
	}
	all(t, f.log, history.Scan{}) // from here on, who an object is, is remembered, and a scan reads only its body
	next, stop := iter.Pull2(f.log.Scan(t.Context(), history.Scan{Bodies: true}))
	defer stop()
	if r, err, _ := next(); err != nil || !bytes.Equal(r.Object, f.want[0].Object) {
		t.Fatal(r, err)
	}
	lift := limitFiles(t, 5<<20) // a write-ahead log is made with 6 MB
	if err := f.refused(t); history.CodeOf(err) != history.Internal || !strings.Contains(err.Error(), "file too large") {
		t.Errorf("failed with %q", err)
	}
	if r, err, ok := next(); history.CodeOf(err) != history.Unavailable {
		t.Errorf("a scan goes on without a memtable: %v, %v, %v", r, err, ok)
	}
	stop()
	for _, err := range f.log.Scan(t.Context(), history.Scan{}) {
		if history.CodeOf(err) != history.Unavailable {
			t.Errorf("read without a memtable: %v", err)
		}
	}
	if _, err := f.log.Checkpoint(t.Context(), pods()); history.CodeOf(err) != history.Unavailable {
		t.Errorf("read a checkpoint without a memtable: %v", err)
	}
	lift()
	if err := f.add(t); history.CodeOf(err) != history.Internal || !strings.Contains(err.Error(), "must be opened again") {
		t.Errorf("went on with %v", err)
	}
	f.log = reopen(t, f.log, dir, store.Options{})
	f.resume(t)
	f.check(t)
	if err := f.add(t); err != nil {
		t.Error(err)
	}
	f.check(t)
}

// TestAFlushThatFailsIsWaitedFor makes tables impossible. Badger tries again for ever; neither a commit that waits for room nor
// closing the log waits with it for ever, and when the disk takes tables again, nothing is lost.
func TestAFlushThatFailsIsWaitedFor(t *testing.T) { alone(t, aFlushThatFailsIsWaitedFor) }

func aFlushThatFailsIsWaitedFor(t *testing.T, dir string) {
	t.Helper()
	f := &filler{log: open(t, dir, store.Options{})}
	for range 3 {
		if err := f.add(t); err != nil {
			t.Fatal(err)
		}
	}
	lift := limitFiles(t, 1<<20)
	err := f.log.Close()
	if err == nil || !strings.Contains(err.Error(), "could not be closed") {
		t.Errorf("closed without a table: %v", err)
	}
	if _, err := store.Open(dir, store.Options{}); history.CodeOf(err) != history.Invalid {
		t.Errorf("opened what is being closed: %v", err)
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

// TestACommitThatWaitsForTheDiskEndsWithItsContext puts something in the way of every table: commits go on until all memtables
// are full, and then wait. One whose context ends is waited for no longer, and when the way is free, it is in the log.
func TestACommitThatWaitsForTheDiskEndsWithItsContext(t *testing.T) {
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
		t.Fatal(err)
	}
	for n := range 200 {
		if err := os.Remove(filepath.Join(dir, fmt.Sprintf("%06d.sst", n))); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.log.Append(t.Context(), &history.Batch{}); err != nil { // behind the commit that nobody waited for
		t.Fatal(err)
	}
	before := len(f.want)
	if f.resume(t); len(f.want) != before+10 {
		t.Errorf("%d records of the batch are there", len(f.want)-before)
	}
	f.log = reopen(t, f.log, dir, store.Options{})
	f.check(t)
}

// TestTooManyTables lets this process have few more files than it has: what would make tables that can't be made is refused, and
// what is there stays. Badger forgets what it joins into a table that can't be made.
func TestTooManyTables(t *testing.T) { alone(t, tooManyTables) }

func tooManyTables(t *testing.T, dir string) {
	t.Helper()
	limit, restore := limits(t, syscall.RLIMIT_NOFILE)
	limit(120)
	f := &filler{log: open(t, dir, store.Options{})}
	if err := f.refused(t); history.CodeOf(err) != history.Unavailable || !strings.Contains(err.Error(), "ulimit -n") {
		t.Errorf("refused with %q", err)
	}
	f.check(t)
	f.log = reopen(t, f.log, dir, store.Options{}) // what may be recorded can be opened
	f.check(t)
	if err := f.log.Close(); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	limit(2 * uint64(len(tables))) // too few to join them all
	if _, err := store.Open(dir, store.Options{}); history.CodeOf(err) != history.Invalid || !strings.Contains(err.Error(), "ulimit -n") {
		t.Errorf("opened with fewer files: %v", err)
	}
	restore()
	f.log = reopen(t, f.log, dir, store.Options{})
	if err := f.add(t); err != nil {
		t.Errorf("with as many files as before: %v", err)
	}
	f.check(t)
}

// TestAFailedPruningEndsTheLog makes the write-ahead log impossible that follows a drop: commits fail for good then, and are not
// refused as if room would help.
func TestAFailedPruningEndsTheLog(t *testing.T) { alone(t, aFailedPruningEndsTheLog) }

func aFailedPruningEndsTheLog(t *testing.T, dir string) {
	t.Helper()
	c := &clock{noon(0)}
	f := &filler{log: open(t, dir, store.Options{Now: c.now})}
	if err := f.add(t); err != nil {
		t.Fatal(err)
	}
	c.t = noon(30)
	appendTo(t, f.log, pod("late", "1", history.Create))
	lift := limitFiles(t, 5<<20) // a write-ahead log is made with 6 MB
	if err := f.log.Prune(t.Context()); err == nil {
		t.Fatal("pruned without a write-ahead log")
	}
	if err := f.add(t); history.CodeOf(err) != history.Internal {
		t.Errorf("after a pruning that failed, a commit fails with %q", err)
	}
	lift()
}

package store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// backedUp returns a backup of a log since a position, and the backup's
// position.
func backedUp(tb testing.TB, s *store.Store, from store.Position) ([]byte, store.Position) {
	tb.Helper()
	var b bytes.Buffer
	to, err := s.Backup(tb.Context(), &b, from, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return b.Bytes(), to
}

// restoring restores backups into a directory.
func restoring(tb testing.TB, dir string, backups ...[]byte) error {
	tb.Helper()
	var list []io.Reader
	for _, b := range backups {
		list = append(list, bytes.NewReader(b))
	}
	_, err := store.Restore(tb.Context(), dir, store.Options{}, nil, list...)
	return err
}

// restored restores backups and opens the log.
func restored(tb testing.TB, opts store.Options, backups ...[]byte) *store.Store {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "restored")
	if err := restoring(tb, dir, backups...); err != nil {
		tb.Fatal(err)
	}
	return open(tb, dir, opts)
}

// same checks that two logs return the same.
func same(tb testing.TB, want, got *store.Store) {
	tb.Helper()
	scan := history.Scan{Bodies: true}
	if d := diff(all(tb, want, scan), all(tb, got, scan)); d != "" {
		tb.Errorf("records differ:\n%s", d)
	}
	for _, gr := range append(groupResources(), schema.GroupResource{Resource: "events"}) {
		for _, s := range []func(*store.Store) any{
			func(s *store.Store) any { c, err := s.Checkpoint(tb.Context(), gr); return []any{c, err} },
			func(s *store.Store) any {
				heads := map[history.ObjectRef]history.Head{}
				for h, err := range s.Heads(tb.Context(), gr) {
					if err != nil {
						tb.Fatal(err)
					}
					heads[h.Ref] = h
				}
				return heads
			},
		} {
			if d := cmp.Diff(s(want), s(got)); d != "" {
				tb.Errorf("heads or checkpoint of %s differ:\n%s", gr, d)
			}
		}
	}
	for _, s := range []func(*store.Store) (any, error){
		func(s *store.Store) (any, error) { return s.Gaps(tb.Context(), nil, time.Time{}, time.Time{}) },
		func(s *store.Store) (any, error) { return s.Resources(tb.Context()) },
	} {
		a, err := s(want)
		b, err2 := s(got)
		if err := errors.Join(err, err2); err != nil || cmp.Diff(a, b) != "" {
			tb.Errorf("gaps or resources differ: %v\n%s", err, cmp.Diff(a, b))
		}
	}
	if !bytes.Equal(want.RedactionKey(), got.RedactionKey()) {
		tb.Errorf("got redaction key %x, want %x", got.RedactionKey(), want.RedactionKey())
	}
}

// load appends versions of a sample cluster, with a checkpoint and a gap.
func load(tb testing.TB, s *store.Store, next func() history.NewVersion, n int) {
	tb.Helper()
	records := take(n, next)
	last := records[n-1]
	appendBatch(tb, s, &history.Batch{
		Versions:    records,
		Checkpoints: []history.Checkpoint{{Resource: last.Ref.Resource, RV: last.RV}},
		Gaps: []history.Gap{
			{Resource: "pods", Start: time.Now().Add(-time.Hour), Reason: history.GapExpired, Detail: strconv.Itoa(n)},
		},
	})
}

func appendBatch(tb testing.TB, s *store.Store, b *history.Batch) {
	tb.Helper()
	if err := s.Append(tb.Context(), b); err != nil {
		tb.Fatal(err)
	}
}

// TestBackup_IncrementalChain makes a full backup and two incremental ones,
// restores after each of them, and records in the last restored log.
func TestBackup_IncrementalChain(t *testing.T) {
	s, c := open(t, t.TempDir(), store.Options{}), records(t, 40)
	var chain [][]byte
	var at store.Position
	for i := range 3 {
		load(t, s, c, 300)
		appendTo(t, s, pod("big"+strconv.Itoa(i), "1", history.Create), huge(i))
		err := s.Register(t.Context(), history.Resource{Version: "v1", Plural: "kind" + strconv.Itoa(i), Kind: "Kind"})
		if err != nil {
			t.Fatal(err)
		}
		b, to := backedUp(t, s, at)
		if got, err := store.ReadPosition(bytes.NewReader(b)); err != nil || got != to || got == at {
			t.Errorf("got position %v, error %v, want %v", got, err, to)
		}
		chain, at = append(chain, b), to
		same(t, s, restored(t, store.Options{}, chain...))
	}
	if len(chain[1]) > len(chain[0])*3/2 || len(chain[2]) > len(chain[1])*3/2 {
		t.Errorf("got backups of %d, %d and %d bytes, want similar sizes", len(chain[0]), len(chain[1]), len(chain[2]))
	}
	r := restored(t, store.Options{}, chain...)
	for _, log := range []*store.Store{s, r} {
		one := pod("after", "9", history.Create)
		appendTo(t, log, one)
		if got := all(t, log, history.Scan{}); len(got) != 907 || got[906].Ref.Name != "after" {
			t.Errorf("got %d records, want 907 with the new one last", len(got))
		}
	}
	// An incremental backup of a copy that was continued separately would not
	// fit.
	_, at = backedUp(t, s, store.Position{})
	if _, err := r.Backup(t.Context(), io.Discard, at, nil); history.CodeOf(err) != history.Invalid ||
		!strings.Contains(err.Error(), "full backup") {
		t.Errorf("a copy with the original's position: got error %v, want an invalid one", err)
	}
}

// huge returns a record whose body does not fit in one transaction.
func huge(i int) *history.Record {
	r := pod("huge", strconv.Itoa(i+1), history.Update)
	r.Object = append([]byte(`{"junk":"`), random(1_300_000)...)
	return r
}

// TestBackup_RejectsPositionOfAnotherLog checks that a position of another log
// is rejected.
func TestBackup_RejectsPositionOfAnotherLog(t *testing.T) {
	s, other := open(t, t.TempDir(), store.Options{}), open(t, t.TempDir(), store.Options{})
	appendTo(t, s, pod("web", "1", history.Create))
	_, at := backedUp(t, s, store.Position{})
	if _, err := other.Backup(t.Context(), io.Discard, at, nil); history.CodeOf(err) != history.Invalid {
		t.Errorf("got error %v, want an invalid one", err)
	}
	var again store.Position
	if err := again.UnmarshalText([]byte(at.String())); err != nil || again != at {
		t.Errorf("%q: got %v, error %v, want %v", at, again, err, at)
	}
	if err := again.UnmarshalText([]byte("rubbish")); history.CodeOf(err) != history.Invalid {
		t.Errorf("got error %v, want an invalid one", err)
	}
}

// TestBackup_DroppedDays checks that a day that was dropped after a full backup
// is not restored.
func TestBackup_DroppedDays(t *testing.T) {
	dir, c := t.TempDir(), &clock{time.Now().Add(-49 * time.Hour)}
	opts := store.Options{Now: c.now}
	s := open(t, dir, opts)
	appendTo(t, s, pod("old", "1", history.Create))
	if err := s.Register(t.Context(), history.Resource{Version: "v1", Plural: "gone", Kind: "Gone"}); err != nil {
		t.Fatal(err)
	}
	full, at := backedUp(t, s, store.Position{})
	c.t = c.t.Add(48 * time.Hour)
	appendTo(t, s, pod("web", "2", history.Create))
	mid, at := backedUp(t, s, at)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	dropDay(t, dir, c.t.Add(-48*time.Hour))
	alter(t, dir, func(txn *badger.Txn) error { return txn.Delete(key.CatalogueEntry("", "gone")) })
	s = open(t, dir, opts)
	appendTo(t, s, pod("web", "3", history.Update))
	end, _ := backedUp(t, s, at)
	if got := all(t, restored(t, opts, full, mid), history.Scan{}); len(got) != 2 {
		t.Errorf("before the drop: got %d records, want 2", len(got))
	}
	after := restored(t, opts, full, mid, end)
	if got := all(t, after, history.Scan{}); len(got) != 2 || got[0].Ref.Name != "web" {
		t.Errorf("after the drop: got %d records, want 2", len(got))
	}
	if got, err := after.Resources(t.Context()); err != nil || len(got) > 0 {
		t.Errorf("got catalogue %v, error %v, want none", got, err)
	}
}

// TestBackup_DuringAppends makes backups while another goroutine appends, and
// restores them.
func TestBackup_DuringAppends(t *testing.T) {
	s, c := open(t, t.TempDir(), store.Options{}), records(t, 40)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			records := take(20, c)
			for i := range 4 { // so that a batch is mostly half committed
				records = append(records, history.NewVersion{Record: huge(i)})
			}
			if err := s.Append(context.WithoutCancel(ctx), &history.Batch{Versions: records}); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	var chain [][]byte
	var at store.Position
	for len(chain) < 4 {
		if b, to := backedUp(t, s, at); to != at { // there are new records
			chain, at = append(chain, b), to
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	b, _ := backedUp(t, s, at)
	same(t, s, restored(t, store.Options{}, append(chain, b)...))
	b, _ = backedUp(t, s, store.Position{})
	same(t, s, restored(t, store.Options{}, b))
}

// TestRestore_RejectsInvalidBackups checks that only complete backups in their
// order are restored, and only into an empty directory.
func TestRestore_RejectsInvalidBackups(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	appendTo(t, s, pod("web", "1", history.Create), huge(1))
	full, at := backedUp(t, s, store.Position{})
	appendTo(t, s, pod("web", "2", history.Update))
	second, at := backedUp(t, s, at)
	appendTo(t, s, pod("web", "3", history.Update))
	third, _ := backedUp(t, s, at)
	flipped := bytes.Clone(full)
	flipped[len(flipped)/2] ^= 4
	for what, of := range map[string]struct {
		backups [][]byte
		text    string
		hint    string // a part of it
	}{
		"none":      {nil, "no backup", ""},
		"no backup": {[][]byte{[]byte("PK\x03\x04 something else")}, "not a backup of", ""},
		"truncated": {[][]byte{full[:len(full)-1]}, "damaged", "another copy"},
		"half":      {[][]byte{full[:len(full)/2]}, "damaged", "another copy"},
		"flipped":   {[][]byte{flipped}, "damaged", "another copy"},
		"increment": {[][]byte{second}, "incremental", "full backup first"},
		"left out":  {[][]byte{full, third}, "previous backup ends", "order"},
		"exchanged": {[][]byte{full, third, second}, "previous backup ends", "order"},
		"twice":     {[][]byte{full, full}, "only the first", ""},
		"cut later": {[][]byte{full, second[:len(second)-3]}, "damaged", "another copy"},
	} {
		dir := filepath.Join(t.TempDir(), "new")
		err := restoring(t, dir, of.backups...)
		if history.CodeOf(err) != history.Invalid || !strings.Contains(err.Error(), of.text) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got error %v, want an invalid one in one line with %q", what, err, of.text)
		}
		hint := history.HintOf(err)
		if !strings.Contains(hint, of.hint) || hint != "" && strings.Contains(err.Error(), hint) {
			t.Errorf("%s: got error %v, hint %q, want a hint with %q that is not in the error",
				what, err, hint, of.hint)
		}
		if len(of.backups) == 0 {
			continue
		}
		refused(t, dir, "restore was interrupted")
		if err := restoring(t, dir, full); history.CodeOf(err) != history.Invalid ||
			!strings.Contains(err.Error(), "not empty") {
			t.Errorf("%s: restore into the same directory: got error %v, want an invalid one", what, err)
		}
	}
}

// TestRestore_IntoMountPoint checks that the directory in the root of a new
// volume is ignored.
func TestRestore_IntoMountPoint(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	appendTo(t, s, pod("web", "1", history.Create))
	full, _ := backedUp(t, s, store.Position{})
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := restoring(t, dir, full); err != nil {
		t.Error(err)
	}
}

// TestBackup_EndsWithError checks that a backup ends with its context, with the
// log, and with its reader.
func TestBackup_EndsWithError(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	load(t, s, records(t, 40), 500)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := s.Backup(ctx, io.Discard, store.Position{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want context.Canceled", err)
	}
	r, w := io.Pipe()
	if err := r.CloseWithError(os.ErrClosed); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Backup(t.Context(), w, store.Position{}, nil); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got error %v, want os.ErrClosed", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Backup(t.Context(), io.Discard, store.Position{}, nil); history.CodeOf(err) != history.Unavailable {
		t.Errorf("got error %v, want an unavailable one", err)
	}
}

package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// imported makes a log of an extent of another one.
func imported(t *testing.T, s *store.Store, of history.Extent, dir string) (*store.Store, error) {
	t.Helper()
	var log *store.Store
	err := s.Excerpt(t.Context(), of, func(e *history.Excerpt) (err error) {
		log, err = store.Import(t.Context(), dir, e, store.Options{})
		return err
	})
	if log != nil {
		t.Cleanup(func() {
			if err := log.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return log, err
}

// TestAnImportIsALogLikeOthers makes a log of days of which the first was dropped, and verifies it.
func TestAnImportIsALogLikeOthers(t *testing.T) {
	c := &clock{day(time.Now()).Add(-72 * time.Hour)}
	s := open(t, t.TempDir(), store.Options{Now: c.now, Retention: 48 * time.Hour})
	next := records(t, 100)
	for range 80 {
		appendTo(t, s, take(10, next)...)
		c.t = c.t.Add(time.Hour)
	}
	if err := s.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	start := c.t.Add(-20 * time.Hour)
	dir := t.TempDir()
	log, err := imported(t, s, history.Extent{Start: start}, dir)
	if err != nil {
		t.Fatal(err)
	}
	want := all(t, s, history.Scan{Filter: history.Filter{Start: start}, Bodies: true})
	if got := all(t, log, history.Scan{Bodies: true}); len(want) == 0 || !reflect.DeepEqual(want, got) {
		t.Errorf("%d records, want %d", len(got), len(want))
	}
	result, err := log.Verify(t.Context(), func(d store.Damage) { t.Errorf("damaged: %s", d) }, nil)
	if err != nil || result.Damaged != 0 || result.Versions <= int64(len(want)) {
		t.Errorf("%+v, %v", result, err)
	}
	if err := log.Append(t.Context(), &history.Batch{Records: take(1, next)}); history.CodeOf(err) != history.Invalid ||
		!strings.Contains(err.Error(), "takes nothing more") {
		t.Errorf("append: %v", err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(dir, store.Options{}); history.CodeOf(err) != history.Invalid || !strings.Contains(err.Error(), "read from an export") {
		t.Errorf("opened again: %v", err)
	}
	if _, err := imported(t, s, history.Extent{Start: start}, dir); history.CodeOf(err) != history.Invalid || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("into a log: %v", err)
	}
}

// TestExtents checks what of a range there is: not what is dropped, and not what is still to come.
func TestExtents(t *testing.T) {
	c := &clock{day(time.Now()).Add(-10 * time.Hour)}
	s := open(t, t.TempDir(), store.Options{Now: c.now, Retention: 24 * time.Hour})
	r := pod("web", "1", history.Create)
	appendTo(t, s, r)
	now := c.t.Add(time.Minute)
	c.t = now
	horizon := now.Add(-24 * time.Hour)
	stop := errors.New("stop")
	for what, of := range map[string]struct {
		asked, cut history.Extent
		says       string
	}{
		"all":           {history.Extent{}, history.Extent{Start: horizon, End: now}, ""},
		"beyond":        {history.Extent{Start: horizon.Add(-1), End: now.Add(1)}, history.Extent{Start: horizon, End: now}, ""},
		"inside":        {history.Extent{Start: horizon.Add(1), End: now.Add(-1)}, history.Extent{Start: horizon.Add(1), End: now.Add(-1)}, ""},
		"before all":    {history.Extent{End: horizon}, history.Extent{}, "nothing of the range is kept: history begins at " + horizon.UTC().Format(time.RFC3339)},
		"in the future": {history.Extent{Start: now}, history.Extent{}, "in the future"},
		"backwards":     {history.Extent{Start: r.Time, End: r.Time}, history.Extent{}, "before it begins"},
	} {
		err := s.Excerpt(t.Context(), of.asked, func(e *history.Excerpt) error {
			if !e.Start.Equal(of.cut.Start) || !e.End.Equal(of.cut.End) {
				t.Errorf("%s: from %v to %v, want %v", what, e.Start, e.End, of.cut)
			}
			return stop
		})
		if of.says == "" && !errors.Is(err, stop) || of.says != "" && (history.CodeOf(err) != history.Invalid || !strings.Contains(err.Error(), of.says)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// A clock that has jumped back leaves nothing out.
	c.t = r.Time.Add(-time.Hour)
	if log, err := imported(t, s, history.Extent{}, t.TempDir()); err != nil || len(all(t, log, history.Scan{})) != 1 {
		t.Errorf("after a jump: %v", err)
	}
}

// TestAnExcerptEndsWithItsContext checks that it goes no further, and that what it is for ends it, too.
func TestAnExcerptEndsWithItsContext(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	appendTo(t, s, take(200, records(t, 50))...)
	for name, of := range map[string]func(*history.Excerpt) func(func(*history.Record, error) bool){
		"standing": func(e *history.Excerpt) func(func(*history.Record, error) bool) { return e.Baselines },
		"records":  func(e *history.Excerpt) func(func(*history.Record, error) bool) { return e.Records },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		err := s.Excerpt(ctx, history.Extent{}, func(e *history.Excerpt) error {
			cancel()
			for _, err := range of(e) {
				return err
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Excerpt(t.Context(), history.Extent{}, func(e *history.Excerpt) error {
		cancel()
		_, err := store.Import(ctx, dir, e, store.Options{})
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("import: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "IMPORTED")); err != nil {
		t.Errorf("what is left of it has no mark: %v", err)
	}
}

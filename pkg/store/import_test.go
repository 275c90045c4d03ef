package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// imported imports an extent of a log into a directory.
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

// TestImport_AnswersLikeTheLog imports days of a log whose first day was
// dropped, and verifies the new log.
func TestImport_AnswersLikeTheLog(t *testing.T) {
	c := &clock{day(time.Now()).Add(-72 * time.Hour)}
	s := open(t, t.TempDir(), store.Options{Now: c.now, Retention: 48 * time.Hour})
	next := records(t, 100)
	for range 80 {
		appendVersions(t, s, take(10, next)...)
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
		t.Errorf("got %d records, want %d", len(got), len(want))
	}
	result, err := log.Verify(t.Context(), func(d store.Damage) { t.Errorf("got damage %s, want none", d) }, nil)
	if err != nil || result.Damaged != 0 || result.Versions <= int64(len(want)) {
		t.Errorf("Verify: got %+v, error %v, want no damage and more than %d versions", result, err, len(want))
	}
	err = log.Append(t.Context(), &history.Batch{Versions: take(1, next)})
	if history.CodeOf(err) != history.Invalid ||
		!strings.Contains(err.Error(), "is read-only") {
		t.Errorf("Append: got error %v, want an invalid one", err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(dir, store.Options{}); history.CodeOf(err) != history.Invalid ||
		!strings.Contains(err.Error(), "imported export") {
		t.Errorf("Open: got error %v, want an invalid one", err)
	}
	if _, err := imported(t, s, history.Extent{Start: start}, dir); history.CodeOf(err) != history.Invalid ||
		!strings.Contains(err.Error(), "is not empty") {
		t.Errorf("second import: got error %v, want an invalid one", err)
	}
}

// TestExcerpt_CutsExtent checks how an extent is cut: it excludes dropped days
// and the future.
func TestExcerpt_CutsExtent(t *testing.T) {
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
		text       string
	}{
		"all": {history.Extent{}, history.Extent{Start: horizon, End: now}, ""},
		"beyond": {
			history.Extent{Start: horizon.Add(-1), End: now.Add(1)}, history.Extent{Start: horizon, End: now}, "",
		},
		"inside": {
			history.Extent{Start: horizon.Add(1), End: now.Add(-1)},
			history.Extent{Start: horizon.Add(1), End: now.Add(-1)},
			"",
		},
		"before all": {
			history.Extent{End: horizon},
			history.Extent{},
			"no history in the range: history begins at " + horizon.UTC().Format(time.RFC3339),
		},
		"in the future": {history.Extent{Start: now}, history.Extent{}, "in the future"},
		"backwards":     {history.Extent{Start: r.Time, End: r.Time}, history.Extent{}, "before it begins"},
	} {
		err := s.Excerpt(t.Context(), of.asked, func(e *history.Excerpt) error {
			if !e.Start.Equal(of.cut.Start) || !e.End.Equal(of.cut.End) {
				t.Errorf("%s: got %v to %v, want %v", what, e.Start, e.End, of.cut)
			}
			return stop
		})
		if of.text == "" && !errors.Is(err, stop) || of.text != "" && (history.CodeOf(err) != history.Invalid ||
			!strings.Contains(err.Error(), of.text)) {
			t.Errorf("%s: got error %v, want %q", what, err, of.text)
		}
	}
	// The extent is complete after the clock jumped back.
	c.t = r.Time.Add(-time.Hour)
	if log, err := imported(t, s, history.Extent{}, t.TempDir()); err != nil || len(all(t, log, history.Scan{})) != 1 {
		t.Errorf("after a jump: got error %v, want one record", err)
	}
}

// TestExcerpt_NamesTheCluster checks that an excerpt has the UID of the
// namespace kube-system, whatever its extent is, and although no version of the
// retention has it.
func TestExcerpt_NamesTheCluster(t *testing.T) {
	c := &clock{day(time.Now()).Add(-72 * time.Hour)}
	s := open(t, t.TempDir(), store.Options{Now: c.now, Retention: 24 * time.Hour})
	cluster := func() (uid types.UID) {
		t.Helper()
		of := history.Extent{Resources: []schema.GroupResource{{Resource: "pods"}}, Namespace: history.ScopeOf("shop")}
		err := s.Excerpt(t.Context(), of, func(e *history.Excerpt) error { uid = e.Cluster; return nil })
		if err != nil {
			t.Fatal(err)
		}
		return uid
	}
	appendTo(t, s, pod("kube-system", "not-a-namespace", history.Create))
	c.t = c.t.Add(time.Minute)
	if got := cluster(); got != "" {
		t.Errorf("without namespaces: got %q, want none", got)
	}
	system := pod(history.ClusterNamespace, "system", history.Create)
	system.Ref.Resource, system.Ref.Namespace, system.Kind = "namespaces", "", "Namespace"
	appendTo(t, s, system)
	for _, after := range []time.Duration{time.Minute, 60 * time.Hour} {
		c.t = c.t.Add(after)
		appendTo(t, s, pod("web", fmt.Sprint("web-", after), history.Create))
		if err := s.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := cluster(); got != system.Ref.UID {
			t.Errorf("after %s: got %q, want %q", after, got, system.Ref.UID)
		}
	}
	c.t = c.t.Add(-48 * time.Hour) // the clock is set back
	if got := cluster(); got != system.Ref.UID {
		t.Errorf("earlier: got %q, want %q", got, system.Ref.UID)
	}
}

// TestExcerpt_EndsWithContext checks that an excerpt ends with its context, and
// that an import does.
func TestExcerpt_EndsWithContext(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	appendVersions(t, s, take(200, records(t, 50))...)
	for name, of := range map[string]func(*history.Excerpt) func(func(*history.Record, error) bool){
		"baselines": func(e *history.Excerpt) func(func(*history.Record, error) bool) { return e.Baselines },
		"records":   func(e *history.Excerpt) func(func(*history.Record, error) bool) { return e.Records },
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
			t.Errorf("%s: got error %v, want context.Canceled", name, err)
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
		t.Errorf("Import: got error %v, want context.Canceled", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "IMPORTED")); err != nil {
		t.Errorf("mark: got error %v, want the file", err)
	}
}

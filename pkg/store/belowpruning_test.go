package store_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// slowly is a writer that does something before it takes its first bytes.
type slowly struct {
	io.Writer
	first func()
}

func (w *slowly) Write(b []byte) (int, error) {
	if w.first != nil {
		w.first()
		w.first = nil
	}
	return w.Writer.Write(b)
}

// TestBackupBelowAPruning drops a day when a backup has begun, and its reader has taken nothing yet.
func TestBackupBelowAPruning(t *testing.T) {
	c := &clock{noon(0)}
	opts := store.Options{Now: c.now, Retention: 24 * time.Hour}
	s := open(t, t.TempDir(), opts)
	appendTo(t, s, pod("idle", "1", history.Create), pod("idle", "2", history.Update))
	c.t = noon(1)
	appendTo(t, s, pod("other", "3", history.Create))
	c.t = noon(3)
	var b bytes.Buffer
	w := &slowly{&b, func() {
		if err := s.Prune(t.Context()); err != nil {
			t.Error(err)
		}
	}}
	if _, err := s.Backup(t.Context(), w, store.Position{}, nil); err != nil {
		t.Fatal(err)
	}
	if s.Usage().Dropped[store.ByAge].Days != 1 {
		t.Fatalf("%+v", s.Usage())
	}
	r := restored(t, opts, b.Bytes())
	verified(t, r)
	if got := asOf(t, r, "idle", c.t); got != "2" {
		t.Errorf("it is %q, want what stood", got)
	}
}

// TestVerifyBelowAPruning drops a day while it is verified, whose versions have phrases.
func TestVerifyBelowAPruning(t *testing.T) {
	dir, c := t.TempDir(), &clock{noon(0)}
	opts := store.Options{Now: c.now, Retention: 24 * time.Hour}
	s := open(t, dir, opts)
	for i := range 3000 {
		r := pod(fmt.Sprint("web-", i%10), fmt.Sprint(i), history.Update)
		r.Summary = &history.Summary{Text: fmt.Sprint("phrase ", i%20)}
		r.Managers = []history.Manager{{Name: fmt.Sprint("manager ", i%7)}}
		appendTo(t, s, r)
	}
	c.t = noon(1)
	appendTo(t, s, pod("other", "9999", history.Create))
	s = reopen(t, s, dir, opts) // nothing is remembered
	c.t = noon(3)
	pruned := false
	v, err := s.Verify(t.Context(), func(d store.Damage) { t.Errorf("%.300v", d) }, func(entries, _ int64) {
		if !pruned {
			pruned = true
			if err := s.Prune(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil || !pruned || s.Usage().Dropped[store.ByAge].Days == 0 {
		t.Errorf("%v, pruned %v, %+v, %+v", err, pruned, v, s.Usage())
	}
}

// TestWhatStandsBelowAPruning drops, while it is read of, the day in which an object came that has not changed since. Whoever
// reads has to ask again, or is answered: that there is no such object, nobody may say.
func TestWhatStandsBelowAPruning(t *testing.T) {
	c := &clock{noon(0)}
	opts := store.Options{Now: c.now, Retention: 24 * time.Hour}
	for _, owner := range []bool{false, true} {
		c.t = noon(0)
		s := open(t, t.TempDir(), opts)
		first, second := pod("web", "1", history.Create), pod("web", "2", history.Create)
		second.Ref.UID = "another"
		first.Owners, second.Owners = []types.UID{"o"}, []types.UID{"o"}
		appendTo(t, s, first)
		c.t = noon(3)
		appendTo(t, s, second)
		sc := history.Scan{Filter: history.Filter{Name: "web"}, Order: history.NewestFirst}
		if owner {
			sc.Filter = history.Filter{Owner: "o"}
		}
		var got []string
		var failed error
		for r, err := range s.Scan(t.Context(), sc) {
			if failed = err; err != nil {
				break
			}
			if got = append(got, r.RV); len(got) == 1 {
				if err := s.Prune(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
		if s.Usage().Dropped[store.ByAge].Days != 1 {
			t.Fatalf("%+v", s.Usage())
		}
		if len(got) != 2 && history.CodeOf(failed) != history.Unavailable {
			t.Errorf("by owner: %v: got %q, %v", owner, got, failed)
		}
	}
}

// meanwhile is a context that does something when it is asked first.
type meanwhile struct {
	context.Context //nolint:containedctx // what it does not answer itself

	first func()
}

func (m *meanwhile) Err() error {
	if f := m.first; f != nil {
		m.first = nil
		f()
	}
	return m.Context.Err()
}

// TestTheLatestVersionBelowAPruning drops the day of an object's only version while that is read. The recorder, which needs it to go
// on, is answered.
func TestTheLatestVersionBelowAPruning(t *testing.T) {
	c := &clock{noon(0)}
	s := open(t, t.TempDir(), store.Options{Now: c.now, Retention: 24 * time.Hour})
	web := pod("web", "1", history.Create)
	appendTo(t, s, web)
	c.t = noon(3)
	appendTo(t, s, pod("other", "2", history.Create))
	ctx := &meanwhile{t.Context(), func() {
		if err := s.Prune(t.Context()); err != nil {
			t.Error(err)
		}
	}}
	r, err := s.Latest(ctx, web.Ref)
	if err != nil || r.RV != "1" || string(r.Object) != string(web.Object) || s.Usage().Dropped[store.ByAge].Days != 1 {
		t.Errorf("%+v, %v; %+v", r, err, s.Usage())
	}
}

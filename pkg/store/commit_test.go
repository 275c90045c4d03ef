package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// TestAppend_BoundsAttributes appends records with as many attributes as the
// limits allow, and with more. The latter are rejected, and the log accepts
// further batches.
func TestAppend_BoundsAttributes(t *testing.T) {
	owners := func(n, length int) (uids []types.UID) {
		for i := range n {
			uids = append(uids, types.UID(fmt.Sprintf("%0*d", length, i)))
		}
		return uids
	}
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	most := func(rv string, verb history.Verb) history.NewVersion {
		r := history.NewVersion{Record: pod("wide", rv, verb), ManagedHashes: make([]uint64, history.MaxManagedEntries)}
		r.Ref.Namespace = strings.Repeat("n", 1024)
		r.Owners = owners(history.MaxOwners, history.MaxAttributes/history.MaxOwners-1)
		r.Regarding = &history.Target{Kind: "Pod", Name: rv}
		return r
	}
	appendVersions(t, s, most("1", history.Create), most("2", history.Update), most("3", history.Delete))
	for what, widen := range map[string]func(*history.NewVersion){
		"owners": func(r *history.NewVersion) { r.Owners = owners(history.MaxOwners+1, 1) },
		"uids":   func(r *history.NewVersion) { r.Owners = owners(2, history.MaxAttributes/2+1) },
		"managed entries": func(r *history.NewVersion) {
			r.ManagedHashes = make([]uint64, history.MaxManagedEntries+1)
		},
		"managers": func(r *history.NewVersion) { r.Managers = make([]history.Manager, history.MaxAttributes) },
		"fields": func(r *history.NewVersion) {
			r.Managers = []history.Manager{{Name: "m", Fields: []string{strings.Repeat("f", history.MaxAttributes)}}}
		},
		"target": func(r *history.NewVersion) {
			r.Regarding = &history.Target{Kind: "Pod", Name: strings.Repeat("n", history.MaxAttributes)}
		},
		"summary": func(r *history.NewVersion) {
			r.Summary = &history.Summary{Text: strings.Repeat("w", history.MaxAttributes+1)}
		},
		"version": func(r *history.NewVersion) { r.RV = strings.Repeat("1", history.MaxAttributes+1) },
	} {
		r := history.NewVersion{Record: pod("wider", "1", history.Create)}
		widen(&r)
		err := s.Append(t.Context(), &history.Batch{Versions: []history.NewVersion{r}})
		if rejected, ok := errors.AsType[*history.Error](err); !ok || rejected.Code != history.Invalid {
			t.Errorf("too many %s: got %.200v, want an Invalid error", what, err)
		}
	}
	appendTo(t, s, pod("after", "2", history.Create))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := audit(t, dir, store.DefaultRetention, false); n != 4 {
		t.Errorf("got %d records, want 4", n)
	}
}

// TestAppend_LargeObjects appends incompressible objects that exceed a
// transaction, between small ones.
func TestAppend_LargeObjects(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	var want []*history.Record
	for i, size := range []int{0, 10, 6 << 20, 3<<20 + 7, 100} {
		r := pod(fmt.Sprint("web-", i), fmt.Sprint(i), history.Create)
		if r.Object = random(size); size == 0 {
			r.Object = nil
		}
		want = append(want, r)
	}
	appendTo(t, s, want...)
	s = reopen(t, s, dir, store.Options{})
	for i, r := range all(t, s, history.Scan{Bodies: true}) {
		if r.Ref != want[i].Ref || !bytes.Equal(r.Object, want[i].Object) {
			t.Errorf("record %d: got %s with %d bytes, want %s with %d",
				i, r.Ref, len(r.Object), want[i].Ref, len(want[i].Object))
		}
	}
	_ = s.Close()
	if n := audit(t, dir, store.DefaultRetention, false); n != len(want) {
		t.Errorf("got %d records, want %d", n, len(want))
	}
}

// TestAppend_FailureMakesLogReadOnly checks that a log rejects batches after a
// failed commit until it is opened again. Reading it still works.
func TestAppend_FailureMakesLogReadOnly(t *testing.T) {
	dir, c := t.TempDir(), &clock{time.Now()}
	opts := store.Options{Now: c.now}
	s := open(t, dir, opts)
	appendTo(t, s, pod("web", "1", history.Create))
	before := c.t
	c.t = time.Date(2150, 1, 1, 0, 0, 0, 0, time.UTC) // later than a key can store
	lost := pod("web", "2", history.Update)
	if err := s.Append(t.Context(), &history.Batch{Versions: newVersions(lost)}); err == nil || !lost.Time.IsZero() {
		t.Fatalf("append in 2150: got time %v, %v, want no time and an error", lost.Time, err)
	}
	c.t = before
	err := s.Append(t.Context(), &history.Batch{Versions: newVersions(lost)})
	if history.CodeOf(err) != history.Internal {
		t.Errorf("append after a failed commit: got %v, want an Internal error", err)
	}
	if n := len(all(t, s, history.Scan{})); n != 1 {
		t.Errorf("got %d records, want 1", n)
	}
	s = reopen(t, s, dir, opts)
	appendTo(t, s, lost)
	if lost.Revision != 2 {
		t.Errorf("got revision %d, want 2", lost.Revision)
	}
}

func pod(name, rv string, verb history.Verb) *history.Record {
	return &history.Record{
		Ref:     history.ObjectRef{Resource: "pods", Namespace: "shop", Name: name, UID: types.UID("uid-" + name)},
		Version: "v1", Kind: "Pod", Verb: verb, RV: rv, Object: []byte(`{"kind":"Pod","rv":` + rv + `}`),
	}
}

// appendTo appends records without hints.
func appendTo(tb testing.TB, s *store.Store, records ...*history.Record) {
	tb.Helper()
	appendVersions(tb, s, newVersions(records...)...)
}

func appendVersions(tb testing.TB, s *store.Store, versions ...history.NewVersion) {
	tb.Helper()
	if err := s.Append(tb.Context(), &history.Batch{Versions: versions}); err != nil {
		tb.Fatal(err)
	}
}

func newVersions(records ...*history.Record) (list []history.NewVersion) {
	for _, r := range records {
		list = append(list, history.NewVersion{Record: r})
	}
	return list
}

func all(tb testing.TB, s *store.Store, sc history.Scan) []*history.Record {
	tb.Helper()
	var list []*history.Record
	for r, err := range s.Scan(tb.Context(), sc) {
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

// TestAppend_WritesEveryKey appends versions of all kinds and audits the
// database key by key. It finds missing index entries, missing TTLs, and
// superfluous ones.
func TestAppend_WritesEveryKey(t *testing.T) {
	dir, c := t.TempDir(), &clock{time.Now()}
	opts := store.Options{Retention: 24 * time.Hour, Now: c.now}
	s := open(t, dir, opts)
	ev := pod("web.1", "3", history.Create)
	ev.Ref.Resource, ev.Kind = "events", "Event"
	ev.Regarding = &history.Target{Kind: "Pod", Namespace: "shop", Name: "web"}
	owned := pod("web", "1", history.Create)
	owned.Owners = []types.UID{"a", "b"}
	node := pod("node", "4", history.Create)
	node.Ref.Resource, node.Ref.Namespace = "nodes", ""
	appendTo(t, s, owned, pod("web", "2", history.Update), ev, node, pod("gone", "5", history.Create),
		pod("gone", "6", history.Update), pod("gone", "7", history.Delete),
		pod("back", "8", history.Delete), pod("back", "9", history.Update))
	c.t = c.t.Add(time.Hour)
	appendTo(t, s, pod("back", "10", history.Update), pod("gone", "11", history.Delete))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := audit(t, dir, opts.Retention, false); n != 11 {
		t.Errorf("got %d records, want 11", n)
	}
}

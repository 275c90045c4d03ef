package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

func pod(name, rv string, verb history.Verb) *history.Record {
	return &history.Record{
		Ref:     history.ObjectRef{Resource: "pods", Namespace: "shop", Name: name, UID: types.UID("uid-" + name)},
		Version: "v1", Kind: "Pod", Verb: verb, RV: rv, Object: []byte(`{"kind":"Pod","rv":` + rv + `}`),
	}
}

func appendTo(t testing.TB, s *store.Store, records ...*history.Record) {
	t.Helper()
	if err := s.Append(t.Context(), &history.Batch{Records: records}); err != nil {
		t.Fatal(err)
	}
}

func all(t testing.TB, s *store.Store, sc history.Scan) []*history.Record {
	t.Helper()
	var list []*history.Record
	for r, err := range s.Scan(t.Context(), sc) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

// TestEveryKey appends one version of everything there is and looks at the database key by key: a missing index entry, a
// missing TTL and one too many are found here.
func TestEveryKey(t *testing.T) {
	dir := t.TempDir()
	opts := store.Options{Retention: 24 * time.Hour}
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
	appendTo(t, s, pod("back", "10", history.Update))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := audit(t, dir, opts.Retention); n != 10 {
		t.Errorf("%d records, want 10", n)
	}
}

// TestClock checks that times stay unique and increasing when the clock stands still, jumps back, and when the log is
// opened again meanwhile.
func TestClock(t *testing.T) {
	dir, c := t.TempDir(), &clock{time.Now().UTC()}
	opts := store.Options{Now: c.now}
	s := open(t, dir, opts)
	var last time.Time
	for i, step := range []time.Duration{0, 0, -time.Hour, 0, time.Second, -24 * time.Hour} {
		c.t = c.t.Add(step)
		r := pod("web", fmt.Sprint(i), history.Update)
		appendTo(t, s, r)
		if !r.Time.After(last) || r.Revision != uint64(i+1) {
			t.Fatalf("step %d: %v, revision %d, after %v", i, r.Time, r.Revision, last)
		}
		last = r.Time
		s = reopen(t, s, dir, opts)
	}
	if got := all(t, s, history.Scan{}); len(got) != 6 || !got[5].Time.Equal(last) {
		t.Errorf("%d records, the last at %v", len(got), last)
	}
}

// TestRetention checks that nothing older than the retention is answered, to the nanosecond, though it is still there.
func TestRetention(t *testing.T) {
	c := &clock{time.Now().UTC()}
	s := open(t, t.TempDir(), store.Options{Now: c.now, Retention: time.Hour})
	r := pod("web", "1", history.Create)
	appendTo(t, s, r)
	c.t = r.Time.Add(time.Hour)
	if n := len(all(t, s, history.Scan{})); n != 1 {
		t.Errorf("%d records at the end of the retention, want 1", n)
	}
	c.t = c.t.Add(1)
	if n := len(all(t, s, history.Scan{})); n != 0 {
		t.Errorf("%d records behind the retention, want 0", n)
	}
	if _, err := s.Latest(t.Context(), r.Ref); history.CodeOf(err) != history.NotFound {
		t.Errorf("latest behind the retention: %v", err)
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

// TestLargeObjects appends objects that don't compress, up to more than a transaction takes, beside small ones.
func TestLargeObjects(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	var want []*history.Record
	for i, size := range []int{0, 1, 512 << 10, 512<<10 + 1, 1 << 20, 3 << 20, 10, 6 << 20, 3<<20 + 7, 100} {
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
			t.Errorf("%s: %d bytes, want %s with %d", r.Ref, len(r.Object), want[i].Ref, len(want[i].Object))
		}
	}
	_ = s.Close()
	if n := audit(t, dir, store.DefaultRetention); n != len(want) {
		t.Errorf("%d records, want %d", n, len(want))
	}
}

// TestLargeBatch appends more records at once than a transaction takes, of an object that stays the same and of others.
func TestLargeBatch(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	b := &history.Batch{Checkpoints: []history.Checkpoint{{Resource: "pods", RV: "9000"}, {Group: "apps", Resource: "deployments", RV: "1"}}}
	for i := range 9000 {
		b.Records = append(b.Records, pod(fmt.Sprint("web-", i%5000), fmt.Sprint(i), history.Update))
	}
	if err := s.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	for i, r := range all(t, s, history.Scan{Bodies: true}) {
		if d := cmp.Diff(b.Records[i], r); d != "" {
			t.Fatal(d)
		}
	}
	if r := b.Records[8999]; r.Revision != 2 {
		t.Errorf("revision %d of %s, want 2", r.Revision, r.Ref)
	}
	c, err := s.Checkpoint(t.Context(), schema.GroupResource{Resource: "pods"})
	if err != nil || c.RV != "9000" || !c.Time.Equal(b.Checkpoints[0].Time) || c.Time.Before(b.Records[8999].Time) {
		t.Errorf("checkpoint %+v, %v; committed %+v", c, err, b.Checkpoints[0])
	}
	_ = s.Close()
	if n := audit(t, dir, store.DefaultRetention); n != 9000 {
		t.Errorf("%d records, want 9000", n)
	}
}

// TestCheckpointAlone checks what a bookmark does.
func TestCheckpointAlone(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	gr := schema.GroupResource{Group: "apps", Resource: "deployments"}
	for _, rv := range []string{"7", "8"} {
		if err := s.Append(t.Context(), &history.Batch{Checkpoints: []history.Checkpoint{{Group: gr.Group, Resource: gr.Resource, RV: rv}}}); err != nil {
			t.Fatal(err)
		}
		s = reopen(t, s, dir, store.Options{})
		if c, err := s.Checkpoint(t.Context(), gr); err != nil || c.RV != rv {
			t.Errorf("checkpoint %+v, %v; want %s", c, err, rv)
		}
	}
}

func TestCatalogue(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	deploy := history.Resource{Group: "apps", Version: "v1", Plural: "deployments", Kind: "Deployment", ShortNames: []string{"deploy"}, Namespaced: true}
	pods := history.Resource{Version: "v1", Plural: "pods", Kind: "Pod", Namespaced: true}
	old := deploy
	old.Version = "v1beta1"
	for _, r := range []history.Resource{old, pods, deploy} {
		if err := s.Register(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	s = reopen(t, s, dir, store.Options{})
	got, err := s.Resources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]history.Resource{pods, deploy}, got); d != "" {
		t.Error(d)
	}
}

// TestInvalid checks that nothing of a batch with a mistake is committed, and that the log goes on.
func TestInvalid(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	for what, spoil := range map[string]func(*history.Record){
		"verb":      func(r *history.Record) { r.Verb = 0 },
		"resource":  func(r *history.Record) { r.Ref.Resource = "" },
		"name":      func(r *history.Record) { r.Ref.Name = "" },
		"namespace": func(r *history.Record) { r.Ref.Namespace = history.NoNamespace },
		"long":      func(r *history.Record) { r.Ref.Namespace = string(make([]byte, 2000)) },
	} {
		r := pod("bad", "1", history.Create)
		spoil(r)
		err := s.Append(t.Context(), &history.Batch{Records: []*history.Record{pod("good", "1", history.Create), r}})
		if history.CodeOf(err) != history.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := len(all(t, s, history.Scan{})); n != 0 {
		t.Errorf("%d records of invalid batches", n)
	}
	appendTo(t, s, pod("good", "1", history.Create))
}

func TestCancelled(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	appendTo(t, s, pod("web", "1", history.Create), pod("web", "2", history.Update))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for _, err := range s.Scan(ctx, history.Scan{}) {
		if n++; n == 1 {
			cancel()
		} else if !errors.Is(err, context.Canceled) {
			t.Errorf("second: %v", err)
		}
	}
	if n != 2 {
		t.Errorf("yielded %d times, want 2", n)
	}
	if err := s.Append(ctx, &history.Batch{Records: []*history.Record{pod("web", "3", history.Update)}}); !errors.Is(err, context.Canceled) {
		t.Errorf("append: %v", err)
	}
	if n := len(all(t, s, history.Scan{})); n != 2 {
		t.Errorf("%d records, want 2", n)
	}
}

// TestReadersBesideCommits reads while a committer writes: what a reader sees is a beginning of the log, never with a
// hole, and a log that is closed meanwhile ends the readers with an error.
func TestReadersBesideCommits(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	appendTo(t, s, pod("web", "0", history.Create))
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				n := uint64(0)
				for r, err := range s.Scan(context.Background(), history.Scan{Bodies: true}) {
					if history.CodeOf(err) == history.Unavailable {
						return
					}
					if n++; err != nil || r.Revision != n {
						t.Errorf("revision %v at place %d: %v", r, n, err)
						return
					}
					if _, err := s.Latest(context.Background(), r.Ref); err != nil && history.CodeOf(err) != history.Unavailable {
						t.Error(err)
					}
				}
			}
		})
	}
	for i := range 300 {
		appendTo(t, s, pod("web", fmt.Sprint(i), history.Update), pod("web", fmt.Sprint(i), history.Update))
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

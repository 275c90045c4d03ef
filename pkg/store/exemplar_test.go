package store_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	badger "github.com/dgraph-io/badger/v4"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// first appends the first version of an object whose JSON is so many KB of the text of its shape, and its own name.
func first(t *testing.T, s *store.Store, resource, name, shape string, size int) {
	t.Helper()
	r := pod(name, "1", history.Create)
	r.Ref.Resource = resource
	r.Object = fmt.Appendf(nil, `{"metadata":{"name":"%s"},"spec":"%x"}`, name, strings.Repeat(shape, size<<9/len(shape)))
	appendTo(t, s, r)
}

// closed closes a log and tells how its bodies are written.
func closed(t *testing.T, s *store.Store, dir string) string {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	written, _ := kinds(t, dir)
	return written
}

// shape returns text that has nothing in common with that of another number.
func shape(n int) string { return string(random(500 + n)) }

func TestFirstVersionsAreDeltasAgainstOthersOfTheirResource(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	for i, c := range []struct{ resource, name, shape string }{
		{"pods", "web-1", shape(1)},
		{"pods", "web-2", shape(1)},
		{"pods", "db-1", shape(2)},
		{"jobs", "web-1", shape(1)},
		{"pods", "web-3", shape(1)},
		{"pods", "db-2", shape(2)},
		{"jobs", "web-3", shape(1)},
	} {
		first(t, s, c.resource, c.name, c.shape, 3)
		got := bodiesOf(t, s, history.OldestFirst)
		if len(got) != i+1 || !bytes.Contains(got[i], fmt.Appendf(nil, `"%s"},"spec":"%x`, c.name, c.shape)) {
			t.Errorf("%s %s has another body", c.resource, c.name)
		}
	}
	if got := closed(t, s, dir); got != "slsslll" {
		t.Errorf("snapshots and deltas are %s", got)
	}
}

// The shapes that were of use last are at hand.
func TestFourShapesOfAResourceAreAtHand(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	for i, n := range []int{1, 2, 3, 4, 1, 5, 1, 3, 4, 2} {
		first(t, s, "pods", fmt.Sprint("web-", i), shape(n), 3)
	}
	if got := closed(t, s, dir); got != "ssss"+"l"+"s"+"lll"+"s" {
		t.Errorf("snapshots and deltas are %s", got)
	}
}

func TestExemplarsAreOfTheirDayAndProcess(t *testing.T) {
	dir, c := t.TempDir(), &clock{time.Now().Truncate(24 * time.Hour).Add(-time.Second)}
	s := open(t, dir, store.Options{Now: c.now})
	for i := range 6 {
		switch i {
		case 2:
			c.t = c.t.Add(2 * time.Second) // midnight passes
		case 4:
			s = reopen(t, s, dir, store.Options{Now: c.now})
		}
		first(t, s, "pods", fmt.Sprint("web-", i), shape(1), 3)
	}
	if got := closed(t, s, dir); got != "slslsl" {
		t.Errorf("snapshots and deltas are %s", got)
	}
}

// Of one snapshot, not more depends than may be lost with it.
func TestExemplarsAreRenewed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{NoSync: true})
	for i := range 520 {
		r := pod("web", "1", history.Create)
		r.Ref.UID = types.UID(fmt.Sprint(i))
		r.Object = large(1)
		appendTo(t, s, r)
	}
	if got, want := closed(t, s, dir), "s"+strings.Repeat("l", 255)+"s"+strings.Repeat("l", 255)+"s"+strings.Repeat("l", 7); got != want {
		t.Errorf("snapshots and deltas are %s", got)
	}
}

func TestLargeObjectsAreNoExemplars(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	for i := range 2 {
		first(t, s, "pods", fmt.Sprint("web-", i), shape(1), 65)
	}
	if got := closed(t, s, dir); got != "ss" {
		t.Errorf("snapshots and deltas are %s", got)
	}
}

// TestADamagedExemplarIsAnError damages the snapshot that others are like: none of them may get another body.
func TestADamagedExemplarIsAnError(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	for i := range 3 {
		first(t, s, "pods", fmt.Sprint("web-", i), shape(1), 3)
	}
	first(t, s, "jobs", "other", shape(2), 3)
	if got := closed(t, s, dir); got != "slls" {
		t.Fatalf("snapshots and deltas are %s", got)
	}
	change(t, dir, func(txn *badger.Txn, k, v []byte) error { v[len(v)/2] ^= 1; return txn.Set(k, v) })
	s = open(t, dir, store.Options{})
	for _, name := range []string{"web-0", "web-1", "web-2"} {
		ref := pod(name, "", history.Create).Ref
		if r, err := s.Latest(t.Context(), ref); err == nil {
			t.Errorf("%s has the body %.50s", name, r.Object)
		}
	}
	ref := pod("other", "", history.Create).Ref
	ref.Resource = "jobs"
	if _, err := s.Latest(t.Context(), ref); err != nil {
		t.Error(err)
	}
}

// TestLargeObjectsAreDeltas changes a line of an object that is larger than S2 would take as a dictionary.
func TestLargeObjectsAreDeltas(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	before := fmt.Appendf(nil, `{"data":"%x","last":"1"}`, random(750<<10))
	after := bytes.Replace(before, []byte(`"last":"1"`), []byte(`"last":"22"`), 1)
	one, two := pod("web", "1", history.Create), pod("web", "2", history.Update)
	one.Object, two.Object, two.Before = before, after, before
	appendTo(t, s, one)
	appendTo(t, s, two)
	if got := bodiesOf(t, s, history.NewestFirst); len(got) != 2 || !bytes.Equal(got[0], after) || !bytes.Equal(got[1], before) {
		t.Errorf("%d bodies are not what was written", len(got))
	}
	if got := closed(t, s, dir); got != "sd" {
		t.Errorf("snapshots and deltas are %s", got)
	}
}

// A patch that is not much smaller than a snapshot is worth less than another exemplar.
func TestWhatHasLittleInCommonIsAnotherExemplar(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	for i, end := range []int{1, 2, 2, 1} {
		first(t, s, "pods", fmt.Sprint("web-", i), shape(0)+shape(0)[:100]+shape(end)[:450], 3)
	}
	if got := closed(t, s, dir); got != "ssll" {
		t.Errorf("snapshots and deltas are %s", got)
	}
}

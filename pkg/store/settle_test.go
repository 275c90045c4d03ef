package store_test

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// tableOf returns the path of a layered log's table of a day.
func tableOf(t *testing.T, dir string, of time.Time) string {
	t.Helper()
	for at, f := range tablesOfVersions(t, dir) {
		if day(at).Equal(day(of)) {
			return f
		}
	}
	t.Fatalf("no table is of %v", of)
	return ""
}

// TestRepairSettlesWhatIsLeft loses the day in which an object was deleted, one came, and one came and went. The first must not stand
// for good, and of the others nothing may be left that nobody can record anything on.
func TestRepairSettlesWhatIsLeft(t *testing.T) {
	dir, c := t.TempDir(), &clock{time.Now().UTC().Truncate(24 * time.Hour).Add(-84 * time.Hour)}
	opts := store.Options{Now: c.now}
	s := open(t, dir, opts)
	gone := pod("gone", "1", history.Create)
	gone.Owners = []types.UID{"o"}
	appendTo(t, s, gone, pod("stays", "2", history.Create))
	c.t = c.t.Add(24 * time.Hour)
	lost := c.t
	deletion := pod("gone", "3", history.Delete)
	deletion.Owners = gone.Owners
	appendTo(t, s, deletion, pod("came", "4", history.Create), pod("brief", "5", history.Create), pod("brief", "6", history.Delete),
		pod("stays", "7", history.Update))
	c.t = c.t.Add(48 * time.Hour) // a table whose end can't be read may go on into the day after
	appendTo(t, s, pod("other", "8", history.Create))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	layered(t, dir)
	flip(t, tableOf(t, dir, lost), 30)
	for range 2 { // repairing what is whole changes nothing
		if said, err := repaired(t, dir); err != nil {
			t.Fatalf("%v, said %q", err, said)
		}
	}
	c.t = time.Now().Add(time.Hour)
	s = open(t, dir, opts)
	verified(t, s)
	got := all(t, s, history.Scan{Filter: history.Filter{Name: "gone"}, Bodies: true})
	if len(got) != 2 || got[1].Verb != history.Delete || !got[1].InferredSince.Equal(got[0].Time) || got[1].RV != "3" || got[1].Revision != 3 ||
		string(got[1].Object) != string(gone.Object) || len(got[1].Owners) != 1 || got[1].Managers != nil {
		t.Errorf("of what was deleted there is %+v", got)
	}
	alive := map[string]string{}
	for h, err := range s.Heads(t.Context(), pods()) {
		if err != nil {
			t.Fatal(err)
		}
		alive[h.Ref.Name] = h.RV
	}
	if len(alive) != 2 || alive["stays"] != "2" || alive["other"] != "8" {
		t.Errorf("alive are %v", alive)
	}
	came := pod("came", "9", history.Create)
	appendTo(t, s, came, pod("brief", "10", history.Create))
	if came.Revision != 1 {
		t.Errorf("what came has revision %d", came.Revision)
	}
	c.t = c.t.Add(20 * 24 * time.Hour)
	appendTo(t, s, pod("other", "11", history.Update))
	if err := s.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	verified(t, s)
	if got := asOf(t, s, "gone", c.t); got != "" {
		t.Errorf("what was deleted stands: %q", got)
	}
}

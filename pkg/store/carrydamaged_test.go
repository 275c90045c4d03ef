package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	badger "github.com/dgraph-io/badger/v4"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// TestAVersionWithoutItsBodyStands drops the day of versions of which only the JSON is lost: what else is known of them stays, by their
// owner, too, and who asks for the JSON gets an error.
func TestAVersionWithoutItsBodyStands(t *testing.T) {
	dir, c := t.TempDir(), &clock{noon(0)}
	opts := store.Options{Now: c.now, Retention: 24 * time.Hour}
	s := open(t, dir, opts)
	var last *history.Record
	for i := range 4 {
		last = pod("web", fmt.Sprint(i), history.Update)
		last.Owners, last.Summary = []types.UID{"o"}, &history.Summary{Text: "a phrase of the day"}
		appendTo(t, s, last)
	}
	c.t = noon(3)
	appendTo(t, s, pod("other", "9", history.Create))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	alter(t, dir, func(txn *badger.Txn) error {
		e := key.Entry{Class: key.Body, Object: 1, TS: uint64(last.Time.UnixNano())}
		return txn.Delete(e.Encode())
	})
	s = open(t, dir, opts)
	for _, pruned := range []bool{false, true} {
		if pruned {
			if err := s.Prune(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		s = reopen(t, s, dir, opts)
		for _, f := range []history.Filter{{Name: "web"}, {Owner: "o"}} {
			got := all(t, s, history.Scan{Filter: f})
			if len(got) != 1 || got[0].RV != "3" || got[0].Summary == nil || got[0].Summary.Text != last.Summary.Text {
				t.Errorf("%+v, pruned %v: %v", f, pruned, got)
			}
			for r, err := range s.Scan(t.Context(), history.Scan{Filter: f, Bodies: true}) {
				if err == nil || !strings.Contains(err.Error(), "object 1 at") {
					t.Errorf("%+v, pruned %v: %v, %v", f, pruned, r, err)
				}
			}
		}
	}
}

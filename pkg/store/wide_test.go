package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// TestWhatStandsBesideAnObjectIsBounded appends records that name as much beside their objects as they may, and more: those are
// refused, and the log goes on.
func TestWhatStandsBesideAnObjectIsBounded(t *testing.T) {
	owners := func(n, length int) (uids []types.UID) {
		for i := range n {
			uids = append(uids, types.UID(fmt.Sprintf("%0*d", length, i)))
		}
		return uids
	}
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	most := func(rv string, verb history.Verb) *history.Record {
		r := pod("wide", rv, verb)
		r.Ref.Namespace, r.ManagedHashes = strings.Repeat("n", 1024), make([]uint64, history.MaxManagedEntries)
		r.Owners = owners(history.MaxOwners, history.MaxAttributes/history.MaxOwners-1)
		r.Regarding = &history.Target{Kind: "Pod", Name: rv}
		return r
	}
	appendTo(t, s, most("1", history.Create), most("2", history.Update), most("3", history.Delete))
	for what, widen := range map[string]func(*history.Record){
		"owners":   func(r *history.Record) { r.Owners = owners(history.MaxOwners+1, 1) },
		"uids":     func(r *history.Record) { r.Owners = owners(2, history.MaxAttributes/2+1) },
		"writers":  func(r *history.Record) { r.ManagedHashes = make([]uint64, history.MaxManagedEntries+1) },
		"managers": func(r *history.Record) { r.Managers = make([]history.Manager, history.MaxAttributes) },
		"fields": func(r *history.Record) {
			r.Managers = []history.Manager{{Name: "m", Fields: []string{strings.Repeat("f", history.MaxAttributes)}}}
		},
		"target": func(r *history.Record) {
			r.Regarding = &history.Target{Kind: "Pod", Name: strings.Repeat("n", history.MaxAttributes)}
		},
		"words": func(r *history.Record) {
			r.Summary = &history.Summary{Text: strings.Repeat("w", history.MaxAttributes+1)}
		},
		"version": func(r *history.Record) { r.RV = strings.Repeat("1", history.MaxAttributes+1) },
	} {
		r := pod("wider", "1", history.Create)
		widen(r)
		err := s.Append(t.Context(), &history.Batch{Records: []*history.Record{r}})
		if refused, ok := errors.AsType[*history.Error](err); !ok || refused.Code != history.Invalid {
			t.Errorf("%s: %.200v", what, err)
		}
	}
	appendTo(t, s, pod("after", "2", history.Create))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := audit(t, dir, store.DefaultRetention, false); n != 4 {
		t.Errorf("%d records, want 4", n)
	}
}

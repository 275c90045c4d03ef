package query_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/fold"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/selector"
)

// words returns a selector by writers and a text, which may be empty.
func words(t *testing.T, text string, writers ...string) *selector.Selector {
	t.Helper()
	s := &selector.Selector{}
	var err error
	if len(writers) > 0 {
		if s.Writers, err = selector.ParseWriters(writers); err != nil {
			t.Fatal(err)
		}
	}
	if text != "" {
		if s.Text, err = selector.ParseText(text); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// folded returns all rows of a question, page by page.
func folded(t *testing.T, s *query.Service, q query.Timeline) (rows []query.FoldedRow) {
	t.Helper()
	for {
		page, err := s.Folded(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Rows) > q.Limit {
			t.Errorf("got a page of %d rows, want at most %d", len(page.Rows), q.Limit)
		}
		rows = append(rows, page.Rows...)
		if !page.More {
			return rows
		}
		q.After = page.Next
	}
}

// describe returns the kind of a row, and the times of its changes and
// problems.
func describe(r *query.FoldedRow) string {
	text := string(r.Kind)
	for i := range r.Changes {
		text += r.Changes[i].Time.Format(" 15:04:05")
	}
	for _, v := range r.Onsets {
		text += v.Time.Format(" !15:04:05")
	}
	return text
}

// TestFolded_WordsSelectWholeRows compares the rows that writers and texts
// select with those of the question without them.
func TestFolded_WordsSelectWholeRows(t *testing.T) {
	w := newFoldedWorld(t, rand.New(rand.NewPCG(5, 7)), 150)
	s := w.log.service(query.Options{})
	all := folded(t, s, query.Timeline{Limit: 1000})
	wrote := func(r *query.FoldedRow, name string) bool {
		for i := range r.Changes {
			if r.Changes[i].Managers[0].Name == name {
				return true
			}
		}
		return false
	}
	for name, c := range map[string]struct {
		selector *selector.Selector
		want     func(*query.FoldedRow) bool
	}{
		"writer": {words(t, "", "kubectl"), func(r *query.FoldedRow) bool { return wrote(r, "kubectl-edit") }},
		"excluded": {words(t, "", "!helm"), func(r *query.FoldedRow) bool {
			return len(r.Changes) == 0 || wrote(r, "kubectl-edit")
		}},
		"nobody": {words(t, "", "argocd"), func(*query.FoldedRow) bool { return false }},
		"name":   {words(t, "configmap/"), func(r *query.FoldedRow) bool { return r.Of.Kind == "ConfigMap" }},
		"text": {words(t, "a 2", "helm"), func(r *query.FoldedRow) bool {
			return wrote(r, "helm") && slices.ContainsFunc(r.Changes, func(c fold.Change) bool {
				return c.Summary == "a 2 → 1"
			})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var want []string
			for i := range all {
				if c.want(&all[i]) {
					want = append(want, describe(&all[i]))
				}
			}
			var got []string
			for _, r := range folded(t, s, query.Timeline{Limit: 1000, Selector: c.selector}) {
				got = append(got, describe(&r))
			}
			if !slices.Equal(got, want) {
				t.Errorf("got rows %q, want %q", got, want)
			}
			// Rows of several changes may be on two pages.
			for _, r := range folded(t, s, query.Timeline{Limit: 2, Selector: c.selector}) {
				if !c.want(&r) {
					t.Errorf("pages of 2: got row %q, want none that is not selected", describe(&r))
				}
			}
		})
	}
}

// TestFolded_ReturnsFirstConsequences compares the consequences of each row
// with the definition.
func TestFolded_ReturnsFirstConsequences(t *testing.T) {
	const most = 4
	for seed := range uint64(4) {
		w := newFoldedWorld(t, rand.New(rand.NewPCG(seed, 9)), 150)
		causes := map[time.Time][]time.Time{} // consequences by root change
		for n, r := range w.records {
			if cause := w.cause(n); cause != nil && r.Class != history.Root {
				causes[cause.Time] = append(causes[cause.Time], r.Time)
			}
		}
		rows := folded(t, w.log.service(query.Options{}), query.Timeline{Limit: 1000, Consequences: most})
		on := map[time.Time]bool{}
		for _, r := range w.records {
			on[r.Time] = true
		}
		for at, change := range w.beyond(on) {
			causes[change.Time] = append(causes[change.Time], at)
		}
		more := 0
		for _, row := range rows {
			var want []time.Time
			for i := range row.Changes {
				want = append(want, causes[row.Changes[i].Time]...)
			}
			slices.SortFunc(want, time.Time.Compare)
			if len(row.Changes) == 0 {
				continue
			}
			if len(want) > most {
				want, more = want[:most], more+1
			}
			var got []time.Time
			for i := range row.Followed {
				v := &row.Followed[i]
				got = append(got, v.Time)
				if v.Object != nil || v.Summary == "" {
					t.Errorf("got an object: %t, summary %q, want only a summary", v.Object != nil, v.Summary)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("seed %d, %s: got consequences %v, want %v", seed, describe(&row), got, want)
			}
		}
		if more == 0 {
			t.Errorf("seed %d: got no row with more than %d consequences, want some", seed, most)
		}
	}
}

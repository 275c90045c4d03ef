package archive_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/archive"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// scanned returns the records of a scan.
func scanned(tb testing.TB, r query.Reader, sc history.Scan) []*history.Record {
	tb.Helper()
	var list []*history.Record
	for rec, err := range r.Scan(tb.Context(), sc) {
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, rec)
	}
	return list
}

// filters returns filters of each kind that match some of the records.
func filters(records []*history.Record) map[string]history.Filter {
	f := map[string]history.Filter{
		"all":       {},
		"resource":  {Resources: append(history.Filter{}.Resources, resource("pods"), resource("deployments.apps"))},
		"namespace": {Namespace: records[0].Ref.Scope()},
		"none":      {Namespace: history.ClusterScoped},
		"deletions": {Verbs: []history.Verb{history.Delete}},
		"revisions": {Revisions: []uint64{2, 3}},
		"unknown":   {Name: "missing"},
	}
	for _, r := range records {
		ref := r.Ref
		f["name "+ref.String()] = history.Filter{Name: ref.Name, Namespace: history.NamespaceScope(ref.Namespace)}
		f["uid"] = history.Filter{UID: ref.UID}
		if r.Regarding != nil {
			f["regarding"] = history.Filter{Regarding: r.Regarding}
		}
		if len(r.Owners) > 0 {
			f["owner"] = history.Filter{Owner: r.Owners[0]}
		}
		if len(r.Managers) > 0 {
			f["manager "+r.Managers[0].Name] = history.Filter{Managers: []string{r.Managers[0].Name}}
		}
	}
	return f
}

// TestReader_AnswersLikeTheLog exports extents of a log, and compares the
// answers to all queries.
func TestReader_AnswersLikeTheLog(t *testing.T) {
	w := newWorld(t)
	now := w.clock.t
	for name, of := range map[string]history.Extent{
		"a day":          {Start: w.at(28), End: w.at(52)},
		"until now":      {Start: w.at(45)},
		"all":            {},
		"an hour":        {Start: w.at(50.5), End: w.at(51.5)},
		"one namespace":  {Start: w.at(28), End: w.at(52), Namespace: "team-1"},
		"cluster-scoped": {Start: w.at(28), Namespace: history.ClusterScoped},
		"two resources": {
			Start:     w.at(28),
			Resources: append(history.Extent{}.Resources, resource("pods"), resource("deployments.apps")),
		},
		"an idle resource": {
			Start: w.at(28), Resources: append(history.Extent{}.Resources, resource("idles.idle.example.com")),
		},
		"between versions": {Start: now.Add(-time.Nanosecond), End: now},
	} {
		t.Run(name, func(t *testing.T) {
			file, cut := w.export(t, of)
			r := read(t, file)
			h := r.Header()
			if !h.Start.Equal(cut.Start) || !h.End.Equal(cut.End) || h.Namespace != of.Namespace.String() ||
				len(h.Resources) != len(of.Resources) ||
				h.MadeBy != "a test" || h.Format != 1 {
				t.Errorf("got header %+v, want the extent %+v", h, cut)
			}
			t.Logf("%d bytes: %+v", len(file), r.Counts())
			compareScans(t, w, r, cut)
			compareStates(t, w, r, cut)
			compareRest(t, w, r, cut)
		})
	}
}

// compareScans compares whole scans, pages and counts. With -short, it does so
// for a third of the filters, which depends on the name of the test.
func compareScans(t *testing.T, w *world, r *archive.Reader, of history.Extent) {
	t.Helper()
	all := filters(scanned(t, w, history.Scan{}))
	for i, name := range slices.Sorted(maps.Keys(all)) {
		f, within := all[name], of.Filter()
		if testing.Short() && (i+len(t.Name()))%3 > 0 || !narrowed(&f, within) {
			continue
		}
		for _, sc := range []history.Scan{
			{Filter: f, Bodies: true},
			{Filter: f, Order: history.NewestFirst, Limit: 7, Bodies: true},
			{Filter: f, Limit: 5, After: history.Cursor{Time: of.Start.Add(of.End.Sub(of.Start) / 3)}},
		} {
			want, got := scanned(t, w, sc), scanned(t, r, sc)
			if !reflect.DeepEqual(want, got) {
				t.Errorf("%s, order %d, limit %d: got %d records, want %d: %s",
					name, sc.Order, sc.Limit, len(got), len(want), differing(want, got))
			}
		}
		want, exact, err := w.Count(t.Context(), f, 100_000)
		got, also, err2 := r.Count(t.Context(), f, 100_000)
		if want != got || !exact || !also || err != nil || err2 != nil {
			t.Errorf("%s: got count %d (exact %t), want %d (exact %t); errors %v, %v",
				name, got, also, want, exact, err2, err)
		}
	}
}

// narrowed restricts a filter to an extent. It returns false if nothing can
// match.
func narrowed(f *history.Filter, within history.Filter) bool {
	f.Start, f.End = within.Start, within.End
	if within.Namespace != history.AllNamespaces {
		if f.Namespace != history.AllNamespaces && f.Namespace != within.Namespace {
			return false
		}
		f.Namespace = within.Namespace
	}
	if len(within.Resources) > 0 {
		f.Resources = within.Resources
	}
	return true
}

// differing describes the first record that differs.
func differing(want, got []*history.Record) string {
	for i := range min(len(want), len(got)) {
		if !reflect.DeepEqual(want[i], got[i]) {
			return fmt.Sprintf("got %+v, want %+v", got[i], want[i])
		}
	}
	return ""
}

// compareStates compares the version of each object at moments of the extent.
// For some objects that is a baseline.
func compareStates(t *testing.T, w *world, r *archive.Reader, of history.Extent) {
	t.Helper()
	refs := map[history.ObjectRef]bool{}
	for _, rec := range scanned(t, w, history.Scan{}) {
		refs[rec.Ref] = true
	}
	for _, rec := range scanned(t, w, history.Scan{Filter: history.Filter{Name: "node-0"}}) {
		refs[rec.Ref] = true
	}
	baselines := 0
	for ref := range refs {
		probe := history.Record{Ref: ref, Time: of.Start}
		within := of.Filter()
		for _, at := range []time.Time{of.Start, of.Start.Add(of.End.Sub(of.Start) / 2), of.End} {
			sc := history.Scan{Filter: history.Filter{
				Resources: append(history.Filter{}.Resources, ref.GroupResource()),
				Namespace: history.NamespaceScope(ref.Namespace), Name: ref.Name, UID: ref.UID, End: at,
			}, Order: history.NewestFirst, Limit: 1, Bodies: true}
			want, got := scanned(t, w, sc), scanned(t, r, sc)
			if !within.Matches(&probe) || len(want) > 0 && want[0].Verb == history.Delete &&
				want[0].Time.Before(of.Start) {
				want = nil
			}
			if !reflect.DeepEqual(want, got) {
				t.Errorf("%s at %v: got %v, want %v", ref, at, got, want)
			}
			if len(got) > 0 && got[0].Time.Before(of.Start) {
				baselines++
			}
		}
	}
	if want := r.Counts().Baselines; (baselines == 0) != (want == 0) {
		t.Errorf("got %d states from before the extent, want some only with %d baselines", baselines, want)
	}
}

// compareRest compares gaps, the catalogue, timelines and histories.
func compareRest(t *testing.T, w *world, r *archive.Reader, of history.Extent) {
	t.Helper()
	want, err := w.Gaps(t.Context(), of.Resources, of.Start, of.End)
	got, err2 := r.Gaps(t.Context(), nil, of.Start, of.End)
	if !reflect.DeepEqual(want, got) || err != nil || err2 != nil {
		t.Errorf("got gaps %+v, want %+v; errors %v, %v", got, want, err2, err)
	}
	all, err := w.Resources(t.Context())
	all = slices.DeleteFunc(all, func(r history.Resource) bool {
		return len(of.Resources) > 0 && !slices.Contains(of.Resources, r.GroupResource())
	})
	some, err2 := r.Resources(t.Context())
	if !reflect.DeepEqual(all, some) || err != nil || err2 != nil {
		t.Errorf("got resources %+v, want %+v; errors %v, %v", some, all, err2, err)
	}
	if len(of.Resources) > 0 || of.Namespace != history.AllNamespaces {
		return
	}
	timeline := query.Timeline{Filter: of.Filter(), Limit: 300, Order: history.NewestFirst}
	original, err := query.New(w, query.Options{}).Timeline(t.Context(), timeline)
	fromFile, err2 := query.New(r, query.Options{}).Timeline(t.Context(), timeline)
	if !reflect.DeepEqual(original, fromFile) || err != nil || err2 != nil {
		t.Errorf("got timeline %+v, want %+v; errors %v, %v", fromFile, original, err2, err)
	}
	for _, rec := range scanned(t, w, history.Scan{
		Filter: history.Filter{
			Start: of.Start, End: of.End, Resources: append(history.Filter{}.Resources, resource("deployments.apps")),
		}, Limit: 3,
	}) {
		q := query.Object{
			Namespace: rec.Ref.Scope(), Type: "Deployment", Name: rec.Ref.Name, Start: of.Start, End: of.End, Limit: 50,
		}
		original, err := query.New(w, query.Options{}).Object(t.Context(), q)
		fromFile, err2 := query.New(r, query.Options{}).Object(t.Context(), q)
		if !reflect.DeepEqual(original, fromFile) || err != nil || err2 != nil {
			t.Errorf("%s: got history %+v, want %+v; errors %v, %v", rec.Ref, fromFile, original, err2, err)
		}
	}
}

package query_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/store"
)

func image(tag string) string {
	return `{"metadata":{"resourceVersion":"` + tag + `"},"spec":{"containers":[{"name":"app","image":"shop/web:` +
		tag + `"}]}}`
}

func TestSummary_SaysWhatChanged(t *testing.T) {
	l := newLog(t)
	web, old := ref("", "pods", "shop", "web", 1), ref("", "pods", "shop", "old", 1)
	initial := record(old, history.Create, `{"metadata":{"resourceVersion":"6","generation":2}}`)
	initial.Initial = true
	l.put(
		initial,
		owned(ref("apps", "replicasets", "shop", "web-7d9f", 1), ref("apps", "deployments", "shop", "web", 1)),
		record(web, history.Create, image("1.4")),
		record(web, history.Update, image("1.5")),
		record(old, history.Update, `{"metadata":{"resourceVersion":"7","generation":3}}`),
		event("web.1", web, web.UID),
		record(web, history.Update, image("1.6")),
		record(web, history.Delete, image("1.6")),
	)
	want := []string{
		"existed when recording began", "owned by deployment/web", "created", "image app 1.4 → 1.5", "",
		"Scheduled: about web", "image app 1.5 → 1.6", "deleted",
	}
	s := l.service(query.Options{})
	page, err := s.Timeline(t.Context(), query.Timeline{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	if got := summaries(page); !slices.Equal(got, want) {
		t.Errorf("oldest first:\ngot  %q\nwant %q", got, want)
	}
	page, err = s.Timeline(t.Context(), query.Timeline{Limit: 100, Order: history.NewestFirst})
	slices.Reverse(want)
	if got := summaries(page); err != nil || !slices.Equal(got, want) {
		t.Errorf("newest first, error %v:\ngot  %q\nwant %q", err, got, want)
	}
}

// The previous version may be on another page, or not match the filter.
func TestSummary_FindsPreviousVersionOutsideOfPage(t *testing.T) {
	l := newLog(t)
	web, again := ref("", "pods", "shop", "web", 1), ref("", "pods", "shop", "web", 2)
	l.put(
		record(web, history.Create, image("1")),
		record(web, history.Update, image("2")),
		record(web, history.Update, image("3")),
		record(web, history.Delete, image("3")),
		record(again, history.Create, image("8")),
		record(again, history.Update, image("9")),
	)
	for _, c := range []struct {
		name string
		q    query.Timeline
		want []string
	}{
		{"one revision", query.Timeline{Filter: history.Filter{Revisions: []uint64{3}}}, []string{"image app 2 → 3"}},
		{
			"updates",
			query.Timeline{Filter: history.Filter{Verbs: []history.Verb{history.Update}}},
			[]string{"image app 1 → 2", "image app 2 → 3", "image app 8 → 9"},
		},
		{
			"first and third",
			query.Timeline{Filter: history.Filter{Revisions: []uint64{1, 3}}},
			[]string{"created", "image app 2 → 3", "created"},
		},
		{
			"from a time",
			query.Timeline{Filter: history.Filter{Start: l.now.Add(-time.Second / 2)}},
			[]string{"image app 8 → 9"},
		},
	} {
		c.q.Limit = 100
		page, err := l.service(query.Options{}).Timeline(t.Context(), c.q)
		if got := summaries(page); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: error %v:\ngot  %q\nwant %q", c.name, err, got, c.want)
		}
	}
}

// The baseline is kept, and the version after it is compared with it. The
// version before the baseline is not kept.
func TestSummary_SaysThatPreviousVersionIsNotKept(t *testing.T) {
	l := newLog(t)
	web := ref("", "pods", "shop", "web", 1)
	l.put(record(web, history.Create, image("1")), record(web, history.Update, image("2")))
	l.now = l.now.Add(10 * 24 * time.Hour)
	l.put(record(web, history.Update, image("3")))
	l.now = l.now.Add(5 * 24 * time.Hour)
	for _, when := range []string{"before pruning", "pruned"} {
		page, err := l.service(query.Options{}).Timeline(t.Context(), query.Timeline{Limit: 10})
		if got := summaries(page); err != nil || !slices.Equal(got, []string{"image app 2 → 3"}) {
			t.Errorf("%s: got %q, error %v, want the change from 2 to 3", when, got, err)
		}
		page, err = l.service(query.Options{}).Timeline(t.Context(),
			query.Timeline{Filter: history.Filter{Name: "web"}, Limit: 10})
		if got := summaries(page); err != nil ||
			!slices.Equal(got, []string{"the version before is not kept", "image app 2 → 3"}) {
			t.Errorf("%s, by name: got %q, error %v, want the baseline, too", when, got, err)
		}
		if err := l.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestProblem_RestartIsReportedOnce(t *testing.T) {
	l := newLog(t)
	web := ref("", "pods", "shop", "web", 1)
	running := func(restarts, last string) string {
		return `{"status":{"phase":"Running","containerStatuses":[{"name":"app","ready":true,"restartCount":` +
			restarts + `,"state":{"running":{}},"lastState":{` + last + `}}]}}`
	}
	oom := `"terminated":{"reason":"OOMKilled","exitCode":137}`
	l.put(
		record(web, history.Create, running("0", "")),
		record(web, history.Update, running("1", oom)),
		record(web, history.Update, running("1", oom)),
	)
	q := query.Timeline{Filter: history.Filter{Verbs: []history.Verb{history.Update}}, Limit: 10}
	page, err := l.service(query.Options{}).Timeline(t.Context(), q)
	if err != nil || len(page.Versions) != 2 {
		t.Fatalf("versions: got %d, error %v, want 2", len(page.Versions), err)
	}
	if got := page.Versions[0].Problem; !strings.Contains(got, "OOMKilled") {
		t.Errorf("problem of the version with the restart: got %q, want OOMKilled", got)
	}
	if got := page.Versions[1].Problem; got != "" {
		t.Errorf("problem of the next version: got %q, want none", got)
	}
}

// Two resources may serve one object with one UID, and objects may have none.
func TestSummary_ComparesVersionsOfOneObject(t *testing.T) {
	l := newLog(t)
	one, other := ref("", "pods", "shop", "web", 1), ref("example.com", "widgets", "shop", "web", 1)
	other.UID = one.UID
	a, b := ref("", "pods", "shop", "a", 1), ref("", "pods", "shop", "b", 1)
	a.UID, b.UID = "", ""
	l.put(
		record(other, history.Create, image("7")), record(b, history.Create, image("8")),
		record(other, history.Update, image("7")),
		record(one, history.Create, image("1")), record(a, history.Create, image("1")),
		record(b, history.Update, image("8")),
		record(one, history.Update, image("2")), record(a, history.Update, image("2")),
		record(other, history.Update, image("9")), record(one, history.Update, image("3")),
	)
	page, err := l.service(query.Options{}).Timeline(t.Context(), query.Timeline{Limit: 100})
	want := []string{
		"created", "created", "", "created", "created", "", "image app 1 → 2",
		"image app 1 → 2", "image app 7 → 9", "image app 2 → 3",
	}
	if got := summaries(page); err != nil || !slices.Equal(got, want) {
		t.Errorf("error %v:\ngot  %q\nwant %q", err, got, want)
	}
}

// The records of a day were lost. Its changes must not be attributed to the
// next version.
func TestSummary_IsNotComparedAcrossLostDay(t *testing.T) {
	start := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	from := &history.Excerpt{
		Extent:    history.Extent{Start: start, End: start.Add(72 * time.Hour)},
		Baselines: func(func(*history.Record, error) bool) {},
		Records: func(yield func(*history.Record, error) bool) {
			for i, revision := range []uint64{1, 2, 5, 6} {
				r := record(ref("", "pods", "shop", "web", 1), history.Update, image(strconv.Itoa(int(revision))))
				r.Revision, r.Time = revision, start.Add(time.Duration(i)*time.Hour)
				if !yield(r, nil) {
					return
				}
			}
		},
	}
	log, err := store.Import(t.Context(), t.TempDir(), from, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	want := []string{"the version before is not kept", "image app 5 → 6"}
	for i, after := range []time.Duration{90 * time.Minute, 30 * time.Minute} {
		filter := history.Filter{Name: "web", Start: start.Add(after)}
		page, err := query.New(log, query.Options{}).Timeline(t.Context(), query.Timeline{Filter: filter, Limit: 10})
		if got := summaries(page); err != nil || !slices.Equal(got[i:], want) {
			t.Errorf("error %v:\ngot  %q\nwant %q", err, got, want)
		}
	}
}

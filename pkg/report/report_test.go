package report_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/archive"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/render"
	"github.com/watchhistory/watchhistory/pkg/report"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// incidents is the corpus of recorded incidents.
const incidents = "../rig/incidents/testdata"

// gather returns the report on a recorded incident.
func gather(t *testing.T, name string) *report.Report {
	t.Helper()
	source, question := incident(t, name)
	r, err := report.Gather(t.Context(), source, question)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// incident returns a client of a recorded incident, and the question for the
// report on it.
func incident(t *testing.T, name string) (*client.Client, report.Question) {
	t.Helper()
	file, err := os.Open(filepath.Join(incidents, name+".export"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	log, err := archive.Open(t.Context(), file, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	var answer struct{ Namespace string }
	text, err := os.ReadFile(filepath.Join(incidents, name+".json"))
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	if err != nil {
		t.Fatal(err)
	}
	end := log.Header().End
	source := serve(t, api.New(query.New(log, query.Options{Now: func() time.Time { return end }}), api.Options{}))
	return source, report.Question{
		Namespace: history.ScopeOf(answer.Namespace), Start: end.Add(-time.Hour), Now: end, Series: true,
	}
}

// serve returns a client of an API.
func serve(tb testing.TB, handler http.Handler) *client.Client {
	tb.Helper()
	server := httptest.NewServer(handler)
	tb.Cleanup(server.Close)
	source, err := client.New(server.URL, client.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = source.Close() })
	return source
}

// now is the time of reports that are not recorded.
var now = time.Date(2026, 3, 1, 15, 0, 0, 0, time.UTC)

// enumerated are the fields whose values come from a list, by their paths.
var enumerated = regexp.MustCompile(`\.(Kind|State|Class|Verb|Relation|ConsequencesRelation|Change|Mark|Code|Reason|` +
	`Unread|Operation|Remainder|User|Stage|RequestURI|APIVersion|ResourceVersion|Subresource)$`)

// hostile returns a report with a text in each field.
func hostile(text string) *report.Report {
	after, onset := 4.0, now.Add(-4*time.Minute)
	object := v1.Object{Group: text, ResourceType: text, Kind: text, Namespace: text, Name: text, UID: text}
	delivery := &v1.Delivery{
		Text: text, Tool: text, Kind: text, Name: text, Namespace: text, Chart: text, Revision: text, Commit: text,
		Cause: text,
	}
	outcome := &v1.Outcome{State: "failing", Text: text, AfterSeconds: &after}
	e := v1.Event{
		Timestamp: now.Add(-5 * time.Minute), Verb: "update", Namespace: text, ResourceType: text, ResourceName: text,
		Message: text, Annotations: map[string]string{text: text}, SourceIPs: []string{text}, Group: text, Kind: text,
		UID: text, Revision: 2, Summary: text, Outcome: outcome, Delivery: delivery,
		ObjectChanges: json.RawMessage(`{}`), PreviousObject: json.RawMessage(`{}`),
		Managers:  []v1.Manager{{Manager: text, Fields: []string{text}}},
		Unmanaged: &v1.Unmanaged{Writer: text},
		Inferred:  &v1.Interval{Start: now.Add(-6 * time.Minute), End: now.Add(-5 * time.Minute)},
	}
	row := v1.Row{
		Kind: "repeat", Start: now.Add(-6 * time.Minute), End: now.Add(-5 * time.Minute), Object: object, Objects: 1,
		Summary: text, Writers: []v1.Writer{{Name: text, Short: text, Class: "person"}}, Changes: []v1.Event{e, e},
		Problems: []v1.Problem{{Timestamp: now, Object: object, Text: text}}, Outcome: outcome,
		Delivery: text, Again: 3,
		UsedBy: []v1.User{{Object: object, OutdatedPods: 2}}, After: &v1.ObjectRevision{Object: object, Revision: 3},
		Followed: []v1.Event{e}, Consequences: 4,
	}
	why := v1.Why{
		At: now, Object: object, State: "failing", Text: text, Onset: &onset, HealthyUntil: &onset, Searched: &onset,
		Symptoms: []v1.Symptom{{Text: text, Since: onset, Object: object, Count: 1}},
		Causes: []v1.Cause{{
			Change: e, Score: 1, Fields: []string{text}, Path: []v1.PathStep{{Rule: text, Object: object}},
			For: []string{text}, Against: []string{text},
		}},
		Unread: []string{text},
	}
	difference := v1.Difference{
		Change: "changed", Namespace: text, ResourceType: text, ResourceName: text, Group: text, Kind: text, UID: text,
		PreviousUID: text, Versions: 2, Summary: text,
		Changes: []v1.Change{{Path: text, Old: json.RawMessage(`1`), New: json.RawMessage(`2`)}},
	}
	bulk := row
	bulk.Kind, bulk.Objects, bulk.Object.Namespace = "bulk", 2, text+"2"
	return &report.Report{
		Title: text, Namespace: history.NamespaceScope(text), Start: now.Add(-time.Hour), End: now, Location: time.UTC,
		Coverage: report.Coverage{
			Since: now.Add(-time.Minute), NotRecorded: []string{text}, Ignored: text, Restricted: true, Limit: text,
			Gaps: []v1.Gap{{Group: text, Resource: text, Start: onset, End: now, Reason: "restarted", Detail: text}},
		},
		Rules:    []report.Rule{{Expression: text, Changes: []v1.Event{e}, More: true}},
		Problems: []report.Problem{{Why: why, Diffs: []string{text}}}, MoreProblems: true,
		Rows: []report.Row{
			{Row: row, Diffs: map[int]string{0: text, 1: text}}, {Row: bulk, Diffs: map[int]string{1: text}},
		}, Cut: true,
		Compared: &report.Compared{
			From: now.Add(-time.Hour), To: now, Hidden: text, HiddenN: 3,
			Stats: []render.Stat{{Mark: "M", Difference: difference, Changes: 1, Writers: []string{text}}},
		},
		Deleted: []report.Deleted{{Event: e, Manifest: json.RawMessage(`{}`)}},
		Series: report.Series{
			Nodes: []report.Mark{{Time: onset, Text: text}}, Warnings: []report.Mark{{Time: onset, Text: text}},
			Unready: []report.Level{{Time: onset, N: 2}},
			Workloads: []report.Workload{
				{Namespace: text, Name: text, Points: []report.Point{{Time: onset, Desired: 2}}},
			},
			Until: now,
		},
	}
}

// TestGather_CountsDiffsThatAreNotRead checks that both formats say how many
// diffs they lack.
func TestGather_CountsDiffsThatAreNotRead(t *testing.T) {
	source, question := incident(t, "configmap-edited")
	count := func(r *report.Report) (n int) {
		for i := range r.Rows {
			n += len(r.Rows[i].Diffs)
		}
		return n
	}
	whole, err := report.Gather(t.Context(), source, question)
	if err != nil || whole.MoreDiffs != 0 {
		t.Fatalf("got %d diffs that were not read, error %v, want none", whole.MoreDiffs, err)
	}
	question.Diffs = 2
	r, err := report.Gather(t.Context(), source, question)
	if err != nil || count(r) != 2 || count(r)+r.MoreDiffs != count(whole) {
		t.Fatalf("got %d diffs, %d more, error %v, want 2 of %d", count(r), r.MoreDiffs, err, count(whole))
	}
	if len(r.Rows[len(r.Rows)-1].Diffs) == 0 {
		t.Error("got no diff of the newest change, want it")
	}
	want := fmt.Sprintf("Diffs of %d older changes left out.", r.MoreDiffs)
	if got := markdown(t, r); !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant %q in it", got, want)
	}
	want = fmt.Sprintf("%d older changes without the diff, because only the newest diffs are read.", r.MoreDiffs)
	if got := decode(t, page(t, r)).LeftOut; !slices.Contains(got, want) {
		t.Errorf("got %q left out, want %q", got, want)
	}
}

// TestWrite_NamesObjectOfBulkDiff checks that both formats say whose diff is
// shown of a row about several objects.
func TestWrite_NamesObjectOfBulkDiff(t *testing.T) {
	r := gatherEmpty()
	row := v1.Row{Kind: "bulk", Start: now, End: now, Objects: 3, Object: v1.Object{Kind: "Deployment", Name: "c"}}
	for _, name := range []string{"a", "b", "c"} {
		row.Changes = append(row.Changes, v1.Event{
			Timestamp: now, Verb: "update", Kind: "Deployment", Namespace: "shop", ResourceName: name, Revision: 7,
			Summary: "image app 1 → 2",
		})
	}
	r.Rows = []report.Row{{Row: row, Diffs: map[int]string{2: "- image: 1\n+ image: 2"}}}
	const want = "image app 1 → 2 &#40;the last of 3 objects with this change&#41;"
	if got := markdown(t, r); !strings.Contains(got, "shop deployment/c<span>&#35;</span>7 "+want) {
		t.Errorf("got\n%s\nwant %q in it", got, want)
	}
	got := decode(t, page(t, r)).Rows[0].Changes
	if len(got) != 3 || got[0].Text != "image app 1 → 2" ||
		got[2].Text != "image app 1 → 2 (the last of 3 objects with this change)" || got[2].Diff == "" {
		t.Errorf("got the changes %+v, want the diff at the last one of three", got)
	}
}

// TestGather_ReadsDiffsOfManyObjectsAtOnce compares the report of a recorder
// that returns previous objects with that of an older one.
func TestGather_ReadsDiffsOfManyObjectsAtOnce(t *testing.T) {
	const objects = 60
	f := newFleet(t, objects)
	question := f.question()
	question.Diffs = objects - 10
	read := func(handler http.Handler) (r *report.Report, requests int64) {
		t.Helper()
		f.requests.Store(0)
		r, err := report.Gather(t.Context(), serve(t, handler), question)
		if err != nil {
			t.Fatal(err)
		}
		return r, f.requests.Load()
	}
	got, requests := read(f)
	want, single := read(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		q.Del(v1.ParamPrevious)
		r.URL.RawQuery = q.Encode()
		f.ServeHTTP(w, r)
	}))
	if diff := cmp.Diff(markdown(t, want), markdown(t, got)); diff != "" {
		t.Errorf("got another report (-older +newer):\n%s", diff)
	}
	if diff := cmp.Diff(want.Rows, got.Rows); diff != "" {
		t.Errorf("got other rows (-older +newer):\n%s", diff)
	}
	if text := got.Rows[objects-1].Diffs[0]; !strings.Contains(text, `+   key-59: "2"`) {
		t.Errorf("got the diff\n%s\nwant that of the newest change", text)
	}
	if single < objects-10 || requests > 20 {
		t.Errorf("got %d requests, and %d with an older recorder, want at most 20, and one for each object",
			requests, single)
	}
}

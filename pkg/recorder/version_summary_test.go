package recorder_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
	"github.com/watchhistory/watchhistory/pkg/symptom"
)

// scaled returns a Deployment with some replicas. kubectl wrote last, and
// another manager owns the paused field.
func scaled(rv string, replicas int, paused bool) string {
	return fmt.Sprintf(`{"metadata":{"name":"web","namespace":"shop","uid":"u1","resourceVersion":%q,"managedFields":[`+
		`{"manager":"helm","operation":"Apply","time":"2026-01-02T03:04:01Z","fieldsV1":{"f:spec":{"f:paused":{}}}},`+
		`{"manager":"kubectl","operation":"Update","time":"2026-01-02T03:04:0%sZ",`+
		`"fieldsV1":{"f:spec":{"f:replicas":{}}}}]},`+
		`"spec":{"paused":%t,"replicas":%d}}`, rv, rv, paused, replicas)
}

var deployments = history.Resource{
	Group: "apps", Version: "v1", Plural: "deployments", Kind: "Deployment", Namespaced: true,
}

// described returns a record's summary, and the fields that each manager owns.
func described(r *history.Record) string {
	if r.Summary == nil {
		return "nothing"
	}
	text := r.Summary.Text
	for _, m := range r.Managers {
		text += "; " + m.Name + " " + strings.Join(m.Fields, " ")
	}
	return text
}

func TestSummarize_OnRecording(t *testing.T) {
	for name, tc := range map[string]struct {
		memory  int
		restart bool // with an empty cache
	}{
		"from the cache": {}, "from the log": {memory: 1}, "after a restart": {restart: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t, recorder.Options{Memory: tc.memory}, nil)
			s := w.stream(deployments)
			w.feed(s, "sync", "end 1")
			for i, version := range []string{scaled("2", 1, false), scaled("3", 3, false), scaled("4", 3, false)} {
				w.observe(s, []string{"+", "~", "~"}[i], version)
				if tc.memory > 0 || tc.restart {
					w.feed(s, "sync") // waits until everything is committed
					w.observe(s, "+", version)
					w.feed(s, fmt.Sprintf("end %d", 2+i))
				}
				if tc.restart {
					w.restart()
					s = w.stream(deployments)
				}
			}
			w.observe(s, "-", strings.Replace(scaled("4", 3, false), `"4"`, `"5"`, 1))
			var got []string
			for _, r := range w.records(deployments) {
				got = append(got, described(r))
			}
			want := []string{"created; kubectl ", "replicas 1 → 3; kubectl spec.replicas", "; kubectl ", "deleted"}
			if tc.restart {
				want[2] = "" // a restart loses the newest second, and without a change nothing proves the writer
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// TestClassify_UsesConfiguredSymptoms changes the rules while versions are
// recorded. They apply to later versions.
func TestClassify_UsesConfiguredSymptoms(t *testing.T) {
	databases := history.Resource{
		Group: "example.com", Version: "v1", Plural: "databases", Kind: "Database", Namespaced: true,
	}
	database := func(rv, mode string) string {
		return fmt.Sprintf(`{"metadata":{"name":"db","namespace":"shop","uid":"u1","resourceVersion":%q},`+
			`"status":{"mode":%q}}`, rv, mode)
	}
	var log bytes.Buffer
	w := open(t, recorder.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, nil)
	s := w.stream(databases)
	w.feed(s, "sync", "end 1")
	w.observe(s, "+", database("2", "ReadOnly"))
	w.observe(s, "~", database("3", "ReadWrite"))
	w.observe(s, "~", database("4", "ReadOnly"))
	rules := recorder.Rules{Symptoms: []symptom.Rule{{
		Code: "ReadOnly", Resource: databases.GroupResource(), Expression: `object.status.mode == "ReadOnly"`,
		Text: "the database is read-only",
	}}}
	w.rule(rules)
	w.observe(s, "~", database("5", "readOnly"))
	w.observe(s, "~", database("6", "ReadOnly"))
	w.observe(s, "~", strings.Replace(database("7", "ReadOnly"), `"status":{`, `"status":{"lag":1,`, 1))
	w.observe(s, "~", database("8", "ReadWrite"))
	w.observe(s, "~", strings.Replace(database("9", "ReadOnly"), `"status"`, `"spec":{"size":2},"status"`, 1))
	w.observe(s, "-", strings.Replace(database("10", "ReadOnly"), `"status"`, `"spec":{"size":2},"status"`, 1))
	var got []string
	for _, r := range w.records(databases) {
		got = append(got, fmt.Sprintf("%s %s %s", r.RV, r.Class, r.Summary.Problem))
	}
	const problem = "the database is read-only"
	want := []string{
		"2 root ", "3 consequence ", "4 consequence ", "5 consequence ", "6 onset " + problem,
		"7 consequence " + problem, "8 consequence ", "9 root " + problem, "10 root ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}

	rules.Symptoms[0].Expression = `object.a.all(x, object.a.all(y, x != y || size(x) < 9))`
	w.rule(rules)
	s = w.stream(databases)
	w.feed(s, "sync", "end 10")
	log.Reset()
	items := "[" + strings.Repeat(`"x",`, 2000) + `"y"]`
	for rv := range 3 {
		w.observe(s, []string{"+", "~", "~"}[rv], strings.Replace(database(fmt.Sprint(11+rv), "x"), `"status"`,
			`"a":`+items+`,"status"`, 1))
	}
	if got := strings.Count(log.String(), "configured symptom not evaluated"); got != 1 {
		t.Errorf("got %d warnings about an expression that is too expensive, want 1:\n%s", got, log.String())
	}
	records := w.records(databases)
	if got, want := len(records), 12; got != want {
		t.Errorf("got %d versions, want %d", got, want)
	}
}

func TestAttributeFields_OfSeveralManagers(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	s := w.stream(deployments)
	w.feed(s, "sync", "end 1")
	w.observe(s, "+", strings.ReplaceAll(scaled("2", 1, false), "03:04", "03:03"))
	w.feed(s, "sync")
	w.observe(s, "+", scaled("3", 3, true))
	w.feed(s, "end 4")
	r := w.records(deployments)[1]
	if got, want := described(r), "replicas 1 → 3, paused; kubectl spec.replicas; helm spec.paused"; got != want {
		t.Errorf("update after a gap: got %q, want %q", got, want)
	}
}

// A previous version that is neither cached nor committed is not waited for.
func TestSummarize_NeedsPreviousVersion(t *testing.T) {
	w := open(t, recorder.Options{Memory: 1, BatchDelay: 1 << 40, BatchRecords: 100}, nil)
	s := w.stream(deployments)
	w.feed(s, "sync", "end 1")
	w.observe(s, "+", scaled("2", 1, false))
	w.observe(s, "~", scaled("3", 3, true))
	records := w.records(deployments)
	if records[1].Summary != nil || records[1].Managers[0].Fields != nil {
		t.Errorf("previous version not committed: got %q, want no summary and no fields", described(records[1]))
	}
}

// batches is a log that keeps the appended records.
type batches struct {
	recorder.Log

	records []history.NewVersion
}

func (b *batches) Append(ctx context.Context, batch *history.Batch) error {
	b.records = append(b.records, batch.Versions...)
	return b.Log.Append(ctx, batch)
}

// The log needs less space if it gets the previous version, which the recorder
// has cached.
func TestUpdate_PassesPreviousVersionToLog(t *testing.T) {
	var log *batches
	w := open(t, recorder.Options{}, func(l recorder.Log) recorder.Log {
		log = &batches{Log: l}
		return log
	})
	s := w.stream(pods)
	w.feed(s, "sync", "end 1", "+a/u1@2", "~a/u1@3", "+b/u2@4")
	w.restart()
	s = w.stream(pods)
	w.feed(s, "~a/u1@5", "-a/u1@6", "sync", "end 7")
	if err := w.stop(); err != nil { // commits the accepted records
		t.Fatal(err)
	}
	got := log.records
	if len(got) != 3 {
		t.Fatalf("got %d records, want 3", len(got))
	}
	for i, want := range []string{pod("a", "u1", "3"), pod("a", "u1", "5"), pod("b", "u2", "4")} {
		if string(got[i].Before) != want {
			t.Errorf("%s: got previous version\n\t%s\nwant\n\t%s",
				lines([]*history.Record{got[i].Record}), got[i].Before, want)
		}
	}
}

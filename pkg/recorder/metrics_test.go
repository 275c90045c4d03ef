package recorder_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
)

// scrape returns the values of the recorder's metrics. A key is a series as
// /metrics shows it, without the prefix "watchhistory_".
func (w *world) scrape() map[string]float64 {
	w.t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	var text bytes.Buffer
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&text, family); err != nil {
			w.t.Fatal(err)
		}
	}
	values := map[string]float64{}
	for line := range strings.Lines(text.String()) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		series, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		value, err := strconv.ParseFloat(number, 64)
		if err != nil {
			w.t.Fatal(err)
		}
		values[strings.TrimPrefix(series, "watchhistory_")] = value
	}
	return values
}

// checkpointOfPods is the time of the checkpoint of pods.
const checkpointOfPods = `checkpoint_timestamp_seconds{group="",resource="pods"}`

func TestMetrics_StartAtZero(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	withoutStream := map[string]float64{
		"catalogue_versions_total":      0,
		"commit_duration_seconds_count": 0, "commit_duration_seconds_sum": 0, "commit_retries_total": 0,
		"commits_refused": 0, "commits_total": 0, "queue_bytes": 0, "queue_records": 0,
		"version_lag_seconds_count": 0, "version_lag_seconds_sum": 0,
	}
	withStream := maps.Clone(withoutStream)
	for _, series := range []string{
		`objects_alive{group="",resource="pods"}`,
		`syncs_total{group="",resource="pods"}`,
		`versions_ignored_total{group="",resource="pods",rule="change"}`,
		`versions_ignored_total{group="",resource="pods",rule="namespace"}`,
		`versions_known_total{group="",resource="pods"}`,
		`versions_recorded_total{group="",resource="pods",verb="create"}`,
		`versions_recorded_total{group="",resource="pods",verb="delete"}`,
		`versions_recorded_total{group="",resource="pods",verb="update"}`,
	} {
		withStream[series] = 0
	}
	scrape := func() map[string]float64 {
		values := w.scrape()
		maps.DeleteFunc(values, func(series string, _ float64) bool { return strings.Contains(series, "_bucket{") })
		return values
	}
	if diff := cmp.Diff(withoutStream, scrape()); diff != "" {
		t.Errorf("before the first stream (-want +got):\n%s", diff)
	}
	w.stream(pods)
	if diff := cmp.Diff(withStream, scrape()); diff != "" {
		t.Errorf("before the first list (-want +got):\n%s", diff)
	}
}

func TestMetrics_LagOfVersions(t *testing.T) {
	clock := time.Date(2026, 1, 2, 3, 4, 7, 0, time.UTC)
	w := open(t, recorder.Options{Now: func() time.Time { return clock }}, nil)
	s := w.stream(pods)
	w.feed(s, "sync")
	w.observe(s, "+", strings.ReplaceAll(managed("1", "old 01 x"), "u1", "u0")) // initial
	w.feed(s, "end 1")
	w.observe(s, "~", strings.ReplaceAll(managed("2", "old 01 x", "a 05 y"), "u1", "u0")) // 2 s
	w.observe(s, "~", strings.ReplaceAll(managed("3", "a 09 y"), "u1", "u0"))             // from a clock that is fast
	w.feed(s, "+b/u2@4")                                                                  // without a manager
	w.feed(s, "sync", "end 9")
	eventually(t, "an empty queue and the last checkpoint", func() bool {
		got := w.scrape()
		return got[checkpointOfPods] == float64(clock.Unix()) && got["queue_records"] == 0
	})
	got := w.scrape()
	for series, want := range map[string]float64{
		"version_lag_seconds_count":              2,
		"version_lag_seconds_sum":                2,
		`version_lag_seconds_bucket{le="0.001"}`: 1, // the negative lag counts as zero
		"commit_duration_seconds_count":          got["commits_total"],
		"last_commit_timestamp_seconds":          float64(clock.Unix()),
		`syncs_total{group="",resource="pods"}`:  2,
	} {
		if got[series] != want {
			t.Errorf("%s: got %v, want %v", series, got[series], want)
		}
	}
	if got["commits_total"] == 0 || got["commit_duration_seconds_sum"] <= 0 {
		t.Errorf("got %v commits that took %v s, want both above 0",
			got["commits_total"], got["commit_duration_seconds_sum"])
	}
	w.restart()
	w.stream(pods)
	if got := w.scrape()[checkpointOfPods]; got != float64(clock.Unix()) {
		t.Errorf("after a restart: got a checkpoint of %v, want %d", got, clock.Unix())
	}
}

// A list withdraws the checkpoint until it ends.
func TestMetrics_CheckpointIsAbsentDuringRelist(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	s := w.stream(pods)
	present := func() bool { _, ok := w.scrape()[checkpointOfPods]; return ok }
	w.feed(s, "sync", "+a/u1@1", "end 2")
	eventually(t, "a checkpoint", present)
	w.feed(s, "sync")
	if got, ok := w.scrape()[checkpointOfPods]; ok {
		t.Errorf("during a list: got a checkpoint of %v, want none", got)
	}
	w.feed(s, "+a/u1@1", "end 3")
	eventually(t, "a checkpoint again", present)
}

// unreadable is a log whose heads can't be read.
type unreadable struct{ recorder.Log }

func (unreadable) Heads(context.Context, schema.GroupResource) iter.Seq2[history.Head, error] {
	return func(yield func(history.Head, error) bool) { yield(history.Head{}, errDisk) }
}

// A count of 0 live objects would be wrong.
func TestMetrics_AbsentIfStateCannotBeRead(t *testing.T) {
	w := open(t, recorder.Options{}, func(l recorder.Log) recorder.Log { return unreadable{l} })
	if _, err := w.Stream(t.Context(), pods); !errors.Is(err, errDisk) {
		t.Fatalf("got error %v, want %v", err, errDisk)
	}
	for series := range w.scrape() {
		if strings.Contains(series, `resource="pods"`) {
			t.Errorf("got %s, want no series of pods", series)
		}
	}
}

package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

func gaps(t *testing.T, s *store.Store, start, end time.Time, resources ...schema.GroupResource) []history.Gap {
	t.Helper()
	found, err := s.Gaps(t.Context(), resources, start, end)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func commit(t *testing.T, s *store.Store, b history.Batch) {
	t.Helper()
	if err := s.Append(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
}

func TestAGapIsOpenUntilItsEndReplacesIt(t *testing.T) {
	dir, c := t.TempDir(), &clock{time.Now().Truncate(time.Second).UTC()}
	opts := store.Options{Retention: 24 * time.Hour, Now: c.now}
	s := open(t, dir, opts)
	start := c.t.Add(-time.Minute)
	pods := history.Gap{Resource: "pods", Start: start, Reason: history.GapExpired, Detail: "forgotten"}
	deployments := history.Gap{Group: "apps", Resource: "deployments", Start: start.Add(time.Second), Reason: history.GapForbidden}
	commit(t, s, history.Batch{Gaps: []history.Gap{deployments, pods}})
	s = reopen(t, s, dir, opts)
	if d := cmp.Diff([]history.Gap{pods, deployments}, gaps(t, s, time.Time{}, time.Time{})); d != "" {
		t.Error(d)
	}
	pods.End = start.Add(30 * time.Second)
	record := pod("web", "1", history.Create)
	commit(t, s, history.Batch{Records: []*history.Record{record}, Gaps: []history.Gap{pods}})
	pods.End = record.Time // a gap holds the records that it ends with
	if d := cmp.Diff([]history.Gap{pods, deployments}, gaps(t, s, time.Time{}, time.Time{})); d != "" {
		t.Error(d)
	}
	for name, got := range map[string][]history.Gap{
		"one resource":  gaps(t, s, time.Time{}, time.Time{}, pods.GroupResource(), schema.GroupResource{Resource: "unknown"}),
		"before opened": gaps(t, s, time.Time{}, deployments.Start),
		"its last":      gaps(t, s, pods.End, pods.End.Add(1), pods.GroupResource()),
	} {
		if d := cmp.Diff([]history.Gap{pods}, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	for name, got := range map[string][]history.Gap{
		"before":  gaps(t, s, time.Time{}, start),
		"behind":  gaps(t, s, pods.End.Add(1), time.Time{}, pods.GroupResource()),
		"unknown": gaps(t, s, time.Time{}, time.Time{}, schema.GroupResource{Resource: "unknown"}),
	} {
		if len(got) > 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	c.t = c.t.Add(25 * time.Hour)
	if d := cmp.Diff([]history.Gap{deployments}, gaps(t, s, time.Time{}, time.Time{})); d != "" {
		t.Errorf("after the retention only what is open is left: %s", d)
	}
}

func TestGapsCommitWithTheirBatch(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	start := time.Now().Add(-time.Minute).UTC()
	batch := history.Batch{
		Gaps:        []history.Gap{{Resource: "pods", Start: start}, {Resource: "nodes", Start: start, End: start.Add(1)}},
		Checkpoints: []history.Checkpoint{{Resource: "pods"}, {Resource: "nodes", RV: "5"}},
		Records:     []*history.Record{pod("", "1", history.Create)}, // which is invalid
	}
	if err := s.Append(t.Context(), &batch); history.CodeOf(err) != history.Invalid {
		t.Fatal(err)
	}
	if got := gaps(t, s, time.Time{}, time.Time{}); len(got) > 0 {
		t.Errorf("an invalid batch left %+v", got)
	}
	batch.Records = []*history.Record{pod("web", "1", history.Create)}
	commit(t, s, batch)
	got := gaps(t, s, time.Time{}, time.Time{})
	if len(got) != 2 || got[0].Resource != "nodes" || !got[0].End.Equal(batch.Records[0].Time) || !got[1].Open() {
		t.Errorf("%+v", got)
	}
}

func TestACheckpointKeepsWhenItWasReceived(t *testing.T) {
	c := &clock{time.Now().UTC()}
	s := open(t, t.TempDir(), store.Options{Now: c.now})
	received := c.t.Add(-3 * time.Second)
	for _, tt := range []struct{ given, want time.Time }{{received, received}, {time.Time{}, c.t}, {c.t.Add(time.Hour), c.t}} {
		commit(t, s, history.Batch{Checkpoints: []history.Checkpoint{{Resource: "pods", RV: "1", Time: tt.given}}})
		got, err := s.Checkpoint(t.Context(), schema.GroupResource{Resource: "pods"})
		if err != nil || !got.Time.Equal(tt.want) {
			t.Errorf("of %s: %s, %v", tt.given, got.Time, err)
		}
	}
}

func TestAGapWithoutAStartIsInvalid(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	if err := s.Append(t.Context(), &history.Batch{Gaps: []history.Gap{{Resource: "pods"}}}); history.CodeOf(err) != history.Invalid {
		t.Error(err)
	}
}

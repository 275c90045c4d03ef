package storetest

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// checkpointNotNewer reads the checkpoint and then the newest record, while
// records are appended with their checkpoints. The checkpoint's record is
// always there.
func checkpointNotNewer(s *subject) {
	s.concurrently(1, func(int) bool {
		c, err := s.Checkpoint(s.t.Context(), pods())
		if err != nil {
			s.t.Error(err)
			return false
		}
		covered, newest := 0, 0
		_, _ = fmt.Sscan(c.RV, &covered) // fails before the first batch
		for r, err := range s.Scan(s.t.Context(), history.Scan{Order: history.NewestFirst, Limit: 1}) {
			if err != nil {
				s.t.Error(err)
				return false
			}
			_, _ = fmt.Sscan(r.RV, &newest)
		}
		if newest < covered {
			s.t.Errorf("got checkpoint %d, want at most the newest record %d", covered, newest)
		}
		return newest >= covered
	}, func() {
		for i := 1; i <= 200; i++ {
			rv := fmt.Sprint(i)
			s.commit(&history.Batch{
				Versions:    newVersions(version("web", rv, history.Update)),
				Checkpoints: []history.Checkpoint{{Resource: "pods", RV: rv}},
			})
		}
	})
}

// checkpointIsLast commits checkpoints of two resources with the same plural,
// with and without records, and withdraws one. If a batch has two checkpoints
// of a resource, the last one counts. A checkpoint without an RV means that
// there is none, and since when.
func checkpointIsLast(s *subject) {
	other := schema.GroupResource{Group: "example.com", Resource: "pods"}
	if c := s.checkpoint(pods()); c.RV != "" || !c.Time.IsZero() || c.Group != "" || c.Resource != "pods" {
		s.t.Errorf("empty log: got checkpoint %+v, want none", c)
	}
	for i, step := range []struct {
		batch       history.Batch
		pods, other string
	}{
		{history.Batch{Checkpoints: []history.Checkpoint{{Resource: "pods", RV: "7"}}}, "7", ""},
		{history.Batch{Checkpoints: []history.Checkpoint{{Group: other.Group, Resource: "pods", RV: "3"}}}, "7", "3"},
		{history.Batch{Versions: newVersions(version("web", "9", history.Create))}, "7", "3"},
		{
			history.Batch{Checkpoints: []history.Checkpoint{{Resource: "pods", RV: "9"}, {Resource: "pods", RV: "8"}}},
			"8", "3",
		},
		{history.Batch{Checkpoints: []history.Checkpoint{{Resource: "pods"}}}, "", "3"},
		{
			history.Batch{Checkpoints: []history.Checkpoint{{Resource: "pods", RV: "an opaque \x00 string"}}},
			"an opaque \x00 string", "3",
		},
	} {
		s.now = s.now.Add(time.Minute)
		s.commit(&step.batch)
		for range 2 {
			first, second := s.checkpoint(pods()), s.checkpoint(other)
			if first.RV != step.pods || second.RV != step.other || first.Time.IsZero() {
				s.t.Errorf("step %d: got %+v and %+v, want %q and %q", i, first, second, step.pods, step.other)
			}
			s.reopen()
		}
	}
}

// checkpointKeepsTime commits checkpoints with a past time, without one, and
// with a future one.
func checkpointKeepsTime(s *subject) {
	received := s.now.Add(-3 * time.Second)
	for _, tt := range []struct {
		rv          string
		given, want time.Time
	}{
		{"1", received, received},
		{"1", time.Time{}, s.now},
		{"1", s.now.Add(time.Hour), s.now},
		{"", received, received},
	} {
		b := &history.Batch{Checkpoints: []history.Checkpoint{{Resource: "pods", RV: tt.rv, Time: tt.given}}}
		s.commit(b)
		if got := s.checkpoint(pods()); !got.Time.Equal(tt.want) || !b.Checkpoints[0].Time.Equal(tt.want) {
			s.t.Errorf("time %s: got %s, and %s in the batch, want %s",
				tt.given, got.Time, b.Checkpoints[0].Time, tt.want)
		}
	}
}

package storetest

import (
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// everyGap returns all gaps.
func (s *subject) everyGap() []history.Gap {
	s.t.Helper()
	return s.gaps(time.Time{}, time.Time{})
}

// gapIsOpenUntilItEnds opens gaps of two resources, ends one, and reads all and
// those of an interval. An ended gap expires with the records of its time, and
// an open one does not.
func gapIsOpenUntilItEnds(s *subject) {
	start := s.now.Add(-time.Minute)
	gap := history.Gap{Resource: "pods", Start: start, Reason: history.GapExpired, Detail: "forgotten"}
	stays := history.Gap{
		Group: "apps", Resource: "deployments", Start: start.Add(time.Second), Reason: history.GapForbidden,
	}
	s.commit(&history.Batch{Gaps: []history.Gap{stays, gap}})
	s.reopen()
	if d := cmp.Diff([]history.Gap{gap, stays}, s.everyGap()); d != "" {
		s.t.Errorf("gaps (-want +got):\n%s", d)
	}
	gap.End = start.Add(30 * time.Second)
	r := version("web", "1", history.Create)
	s.commit(&history.Batch{Versions: newVersions(r), Gaps: []history.Gap{gap}})
	gap.End = r.Time // it includes the records of its batch
	unknown := schema.GroupResource{Resource: "unknown"}
	for _, tt := range []struct {
		when string
		got  []history.Gap
		want []history.Gap
	}{
		{"ended", s.everyGap(), []history.Gap{gap, stays}},
		{"of one resource", s.gaps(time.Time{}, time.Time{}, pods(), unknown), []history.Gap{gap}},
		{"before the other began", s.gaps(time.Time{}, stays.Start), []history.Gap{gap}},
		{"at its last moment", s.gaps(gap.End, gap.End.Add(1), pods()), []history.Gap{gap}},
		{"before it began", s.gaps(time.Time{}, start), nil},
		{"after its end", s.gaps(gap.End.Add(1), time.Time{}), []history.Gap{stays}},
		{"of an unknown resource", s.gaps(time.Time{}, time.Time{}, unknown), nil},
	} {
		if d := cmp.Diff(tt.want, tt.got); d != "" {
			s.t.Errorf("%s (-want +got):\n%s", tt.when, d)
		}
	}
	s.now = s.now.Add(365 * aDay)
	if d := cmp.Diff([]history.Gap{stays}, s.everyGap()); d != "" {
		s.t.Errorf("after the retention (-want +got):\n%s", d)
	}
}

// gapsCommitWithTheirBatch commits a batch with open and ended gaps,
// checkpoints and a mistake, and again without the mistake.
func gapsCommitWithTheirBatch(s *subject) {
	start := s.now.Add(-time.Minute)
	batch := &history.Batch{
		Gaps: []history.Gap{
			{Resource: "pods", Start: start, Reason: history.GapRestarted},
			{Resource: "nodes", Start: start, End: start.Add(1), Reason: history.GapRestarted},
		},
		Checkpoints: []history.Checkpoint{{Resource: "pods"}, {Resource: "nodes", RV: "5"}},
		Versions:    newVersions(version("", "1", history.Create)),
	}
	if err := s.Append(s.t.Context(), batch); history.CodeOf(err) != history.Invalid {
		s.t.Fatalf("got error %v, want an invalid one", err)
	}
	if got := s.everyGap(); len(got) > 0 {
		s.t.Errorf("after an invalid batch: got gaps %+v, want none", got)
	}
	batch.Versions = newVersions(version("web", "1", history.Create))
	s.commit(batch)
	want := []history.Gap{batch.Gaps[1], batch.Gaps[0]} // same start: sorted by resource
	want[0].End = batch.Versions[0].Time
	if d := cmp.Diff(want, s.everyGap()); d != "" {
		s.t.Errorf("gaps (-want +got):\n%s", d)
	}
}

package gap_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
)

var pods = schema.GroupResource{Resource: "pods"}

// fakeLog is a log with fixed contents.
type fakeLog struct {
	catalogue   []history.Resource
	checkpoints map[schema.GroupResource]history.Checkpoint
	gaps        []history.Gap
	alive       map[schema.GroupResource]int // objects
	fail        error                        // of every call
	headReads   int
}

func (f *fakeLog) Resources(context.Context) ([]history.Resource, error) { return f.catalogue, f.fail }

func (f *fakeLog) Checkpoint(_ context.Context, r schema.GroupResource) (history.Checkpoint, error) {
	return f.checkpoints[r], f.fail
}

func (f *fakeLog) Heads(_ context.Context, r schema.GroupResource) iter.Seq2[history.Head, error] {
	f.headReads++
	return func(yield func(history.Head, error) bool) {
		for range f.alive[r] {
			if !yield(history.Head{}, nil) {
				return
			}
		}
	}
}

func (f *fakeLog) Gaps(
	_ context.Context, resources []schema.GroupResource, start, end time.Time,
) (all []history.Gap, _ error) {
	for _, g := range f.gaps {
		if g.Touches(start, end) && (len(resources) == 0 || slices.Contains(resources, g.GroupResource())) {
			all = append(all, g)
		}
	}
	return all, f.fail
}

// fakeObserver reports fixed observations and absences.
type fakeObserver struct {
	observations []gap.Observation
	absences     map[schema.GroupResource]gap.Cause
}

func (f *fakeObserver) Observations() []gap.Observation          { return f.observations }
func (f *fakeObserver) Absence(r schema.GroupResource) gap.Cause { return f.absences[r] }

// accepted is the state of a log that accepts records.
func accepted() error { return nil }

// waiting returns the observation of pods whose watcher waits.
func waiting(cause gap.Cause) gap.Observation {
	return gap.Observation{Resource: pods, Phase: gap.Waiting, Cause: cause, Since: at(30)}
}

// observing returns an observer with one observation.
func observing(o gap.Observation) *fakeObserver {
	return &fakeObserver{observations: []gap.Observation{o}}
}

func recordedPods(c history.Checkpoint) *fakeLog {
	return &fakeLog{
		catalogue:   []history.Resource{{Plural: "pods"}},
		checkpoints: map[schema.GroupResource]history.Checkpoint{pods: c},
		alive:       map[schema.GroupResource]int{pods: 2},
	}
}

// one returns the only live gap, or nil if there is none.
func one(t *testing.T, l *gap.Live) *history.Gap {
	t.Helper()
	gaps, err := l.Current(t.Context(), nil)
	if err != nil || len(gaps) > 1 {
		t.Fatalf("live gaps: got %+v and %v, want at most one", gaps, err)
	}
	if len(gaps) == 0 {
		return nil
	}
	return &gaps[0]
}

func TestLive_GapOfAResourceThatWasObserved(t *testing.T) {
	full := errors.New("the volume is full")
	for name, tt := range map[string]struct {
		observation gap.Observation
		refused     error
		want        history.GapReason // "" for no gap
		detail      string            // a part of it
	}{
		"observed":        {gap.Observation{Phase: gap.Observing}, nil, "", ""},
		"storage is full": {gap.Observation{Phase: gap.Observing}, full, history.GapStorage, full.Error()},
		"not tried yet":   {gap.Observation{Phase: gap.Waiting}, nil, history.GapRestarted, "catching up"},
		"no answer":       {waiting(disconnected("EOF")), nil, history.GapDisconnected, "EOF"},
		"no answer while storage is full": {
			waiting(disconnected("EOF")), full, history.GapDisconnected, "EOF",
		},
		"refused and only discovered": {
			gap.Observation{Phase: gap.Waiting, Cause: forbidden(), Refused: true},
			nil, history.GapForbidden, "no rights",
		},
		"excluded": {
			gap.Observation{Phase: gap.Excluded, Cause: ignored("it is ignored")},
			nil, history.GapNotConfigured, "it is ignored",
		},
		"excluded and not served": {gap.Observation{Phase: gap.Excluded}, nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			tt.observation.Resource, tt.observation.Since = pods, at(30)
			refused := func() error { return tt.refused }
			l := gap.NewLive(recordedPods(checkpoint("5", moment)), observing(tt.observation), refused)
			got := one(t, l)
			switch {
			case tt.want == "" && got != nil:
				t.Errorf("got %+v, want no gap", got)
			case tt.want == "":
			case got == nil || got.Reason != tt.want || !strings.Contains(got.Detail, tt.detail) || !got.Open():
				t.Errorf("got %+v, want an open gap with reason %s and detail %q", got, tt.want, tt.detail)
			case !got.Start.Equal(checkpoint("5", moment).CompleteUntil()):
				t.Errorf("start: got %s, want that of the checkpoint of %s", got.Start, moment)
			}
		})
	}
}

func TestLive_GapWithoutACheckpoint(t *testing.T) {
	discovered := waiting(forbidden())
	discovered.Refused = true
	configured := discovered
	configured.Configured = true
	failing := waiting(serverError("etcd is down"))
	establishing := failing
	establishing.Establishing = true
	notTried := waiting(gap.Cause{})
	notTried.Configured = true
	for name, tt := range map[string]struct {
		observation gap.Observation
		checkpoint  history.Checkpoint
		want        time.Time // the start; zero for no gap
	}{
		"never listed, refused and configured": {configured, history.Checkpoint{}, at(30)},
		"never listed, refused and discovered": {discovered, history.Checkpoint{}, time.Time{}},
		"never listed, failing":                {failing, history.Checkpoint{}, at(30)},
		"never listed, being established":      {establishing, history.Checkpoint{}, time.Time{}},
		"never listed, not tried yet":          {notTried, history.Checkpoint{}, time.Time{}},
		"first list was interrupted":           {configured, checkpoint("", moment), time.Time{}},
		"excluded in the first list": {
			gap.Observation{Resource: pods, Phase: gap.Excluded, Cause: ignored("ignored")},
			checkpoint("", moment), checkpoint("", moment).CompleteUntil(),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := one(t, gap.NewLive(recordedPods(tt.checkpoint), observing(tt.observation), accepted))
			switch {
			case tt.want.IsZero() && got != nil:
				t.Errorf("got %+v, want no gap", got)
			case !tt.want.IsZero() && (got == nil || !got.Start.Equal(tt.want)):
				t.Errorf("got %+v, want a gap from %s", got, tt.want)
			}
		})
	}
}

// The API server can't report whether it serves these resources, so the
// catalogue alone does not show all gaps.
func TestLive_GapOfAResourceThatIsNotInTheCatalogue(t *testing.T) {
	unknown := schema.GroupResource{Group: "down.example.com", Resource: "lamps"}
	for cause, want := range map[gap.Cause]bool{
		serverError("the group is down"): true,
		disconnected("EOF"):              false,
		forbidden():                      false,
	} {
		o := waiting(cause)
		o.Resource, o.Configured = unknown, true
		got := one(t, gap.NewLive(&fakeLog{}, observing(o), accepted))
		if (got != nil) != want {
			t.Errorf("%s: got %+v, want a gap: %t", cause.Reason, got, want)
		}
	}
}

func TestLive_GapOfAnAbsentResource(t *testing.T) {
	for name, tt := range map[string]struct {
		absence gap.Cause
		alive   int
		want    history.GapReason // "" for no gap
	}{
		"not configured":                       {ignored("not named"), 2, history.GapNotConfigured},
		"not served, objects were not deleted": {gap.Cause{}, 2, history.GapNotServed},
		"not served, all objects were deleted": {gap.Cause{}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			log := recordedPods(checkpoint("5", moment))
			log.alive[pods] = tt.alive
			observer := &fakeObserver{absences: map[schema.GroupResource]gap.Cause{pods: tt.absence}}
			got := one(t, gap.NewLive(log, observer, accepted))
			if tt.want == "" && got != nil || tt.want != "" && (got == nil || got.Reason != tt.want) {
				t.Errorf("got %+v, want a gap with reason %q", got, tt.want)
			}
		})
	}
}

func TestLive_CachesThatAllObjectsWereDeleted(t *testing.T) {
	log := recordedPods(checkpoint("5", moment))
	log.alive[pods] = 0
	l := gap.NewLive(log, &fakeObserver{}, accepted)
	for range 3 {
		one(t, l)
	}
	if log.headReads != 1 {
		t.Errorf("reads of the heads: got %d, want 1", log.headReads)
	}
	log.checkpoints[pods] = checkpoint("6", at(1)) // it was recorded again
	log.alive[pods] = 1
	if got := one(t, l); got == nil || log.headReads != 2 {
		t.Errorf("after another checkpoint: got %+v and %d reads, want a gap and 2 reads", got, log.headReads)
	}
}

func TestLive_GapsAddsLiveGapsToThoseOfTheLog(t *testing.T) {
	start := checkpoint("5", moment).CompleteUntil()
	old := history.Gap{Resource: "pods", Start: at(-60), End: at(-50), Reason: history.GapExpired}
	for name, tt := range map[string]struct {
		durable    []history.Gap
		start, end time.Time
		want       []time.Time // starts
	}{
		"both":                          {[]history.Gap{old}, time.Time{}, time.Time{}, []time.Time{old.Start, start}},
		"only later than the log's gap": {[]history.Gap{old}, at(1), time.Time{}, []time.Time{start}},
		"before the live gap":           {[]history.Gap{old}, at(-61), at(-40), []time.Time{old.Start}},
		"open in the log too": {
			[]history.Gap{{Resource: "pods", Start: at(-1), Reason: history.GapExpired}},
			time.Time{},
			time.Time{},
			[]time.Time{at(-1)},
		},
		"closed in the log meanwhile": {
			[]history.Gap{{Resource: "pods", Start: start, End: at(9), Reason: history.GapExpired}},
			time.Time{},
			time.Time{},
			[]time.Time{start},
		},
	} {
		t.Run(name, func(t *testing.T) {
			log := recordedPods(checkpoint("5", moment))
			log.gaps = tt.durable
			l := gap.NewLive(log, observing(waiting(disconnected("EOF"))), accepted)
			gaps, err := l.Gaps(t.Context(), []schema.GroupResource{pods}, tt.start, tt.end)
			if err != nil {
				t.Fatal(err)
			}
			var got []time.Time
			for _, g := range gaps {
				got = append(got, g.Start)
			}
			if !slices.EqualFunc(got, tt.want, time.Time.Equal) {
				t.Errorf("starts: got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestLive_OpenReturnsOnlyOpenGaps(t *testing.T) {
	log := recordedPods(checkpoint("5", moment))
	closed := history.Gap{Resource: "pods", Start: at(-60), End: time.Now().Add(time.Hour), Reason: history.GapExpired}
	log.gaps = []history.Gap{closed}
	l := gap.NewLive(log, observing(waiting(disconnected("EOF"))), accepted)
	if got := l.Open(t.Context()); len(got) != 1 || got[0].Reason != history.GapDisconnected {
		t.Errorf("got %+v, want the live gap", got)
	}
	log.fail = errors.New("the log is closed")
	if got := l.Open(t.Context()); got != nil {
		t.Errorf("log that can't be read: got %+v, want none", got)
	}
	if _, err := l.Gaps(t.Context(), nil, time.Time{}, time.Time{}); !errors.Is(err, log.fail) {
		t.Errorf("error: got %v, want %v", err, log.fail)
	}
}

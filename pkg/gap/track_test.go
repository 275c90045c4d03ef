package gap_test

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// moment is a time of the tests; at returns others.
var moment = time.Date(2024, 5, 4, 12, 0, 0, 0, time.UTC)

func at(minutes int) time.Time { return moment.Add(time.Duration(minutes) * time.Minute) }

func checkpoint(rv string, t time.Time) history.Checkpoint {
	return history.Checkpoint{Resource: "pods", RV: rv, Time: t}
}

func newTrack(observed bool) gap.Track {
	t := gap.NewTrack(schema.GroupResource{Group: "apps", Resource: "deployments"})
	if observed {
		t.Observed()
	}
	return t
}

func TestNeverListed_WithoutRVAndTime(t *testing.T) {
	for c, want := range map[history.Checkpoint]bool{
		{}:                           true,
		{Time: moment}:               false,
		{RV: "5"}:                    false,
		{RV: "5", Time: moment}:      false,
		{Group: "apps", RV: ""}:      true,
		{Resource: "p", Time: at(1)}: false,
	} {
		if got := gap.NeverListed(c); got != want {
			t.Errorf("%+v: got %t, want %t", c, got, want)
		}
	}
}

func TestForList_ReasonDependsOnCauseAndOnWhatWasObserved(t *testing.T) {
	for name, tt := range map[string]struct {
		observed bool
		cause    gap.Cause
		want     history.GapReason
	}{
		"no cause, observed":             {true, gap.Cause{}, history.GapExpired},
		"no cause, not observed":         {false, gap.Cause{}, history.GapRestarted},
		"expired, observed":              {true, expired(), history.GapExpired},
		"expired, not observed":          {false, expired(), history.GapRestarted},
		"disconnected, observed":         {true, disconnected("EOF"), history.GapDisconnected},
		"disconnected, not observed":     {false, disconnected("EOF"), history.GapRestarted},
		"server error, not observed":     {false, serverError("etcd is down"), history.GapServerError},
		"forbidden, observed":            {true, forbidden(), history.GapForbidden},
		"forbidden, not observed":        {false, forbidden(), history.GapForbidden},
		"not configured, not observed":   {false, ignored("it was ignored"), history.GapNotConfigured},
		"storage, observed":              {true, gap.Cause{Reason: history.GapStorage}, history.GapStorage},
		"not served, observed":           {true, gap.Cause{Reason: history.GapNotServed}, history.GapNotServed},
		"server error, observed":         {true, serverError("etcd is down"), history.GapServerError},
		"not configured, observed again": {true, ignored("it was ignored"), history.GapNotConfigured},
	} {
		t.Run(name, func(t *testing.T) {
			track := newTrack(tt.observed)
			g := track.ForList(checkpoint("5", moment), tt.cause, true, at(10))
			if g == nil || g.Reason != tt.want || g.Group != "apps" || g.Resource != "deployments" || !g.Open() {
				t.Fatalf("got %+v, want an open gap of deployments.apps with reason %s", g, tt.want)
			}
			kept := g.Reason == tt.cause.Reason && g.Reason != history.GapExpired
			if got, want := g.Detail == tt.cause.Detail, kept; got != want {
				t.Errorf("detail: got %q, want the cause's: %t", g.Detail, want)
			}
			if g.Reason != tt.cause.Reason && !strings.Contains(g.Detail, "resourceVersion 5,") {
				t.Errorf("detail: got %q, want it to name resourceVersion 5", g.Detail)
			}
			if want := checkpoint("5", moment).CompleteUntil(); !g.Start.Equal(want) {
				t.Errorf("start: got %s, want %s", g.Start, want)
			}
		})
	}
}

func TestForList_WithoutCheckpoint(t *testing.T) {
	for name, tt := range map[string]struct {
		checkpoint history.Checkpoint
		recorded   bool
		want       history.GapReason // "" for no gap
	}{
		"first list":                             {checkpoint("", time.Time{}), false, ""},
		"first list was interrupted at once":     {checkpoint("", moment), false, ""},
		"first list was interrupted after a few": {checkpoint("", moment), true, history.GapInterrupted},
	} {
		t.Run(name, func(t *testing.T) {
			track := newTrack(true)
			g := track.ForList(tt.checkpoint, forbidden(), tt.recorded, at(10))
			switch {
			case tt.want == "" && g != nil:
				t.Errorf("got %+v, want no gap", g)
			case tt.want != "" && (g == nil || g.Reason != tt.want || g.Start.After(moment)):
				t.Errorf("got %+v, want a gap with reason %s from before %s", g, tt.want, moment)
			}
		})
	}
}

func TestForList_ClockThatWasSetBackStartsTheGapNow(t *testing.T) {
	track := newTrack(true)
	if g := track.ForList(checkpoint("5", at(60)), gap.Cause{}, true, moment); !g.Start.Equal(moment) {
		t.Errorf("start: got %s, want now, %s", g.Start, moment)
	}
}

func TestLoad_TakesTheOpenGap(t *testing.T) {
	open := history.Gap{Resource: "pods", Start: at(5), Reason: history.GapExpired}
	first := history.Gap{Resource: "pods", Start: at(5), Reason: history.GapInterrupted}
	closed := history.Gap{Resource: "pods", Start: at(1), End: at(2), Reason: history.GapExpired}
	for name, tt := range map[string]struct {
		logged   []history.Gap
		open     bool
		complete time.Time
	}{
		"none":        {nil, false, time.Time{}},
		"closed":      {[]history.Gap{closed}, false, time.Time{}},
		"open":        {[]history.Gap{closed, open}, true, at(5)},
		"first list":  {[]history.Gap{first}, true, time.Time{}},
		"open before": {[]history.Gap{open, closed}, true, at(5)},
	} {
		t.Run(name, func(t *testing.T) {
			track := newTrack(false)
			track.Opened(&history.Gap{}) // of before
			complete := track.Load(tt.logged)
			if track.IsOpen() != tt.open || !complete.Equal(tt.complete) {
				t.Errorf("got open %t and complete until %s, want %t and %s",
					track.IsOpen(), complete, tt.open, tt.complete)
			}
		})
	}
}

func TestClose_EndsTheOpenGapOnce(t *testing.T) {
	for name, tt := range map[string]struct{ received, want time.Time }{
		"after its start":         {at(7), at(7)},
		"clock that was set back": {at(3), at(5)},
	} {
		t.Run(name, func(t *testing.T) {
			track := newTrack(false)
			if got := track.Close(tt.received); got != nil {
				t.Errorf("without a gap: got %+v, want nil", got)
			}
			opened := &history.Gap{Resource: "pods", Start: at(5), Reason: history.GapExpired}
			track.Opened(opened)
			got := track.Close(tt.received)
			if got == nil || !got.End.Equal(tt.want) || !got.Start.Equal(at(5)) || got.Reason != history.GapExpired {
				t.Errorf("got %+v, want it closed at %s", got, tt.want)
			}
			if !opened.Open() {
				t.Errorf("got the opened gap changed to %+v, want a copy", opened)
			}
			if track.IsOpen() || track.Close(tt.received) != nil {
				t.Error("got the gap twice, want it once")
			}
		})
	}
}

package summary_test

import (
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/summary"
)

func TestOf_ExpiredEventHasNoSummary(t *testing.T) {
	const core = `{"type":"Warning","reason":"BackOff","message":"Back-off restarting failed container"}`
	const events = `{"type":"Warning","reason":"BackOff","note":"Back-off restarting failed container"}`
	const text = "BackOff: Back-off restarting failed container"
	for _, tc := range []struct {
		group  string
		verb   history.Verb
		object string
		want   history.Summary
	}{
		{"", history.Create, core, history.Summary{Text: text, Problem: text}},
		{"", history.Update, core, history.Summary{Text: text, Problem: text}},
		{"", history.Delete, core, history.Summary{}},
		{"events.k8s.io", history.Create, events, history.Summary{Text: text, Problem: text}},
		{"events.k8s.io", history.Delete, events, history.Summary{}},
		// The resource of that name in another group has ordinary objects.
		{"calendar.example", history.Delete, core, history.Summary{Text: "deleted"}},
	} {
		r := &history.Record{
			Ref:  history.ObjectRef{Group: tc.group, Resource: "events", Namespace: "shop", Name: "web.1"},
			Kind: "Event", Verb: tc.verb, Object: []byte(tc.object),
		}
		if got := summary.Of(r, nil); got != tc.want {
			t.Errorf("%s of events.%s: got %+v, want %+v", tc.verb, tc.group, got, tc.want)
		}
	}
}

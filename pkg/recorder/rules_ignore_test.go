package recorder_test

import (
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
)

// ignore returns a rule that ignores namespaces and changes of a resource.
func ignore(namespaces []string, r history.Resource, changes ...string) recorder.Rules {
	return recorder.Rules{
		Ignore: []history.IgnoreRule{{Resource: r.GroupResource(), Namespaces: namespaces, Changes: changes}},
	}
}

// beat returns a pod with a heartbeat and another field.
func beat(rv, heartbeat, ready string) string {
	return object("shop", "n", rv, "",
		`,"status":{"conditions":[{"lastHeartbeatTime":"`+heartbeat+`","ready":"`+ready+`"}]}`)
}

var heartbeats = ignore(nil, pods, "status.conditions[*].lastHeartbeatTime")

// ignored returns how many versions of pods were ignored, by rule, and how many
// were recorded already.
func (w *world) ignored() (byNamespace, byChange, known float64) {
	w.t.Helper()
	got := w.scrape()
	byNamespace = got[`versions_ignored_total{group="",resource="pods",rule="namespace"}`]
	byChange = got[`versions_ignored_total{group="",resource="pods",rule="change"}`]
	if all := w.IgnoredVersions()[pods.GroupResource()]; float64(all) != byNamespace+byChange {
		w.t.Errorf("IgnoredVersions: got %d, want the sum of the metrics %v and %v", all, byNamespace, byChange)
	}
	return byNamespace, byChange, got[`versions_known_total{group="",resource="pods"}`]
}

func TestIgnore_CountsChangesOfIgnoredPaths(t *testing.T) {
	w, s := ruled(t, pods, heartbeats)
	w.observe(s, "+", beat("10", "1", "yes"))
	w.observe(s, "~", beat("11", "2", "yes"))
	w.observe(s, "~", beat("12", "3", "yes"))
	w.observe(s, "~", beat("13", "4", "no"))
	w.observe(s, "~", beat("14", "5", "no"))
	w.observe(s, "~", beat("14", "5", "no"))
	w.observe(s, "-", beat("15", "5", "no"))
	w.observe(s, "+", beat("16", "6", "no"))
	if _, byChange, known := w.ignored(); byChange != 3 || known != 1 {
		t.Errorf("got %v ignored and %v known versions, want 3 and 1", byChange, known)
	}
	if s.Checkpoint() != "16" {
		t.Errorf("got checkpoint %s, want 16", s.Checkpoint())
	}
	expect(t, w.records(pods), "create n/u-n@10", "update n/u-n@13", "delete n/u-n@15", "create n/u-n@16")
}

func TestIgnore_AdvancesCheckpointAndHead(t *testing.T) {
	w, s := ruled(t, pods, heartbeats)
	w.observe(s, "+", beat("10", "1", "yes"))
	w.observe(s, "~", beat("11", "2", "yes"))
	w.feed(s, "sync")
	w.observe(s, "+", beat("11", "2", "yes")) // the ignored version again
	w.feed(s, "end 20")
	w.observe(s, "~", beat("21", "3", "yes"))
	expect(t, w.records(pods), "create n/u-n@10")
	w.rule(heartbeats)
	if s = w.stream(pods); s.Checkpoint() != "21" {
		t.Errorf("after a restart: got checkpoint %q, want 21", s.Checkpoint())
	}
	// A restart loses the content hash: this version is recorded, the next one
	// is ignored.
	w.observe(s, "~", beat("22", "4", "yes"))
	w.observe(s, "~", beat("23", "5", "yes"))
	expect(t, w.records(pods), "create n/u-n@10", "update n/u-n@22")
}

func TestIgnore_EndsWithRule(t *testing.T) {
	w, s := ruled(t, pods, heartbeats)
	w.observe(s, "+", beat("10", "1", "yes"))
	w.observe(s, "~", beat("11", "2", "yes"))
	w.rule(recorder.Rules{})
	w.observe(s, "~", beat("12", "3", "yes"))
	w.observe(s, "~", beat("13", "4", "yes"))
	w.rule(heartbeats)
	w.observe(s, "~", beat("14", "5", "yes"))
	w.observe(s, "~", beat("15", "6", "yes"))
	expect(t, w.records(pods), "create n/u-n@10", "update n/u-n@12", "update n/u-n@13", "update n/u-n@14")
}

func TestIgnore_Namespaces(t *testing.T) {
	for name, rules := range map[string]recorder.Rules{
		"of a resource":    ignore([]string{"noise"}, pods),
		"of all resources": ignore([]string{"noise"}, history.Resource{}),
	} {
		t.Run(name, func(t *testing.T) {
			w, s := ruled(t, pods, recorder.Rules{})
			w.observe(s, "+", object("noise", "old", "10", "", ""))
			w.rule(rules)
			w.observe(s, "~", object("noise", "old", "11", "", ""))
			w.observe(s, "+", object("noise", "new", "12", "", ""))
			w.observe(s, "-", object("noise", "new", "13", "", ""))
			w.observe(s, "+", object("shop", "a", "14", "", ""))
			w.observe(s, "-", object("noise", "old", "15", "", "")) // recorded: the history has the object
			w.observe(s, "+", object("noise", "b", "16", "", ""))
			if byNamespace, _, _ := w.ignored(); byNamespace != 4 {
				t.Errorf("got %v ignored versions, want 4", byNamespace)
			}
			w.rule(recorder.Rules{})
			w.observe(s, "~", object("noise", "b", "17", "", ""))
			expect(t, w.records(pods), "create old/u-old@10", "create a/u-a@14",
				"delete old/u-old@15", "create b/u-b@17 initial")
		})
	}
}

func TestIgnore_SyncInfersNoCreationOfIgnoredObject(t *testing.T) {
	w, s := ruled(t, pods, ignore([]string{"noise"}, pods))
	w.observe(s, "+", object("noise", "b", "10", "", ""))
	w.rule(recorder.Rules{})
	w.feed(s, "bookmark 11", "sync")
	w.observe(s, "+", object("noise", "b", "10", `,"creationTimestamp":"2001-01-01T00:00:00Z"`, ""))
	w.feed(s, "end 12")
	expect(t, w.records(pods), "create b/u-b@10 initial")
}

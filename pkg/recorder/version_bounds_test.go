package recorder_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
)

// many joins n texts, each with its number.
func many(n int, format string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(all, ",")
}

// TestTruncate_BoundsMetadata records objects that name more owners, managers
// and fields, and a longer target, than the metadata of a record has room for.
// The objects are stored unchanged, and later versions are recorded.
func TestTruncate_BoundsMetadata(t *testing.T) {
	const manager = `{"manager":"m%0100d","operation":"Apply","time":"2026-01-02T03:04:05Z","fieldsV1":{"f:data":{}}}`
	long := strings.Repeat("x", 150_000)
	w := open(t, recorder.Options{}, nil)
	pods, events := w.stream(pods), w.stream(events)
	w.feed(pods, "sync")
	crowd := `"metadata":{"name":"crowd","namespace":"shop","uid":"c","resourceVersion":"1","managedFields":[` +
		many(9000, manager) + `]}`
	w.observe(pods, "+", "{"+crowd+"}")
	w.feed(pods, "end 1")
	w.feed(events, "sync", "end 1")
	metadata := func(rv int, more string) string {
		return fmt.Sprintf(`"metadata":{"name":"wide","namespace":"shop","uid":"u","resourceVersion":"%d"%s}`, rv, more)
	}
	for i, more := range []string{
		`,"ownerReferences":[` + many(9000, `{"uid":"%036d"}`) + `]`,
		`,"ownerReferences":[` + many(3000, `{"uid":"other %036d"}`) + `]`,
		`,"ownerReferences":[{"uid":"` + long + `"},{"uid":"o1"}]`,
		`,"managedFields":[` + many(9000, manager) + `]`,
		`,"managedFields":[{"manager":"` + long + `","operation":"Apply"}]`,
	} {
		w.observe(pods, []string{"+", "~"}[min(i, 1)], "{"+metadata(2+i, more)+"}")
	}
	for i, sign := range []string{"+", "~", "~"} {
		w.observe(events, sign,
			fmt.Sprintf(`{%s,"involvedObject":{"kind":"Pod","name":"%d%s"}}`, metadata(2+i, ""), i, long))
	}
	fields := `,"managedFields":[{"manager":"m","operation":"Update","time":"2026-01-02T03:04:0%dZ",` +
		`"fieldsV1":{"f:spec":{"f:` + long + `":{}}}}]`
	for i, sign := range []string{"+", "~"} {
		deep := strings.Replace(metadata(20+i, fmt.Sprintf(fields, i)), "wide", "deep", 1)
		w.observe(pods, sign, fmt.Sprintf(`{%s,"spec":{"%s":%d}}`, strings.Replace(deep, `"u"`, `"v"`, 1), long, i))
	}
	w.feed(pods, "+after/a@30", "-wide/u@31")
	found := w.records(history.Resource{Version: "v1", Plural: "pods"})
	if len(found) != 10 {
		t.Fatalf("got %d versions, want 10: %v", len(found), lines(found))
	}
	if n := len(found[0].Managers); n == 0 || n > 300 {
		t.Errorf("got %d managers, want between 1 and 300 of 9000", n)
	}
	found = found[1:]
	for i, want := range []int{512, 512, 1, 0} {
		if r := found[i]; len(r.Owners) != want {
			t.Errorf("version %d: got %d owners, want %d", i, len(r.Owners), want)
		}
	}
	if got := found[3].Managers; len(got) != 0 {
		t.Errorf("version of one unknown writer: got %d managers, want none", len(got))
	}
	if !strings.Contains(string(found[0].Object), fmt.Sprintf("%036d", 8999)) {
		t.Error("got an object without its last owner, want the whole object")
	}
	if m := found[6].Managers; len(m) != 1 || m[0].Name != "m" || len(m[0].Fields) != 0 {
		t.Errorf("manager of a long field: got %.100v, want m without fields", m)
	}
	for _, r := range w.records(history.Resource{Version: "v1", Plural: "events"}) {
		if r.Regarding != nil {
			t.Errorf("%s: got a target of %d bytes, want none", r.Ref, r.Regarding.Size())
		}
	}
}

// A server that returns each object with another kind must not use up the
// numbers that the log has for kinds.
func TestParse_BoundsKindsOfResource(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	s := w.stream(pods)
	w.feed(s, "sync", "end 1")
	const n = 40
	for i := range n {
		object := fmt.Sprintf(`{"kind":"K%d","apiVersion":"v1",`+
			`"metadata":{"name":"a%d","namespace":"shop","uid":"u%d","resourceVersion":"%d"}}`,
			i, i, i, i+2)
		if err := s.Observe(t.Context(), watchEvent("+", object)); err != nil {
			t.Fatal(err)
		}
	}
	kinds := map[string]int{}
	records := w.records(pods)
	for _, r := range records {
		kinds[r.Version+" "+r.Kind]++
	}
	if len(records) != n || len(kinds) != 17 || kinds["v1 Pod"] != n-16 || kinds["v1 K0"] != 1 {
		t.Errorf("got %d records of kinds %v, want %d records of 17 kinds", len(records), kinds, n)
	}
}

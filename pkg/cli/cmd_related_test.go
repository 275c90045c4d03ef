package cli_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// report records an Event about pod web that was recorded and that happened the
// given times ago.
func (r *recording) report(name string, recorded, happened time.Duration, verb history.Verb) {
	r.t.Helper()
	at := r.now.Add(-happened).Format(time.RFC3339)
	r.write(recorded, &history.Record{
		Ref: ref("", "events", "shop", name, "uid-"+name), Kind: "Event", Verb: verb,
		Regarding: &history.Target{Kind: "Pod", Namespace: "shop", Name: "web", UID: types.UID("uid-pod")},
		Object: fmt.Appendf(nil, `{"involvedObject":{"kind":"Pod","name":"web"},"type":"Warning",`+
			`"reason":"BackOff","message":"about %s","lastTimestamp":%q}`,
			name, at),
	})
}

func TestRelated_WindowSelectsByEventTime(t *testing.T) {
	r := newRecording(t)
	r.write(3*time.Hour, &history.Record{
		Ref: ref("", "pods", "shop", "web", "uid-pod"), Kind: "Pod", Verb: history.Create, Object: []byte(`{}`),
	})
	r.report("old", 2*time.Hour, 2*time.Hour, history.Create)
	r.report("recent", 10*time.Minute, 10*time.Minute, history.Create)
	r.report("late", 8*time.Minute, 100*time.Minute, history.Create) // recording was interrupted
	r.report("old", 30*time.Second, 2*time.Hour, history.Delete)     // expiry
	for args, want := range map[string][]string{
		"":                        {"recent", "late", "old"},
		"--since 1m":              nil,
		"--since 15m":             {"recent"},
		"--since 110m":            {"recent", "late"},
		"--since 3h --until 90m":  {"late", "old"},
		"--since 3h --until 110m": {"old"},
		// The limit counts records.
		"--limit 1":                   {"late"},
		"--limit 1 --chunk-size 1":    {"late"},
		"--limit 2 --until 30m":       {"late", "old"},
		"--chunk-size 1 --since 110m": {"recent", "late"},
	} {
		code, stdout, stderr := r.run(t,
			append([]string{"related", "pod/web", "--no-headers"}, strings.Fields(args)...)...)
		var got []string
		for line := range strings.Lines(stdout) {
			_, name, _ := strings.Cut(strings.TrimSpace(line), "about ")
			got = append(got, name)
		}
		if code != 0 || !slices.Equal(got, want) {
			t.Errorf("related %s: got %v (exit code %d), want %v\n%s%s", args, got, code, want, stdout, stderr)
		}
	}
}

func TestGet_HidesExpiryOfEvents(t *testing.T) {
	r := newRecording(t)
	r.report("old", time.Hour, time.Hour, history.Create)
	r.report("old", 30*time.Second, time.Hour, history.Delete)
	r.write(20*time.Second, &history.Record{
		Ref: ref("", "pods", "shop", "web", "uid-pod"), Kind: "Pod", Verb: history.Delete, Object: []byte(`{}`),
	})
	_, stdout, stderr := r.run(t, "get", "--flat", "--since", "1m")
	if strings.Contains(stdout, "event/old") || strings.Contains(stdout, "about old") ||
		!strings.Contains(stdout, "pod/web") {
		t.Errorf("got\n%swant the deletion of the pod alone", stdout)
	}
	if want := "1 change with noise only is hidden"; !strings.Contains(stderr, want) {
		t.Errorf("got stderr %q, want %q", stderr, want)
	}
	if _, stdout, _ = r.run(t, "get", "--since", "1m", "--show-noise"); !strings.Contains(stdout, "event/old") ||
		strings.Contains(stdout, "about old") {
		t.Errorf("with --show-noise: got\n%swant the expiry without the Event's text", stdout)
	}
}

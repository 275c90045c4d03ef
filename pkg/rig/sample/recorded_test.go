package sample_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/sample"
)

// TestRecorded_NamesNoMachine checks that the recorded watch events are of the
// documented kinds, and that they do not name the machine on which they were
// recorded: they contain no path, no host, and no address except those of the
// loopback, pods and services.
func TestRecorded_NamesNoMachine(t *testing.T) {
	if *record {
		recordWatchEvents(t)
		return // the file is embedded by the next build
	}
	foreign := regexp.MustCompile(`"/(home|root|tmp|Users|work|var/folders)/|/(home|Users)/`)
	addresses := regexp.MustCompile(`\b(\d{1,3}\.){3}\d{1,3}\b`)
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	counts, bytes := map[string]map[history.WatchEventType]int{}, 0
	for f, err := range sample.Recorded() {
		if err != nil {
			t.Fatal(err)
		}
		text := string(f.Object)
		if !json.Valid(f.Object) {
			t.Errorf("got %s, want JSON", text)
		}
		if strings.Contains(text, `"`+host+`_`) || foreign.MatchString(text) {
			t.Errorf("got %s, want no path and no host", text)
		}
		for _, a := range addresses.FindAllString(text, -1) {
			if !strings.HasPrefix(a, "10.") && !strings.HasPrefix(a, "127.0.0.") && !strings.HasPrefix(a, "0.0.0.") {
				t.Errorf("got address %s, want one of 10.0.0.0/8 or the loopback: %s", a, text)
			}
		}
		if counts[f.Resource.Plural] == nil {
			counts[f.Resource.Plural] = map[history.WatchEventType]int{}
		}
		counts[f.Resource.Plural][f.Type]++
		bytes += len(f.Object)
	}
	n := 0
	for _, name := range watched {
		plural := strings.Split(name, "/")[2]
		of := counts[plural]
		if of[history.Added] == 0 || of[history.Modified] == 0 && plural != "namespaces" {
			t.Errorf("%s: got %d created and %d updated, want some of both",
				plural, of[history.Added], of[history.Modified])
		}
		t.Logf("%s: %v", plural, of)
		n += of[history.Added] + of[history.Modified] + of[history.Deleted]
	}
	if n < 1000 {
		t.Errorf("got %d watch events, want at least 1000", n)
	}
	t.Logf("%d watch events of %d bytes on average", n, bytes/max(n, 1))
}

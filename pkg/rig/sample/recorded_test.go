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

// TestRecordedWatchEvents checks that the recorded frames hold what they are described to, and nothing of the machine that they were
// recorded on: no address but those of the loopback and of made-up pods and services, no path, no host.
func TestRecordedWatchEvents(t *testing.T) {
	if *record {
		recordWatchEvents(t)
		return // what was recorded is embedded when this is built again
	}
	foreign := regexp.MustCompile(`"/(home|root|tmp|Users|work|var/folders)/|/(home|Users)/`)
	addresses := regexp.MustCompile(`\b(\d{1,3}\.){3}\d{1,3}\b`)
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	frames, bytes := map[string]map[history.WatchEventType]int{}, 0
	for f, err := range sample.Recorded() {
		if err != nil {
			t.Fatal(err)
		}
		text := string(f.Object)
		if !json.Valid(f.Object) {
			t.Errorf("no JSON: %s", text)
		}
		if strings.Contains(text, `"`+host+`_`) || foreign.MatchString(text) {
			t.Errorf("this names a machine: %s", text)
		}
		for _, a := range addresses.FindAllString(text, -1) {
			if !strings.HasPrefix(a, "10.") && !strings.HasPrefix(a, "127.0.0.") && !strings.HasPrefix(a, "0.0.0.") {
				t.Errorf("the address %s: %s", a, text)
			}
		}
		if frames[f.Resource.Plural] == nil {
			frames[f.Resource.Plural] = map[history.WatchEventType]int{}
		}
		frames[f.Resource.Plural][f.Type]++
		bytes += len(f.Object)
	}
	n := 0
	for _, name := range watched {
		plural := strings.Split(name, "/")[2]
		of := frames[plural]
		if of[history.Added] == 0 || of[history.Modified] == 0 && plural != "namespaces" {
			t.Errorf("of %s, %d are created and %d updated", plural, of[history.Added], of[history.Modified])
		}
		t.Logf("%s: %v", plural, of)
		n += of[history.Added] + of[history.Modified] + of[history.Deleted]
	}
	if n < 1000 {
		t.Errorf("%d frames", n)
	}
	t.Logf("%d frames of %d bytes on average", n, bytes/max(n, 1))
}

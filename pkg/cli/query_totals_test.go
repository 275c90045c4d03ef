package cli_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// TestGet_NotesOmittedChanges checks that the note about omitted changes is
// printed only if some were omitted.
func TestGet_NotesOmittedChanges(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	for args, want := range map[string]string{
		"get deploy,deployment -A --limit 0":                           "",
		"get deploy/web deployments/web -A":                            "",
		"get deploy,deployments.apps -A --limit 1 --show-noise":        "Showing the newest 1 of 6 changes",
		"get --flat deploy/web deploy/web deployment/web -A --limit 2": "Showing the newest 2 of 6 changes",
		"get --flat deploy web web -A --limit 2":                       "Showing the newest 2 of 6 changes",
	} {
		var out bytes.Buffer
		_, stderr := run(t.Context(), r, &out, append(strings.Fields(args), "--recorder-url", r.url,
			"--cache-dir", t.TempDir(), "--server", "http://127.0.0.1:1")...)
		if got := strings.Contains(stderr, "Showing the newest"); got != (want != "") ||
			!strings.Contains(stderr, want) {
			t.Errorf("%s: got stderr %q, want %q", args, stderr, want)
		}
	}
}

// TestGet_IgnoresChangesDuringPaging records changes while pages are read. They
// are on no page, and are not reported as omitted.
func TestGet_IgnoresChangesDuringPaging(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	pages := 0
	r.onEvents = func() {
		pages++
		r.write(time.Minute-time.Duration(pages)*time.Second, &history.Record{
			Verb: history.Update, Ref: ref("", "configmaps", "shop", "busy", "uid-busy"),
			Kind: "ConfigMap", Object: []byte(`{}`),
		})
	}
	var out bytes.Buffer
	code, stderr := run(t.Context(), r, &out, "get", "--recorder-url", r.url, "-n", "shop",
		"--limit", "0", "--chunk-size", "3", "--show-noise", "--kubeconfig", "")
	if code != 0 || strings.Contains(stderr, "Showing the newest") || pages < 4 {
		t.Errorf("got exit code %d after %d pages, stderr %q, want 0 after at least 4 without a note\n%s",
			code, pages, stderr, out.String())
	}
}

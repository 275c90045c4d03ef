package cli_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// TestWholeAnswersAreNotCalledCut: that there are more changes than are shown is said only where some were left out.
func TestWholeAnswersAreNotCalledCut(t *testing.T) {
	r := newRecording(t)
	r.tell()
	for args, want := range map[string]string{
		"get deploy,deployment -A --limit 0":                    "",
		"get deploy/web deployments/web -A":                     "",
		"get deploy,deployments.apps -A --limit 1 --show-noise": "These are the newest 1 of 6 changes",
		"get deploy/web deploy/web deployment/web -A --limit 2": "These are the newest 2 of 6 changes",
		"get deploy web web -A --limit 2":                       "These are the newest 2 of 6 changes",
	} {
		var out bytes.Buffer
		_, stderr := run(t.Context(), r, &out, append(strings.Fields(args), "--recorder-url", r.url, "--cache-dir", t.TempDir(), "--server", "http://127.0.0.1:1")...)
		if got := strings.Contains(stderr, "These are the newest"); got != (want != "") || !strings.Contains(stderr, want) {
			t.Errorf("%s: stderr %q, want %q", args, stderr, want)
		}
	}
}

// TestAWholeAnswerFromABusyClusterIsNotCalledCut: what is recorded while older pages are read belongs to no page.
func TestAWholeAnswerFromABusyClusterIsNotCalledCut(t *testing.T) {
	r := newRecording(t)
	r.tell()
	pages := 0
	r.asking = func() {
		pages++
		r.write(time.Minute-time.Duration(pages)*time.Second, &history.Record{
			Verb: history.Update, Ref: ref("", "configmaps", "shop", "busy", "uid-busy"), Kind: "ConfigMap", Object: []byte(`{}`),
		})
	}
	var out bytes.Buffer
	code, stderr := run(t.Context(), r, &out, "get", "--recorder-url", r.url, "-n", "shop", "--limit", "0", "--chunk-size", "3", "--show-noise", "--kubeconfig", "")
	if code != 0 || strings.Contains(stderr, "These are the newest") || pages < 4 {
		t.Errorf("exit code %d after %d pages, stderr %q\n%s", code, pages, stderr, out.String())
	}
}

package cli_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// run runs the plugin with the recording and without a cluster.
func (r *recording) run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out bytes.Buffer
	code, stderr = run(t.Context(), r, &out, append(args, "--recorder-url", r.url, "-n", "shop",
		"--server", "http://127.0.0.1:1", "--cache-dir", t.TempDir())...)
	return code, out.String(), stderr
}

// TestTemplate_KeepsWholeNumbers checks numbers as kubectl's templates print
// them.
func TestTemplate_KeepsWholeNumbers(t *testing.T) {
	r := newRecording(t)
	r.write(time.Minute, &history.Record{
		Ref: ref("", "pods", "shop", "web", "uid-pod"), Kind: "Pod", Verb: history.Create,
		Object: []byte(`{"spec":{"securityContext":{"runAsUser":1000680000,"n":9007199254740993,"f":0.5}}}`),
	})
	const want = "1000680000 9007199254740993 0.5 1"
	for _, format := range []string{
		"jsonpath={.items[0].objectChanges.spec.securityContext['runAsUser','n','f']} {.items[0].revision}",
		"go-template={{with index .items 0}}{{with .objectChanges.spec.securityContext}}{{.runAsUser}} " +
			"{{.n}} {{.f}}{{end}} {{.revision}}{{end}}",
	} {
		if code, stdout, stderr := r.run(t, "get", "-o", format); code != 0 || stdout != want || stderr != "" {
			t.Errorf("-o %s: got exit code %d, stdout %q, want 0 and %q; stderr %s", format, code, stdout, want, stderr)
		}
	}
}

// TestRelated_NotesOmittedEvents checks that the note about omitted records
// does not count older versions of the object itself.
func TestRelated_NotesOmittedEvents(t *testing.T) {
	r := newRecording(t)
	r.writeStoryWithGaps()
	for args, cut := range map[string]bool{
		"related deploy/web --limit 2":                                    false,
		"related deploy/web --limit 1 --chunk-size 1":                     true,
		"related deploy/web --limit 1 --descendants=false":                false,
		"related deploy/web --limit 2 --chunk-size 1":                     false,
		"related deploy/web --limit 0 --chunk-size 1":                     false,
		"related deploy/web --limit 1 --descendants=false --chunk-size 1": false,
	} {
		code, stdout, stderr := r.run(t, strings.Fields(args)...)
		if code != 0 || strings.Contains(stderr, "Showing the newest") != cut ||
			strings.Contains(stdout, "expired") == cut {
			t.Errorf("%s: got exit code %d, want 0 and a note: %t\n%s%s", args, code, cut, stdout, stderr)
		}
	}
}

// TestRevision_WarnsOfHashedValues checks that users are warned before they
// apply hashes.
func TestRevision_WarnsOfHashedValues(t *testing.T) {
	const warning = "Warning: values of pods \"web\" were recorded as hashes; the original values can't be restored\n"
	for value, want := range map[string]bool{
		"plain": false, "hmac-sha256:0123456789abcdef0123456789abcdef": true, "--password=hmac-sha256:0123": true,
	} {
		r := newRecording(t)
		r.write(time.Minute, &history.Record{
			Ref: ref("", "pods", "shop", "web", "uid-pod"), Kind: "Pod", Verb: history.Create,
			Object: []byte(`{"spec":{"value":"` + value + `"}}`),
		})
		for format, warns := range map[string]bool{
			"yaml": want, "json": want, "jsonpath={.spec}": want, "name": false, "": false,
		} {
			code, _, stderr := r.run(t, "history", "pod/web", "--revision", "1", "-o", format)
			if code != 0 || strings.Contains(stderr, warning) != warns {
				t.Errorf("%s, -o %q: got exit code %d, want 0; stderr %q, want a warning: %t",
					value, format, code, stderr, warns)
			}
		}
	}
}

// TestDiff_ExitCodeWithoutDifference checks the exit codes of diff.
func TestDiff_ExitCodeWithoutDifference(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	for args, want := range map[string]int{
		"--revision 2..3":                               0, // noise only
		"--revision 2..3 --show-noise":                  1,
		"--revision 2..3 --diff=unified":                1,
		"--revision 2..2":                               0,
		"--revision 2..2 --diff=unified":                0,
		"--revision 3..4":                               1,
		"--revision 1":                                  1, // it was created
		"--revision 99":                                 2,
		"--revision 2..3 --diff=unified --color=always": 1,
	} {
		args := strings.Fields("history deploy/web --diff --exit-code " + args)
		if code, stdout, stderr := r.run(t, args...); code != want {
			t.Errorf("%v: got exit code %d, want %d\n%s%s", args, code, want, stdout, stderr)
		}
	}
}

// TestPages_MustAdvance checks a server that ignores the cursor, as a cache
// may.
func TestPages_MustAdvance(t *testing.T) {
	requests := 0
	cache := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if requests++; requests > 10 {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/json")
		if req.URL.Path == v1.ResourcesPath {
			_, _ = w.Write([]byte(`{"resources":[{"version":"v1","plural":"pods","kind":"Pod","namespaced":true}]}`))
			return
		}
		w.Header().Set(v1.HasMoreHeader, "true")
		w.Header().Set(v1.NextCursorHeader, "one")
		if req.URL.Path == v1.EventsPath {
			_, _ = w.Write([]byte(`[{"uid":"a","verb":"create"}]`))
		} else {
			_, _ = w.Write([]byte(`{"watchEvents":[{"uid":"a","verb":"create"}]}`))
		}
	}))
	defer cache.Close()
	r := &recording{url: cache.URL, now: time.Now()}
	for _, args := range []string{"get --flat --limit 0", "related pod/a"} {
		requests = 0
		if code, _, stderr := r.run(t, strings.Fields(args)...); code != 1 ||
			!strings.Contains(stderr, "its pages do not advance") {
			t.Errorf("%s: got exit code %d, stderr %s, want 1 and that pages do not advance", args, code, stderr)
		}
	}
}

// TestNote_EscapesUnsafeCharacters checks a server with unsafe headers and
// names.
func TestNote_EscapesUnsafeCharacters(t *testing.T) {
	const hostile = "\u009b2J\u202e\u200b"
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set(v1.IgnoredHeader, hostile)
		if req.URL.Path == v1.ResourcesPath {
			_, _ = w.Write([]byte(`{"resources":[{"group":"` + hostile + `","version":"v1","plural":"things"},` +
				`{"group":"b","version":"v1","plural":"things"}]}`))
			return
		}
		_, _ = w.Write([]byte(`[]`))
	}))
	defer stranger.Close()
	r := &recording{url: stranger.URL, now: time.Now()}
	for _, args := range []string{"get --flat", "get things"} {
		if _, stdout, stderr := r.run(t, strings.Fields(args)...); stdout != "" ||
			!strings.Contains(stderr, "\ufffd2J") || strings.ContainsAny(stderr, hostile[:2]+"\u202e\u200b") {
			t.Errorf("%s: got stdout %q, stderr %q, want nothing and escaped notes", args, stdout, stderr)
		}
	}
}

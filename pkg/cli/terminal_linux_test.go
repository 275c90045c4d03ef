package cli_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/cli"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// unsafeText contains characters that a terminal obeys or does not show.
const unsafeText = "\x1b[2J\u009b2J\u202e\u200b\u2066\u00ad\U000e0041\x07\x7f"

// recordUnsafe records an object with unsafeText as its name, a key, a value
// and its manager.
func recordUnsafe(t *testing.T, r *recording) {
	t.Helper()
	quoted, err := json.Marshal(unsafeText)
	if err != nil {
		t.Fatal(err)
	}
	for i, value := range []string{"1", "2"} {
		object := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":` + string(quoted) +
			`},"data":{` + string(quoted) + `:"` + value + `","text":` + string(quoted) + `}}`
		r.write(time.Duration(5-i)*time.Minute, &history.Record{
			Ref: ref("", "configmaps", "shop", unsafeText, "uid-unsafeText"), Kind: "ConfigMap",
			Verb: history.Verb(i + 1), Managers: by(unsafeText), Object: []byte(object),
		})
	}
}

// TestTerminal_GetsNoUnsafeCharacters checks all formats, notes and errors.
func TestTerminal_GetsNoUnsafeCharacters(t *testing.T) {
	r := newRecording(t)
	recordUnsafe(t, r)
	for _, args := range [][]string{
		{"get"},
		{"get", "-o", "wide"},
		{"get", "-o", "name"},
		{"get", "-o", "json"},
		{"get", "-o", "yaml"},
		{"get", "-o", "jsonpath={.items[*].objectChanges}"},
		{"get", "-o", "jsonpath-as-json={.items[*].objectChanges}"},
		{"get", "-o", "go-template={{range .items}}{{.resourceName}}{{.objectChanges}}{{end}}"},
		{"get", "-o", "go-template={{nothing .items}}" + unsafeText},
		{"history", "cm", unsafeText},
		{"history", "cm", unsafeText, "--diff"},
		{"history", "cm", unsafeText, "--diff=unified"},
		{"history", "cm", unsafeText, "--revision", "2", "-o", "yaml"},
		{"history", "cm", unsafeText, "--revision", "1..2", "-o", "json"},
		{"history", "cm", unsafeText, "--revision", "2", "-o", "jsonpath={.data}"},
		{"history", "cm", unsafeText, "--revision", "9"},
		{"history", "cm", unsafeText, "--since", "1s"},
		{"history", "cm", unsafeText, "--uid", unsafeText},
		{"related", "cm", unsafeText},
		{"get", "cm", "x" + unsafeText},
		{"get", unsafeText},
		{"get", "-o", unsafeText},
		{"get", "--timezone", unsafeText},
		{unsafeText},
		{"get", "--" + unsafeText},
	} {
		tty, _, written := terminal(t)
		env := cli.System("v1.2.3")
		env.IOStreams = genericiooptions.IOStreams{In: strings.NewReader(""), Out: tty, ErrOut: tty}
		env.Now = r.readerNow
		cli.Main(t.Context(), env, append(args, "--recorder-url", r.url, "-n", "shop",
			"--server", "http://127.0.0.1:1", "--cache-dir", t.TempDir(), "--color", "never"))
		got := written()
		if got == "" || strings.ContainsFunc(got, isUnsafe) {
			t.Errorf("%q: got %q on the terminal, want no unsafe characters", args, got)
		}
	}
}

func isUnsafe(r rune) bool {
	return r != '[' && r != '2' && r != 'J' && strings.ContainsRune(unsafeText, r)
}

// TestPipe_GetsDataUnchanged checks that programs get unescaped data.
func TestPipe_GetsDataUnchanged(t *testing.T) {
	r := newRecording(t)
	recordUnsafe(t, r)
	for _, tt := range []struct{ format, want string }{
		{"jsonpath={.items[0].objectChanges.data.text}", unsafeText},
		{"go-template={{(index .items 0).resourceName}}", unsafeText},
		{"name", "configmap/\ufffd[2J\ufffd2J\u202e\u200b\u2066\u00ad\U000e0041\ufffd\ufffd\n"},
	} {
		if code, got, stderr := r.run(t, "get", "-o", tt.format); code != 0 || got != tt.want || stderr != "" {
			t.Errorf("-o %s: got exit code %d, want 0; stdout %q, want %q; stderr %q",
				tt.format, code, got, tt.want, stderr)
		}
	}
}

// TestTerminal_DumbGetsPlainText checks that a dumb terminal gets no escape
// sequences.
func TestTerminal_DumbGetsPlainText(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	for kind, colored := range map[string]bool{"dumb": false, "xterm": true} {
		tty, _, written := terminal(t)
		env := cli.System("v1.2.3")
		env.IOStreams = genericiooptions.IOStreams{In: strings.NewReader(""), Out: tty, ErrOut: tty}
		env.Now = r.readerNow
		env.LookupEnv = func(name string) (string, bool) {
			return map[string]string{"TERM": kind}[name], name == "TERM"
		}
		cli.Main(t.Context(), env, []string{
			"get", "--recorder-url", r.url, "-n", "shop", "--server", "http://127.0.0.1:1", "--cache-dir", t.TempDir(),
		})
		if got := written(); strings.Contains(got, "\x1b") != colored || !strings.Contains(got, "deployment/web") {
			t.Errorf("TERM=%s: got %q, want colours: %t", kind, got[:min(len(got), 300)], colored)
		}
	}
}

// TestCompletion_OmitsUntypableValues checks names that a shell would split, or
// print unescaped.
func TestCompletion_OmitsUntypableValues(t *testing.T) {
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if req.URL.Path == v1.ResourcesPath {
			_, _ = w.Write([]byte(`{"resources":[{"version":"v1","plural":"pods"},` +
				`{"version":"v1","plural":"po\u202eds"}]}`))
			return
		}
		_, _ = w.Write([]byte(`[{"resourceName":"web","revision":1,"timestamp":"` +
			time.Now().Add(-time.Hour).UTC().Format(time.RFC3339) +
			`","summary":"a\tb\n\u001b[2Jc\u202e"},{"resourceName":"a b"},` +
			`{"resourceName":"\u001b[2J"},{"resourceName":"x\ny"},{"resourceName":"t\tt"},{"resourceName":"web"}]`))
	}))
	defer stranger.Close()
	r := &recording{url: stranger.URL, now: time.Now()}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"get", "p"}, "pods\n:36\n"},
		{[]string{"get", "pods", ""}, "web\n:36\n"},
		{[]string{"get", "pods", "we"}, "web\n:36\n"},
		{[]string{"history", "pods", "web", "--revision", ""}, "1\t60m ago: a b ^[[2Jc\ufffd\n0\t292y ago:\n:36\n"},
	} {
		var out bytes.Buffer
		args := append([]string{
			"__complete", tt.args[0], "--recorder-url", r.url,
			"--server", "http://127.0.0.1:1", "--cache-dir", t.TempDir(),
		}, tt.args[1:]...)
		if code, _ := run(t.Context(), r, &out, args...); code != 0 || out.String() != tt.want {
			t.Errorf("%q: got exit code %d, want 0; stdout %q, want %q", tt.args, code, out.String(), tt.want)
		}
	}
}

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

// hostile are the characters that a terminal obeys, or does not show.
const hostile = "\x1b[2J\u009b2J\u202e\u200b\u2066\u00ad\U000e0041\x07\x7f"

// recordHostile records an object with the characters in its name, a key, a
// value and what wrote it.
func recordHostile(t *testing.T, r *recording) {
	t.Helper()
	quoted, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	for i, value := range []string{"1", "2"} {
		object := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":` + string(quoted) + `},"data":{` + string(quoted) + `:"` + value + `","text":` + string(quoted) + `}}`
		r.write(time.Duration(5-i)*time.Minute, &history.Record{
			Ref: ref("", "configmaps", "shop", hostile, "uid-hostile"), Kind: "ConfigMap", Verb: history.Verb(i + 1), Managers: by(hostile), Object: []byte(object),
		})
	}
}

// TestTerminal_NothingHostileReachesIt: in no format, note or error. A pipe
// gets the data as it is.
func TestTerminal_NothingHostileReachesIt(t *testing.T) {
	r := newRecording(t)
	recordHostile(t, r)
	for _, args := range [][]string{
		{"get"},
		{"get", "-o", "wide"},
		{"get", "-o", "name"},
		{"get", "-o", "json"},
		{"get", "-o", "yaml"},
		{"get", "-o", "jsonpath={.items[*].objectChanges}"},
		{"get", "-o", "jsonpath-as-json={.items[*].objectChanges}"},
		{"get", "-o", "go-template={{range .items}}{{.resourceName}}{{.objectChanges}}{{end}}"},
		{"get", "-o", "go-template={{nothing .items}}" + hostile},
		{"history", "cm", hostile},
		{"history", "cm", hostile, "--diff"},
		{"history", "cm", hostile, "--diff=unified"},
		{"history", "cm", hostile, "--revision", "2", "-o", "yaml"},
		{"history", "cm", hostile, "--revision", "1..2", "-o", "json"},
		{"history", "cm", hostile, "--revision", "2", "-o", "jsonpath={.data}"},
		{"history", "cm", hostile, "--revision", "9"},
		{"history", "cm", hostile, "--since", "1s"},
		{"history", "cm", hostile, "--uid", hostile},
		{"related", "cm", hostile},
		{"get", "cm", "x" + hostile},
		{"get", hostile},
		{"get", "-o", hostile},
		{"get", "--timezone", hostile},
		{hostile},
		{"get", "--" + hostile},
	} {
		tty, _, written := terminal(t)
		env := cli.System("v1.2.3")
		env.IOStreams = genericiooptions.IOStreams{In: strings.NewReader(""), Out: tty, ErrOut: tty}
		env.Now = r.clockOfReader
		cli.Main(t.Context(), env, append(args, "--recorder-url", r.url, "-n", "shop", "--server", "http://127.0.0.1:1", "--cache-dir", t.TempDir(), "--color", "never"))
		got := written()
		if got == "" || strings.ContainsFunc(got, isHostile) {
			t.Errorf("%q: got %q on the terminal, want nothing hostile", args, got)
		}
	}
}

func isHostile(r rune) bool {
	return r != '[' && r != '2' && r != 'J' && strings.ContainsRune(hostile, r)
}

// TestPipe_GetsTheDataAsItIs: what programs read is not changed.
func TestPipe_GetsTheDataAsItIs(t *testing.T) {
	r := newRecording(t)
	recordHostile(t, r)
	for _, tt := range []struct{ format, want string }{
		{"jsonpath={.items[0].objectChanges.data.text}", hostile},
		{"go-template={{(index .items 0).resourceName}}", hostile},
		{"name", "configmap/\ufffd[2J\ufffd2J\u202e\u200b\u2066\u00ad\U000e0041\ufffd\ufffd\n"},
	} {
		if code, got, stderr := r.ask(t, "get", "-o", tt.format); code != 0 || got != tt.want || stderr != "" {
			t.Errorf("-o %s: exit code %d, want 0; got %q, want %q; stderr %q", tt.format, code, got, tt.want, stderr)
		}
	}
}

// TestTerminal_DumbOnesGetPlainText: neither colours nor what erases a line.
func TestTerminal_DumbOnesGetPlainText(t *testing.T) {
	r := newRecording(t)
	r.tell()
	for kind, colored := range map[string]bool{"dumb": false, "xterm": true} {
		tty, _, written := terminal(t)
		env := cli.System("v1.2.3")
		env.IOStreams = genericiooptions.IOStreams{In: strings.NewReader(""), Out: tty, ErrOut: tty}
		env.Now = r.clockOfReader
		env.LookupEnv = func(name string) (string, bool) { return map[string]string{"TERM": kind}[name], name == "TERM" }
		cli.Main(t.Context(), env, []string{"get", "--recorder-url", r.url, "-n", "shop", "--server", "http://127.0.0.1:1", "--cache-dir", t.TempDir()})
		if got := written(); strings.Contains(got, "\x1b") != colored || !strings.Contains(got, "deployment/web") {
			t.Errorf("TERM=%s: got %q, want colours: %t", kind, got[:min(len(got), 300)], colored)
		}
	}
}

// TestCompletion_SuggestsOnlyWhatCanBeTyped: a shell splits words, and shows
// suggestions as they are.
func TestCompletion_SuggestsOnlyWhatCanBeTyped(t *testing.T) {
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if req.URL.Path == v1.ResourcesPath {
			_, _ = w.Write([]byte(`{"resources":[{"version":"v1","plural":"pods"},{"version":"v1","plural":"po\u202eds"}]}`))
			return
		}
		_, _ = w.Write([]byte(`[{"resourceName":"web","revision":1,"timestamp":"` + time.Now().Add(-time.Hour).UTC().Format(time.RFC3339) + `","summary":"a\tb\n\u001b[2Jc\u202e"},{"resourceName":"a b"},{"resourceName":"\u001b[2J"},{"resourceName":"x\ny"},{"resourceName":"t\tt"},{"resourceName":"web"}]`))
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
		args := append([]string{"__complete", tt.args[0], "--recorder-url", r.url, "--server", "http://127.0.0.1:1", "--cache-dir", t.TempDir()}, tt.args[1:]...)
		if code, _ := run(t.Context(), r, &out, args...); code != 0 || out.String() != tt.want {
			t.Errorf("%q: exit code %d, want 0; got %q, want %q", tt.args, code, out.String(), tt.want)
		}
	}
}

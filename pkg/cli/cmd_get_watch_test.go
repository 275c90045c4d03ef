package cli_test

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// following is a command with --watch that runs.
type following struct {
	t         *testing.T
	r         *recording
	interrupt context.CancelFunc
	ended     chan struct{}

	mu   sync.Mutex
	out  strings.Builder
	fail error // of the next write

	code   int
	stderr string
}

// Write implements [io.Writer].
func (f *following) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return 0, f.fail
	}
	return f.out.Write(p)
}

func (f *following) output() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.out.String()
}

// follow runs a command in the namespace shop.
func follow(t *testing.T, r *recording, args ...string) *following {
	t.Helper()
	ctx, interrupt := context.WithCancel(t.Context())
	f := &following{t: t, r: r, interrupt: interrupt, ended: make(chan struct{})}
	args = append(args, "--recorder-url", r.url, "-n", "shop", "--kubeconfig", "", "--cache-dir", t.TempDir(),
		"--server", "http://127.0.0.1:1")
	go func() {
		defer close(f.ended)
		f.code, f.stderr = run(ctx, r, f, args...)
	}()
	t.Cleanup(func() { f.stop() })
	return f
}

// has waits until the output contains a text.
func (f *following) has(text string) {
	f.t.Helper()
	for range 3000 {
		if strings.Contains(f.output(), text) {
			return
		}
		select {
		case <-f.ended:
			f.t.Fatalf("got exit code %d, stderr %q, output\n%s\nwant %q", f.code, f.stderr, f.output(), text)
		case <-time.After(10 * time.Millisecond):
		}
	}
	f.t.Fatalf("got output\n%s\nwant %q", f.output(), text)
}

// stop interrupts the command and waits for it.
func (f *following) stop() {
	f.interrupt()
	<-f.ended
}

func (r *recording) writeMap(name string) {
	r.t.Helper()
	r.write(0, &history.Record{
		Ref: ref("", "configmaps", "shop", name, "uid-"+name), Kind: "ConfigMap", Verb: history.Create,
		Managers: by("helm"), Object: []byte(`{"data":{"a":"b"}}`),
	})
}

func TestGetWatch_ContinuesTable(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	f := follow(t, r, "get", "--flat", "-w", "--since", "9m")
	f.has("wolf/grey")
	for _, name := range []string{"one", "two"} {
		r.writeMap(name)
		f.has("configmap/" + name)
	}
	pods := schema.GroupResource{Resource: "pods"}
	r.writeGaps(2*time.Minute, -1, history.GapForbidden, "", pods, schema.GroupResource{Resource: "events"})
	f.has("recorder sees no pods and events since")
	r.writeGaps(2*time.Minute, 0, history.GapForbidden, "", pods)
	f.has("recorder saw no pods from")
	r.writeMap("three")
	f.has("configmap/three")
	f.stop()
	want := `TIME   CHANGE   OBJECT      WHO   SUMMARY
7m     create   wolf/grey   ?     created
0s     create   configmap/one   helm   created
0s     create   configmap/two   helm   created
-- recorder sees no pods and events since 2m: forbidden --
-- recorder saw no pods from 2m to 0s (forbidden) --
0s     create   configmap/three   helm   created
`
	if got := f.output(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if f.code != 130 {
		t.Errorf("got exit code %d after an interrupt, want 130", f.code)
	}
}

// What is recorded while the page is read is written once.
func TestGetWatch_WritesEachChangeOnce(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	requests := 0
	r.onEvents = func() {
		requests++
		if requests < 5 {
			r.writeMap("during-" + string(rune('a'+requests)))
		}
	}
	f := follow(t, r, "get", "cm", "-w", "-o", "name")
	f.has("during-d")
	r.writeMap("last")
	f.has("last")
	f.stop()
	for _, name := range []string{"during-b", "during-c", "during-d", "last"} {
		if n := strings.Count(f.output(), "configmap/"+name+"\n"); n != 1 {
			t.Errorf("%s: got %d lines, want 1, in\n%s", name, n, f.output())
		}
	}
}

// Each format writes a document for each change.
func TestGetWatch_FormatsWriteDocuments(t *testing.T) {
	for format, want := range map[string]func(t *testing.T, output string){
		"json": func(t *testing.T, output string) {
			t.Helper()
			lines := strings.Split(strings.TrimSuffix(output, "\n"), "\n")
			for _, line := range lines {
				var e v1.Event
				if err := json.Unmarshal([]byte(line), &e); err != nil || e.ResourceName == "" {
					t.Errorf("got line %q, error %v, want a record", line, err)
				}
			}
			if len(lines) != 3 {
				t.Errorf("got %d lines, want 3", len(lines))
			}
		},
		"yaml": func(t *testing.T, output string) {
			t.Helper()
			if got := strings.Count(output, "\n---\n"); got != 2 || strings.HasPrefix(output, "---") {
				t.Errorf("got %d separators, want 2 in\n%s", got, output)
			}
		},
		`jsonpath={.resourceName}{"\n"}`: func(t *testing.T, output string) {
			t.Helper()
			if want := "grey\none\ntwo\n"; output != want {
				t.Errorf("got %q, want %q", output, want)
			}
		},
	} {
		t.Run(format, func(t *testing.T) {
			r := newRecording(t)
			r.writeStory()
			f := follow(t, r, "get", "-w", "--since", "7m30s", "-o", format)
			f.has("grey")
			r.writeMap("one")
			r.writeMap("two")
			f.has("two")
			f.stop()
			want(t, f.output())
		})
	}
}

func TestGetWatch_OnlyNewChanges(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	f := follow(t, r, "get", "deploy/web", "cm/one", "--flat", "--watch-only", "--no-headers")
	for range 3000 { // until both streams are open
		if r.streams.Load() == 4 { // two of them for the positions
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.writeMap("other")
	r.writeMap("one")
	f.has("configmap/one")
	f.stop()
	if want := "0s   create   configmap/one   helm   created\n"; f.output() != want {
		t.Errorf("got %q, want %q", f.output(), want)
	}
}

func TestGetWatch_Reconnects(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	f := follow(t, r, "get", "-w", "--since", "7m30s", "-o", "name")
	f.has("grey")
	r.writeMap("one")
	f.has("one")
	r.server.CloseClientConnections()
	r.writeMap("two")
	f.has("two")
	f.stop()
	if want := "wolf.toys.example/grey\nconfigmap/one\nconfigmap/two\n"; f.output() != want {
		t.Errorf("got %q, want %q", f.output(), want)
	}
	for _, note := range []string{"; reconnecting\n", "Reconnected to the recorder; no change was missed.\n"} {
		if !strings.Contains(f.stderr, note) {
			t.Errorf("got stderr %q, want %q", f.stderr, note)
		}
	}
}

func TestGetWatch_ClosedPipeEnds(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	f := follow(t, r, "get", "-w", "--since", "7m30s")
	f.has("grey")
	f.mu.Lock()
	f.fail = syscall.EPIPE
	f.mu.Unlock()
	r.writeMap("one")
	select {
	case <-f.ended:
	case <-time.After(time.Minute):
		t.Fatal("got a command that runs, want it to end with its reader")
	}
	if f.code != 0 || f.stderr != "" && !strings.HasPrefix(f.stderr, "?") {
		t.Errorf("got exit code %d, stderr %q, want 0", f.code, f.stderr)
	}
}

func TestGetWatch_RejectsContradictions(t *testing.T) {
	r := newRecording(t)
	for args, want := range map[string]string{
		"get -w --until 1m":             "--until and --watch can't be combined",
		"get --watch-only --exit-code":  "--exit-code and --watch can't be combined",
		"get -w --since 1m --limit=-1":  "--limit -1",
		"get -w --field-selector bogus": "error: --field-selector: ",
	} {
		all := append(strings.Fields(args), "--recorder-url", r.url, "-n", "shop", "--kubeconfig", "")
		code, stderr := run(t.Context(), r, io.Discard, all...)
		if code == 0 || !strings.Contains(stderr, want) {
			t.Errorf("%s: got exit code %d, stderr %q, want %q", args, code, stderr, want)
		}
	}
}

package cli_test

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/watchhistory/watchhistory/pkg/cli"
)

// paged is a command on a terminal of a size.
type paged struct {
	t          *testing.T
	r          *recording
	rows, cols uint16 // cols: 0 means 120
	vars       map[string]string
	silent     bool          // notes are not written to the terminal
	shown      func(*screen) // called concurrently with the command; may be nil
	ended      func()        // called when the command has ended; may be nil
}

// run runs the command, and returns what is on the terminal.
func (p *paged) run(ctx context.Context, args ...string) (code int, shown string) {
	p.t.Helper()
	tty, s, written := terminal(p.t)
	err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: p.rows, Col: cmp.Or(p.cols, 120)})
	if err != nil {
		p.t.Fatal(err)
	}
	env := p.r.onTerminal(tty)
	env.LookupEnv = func(name string) (string, bool) { value, set := p.vars[name]; return value, set }
	if p.silent {
		env.ErrOut = io.Discard
	}
	if p.shown != nil {
		go p.shown(s)
	}
	code = cli.Main(ctx, env, append(args, "--recorder-url", p.r.url, "-n", "shop",
		"--server", "http://127.0.0.1:1", "--cache-dir", p.t.TempDir()))
	if p.ended != nil {
		p.ended()
	}
	return code, written()
}

// TestPager_ShowsWhatIsLongerThanScreen checks when a pager is used, and which.
// The pagers mark each line.
func TestPager_ShowsWhatIsLongerThanScreen(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	const pager, other, own = "sed -u s/^/paged:/", "sed -u s/^/other:/", "KUBECTL_WATCHHISTORY_PAGER"
	for name, c := range map[string]struct {
		rows uint16
		vars map[string]string
		args string
		want string // at the beginning of each line
	}{
		"long":       {6, map[string]string{"PAGER": pager}, "get --flat", "paged:"},
		"short":      {60, map[string]string{"PAGER": pager}, "get --flat", ""},
		"folded":     {3, map[string]string{"PAGER": pager}, "get", "paged:"},
		"front page": {3, map[string]string{"PAGER": pager}, "--since 24h", "paged:"},
		"history":    {3, map[string]string{"PAGER": pager}, "history deploy/web", "paged:"},
		"yaml":       {9, map[string]string{"PAGER": pager}, "get deploy/web --limit 1 -o yaml", "paged:"},
		"own":        {6, map[string]string{"PAGER": pager, own: other}, "get --flat", "other:"},
		"none":       {6, map[string]string{"PAGER": pager, own: ""}, "get --flat", ""},
		"cat":        {6, map[string]string{"PAGER": "cat"}, "get --flat", ""},
		"--no-pager": {6, map[string]string{"PAGER": pager}, "get --flat --no-pager", ""},
		"dumb":       {6, map[string]string{"PAGER": pager, "TERM": "dumb"}, "get --flat", ""},
		"syntax":     {6, map[string]string{"PAGER": "cat | " + pager}, "get --flat", "paged:"},
		"LESS":       {6, map[string]string{"PAGER": `sed -u "s/^/$LESS:/"`}, "get --flat", "FRX:"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &paged{t: t, r: r, rows: c.rows, vars: c.vars, silent: true}
			code, shown := p.run(t.Context(), strings.Fields(c.args)...)
			lines := strings.Split(strings.TrimSpace(shown), "\r\n")
			if code != 0 || len(lines) < 3 {
				t.Errorf("got exit code %d and %d lines, want 0 and some", code, len(lines))
			}
			for _, line := range lines {
				marked := strings.HasPrefix(line, "paged:") || strings.HasPrefix(line, "other:") ||
					strings.HasPrefix(line, "FRX:")
				if !strings.HasPrefix(line, c.want) || c.want == "" && marked {
					t.Errorf("got line %q, want one that begins with %q", line, c.want)
				}
			}
			if colored := strings.Contains(shown, "\x1b["); colored == (c.vars["TERM"] == "dumb") && name != "yaml" {
				t.Errorf("got colours: %t in %q", colored, shown)
			}
		})
	}
}

// A pipe and a timeline that continues have no pager.
func TestPager_OnlyOnTerminal(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	t.Setenv("PAGER", "sed s/^/paged:/")
	var out bytes.Buffer
	if code, _ := run(t.Context(), r, &out, "get", "--flat", "--recorder-url", r.url, "-n", "shop",
		"--kubeconfig", ""); code != 0 || strings.Contains(out.String(), "paged:") {
		t.Errorf("pipe: got exit code %d, output %q, want no pager", code, out.String())
	}
	ctx, interrupt := context.WithCancel(t.Context())
	p := &paged{t: t, r: r, rows: 3, vars: map[string]string{"PAGER": "sed s/^/paged:/"}}
	r.onEvents = func() {
		if r.streams.Load() > 1 { // the first one is for the position
			interrupt()
		}
	}
	if _, shown := p.run(ctx, "get", "-w", "--since", "24h"); !strings.Contains(shown, "wolf/grey") ||
		strings.Contains(shown, "paged:") {
		t.Errorf("--watch: got %q, want rows without a pager", shown)
	}
}

// A page for a browser is not written to a terminal, also not by a pager.
func TestPager_RejectsPages(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	p := &paged{t: t, r: r, rows: 60}
	code, shown := p.run(t.Context(), "report", "-o", "html")
	want := "error: --output html: a page can't be shown on a terminal\r\n-o incident.html writes a file.\r\n"
	if code != 1 || shown != want {
		t.Errorf("got exit code %d and %q, want 1 and %q", code, shown, want)
	}
	file := filepath.Join(t.TempDir(), "a.html")
	if code, shown := p.run(t.Context(), "report", "-o", file); code != 0 || !strings.Contains(shown, "Wrote ") {
		t.Errorf("a file: got exit code %d and %q, want 0 and a note", code, shown)
	}
}

func TestPager_NotesFollowOutput(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	for _, rows := range []uint16{3, 60} {
		p := &paged{t: t, r: r, rows: rows, vars: map[string]string{"PAGER": "sed s/^/paged:/"}}
		_, shown := p.run(t.Context(), "get", "--flat", "--limit", "4")
		row, note := strings.LastIndex(shown, "wolf/grey"), strings.Index(shown, "Showing the newest 4 of")
		if row < 0 || note < row || strings.Contains(shown, "paged:Showing") {
			t.Errorf("%d rows: got %q, want the note after the output", rows, shown)
		}
	}
}

// A pager that ends early is not an error, as in less | head.
func TestPager_EndsEarly(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	p := &paged{t: t, r: r, rows: 3, vars: map[string]string{"PAGER": "head -n 1"}}
	for _, args := range []string{"get --flat", "get --flat -o json", "history deploy/web -p"} {
		code, shown := p.run(t.Context(), strings.Fields(args)...)
		if code != 0 || strings.Contains(shown, "error") {
			t.Errorf("%s: got exit code %d, output %q, want 0 and no error", args, code, shown)
		}
	}
}

func TestPager_MissingProgramIsWarning(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	p := &paged{t: t, r: r, rows: 3, vars: map[string]string{"PAGER": "no-such-pager -x"}}
	code, shown := p.run(t.Context(), "get", "--flat")
	if code != 0 || !strings.HasPrefix(shown, "Warning: no pager: ") || !strings.Contains(shown, "wolf/grey") {
		t.Errorf("got exit code %d, output %q, want a warning and the output", code, shown)
	}
}

// An interrupted command ends after its pager: both use the terminal.
func TestPager_InterruptWaits(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	release := filepath.Join(t.TempDir(), "release")
	ctx, interrupt := context.WithCancel(t.Context())
	p := &paged{t: t, r: r, rows: 3, vars: map[string]string{
		"PAGER": "cat; until [ -e " + release + " ]; do sleep 0.01; done; echo the pager has ended",
	}}
	p.shown = func(s *screen) {
		s.await("wolf/grey")
		interrupt()
		time.AfterFunc(time.Second, func() { _ = os.WriteFile(release, nil, 0o600) })
	}
	p.ended = func() {
		if _, err := os.Stat(release); err != nil {
			t.Errorf("got a command that has ended before its pager: %v", err)
		}
	}
	if code, shown := p.run(ctx, "get", "--flat"); code != 130 || !strings.Contains(shown, "the pager has ended") {
		t.Errorf("got exit code %d, output %q, want 130 and the end of the pager", code, shown)
	}
}

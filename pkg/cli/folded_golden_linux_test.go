package cli_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/olekukonko/tablewriter/pkg/twwidth"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// writeDay records a rollout that fails, and another one later, at fixed times.
func (r *recording) writeDay() {
	r.t.Helper()
	r.now = time.Date(2026, 3, 1, 15, 0, 0, 0, time.UTC)
	r.writeStory()
	r.write(6*time.Minute, rollout("1.4", 1, 1, 3))
	settings := &history.Record{
		Ref: ref("", "configmaps", "shop", "settings-of-the-storefront", "uid-settings"), Kind: "ConfigMap",
		Verb: history.Create, Managers: by("argocd-controller"), Object: []byte(`{"data":{"a":"b"}}`),
	}
	r.write(5*time.Minute, settings)
}

// TestFolded_OnTerminals has a golden file for the folded timeline at each
// usual width, plain and in colour. No line is wider than the terminal.
func TestFolded_OnTerminals(t *testing.T) {
	r := newRecording(t)
	r.writeDay()
	for name, args := range map[string]string{
		"front": "--since 24h", "get": "get --since 24h", "expand": "get --since 24h --expand=4",
		"watch": "-w --since 24h",
	} {
		for _, cols := range []uint16{80, 120, 200} {
			for _, color := range []string{"never", "always"} {
				t.Run(fmt.Sprintf("%s %d %s", name, cols, color), func(t *testing.T) {
					t.Parallel()
					p := &paged{t: t, r: r, rows: 200, cols: cols, silent: true}
					ctx, interrupt := context.WithCancel(t.Context())
					defer interrupt()
					if name == "watch" {
						p.r = newRecording(t)
						p.r.writeDay()
						p.shown = func(s *screen) { p.r.writeLater(s); interrupt() }
					}
					_, shown := p.run(ctx, append(strings.Fields(args), "--color", color, "--timezone", "UTC")...)
					shown = strings.ReplaceAll(shown, "\r\n", "\n")
					for line := range strings.Lines(shown) {
						if got := twwidth.Width(strings.TrimSuffix(line, "\n")); got > int(cols) {
							t.Errorf("got a line of %d columns, want at most %d: %q", got, cols, line)
						}
					}
					compareGolden(t, fmt.Sprintf("%s_%d_%s.txt", name, cols, color), shown)
				})
			}
		}
	}
}

// writeLater records a rollout while a timeline is on the screen.
func (r *recording) writeLater(s *screen) {
	s.await("settings-of")
	r.write(4*time.Minute, rollout("1.6", 2, 1, 3))
	s.await("1.6")
	r.write(3*time.Minute, status(rollout("1.6", 2, 2, 3)))
	s.await("(1 consequence)")
	r.writeMap("one")
	s.await("map/one")
}

// compareGolden compares text with a golden file. With -update it writes the
// file.
func compareGolden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", "folded", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

//go:build !windows

package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestKrew_CaveatsEnableCompletion runs the command of krew's caveats. Krew
// links only the plugin into the PATH; that command links the completer.
func TestKrew_CaveatsEnableCompletion(t *testing.T) {
	manifest, err := os.ReadFile(filepath.Join("..", "..", "krew", "watchhistory.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^ +(ln .*)$`).FindStringSubmatch(string(manifest))
	if line == nil {
		t.Fatal("got no ln command in krew's caveats, want one that links the completer")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	bin := filepath.Join(root, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(bin, "kubectl-watchhistory")); err != nil {
		t.Fatal(err)
	}
	r := newRecording(t)
	for range 2 { // users may run it again after an upgrade
		shell := exec.CommandContext(t.Context(), "sh", "-c", line[1])
		shell.Env = append(os.Environ(), "KREW_ROOT="+root)
		if out, err := shell.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line[1], err, out)
		}
	}
	completer := exec.CommandContext(t.Context(), filepath.Join(bin, "kubectl_complete-watchhistory"),
		"get", "--recorder-url", r.url, "--server", "http://127.0.0.1:1", "po")
	completer.Env = append(os.Environ(), "STORY_NOW=2026-01-01T00:00:00Z", "KUBECACHEDIR="+t.TempDir())
	out, err := completer.Output()
	if err != nil || !strings.HasPrefix(string(out), "pods\n") {
		t.Errorf("completion: got %q, want pods; err %v", out, err)
	}
}

// TestPlugin_EmbedsTimeZones checks that --timezone works without zone files,
// as in minimal containers and on Windows.
func TestPlugin_EmbedsTimeZones(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "./plugins/kubectl-watchhistory")
	list.Dir = filepath.Join("..", "..")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "\ntime/tzdata\n") {
		t.Error("got no time/tzdata in the plugin's dependencies, want it")
	}
}

package gobuild_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/rig/gobuild"
)

// module writes a program of three packages that is in no build cache.
func module(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	unique := rand.Text()
	for name, content := range map[string]string{
		"go.mod":  "module example.com/m\n\ngo 1.26\n",
		"a/a.go":  fmt.Sprintf("package a\n\nfunc A() string { return %q }\n", unique),
		"b/b.go":  "package b\n\nimport \"example.com/m/a\"\n\nfunc B() string { return a.A() }\n",
		"main.go": "package main\n\nimport \"example.com/m/b\"\n\nfunc main() { print(b.B()) }\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// build builds a module and returns what was shown.
func build(t *testing.T, dir string, after time.Duration, terminal bool) (out string, err error) {
	t.Helper()
	var text bytes.Buffer
	err = gobuild.Run(t.Context(), gobuild.Build{
		Name: "m", Dir: dir, Args: []string{"-o", "m", "."}, Out: &text, Terminal: terminal,
		After: after, Every: time.Millisecond,
	})
	return text.String(), err
}

func TestRun_ShowsProgressOfLongBuild(t *testing.T) {
	t.Setenv("GOFLAGS", "-mod=mod")
	for _, terminal := range []bool{false, true} {
		dir := module(t)
		out, err := build(t, dir, time.Nanosecond, terminal)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if program, err := exec.CommandContext(t.Context(), filepath.Join(dir, "m")).CombinedOutput(); err != nil ||
			len(program) == 0 {
			t.Errorf("program: got output %q, error %v, want a text", program, err)
		}
		if !strings.Contains(out, "building m: ") || strings.Contains(out, "example.com/m\n") {
			t.Errorf("terminal %t: got %q, want progress and no names of packages", terminal, out)
		}
		if rewritten := strings.Contains(out, "\r\x1b[K"); rewritten != terminal ||
			terminal == strings.HasSuffix(out, "\n") {
			t.Errorf("terminal %t: got the line rewritten %t, want %t: %q", terminal, rewritten, terminal, out)
		}
		if terminal && !strings.HasSuffix(out, "\r\x1b[K") {
			t.Errorf("got %q, want the line erased at the end", out)
		}
	}
}

func TestRun_IsSilentIfUpToDate(t *testing.T) {
	dir := module(t)
	for range 2 {
		if out, err := build(t, dir, time.Hour, true); err != nil || out != "" {
			t.Errorf("got %q, %v, want nothing", out, err)
		}
	}
}

func TestStale_CountsPackagesToBuild(t *testing.T) {
	dir := module(t)
	for _, want := range []int{3, 0} {
		if got, err := gobuild.Stale(t.Context(), dir, "-o", "m", "."); got != want || err != nil {
			t.Errorf("got %d packages, %v, want %d", got, err, want)
		}
		if out, err := build(t, dir, time.Hour, false); err != nil {
			t.Fatal(out, err)
		}
	}
	// Other flags require other builds of all packages.
	if got, err := gobuild.Stale(t.Context(), dir, "-trimpath", "-o", "m", "."); got < 3 || err != nil {
		t.Errorf("got %d packages, %v with another flag, want at least 3", got, err)
	}
}

func TestRun_PassesOnMessages(t *testing.T) {
	dir := module(t)
	const broken = "package b\n\nfunc B() string { return 7 }\n"
	if err := os.WriteFile(filepath.Join(dir, "b", "b.go"), []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := build(t, dir, time.Hour, false)
	if err == nil || !strings.Contains(err.Error(), "build m: exit status 1") ||
		!strings.Contains(out, "b/b.go:3:26: cannot use 7") {
		t.Errorf("got %v and %q, want the exit status and the compiler's message", err, out)
	}
}

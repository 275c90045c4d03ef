package tools_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// stages parses the Dockerfile as BuildKit does. Lint warnings fail the test.
func stages(t *testing.T) []instructions.Stage {
	t.Helper()
	result, err := parser.Parse(bytes.NewReader(read(t, "Dockerfile")))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range result.Warnings {
		t.Errorf("Dockerfile: %s", w.Short)
	}
	lint := linter.New(&linter.Config{
		Warn: func(rule, _, _, message string, location []parser.Range) {
			t.Errorf("Dockerfile %v: %s: %s", location, rule, message)
		},
	})
	parsed, _, err := instructions.Parse(result.AST, lint)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// copied returns the paths that the Dockerfile copies from the build context.
func copied(t *testing.T) []string {
	t.Helper()
	var sources []string
	for _, stage := range stages(t) {
		for _, command := range stage.Commands {
			if c, ok := command.(*instructions.CopyCommand); ok && c.From == "" {
				sources = append(sources, c.SourcePaths...)
			}
		}
	}
	if len(sources) == 0 {
		t.Fatal("got no copied paths, want at least one")
	}
	return sources
}

func TestImage_IsMinimalAndUnprivileged(t *testing.T) {
	all := stages(t)
	last := all[len(all)-1]
	if len(all) < 2 || !strings.HasPrefix(last.BaseName, "gcr.io/distroless/static-") {
		t.Errorf("got base %s and %d stages, want gcr.io/distroless/static-… and at least 2", last.BaseName, len(all))
	}
	var user, entrypoint string
	for _, command := range last.Commands {
		switch c := command.(type) {
		case *instructions.UserCommand:
			user = c.User
		case *instructions.EntrypointCommand:
			entrypoint = strings.Join(c.CmdLine, " ")
			if c.PrependShell {
				t.Error("got an entry point that needs a shell, want the exec form")
			}
		case *instructions.RunCommand:
			t.Errorf("got %s in the last stage, want no RUN: the image has no shell", c)
		}
	}
	if user != "65532:65532" {
		t.Errorf("got user %q, want 65532:65532", user)
	}
	if entrypoint != "/watchhistory-recorder" {
		t.Errorf("got entry point %q, want /watchhistory-recorder", entrypoint)
	}
}

// OpenShift runs an image as any user of the group 0.
func TestImage_LetsAnyUserOfGroup0WriteItsVolume(t *testing.T) {
	all := stages(t)
	var made, owned bool
	for _, command := range all[0].Commands {
		if c, ok := command.(*instructions.RunCommand); ok {
			made = made || strings.Join(c.CmdLine, " ") == "mkdir -m 0775 /out/data"
		}
	}
	for _, command := range all[len(all)-1].Commands {
		if c, ok := command.(*instructions.CopyCommand); ok && c.DestPath == "/data" {
			owned = strings.HasSuffix(c.Chown, ":0")
		}
	}
	if !made || !owned {
		t.Errorf("/data: got group-writable %t and group 0 %t, want both", made, owned)
	}
}

func TestImage_FetchesOnlyModules(t *testing.T) {
	for _, stage := range stages(t) {
		for _, command := range stage.Commands {
			switch c := command.(type) {
			case *instructions.AddCommand:
				t.Errorf("got %s, want COPY: ADD may fetch", c)
			case *instructions.RunCommand:
				line := strings.Join(c.CmdLine, " ")
				if strings.Contains(line, "curl") || strings.Contains(line, "wget") || strings.Contains(line, "apt") {
					t.Errorf("got RUN %s, want no command that fetches", line)
				}
			}
		}
	}
}

func TestImage_IsBuiltStatically(t *testing.T) {
	var static, version bool
	for _, command := range stages(t)[0].Commands {
		switch c := command.(type) {
		case *instructions.EnvCommand:
			static = static || slices.ContainsFunc(c.Env, func(kv instructions.KeyValuePair) bool {
				return kv.Key == "CGO_ENABLED" && kv.Value == "0"
			})
		case *instructions.RunCommand:
			line := strings.Join(c.CmdLine, " ")
			version = version ||
				strings.Contains(line, "go build") && strings.Contains(line, "-X main.version=$VERSION")
		}
	}
	if !static || !version {
		t.Errorf("got static %t and linked version %t, want both", static, version)
	}
}

// The Dockerfile copies from a build context without the files in
// .dockerignore. The result must contain every package of the recorder.
func TestImageContext_ContainsTheRecorder(t *testing.T) {
	patterns, err := ignorefile.ReadAll(bytes.NewReader(read(t, ".dockerignore")))
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, source := range copied(t) {
		copyTree(t, dir, source, ignored)
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "./cmd/watchhistory-recorder")
	list.Dir = dir
	list.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0")
	if out, err := list.CombinedOutput(); err != nil {
		t.Errorf("list packages in the build context: got %v, want none\n%s", err, out)
	}
	tests, err := filepath.Glob(filepath.Join(dir, "pkg", "*", "*_test.go"))
	if err != nil || len(tests) > 0 {
		t.Errorf("got tests %v and error %v in the build context, want none", tests, err)
	}
}

func copyTree(t *testing.T, to, source string, ignored *patternmatcher.PatternMatcher) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(root, source), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if out, err := ignored.MatchesOrParentMatches(relative); err != nil || out {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, relative)), 0o755); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, relative), data, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

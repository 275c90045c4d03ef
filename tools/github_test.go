package tools_test

import (
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rhysd/actionlint"
)

func TestWorkflowsPassActionlint(t *testing.T) {
	lint, err := actionlint.NewLinter(io.Discard, &actionlint.LinterOptions{WorkingDir: root})
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, ".github/workflows/*.yaml"))
	if err != nil || len(files) != 2 {
		t.Fatalf("want two workflows, got %v %v", files, err)
	}
	mistakes, err := lint.LintFiles(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mistakes {
		t.Errorf("%s:%d: %s", m.Filepath, m.Line, m.Message)
	}
}

type workflow struct {
	Permissions map[string]string `yaml:"permissions"`
	Jobs        map[string]struct {
		Steps []struct {
			Uses   string            `yaml:"uses"`
			Run    string            `yaml:"run"`
			With   map[string]string `yaml:"with"`
			Others map[string]any    `yaml:",inline"`
		} `yaml:"steps"`
		Others map[string]any `yaml:",inline"`
	} `yaml:"jobs"`
	Others map[string]any `yaml:",inline"`
}

func workflowOf(t *testing.T, name string) workflow {
	t.Helper()
	var w workflow
	strictly(t, name, read(t, ".github/workflows/"+name), &w)
	return w
}

func TestWorkflowsPinTheirActionsAndAskForLittle(t *testing.T) {
	pinned := regexp.MustCompile(`^[\w-]+/[\w-]+@v\d+(\.\d+\.\d+)?$`)
	for _, name := range []string{"ci.yaml", "release.yaml"} {
		w := workflowOf(t, name)
		if len(w.Permissions) != 1 || w.Permissions["contents"] != "read" {
			t.Errorf("%s: every job may %v", name, w.Permissions)
		}
		for job, j := range w.Jobs {
			for _, step := range j.Steps {
				if step.Uses != "" && !pinned.MatchString(step.Uses) {
					t.Errorf("%s: %s uses %s, which is no version", name, job, step.Uses)
				}
			}
		}
	}
}

func TestContinuousIntegrationRunsTheProjectsOwnCheck(t *testing.T) {
	w := workflowOf(t, "ci.yaml")
	steps := w.Jobs["test"].Steps
	if len(steps) == 0 || steps[len(steps)-1].Run != ".ci/run" {
		t.Error("ci.yaml does not call .ci/run")
	}
	read(t, ".ci/run")
}

// What checks the release's configuration here is what reads it there.
func TestReleaseRunsTheGoreleaserThatChecksIt(t *testing.T) {
	gomod := string(read(t, "tools/go.mod"))
	for _, step := range workflowOf(t, "release.yaml").Jobs["release"].Steps {
		if strings.HasPrefix(step.Uses, "goreleaser/") {
			if !strings.Contains(gomod, "github.com/goreleaser/goreleaser/v2 "+step.With["version"]+"\n") {
				t.Errorf("the release runs goreleaser %s, the tests another", step.With["version"])
			}
			return
		}
	}
	t.Error("release.yaml does not run goreleaser")
}

func TestDependabotKnowsEveryModule(t *testing.T) {
	var file struct {
		Version int `yaml:"version"`
		Updates []struct {
			Ecosystem   string         `yaml:"package-ecosystem"`
			Directory   string         `yaml:"directory"`
			Directories []string       `yaml:"directories"`
			Schedule    map[string]any `yaml:"schedule"`
			Groups      map[string]any `yaml:"groups"`
		} `yaml:"updates"`
	}
	strictly(t, "dependabot.yml", read(t, ".github/dependabot.yml"), &file)
	var got []string
	for _, u := range file.Updates {
		if u.Ecosystem == "gomod" {
			got = append(got, u.Directories...)
		}
	}
	if want := modules(t); !slices.Equal(got, want) {
		t.Errorf("dependabot follows %v, the modules are %v", got, want)
	}
}

// modules returns the directories that hold a go.mod, sorted, the root as "/".
func modules(t *testing.T) []string {
	t.Helper()
	var dirs []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata"):
			return filepath.SkipDir
		case entry.Name() == "go.mod":
			relative, err := filepath.Rel(root, filepath.Dir(path))
			dirs = append(dirs, filepath.ToSlash(filepath.Join("/", relative)))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(dirs)
	return dirs
}

func TestIssueFormsAreWellFormed(t *testing.T) {
	for _, name := range []string{"bug.yaml", "feature.yaml"} {
		var form struct {
			Name        string   `yaml:"name"`
			Description string   `yaml:"description"`
			Labels      []string `yaml:"labels"`
			Body        []struct {
				Type       string `yaml:"type"`
				ID         string `yaml:"id"`
				Attributes struct {
					Label       string `yaml:"label"`
					Description string `yaml:"description"`
					Render      string `yaml:"render"`
				} `yaml:"attributes"`
				Validations struct {
					Required bool `yaml:"required"`
				} `yaml:"validations"`
			} `yaml:"body"`
		}
		strictly(t, name, read(t, ".github/ISSUE_TEMPLATE/"+name), &form)
		if form.Name == "" || form.Description == "" || len(form.Body) == 0 {
			t.Errorf("%s: want a name, a description and a body", name)
		}
		for _, field := range form.Body {
			if field.Type != "textarea" || field.ID == "" || field.Attributes.Label == "" {
				t.Errorf("%s: field %+v: want a type, an id and a label", name, field)
			}
		}
	}
}

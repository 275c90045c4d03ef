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

// workflows are the files in .github/workflows.
var workflows = []string{"ci.yaml", "nightly.yaml", "release.yaml"}

func TestWorkflows_PassActionlint(t *testing.T) {
	lint, err := actionlint.NewLinter(io.Discard, &actionlint.LinterOptions{WorkingDir: root})
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, ".github/workflows/*.yaml"))
	if err != nil || len(files) != len(workflows) {
		t.Fatalf("got workflows %q and error %v, want %q", files, err, workflows)
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
		Strategy struct {
			Matrix map[string][]string `yaml:"matrix"`
			Others map[string]any      `yaml:",inline"`
		} `yaml:"strategy"`
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

func TestWorkflows_PinActionsAndPermissions(t *testing.T) {
	pinned := regexp.MustCompile(`^[\w-]+/[\w-]+@v\d+(\.\d+\.\d+)?$`)
	for _, name := range workflows {
		w := workflowOf(t, name)
		if len(w.Permissions) != 1 || w.Permissions["contents"] != "read" {
			t.Errorf("%s: got permissions %v for every job, want contents: read", name, w.Permissions)
		}
		for job, j := range w.Jobs {
			for _, step := range j.Steps {
				if step.Uses != "" && !pinned.MatchString(step.Uses) {
					t.Errorf("%s: job %s uses %s, want a version that matches %s", name, job, step.Uses, pinned)
				}
			}
		}
	}
}

func TestCI_RunsTheProjectsCheck(t *testing.T) {
	steps := workflowOf(t, "ci.yaml").Jobs["test"].Steps
	if len(steps) == 0 || steps[len(steps)-1].Run != ".ci/run" {
		t.Errorf("ci.yaml: got steps %+v, want .ci/run as the last one", steps)
	}
	read(t, ".ci/run")
}

// Jobs run targets of the Makefile, so that developers can repeat them.
func TestWorkflows_RunMakeTargetsThatExist(t *testing.T) {
	makefile := string(read(t, "Makefile"))
	var ran []string
	check := func(name, target string) {
		target, _, _ = strings.Cut(target, " ")
		ran = append(ran, target)
		if !strings.Contains(makefile, "\n"+target+":") {
			t.Errorf("%s runs make %s, want a target of the Makefile", name, target)
		}
	}
	for _, name := range workflows {
		for _, job := range workflowOf(t, name).Jobs {
			for _, step := range job.Steps {
				target, ok := strings.CutPrefix(step.Run, "make ")
				switch {
				case ok && target == "${{ matrix.target }}":
					for _, target := range job.Strategy.Matrix["target"] {
						check(name, target)
					}
				case ok:
					check(name, target)
				}
			}
		}
	}
	for _, want := range []string{"race", "fuzz", "vuln", "chaos", "crash"} {
		if !slices.Contains(ran, want) {
			t.Errorf("workflows run make %q, want %s among them", ran, want)
		}
	}
}

// The tests check the release configuration with the version that reads it.
func TestRelease_RunsTheCheckedGoreleaser(t *testing.T) {
	gomod := string(read(t, "tools/go.mod"))
	for _, step := range workflowOf(t, "release.yaml").Jobs["release"].Steps {
		if strings.HasPrefix(step.Uses, "goreleaser/") {
			if !strings.Contains(gomod, "github.com/goreleaser/goreleaser/v2 "+step.With["version"]+"\n") {
				t.Errorf("release.yaml: got goreleaser %s, want the version in tools/go.mod", step.With["version"])
			}
			return
		}
	}
	t.Error("release.yaml: got no step with goreleaser, want one")
}

func TestDependabot_CoversEveryModule(t *testing.T) {
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
		t.Errorf("dependabot.yml: got directories %q, want %q", got, want)
	}
}

// modules returns the directories with a go.mod, sorted, the root as "/".
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

func TestIssueForms_AreComplete(t *testing.T) {
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
			t.Errorf("%s: got %+v, want a name, a description and a body", name, form)
		}
		for _, field := range form.Body {
			if field.Type != "textarea" || field.ID == "" || field.Attributes.Label == "" {
				t.Errorf("%s: got field %+v, want a textarea with an id and a label", name, field)
			}
		}
	}
}

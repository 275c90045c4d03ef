package tools_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/goreleaser/goreleaser/v2/pkg/config"
)

// release loads .goreleaser.yaml as goreleaser does. Unknown fields are errors.
func release(t *testing.T) config.Project {
	t.Helper()
	project, err := config.Load(filepath.Join(root, ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if project.Version != 2 {
		t.Fatalf("got version %d, want 2", project.Version)
	}
	return project
}

func build(t *testing.T, project config.Project, id string) config.Build {
	t.Helper()
	i := slices.IndexFunc(project.Builds, func(b config.Build) bool { return b.ID == id })
	if i < 0 {
		t.Fatalf("got no build %q, want one", id)
	}
	return project.Builds[i]
}

// platforms returns the os/arch pairs of a build.
func platforms(b config.Build) []string {
	var pairs []string
	for _, goos := range b.Goos {
		for _, goarch := range b.Goarch {
			pairs = append(pairs, goos+"/"+goarch)
		}
	}
	return pairs
}

// The schema of goreleaser marks deprecated fields.
func TestRelease_UsesNoDeprecatedFields(t *testing.T) {
	for _, field := range deprecated(reflect.ValueOf(release(t)), "") {
		t.Errorf("got deprecated field %s, want none", field)
	}
}

// deprecated returns the paths of all fields in v that are set and that their
// struct tags mark as deprecated.
func deprecated(v reflect.Value, path string) []string {
	var found []string
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			found = deprecated(v.Elem(), path)
		}
	case reflect.Slice:
		for i := range v.Len() {
			found = append(found, deprecated(v.Index(i), fmt.Sprintf("%s[%d]", path, i))...)
		}
	case reflect.Struct:
		for field, value := range v.Fields() {
			at := path + "." + field.Name
			if strings.Contains(field.Tag.Get("jsonschema"), "deprecated=true") && !value.IsZero() {
				found = append(found, at)
			}
			found = append(found, deprecated(value, at)...)
		}
	}
	return found
}

func TestRelease_BuildsBothProgramsStatically(t *testing.T) {
	project := release(t)
	want := map[string][]string{
		"watchhistory-recorder": {"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64"},
		"kubectl-watchhistory": {
			"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64",
		},
	}
	if len(project.Builds) != len(want) {
		t.Errorf("got %d builds, want %d", len(project.Builds), len(want))
	}
	for id, targets := range want {
		b := build(t, project, id)
		if got := platforms(b); !reflect.DeepEqual(got, targets) {
			t.Errorf("%s: got platforms %v, want %v", id, got, targets)
		}
		if !slices.Contains(b.Env, "CGO_ENABLED=0") || !slices.Contains([]string(b.Flags), "-trimpath") {
			t.Errorf("%s: got env %v and flags %v, want CGO_ENABLED=0 and -trimpath", id, b.Env, b.Flags)
		}
		if !strings.Contains(strings.Join(b.Ldflags, " "), "-X main.version=") {
			t.Errorf("%s: got ldflags %v, want -X main.version=…", id, b.Ldflags)
		}
		if !declaresVersion(t, b.Main) {
			t.Errorf("%s: got no variable version in a main package %s, want one", id, b.Main)
		}
	}
}

func TestRelease_ArchivesEveryBuild(t *testing.T) {
	project := release(t)
	archived := map[string]bool{}
	for _, a := range project.Archives {
		for _, id := range a.IDs {
			build(t, project, id)
			archived[id] = true
		}
		// krew accepts only archives with the licence.
		if !slices.ContainsFunc(a.Files, func(f config.File) bool { return f.Source == "LICENSE" }) {
			t.Errorf("archive %s: got files %v, want LICENSE among them", a.ID, a.Files)
		}
		for _, f := range a.Files {
			read(t, f.Source)
		}
	}
	for _, b := range project.Builds {
		if !archived[b.ID] {
			t.Errorf("got no archive with %s, want one", b.ID)
		}
	}
}

func TestReleaseImage_IsTheOneInTheManifests(t *testing.T) {
	image := release(t).DockersV2[0]
	var kustomization struct {
		Images []struct {
			Name   string `yaml:"name"`
			NewTag string `yaml:"newTag"`
		} `yaml:"images"`
		Others map[string]any `yaml:",inline"`
	}
	strictly(t, "kustomization.yaml", read(t, "deploy/base/kustomization.yaml"), &kustomization)
	if got := kustomization.Images[0].Name; !slices.Contains(image.Images, got) {
		t.Errorf("manifests: got image %s, want one of the released %v", got, image.Images)
	}
	tag := kustomization.Images[0].NewTag
	if !slices.Contains(image.Tags, "v{{ .Version }}") || !strings.HasPrefix(tag, "v") {
		t.Errorf("manifests: got tag %s, want one of the released %v", tag, image.Tags)
	}
	recorder := build(t, release(t), "watchhistory-recorder")
	for _, p := range image.Platforms {
		if !slices.Contains(platforms(recorder), p) {
			t.Errorf("got an image for %s without a build, want both", p)
		}
	}
}

// goreleaser builds the image in a directory that contains only extra_files.
func TestReleaseImage_HasAllCopiedFiles(t *testing.T) {
	image := release(t).DockersV2[0]
	for _, f := range image.ExtraFiles {
		if _, err := os.Stat(filepath.Join(root, f)); err != nil {
			t.Error(err)
		}
	}
	for _, source := range copied(t) {
		if !slices.Contains(image.ExtraFiles, source) {
			t.Errorf("got extra_files %v, want %s, which the Dockerfile copies", image.ExtraFiles, source)
		}
	}
}

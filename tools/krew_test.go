package tools_test

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/goreleaser/goreleaser/v2/pkg/config"
)

// plugin is a manifest of krew. Its fields are described in
// https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest.
type plugin struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name string `yaml:"name"`
	} `yaml:"metadata"`
	Spec struct {
		Version          string     `yaml:"version"`
		Homepage         string     `yaml:"homepage"`
		ShortDescription string     `yaml:"shortDescription"`
		Description      string     `yaml:"description"`
		Caveats          string     `yaml:"caveats"`
		Platforms        []platform `yaml:"platforms"`
	} `yaml:"spec"`
}

type platform struct {
	URI      string `yaml:"uri"`
	SHA256   string `yaml:"sha256"`
	Bin      string `yaml:"bin"`
	Selector struct {
		MatchLabels map[string]string `yaml:"matchLabels"`
	} `yaml:"selector"`
}

const tag = "v1.2.3"

// manifest executes the template as krew-release-bot does. The bot indents with
// four spaces.
func manifest(t *testing.T) plugin {
	t.Helper()
	fill := func(text string) string {
		var b bytes.Buffer
		functions := template.FuncMap{"addURIAndSha": func(url, tag string) (string, error) {
			var uri bytes.Buffer
			parsed, err := template.New("uri").Parse(url)
			if err != nil {
				return "", err
			}
			err = parsed.Execute(&uri, map[string]string{"TagName": tag})
			return fmt.Sprintf("uri: %s\n    sha256: %064x", &uri, uri.Len()), err
		}}
		parsed, err := template.New("krew").Option("missingkey=error").Funcs(functions).Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := parsed.Execute(&b, map[string]string{"TagName": tag}); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	var p plugin
	strictly(t, "krew/watchhistory.yaml", []byte(fill(string(read(t, "krew/watchhistory.yaml")))), &p)
	return p
}

// krew refuses a manifest that breaks one of these rules.
func TestKrewManifest_IsValid(t *testing.T) {
	p := manifest(t)
	if p.APIVersion != "krew.googlecontainertools.github.com/v1alpha2" || p.Kind != "Plugin" {
		t.Errorf("got %s %s, want krew.googlecontainertools.github.com/v1alpha2 Plugin", p.APIVersion, p.Kind)
	}
	if p.Metadata.Name != "watchhistory" {
		t.Errorf("got name %q, want watchhistory, the name of the file", p.Metadata.Name)
	}
	if p.Spec.Version != tag || !regexp.MustCompile(`^v\d+\.\d+\.\d+$`).MatchString(p.Spec.Version) {
		t.Errorf("got version %q, want %s", p.Spec.Version, tag)
	}
	if d := p.Spec.ShortDescription; d == "" || strings.ContainsAny(d, "\r\n") || len(d) > 50 {
		t.Errorf("got short description %q, want one line of at most 50 characters", d)
	}
	if p.Spec.Homepage == "" || p.Spec.Description == "" {
		t.Errorf("got homepage %q and description %q, want both", p.Spec.Homepage, p.Spec.Description)
	}
	for _, p := range p.Spec.Platforms {
		if p.Bin == "" || p.URI == "" || !regexp.MustCompile(`^[a-f0-9]{64}$`).MatchString(p.SHA256) {
			t.Errorf("got platform %+v, want bin, uri and a sha256", p)
		}
		for key := range p.Selector.MatchLabels {
			if key != "os" && key != "arch" {
				t.Errorf("got selector %q, want os or arch", key)
			}
		}
	}
}

// The manifest lists exactly the archives of the plugin that a release makes.
func TestKrewManifest_ListsReleasedArchives(t *testing.T) {
	project := release(t)
	i := slices.IndexFunc(project.Archives, func(a config.Archive) bool { return a.ID == "kubectl-watchhistory" })
	a := project.Archives[i]
	var want []string
	for _, target := range platforms(build(t, project, "kubectl-watchhistory")) {
		goos, goarch := path.Split(target)
		want = append(want, released(t, a, strings.TrimSuffix(goos, "/"), goarch))
	}
	var got []string
	for _, p := range manifest(t).Spec.Platforms {
		got = append(got, strings.Join([]string{
			p.Selector.MatchLabels["os"], p.Selector.MatchLabels["arch"], p.Bin, p.URI,
		}, " "))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got archives\n%s\nwant those of the release\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// released returns the archive of one platform as the manifest describes it.
func released(t *testing.T, a config.Archive, goos, goarch string) string {
	t.Helper()
	name, err := template.New("name").Parse(a.NameTemplate)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := name.Execute(&b, map[string]string{"Tag": tag, "Os": goos, "Arch": goarch}); err != nil {
		t.Fatal(err)
	}
	binary, format := "kubectl-watchhistory", a.Formats[0]
	for _, o := range a.FormatOverrides {
		if o.Goos == goos {
			format = o.Formats[0]
		}
	}
	if goos == "windows" {
		binary += ".exe"
	}
	return fmt.Sprintf("%s %s %s https://github.com/watchhistory/watchhistory/releases/download/%s/%s.%s",
		goos, goarch, binary, tag, &b, format)
}

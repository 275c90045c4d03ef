package language_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/watchhistory/watchhistory/pkg/rig/language"
)

func TestRepository_LinksLeadSomewhere(t *testing.T) {
	checked := 0
	walk(t, func(name string, src []byte) {
		if filepath.Ext(name) != ".md" {
			if filepath.Dir(name) == filepath.Join("pkg", "rig", "language") {
				return // its tests name pages that do not exist
			}
			for _, link := range language.GoLinks(src) {
				checked++
				checkLink(t, name, ".", link)
			}
			return
		}
		for _, link := range language.MarkdownLinks(src) {
			checked++
			if link.Path == "" {
				link.Path = filepath.Base(name)
			}
			checkLink(t, name, filepath.Dir(name), link)
		}
	})
	if checked < 100 {
		t.Errorf("checked %d links, want at least 100", checked)
	}
}

// Pages explain the code by its files, so a page is wrong if a file is renamed.
func TestRepository_PagesNameExistingFiles(t *testing.T) {
	checked := 0
	walk(t, func(name string, src []byte) {
		if filepath.Ext(name) != ".md" {
			return
		}
		for _, link := range language.PageFiles(src) {
			checked++
			found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(link.Path)))
			if err != nil || len(found) == 0 {
				t.Errorf("%s:%d: got no file %s (error %v), want one", name, link.Line, link.Path, err)
			}
		}
	})
	if checked < 50 {
		t.Errorf("checked %d files, want at least 50", checked)
	}
}

func TestPageFiles_FindsCodeInBackquotes(t *testing.T) {
	src := "`pkg/a/b*.go`, pkg/c and `go test ./pkg/d`\n```\n`pkg/e`\n```\n`pkg/cmd_NAME.go`\n"
	want := []language.Link{{Line: 1, Path: "pkg/a/b*.go"}}
	if diff := cmp.Diff(want, language.PageFiles([]byte(src))); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func checkLink(t *testing.T, name, dir string, link language.Link) {
	t.Helper()
	target := filepath.Join(root, dir, filepath.FromSlash(link.Path))
	if _, err := os.Stat(target); err != nil {
		t.Errorf("%s:%d: got no file %s, want one", name, link.Line, link.Path)
		return
	}
	if link.Anchor == "" {
		return
	}
	src, err := os.ReadFile(target)
	if err != nil {
		t.Fatal(err)
	}
	if anchors := language.Anchors(src); !slices.Contains(anchors, link.Anchor) {
		t.Errorf("%s:%d: got headings %q in %s, want %q", name, link.Line, anchors, link.Path, link.Anchor)
	}
}

func TestMarkdownLinks_FindsLocalLinks(t *testing.T) {
	src := "See [a](b.md#c) and [d](#e).\n```\n[code](no.md)\n```\n[web](https://example.com/x.md)\n"
	want := []language.Link{{Line: 1, Path: "b.md", Anchor: "c"}, {Line: 1, Anchor: "e"}}
	if diff := cmp.Diff(want, language.MarkdownLinks([]byte(src))); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
}

func TestGoLinks_FindsPages(t *testing.T) {
	src := "package a\n\n// See docs/design/0001-x.md.\nvar page = \"../../docs/no.md\"\n"
	want := []language.Link{{Line: 3, Path: "docs/design/0001-x.md"}, {Line: 4, Path: "docs/no.md"}}
	if diff := cmp.Diff(want, language.GoLinks([]byte(src))); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
}

func TestAnchors_AreThoseOfGitHub(t *testing.T) {
	src := "# The REST API\n\n## One object: /api/v1/events/{name}\n\n```\n# code\n```\n\n### up and `down`\n"
	want := []string{"the-rest-api", "one-object-apiv1eventsname", "up-and-down"}
	if diff := cmp.Diff(want, language.Anchors([]byte(src))); diff != "" {
		t.Errorf("anchors (-want +got):\n%s", diff)
	}
}

package layout_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../../.."

// sources are the names that the documentation may use.
type sources struct {
	files map[string]bool   // names without directories
	words map[string]bool   // identifiers and other words of Go files and the Makefile
	tests map[string]string // names of tests, benchmarks and fuzz targets in a directory, each followed by a line feed
	pages map[string]string // Markdown files, relative to the root
}

// readSources reads the repository.
func readSources(t *testing.T) sources {
	t.Helper()
	s := sources{map[string]bool{}, map[string]bool{}, map[string]string{}, map[string]string{}}
	word := regexp.MustCompile(`[A-Za-z_]\w*`)
	declaration := regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)\w+)\(`)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			skipped := []string{"bin", "dist", "node_modules"}
			if name := entry.Name(); path != root && (strings.HasPrefix(name, ".") || slices.Contains(skipped, name)) {
				return filepath.SkipDir
			}
			return nil
		}
		s.files[entry.Name()] = true
		isGo, isPage := filepath.Ext(path) == ".go", filepath.Ext(path) == ".md"
		if !isGo && !isPage && entry.Name() != "Makefile" {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if isPage {
			s.pages[filepath.ToSlash(name)] = string(src)
			return err
		}
		for _, w := range word.FindAllString(string(src), -1) {
			s.words[w] = true
		}
		for _, m := range declaration.FindAllStringSubmatch(string(src), -1) {
			s.tests[filepath.ToSlash(filepath.Dir(name))] += m[1] + "\n"
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestDocs_NameWhatExists fails if the documentation names a file, a directory
// or a test that does not exist. Only backquoted text counts, without blocks of
// code. contributing.md must also name no identifier that does not exist.
func TestDocs_NameWhatExists(t *testing.T) {
	s := readSources(t)
	if len(s.pages) < 20 {
		t.Fatalf("got %d pages, want at least 20", len(s.pages))
	}
	block, code := regexp.MustCompile("(?s)```.*?```"), regexp.MustCompile("`([^`]+)`")
	located := regexp.MustCompile("`(Test\\w+)`\\s+in\\s+`(pkg/[\\w/]+)`")
	for page, text := range s.pages {
		text = block.ReplaceAllString(text, "")
		for _, m := range code.FindAllStringSubmatch(text, -1) {
			if !s.has(m[1], page == "docs/contributing.md") {
				t.Errorf("%s: got `%s`, which does not exist, want a name that does", page, m[1])
			}
		}
		for _, m := range located.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(s.tests[m[2]], m[1]+"\n") {
				t.Errorf("%s: got `%s` in `%s`, which has no such test, want the package that has it", page, m[1], m[2])
			}
		}
	}
}

// has reports whether a backquoted text names nothing of the repository, or
// something that exists. identifiers means that every word is a name.
func (s *sources) has(text string, identifiers bool) bool {
	examples := map[string]bool{
		"pkg/cli/cmd_NAME.go": true, "TestUnit_Condition": true, "helpers": true, "status.lastPingTime": true,
	}
	switch {
	case examples[text]:
		return true
	case regexp.MustCompile(`^(pkg|cmd|tools|plugins|deploy|docs|krew)/[\w./-]+$`).MatchString(text):
		_, err := os.Stat(filepath.Join(root, text))
		return err == nil
	case regexp.MustCompile(`^\w+\.(go|md)$`).MatchString(text):
		return s.files[text]
	case regexp.MustCompile(`^(Test|Benchmark|Fuzz)[A-Z]\w*$`).MatchString(text):
		for _, names := range s.tests {
			if strings.Contains("\n"+names, "\n"+text+"\n") {
				return true
			}
		}
		return false
	case identifiers && regexp.MustCompile(`^[A-Za-z_]\w*(\.[A-Za-z_]\w*)?$`).MatchString(text):
		for word := range strings.SplitSeq(text, ".") {
			if !s.words[word] {
				return false
			}
		}
	}
	return true
}

// TestMakefile_SkipsTestsThatExist fails if make test-fast skips a test that
// was removed or renamed.
func TestMakefile_SkipsTestsThatExist(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	s, skipped := readSources(t), 0
	assignment := regexp.MustCompile(`(?m)^SLOW := (?:\$\(SLOW\)\|)?(.*)$`)
	group := regexp.MustCompile(`(\w+)(?:\(([\w|]+)\))?`)
	for _, line := range assignment.FindAllStringSubmatch(string(makefile), -1) {
		for _, m := range group.FindAllStringSubmatch(line[1], -1) {
			for end := range strings.SplitSeq(m[2], "|") {
				if name := "Test" + m[1] + end; !s.has(name, false) {
					t.Errorf("make test-fast: got SLOW with %s, which does not exist, want the name of a test", name)
				}
				skipped++
			}
		}
	}
	if skipped < 20 {
		t.Errorf("got %d tests that make test-fast skips, want at least 20: is SLOW read?", skipped)
	}
}

// TestArchitecture_ListsEveryPackage fails if a package has no row in the table
// of docs/architecture.md. Packages inside of others belong to their row.
func TestArchitecture_ListsEveryPackage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		parts := strings.Split(name, "/")
		if parts[0] != "pkg" {
			continue
		}
		length := 2
		if parts[1] == "internal" {
			length = 3
		}
		if name = strings.Join(parts[:length], "/"); !strings.Contains(string(page), "\n| `"+name+"` |") {
			t.Errorf("docs/architecture.md: got no row of `%s`, want one", name)
		}
	}
}

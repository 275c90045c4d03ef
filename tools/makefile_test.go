package tools_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A go test command whose -run matches no test passes without running any. So
// every name that the Makefile selects must exist.
func TestMakefile_SelectsTestsThatExist(t *testing.T) {
	command := regexp.MustCompile(`go test .*`)
	selection := regexp.MustCompile(`-(run|bench) '?([^' ]+)'?`)
	packages := regexp.MustCompile(`\./(pkg/\S+)`)
	selected := 0
	for _, line := range command.FindAllString(string(read(t, "Makefile")), -1) {
		of := packages.FindStringSubmatch(line)
		for _, m := range selection.FindAllStringSubmatch(line, -1) {
			pattern := strings.ReplaceAll(m[2], "$$", "$")
			if of == nil || strings.Contains(of[1], "...") || pattern == "^$" || strings.Contains(pattern, "target") {
				continue
			}
			selected++
			prefix := map[string]string{"run": "Test", "bench": "Benchmark"}[m[1]]
			if !selects(t, of[1], prefix, pattern) {
				t.Errorf("Makefile: got no %s in %s that matches %s, want one", prefix, of[1], pattern)
			}
		}
	}
	if selected < 5 {
		t.Errorf("got %d selections in the Makefile, want at least 5", selected)
	}
}

// selects reports whether each alternative of a pattern matches a test or
// benchmark in the directory.
func selects(t *testing.T, dir, prefix, pattern string) bool {
	t.Helper()
	var names []string
	files, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	declaration := regexp.MustCompile(`(?m)^func (` + prefix + `\w+)\(`)
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range declaration.FindAllStringSubmatch(string(src), -1) {
			names = append(names, m[1])
		}
	}
	for _, one := range alternatives(pattern) {
		matches := regexp.MustCompile(one)
		found := false
		for _, name := range names {
			found = found || matches.MatchString(name)
		}
		if !found {
			return false
		}
	}
	return true
}

// alternatives splits ^Test(A|B)$ into ^TestA$ and ^TestB$.
func alternatives(pattern string) (all []string) {
	before, rest, found := strings.Cut(pattern, "(")
	inner, after, closed := strings.Cut(rest, ")")
	if !found || !closed {
		return []string{pattern}
	}
	for one := range strings.SplitSeq(inner, "|") {
		all = append(all, before+one+after)
	}
	return all
}

package language_test

import (
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/watchhistory/watchhistory/pkg/rig/language"
)

var update = flag.Bool("update", false, "remove converted directories from testdata/unconverted.txt")

const (
	root        = "../../.."
	unconverted = "testdata/unconverted.txt"
)

func TestRepository_FollowsTheRules(t *testing.T) {
	found, files := checkRepository(t)
	if files < 300 {
		t.Fatalf("checked %d files, want the whole repository: at least 300", files)
	}
	listed := readList(t)
	byDir := map[string][]language.Finding{}
	for _, f := range found {
		dir := filepath.ToSlash(filepath.Dir(f.File))
		byDir[dir] = append(byDir[dir], f)
	}
	remaining := slices.DeleteFunc(slices.Clone(listed), func(dir string) bool { return len(byDir[dir]) == 0 })
	if *update {
		writeList(t, remaining)
		listed = remaining
	}
	for _, dir := range listed {
		if len(byDir[dir]) == 0 {
			t.Errorf("%s lists %s, which has 0 findings, want at least 1: run go test ./pkg/rig/language -update",
				unconverted, dir)
		}
		delete(byDir, dir)
	}
	for _, dir := range slices.Sorted(maps.Keys(byDir)) {
		for _, f := range byDir[dir] {
			t.Errorf("%v", f)
		}
	}
}

// checkRepository returns the findings in all Go and Markdown files, and the
// number of those files. Paths are relative to the root.
func checkRepository(t *testing.T) (found []language.Finding, files int) {
	t.Helper()
	walk(t, func(name string, src []byte) {
		files++
		if filepath.Ext(name) == ".md" {
			found = append(found, language.CheckMarkdown(name, src)...)
			return
		}
		got, err := language.CheckGo(name, src)
		if err != nil {
			t.Error(err)
		}
		found = append(found, got...)
		// Tests quote other programs, and the table of phrases has all of them.
		if strings.HasSuffix(name, "_test.go") || filepath.Dir(name) == filepath.Join("pkg", "rig", "language") {
			return
		}
		got, err = language.CheckStrings(name, src)
		if err != nil {
			t.Error(err)
		}
		found = append(found, got...)
	})
	return found, files
}

// walk calls f for every Go and Markdown file of the repository. Names are
// relative to the root.
func walk(t *testing.T, f func(name string, src []byte)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skipDir(path, entry.Name())
		}
		if ext := filepath.Ext(path); ext != ".go" && ext != ".md" {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err == nil {
			f(name, src)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// skipDir skips build outputs, dot directories other than .github, and data.
func skipDir(path, name string) error {
	hidden := strings.HasPrefix(name, ".") && name != ".github"
	if path != root && (hidden || slices.Contains([]string{"testdata", "bin", "dist", "node_modules"}, name)) {
		return filepath.SkipDir
	}
	return nil
}

func readList(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile(unconverted)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(data))
}

func writeList(t *testing.T, dirs []string) {
	t.Helper()
	text := ""
	for _, dir := range dirs {
		text += dir + "\n"
	}
	if err := os.WriteFile(unconverted, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCheckGo_Width(t *testing.T) {
	tests := []struct {
		name, line string
		want       []string
	}{
		{"80 columns", "// " + strings.Repeat("x", 77), nil},
		{"81 columns", "// " + strings.Repeat("x", 78), []string{"a.go:2: comment of 81 columns, want at most 80"}},
		{"characters, not bytes", "// " + strings.Repeat("é", 77), nil},
		{"URL", "// https://example.com/" + strings.Repeat("x", 78), nil},
		{"directive", "//go:generate " + strings.Repeat("x", 78), nil},
		{"JSON", `// {"` + strings.Repeat("x", 78) + `":1}`, nil},
		{"indented block", "//\t" + strings.Repeat("x", 78), nil},
		{"list item", "//   - " + strings.Repeat("x", 78), []string{"a.go:2: comment of 85 columns, want at most 80"}},
		{
			"general comment", "/*\n" + strings.Repeat("x", 81) + "\n*/",
			[]string{"a.go:3: comment of 81 columns, want at most 80"},
		},
		{
			"tab of 4 columns", "func f() {\n\t// " + strings.Repeat("x", 74) + "\n}",
			[]string{"a.go:3: comment of 81 columns, want at most 80"},
		},
		{"after code, 120 columns", "var x = 1 // " + strings.Repeat("x", 107), nil},
		{
			"after code, 121 columns", "var x = 1 // " + strings.Repeat("x", 108),
			[]string{"a.go:2: comment of 121 columns, want at most 120"},
		},
		{"directive after code", "var x = 1 //nolint:x // " + strings.Repeat("x", 108), nil},
		{"string, not comment", "var x = `//" + strings.Repeat("x", 90) + "`", nil},
		{"code, 120 columns", `var x = "` + strings.Repeat("x", 110) + `"`, nil},
		{
			"code, 121 columns", `var x = "` + strings.Repeat("x", 111) + `"`,
			[]string{"a.go:2: code of 121 columns, want at most 120"},
		},
		{
			"code before a directive", `var x = "` + strings.Repeat("x", 111) + `" //nolint:x`,
			[]string{"a.go:2: code of 121 columns, want at most 120"},
		},
		{
			"first line of a raw string", "var x = `" + strings.Repeat("x", 112) + "\n`",
			[]string{"a.go:2: code of 121 columns, want at most 120"},
		},
		{"other lines of a raw string", "var x = `\n" + strings.Repeat(strings.Repeat("x", 121)+"\n", 2) + "`", nil},
		{
			"after a raw string", "var x = `\n`\nvar y = `" + strings.Repeat("x", 111) + "`",
			[]string{"a.go:4: code of 121 columns, want at most 120"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			compare(t, checkGo(t, "package a\n"+test.line+"\n"), test.want)
		})
	}
}

func TestCheckGo_IgnoresGeneratedFiles(t *testing.T) {
	src := "// Code generated by x. DO NOT EDIT.\n\npackage a\n\n// Begins anew.\n"
	compare(t, checkGo(t, src), nil)
}

func TestCheckGo_Phrases(t *testing.T) {
	src := "package a\n\n// It is at the\n// most 3. Written Anew.\n" +
		"var s = \"anew\" // besides, `anew` and \"beside\" are quoted\n"
	compare(t, checkGo(t, src), []string{
		`a.go:4: "Anew", write: again`,
		`a.go:3: "at the most", write: at most`,
	})
}

func TestCheckStrings_Phrases(t *testing.T) {
	src := "package a\n\nvar s = `\nIt is written\nanew.\n`\nvar r = \"it is \\\"anew\\\", " +
		"beside\"\nvar t = \"anew text\"\n// anew\n"
	found, err := language.CheckStrings("a.go", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`a.go:5: "anew", write: again`, `a.go:7: "beside", write: next to, concurrently with`}
	compare(t, found, want)
}

func TestCheckMarkdown_Phrases(t *testing.T) {
	src := "# Title\n\nIt tells whether.\n\n```\nbeside\n```\n\n`beside`\n\nBeside it.\n"
	compare(t, language.CheckMarkdown("a.md", []byte(src)), []string{
		`a.md:11: "Beside", write: next to, concurrently with`,
		`a.md:3: "tells whether", write: reports, shows`,
	})
}

func TestCheckMarkdown_AllowsPhraseAfterWord(t *testing.T) {
	src := "Nil if there is\nnone. It is none. There is none.\n"
	compare(t, language.CheckMarkdown("a.md", []byte(src)), []string{`a.md:2: "is none", write: there is no`})
}

// Every phrase is found, so that no pattern is without effect.
func TestPhrases_AreFound(t *testing.T) {
	examples := []string{
		"anew", "beside", "at the most", "tell whether", "stands for", "is none", "is no fault",
		"as good as", "goes by",
		"of which nothing", "as of", "what stands", "stands there", "for want of", "ahead of", "whoever",
		"lies behind", "mended", "makes up for", "passed over", "is told of", "nobody", "in force", "once more",
		"as a whole", "for good", "by itself", "server knows", "asks for", "says that", "if need be", "where there is",
		"comes to", "of its own accord", "has it that", "hence",
	}
	phrases := language.Phrases()
	if got, want := len(phrases), len(examples); got != want {
		t.Fatalf("got %d phrases, want %d, one per example", got, want)
	}
	for i, p := range phrases {
		found := fmt.Sprint(language.CheckMarkdown("a.md", []byte("x "+examples[i]+" y")))
		if want := "write: " + p.Instead; !strings.Contains(found, want) {
			t.Errorf("%q: got %s, want a finding with %q", examples[i], found, want)
		}
	}
}

func checkGo(t *testing.T, src string) []language.Finding {
	t.Helper()
	found, err := language.CheckGo("a.go", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func compare(t *testing.T, found []language.Finding, want []string) {
	t.Helper()
	var got []string
	for _, f := range found {
		got = append(got, f.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

package report_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/renderer/html"
	xhtml "golang.org/x/net/html"

	"github.com/watchhistory/watchhistory/pkg/internal/printable"
	"github.com/watchhistory/watchhistory/pkg/report"
)

// TestWriteMarkdown_MatchesGolden writes reports on recorded incidents.
func TestWriteMarkdown_MatchesGolden(t *testing.T) {
	for _, name := range []string{"configmap-edited", "changed-in-gap", "deployment-deleted", "two-writers"} {
		got := markdown(t, gather(t, name))
		path := filepath.Join("testdata", name+".md")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s: got another report (-want +got):\n%s", name, diff)
		}
	}
}

// TestWriteMarkdown_BeginsWithWhatIsNotRecorded checks that a gap is above
// everything that it may have hidden.
func TestWriteMarkdown_BeginsWithWhatIsNotRecorded(t *testing.T) {
	got := markdown(t, gather(t, "changed-in-gap"))
	last := -1
	for _, want := range []string{
		"\n## What is not recorded\n", "\n- Gap: ", "\n## What is wrong\n", "\n## Changes\n",
		"\n## Before and after\n", "\n## Deleted objects\n",
	} {
		at := strings.Index(got, want)
		if at <= last {
			t.Errorf("got %q at %d, want it after %d in:\n%s", want, at, last, got)
		}
		last = at
	}
}

// TestWriteMarkdown_IsBounded checks that a large report has at most 1 MiB, and
// names what was left out: the oldest rows.
func TestWriteMarkdown_IsBounded(t *testing.T) {
	r := hostile("@<|>" + strings.Repeat("long_", 300))
	row, problem, stat, deleted := r.Rows[0], r.Problems[0], r.Compared.Stats[0], r.Deleted[0]
	gap := r.Coverage.Gaps[0]
	r.Rows, r.Problems, r.Compared.Stats, r.Deleted, r.Coverage.Gaps = nil, nil, nil, nil, nil
	for i := range 10_000 {
		row.Start = now.Add(time.Duration(i-10_000) * time.Minute)
		row.Summary = fmt.Sprintf("n%d %s", i, strings.Repeat("*", 500))
		r.Rows = append(r.Rows, row)
		r.Problems = append(r.Problems, problem)
		r.Compared.Stats = append(r.Compared.Stats, stat)
		r.Deleted = append(r.Deleted, deleted)
		if gap.Start = gap.Start.Add(time.Hour); i < 500 {
			r.Coverage.Gaps = append(r.Coverage.Gaps, gap)
		}
	}
	got := markdown(t, r)
	if len(got) > 1<<20 {
		t.Errorf("got %d bytes, want at most %d", len(got), 1<<20)
	}
	for _, want := range []string{
		"older rows left out.", "older changes left out.", "further objects with a problem left out.",
		"further lines left out.", "further objects left out.", "Further deleted objects left out.", " n9999 ",
	} {
		if !strings.Contains(got, strings.TrimSpace(want)) {
			t.Errorf("got no %q, want it", want)
		}
	}
	if strings.Contains(got, "| n0 ") {
		t.Error("got the oldest row, want the newest ones")
	}
}

// hostiles are texts that try to become more than text.
var hostiles = []string{
	"x", "|", "a|b\\|c", "`code` ``", "```", "~~~\n```", "<script>alert(1)</script>", "<!-- x",
	"</details></summary>", "@team please", "user@example.com", "https://evil.example/x", "www.evil.example",
	"[a](https://evil.example)", "![a](b)", "[a]: https://evil.example", "<https://evil.example>",
	"owner/repo#12", "#12", "GH-12", "**bold** _it_ ~~no~~", "# heading", "- list", "1. list", "> quote",
	"---", "===", "\n\n# new paragraph", "\ttab", "    code", "&lt;b&gt; &#64;team &commat;team", "$x$ $$y$$",
	":tada: 12:30:45", "e91ab04c55", "\u202eabc\x1b[31m\x00", "- [ ] task", "| a | b |\n| - | - |", "\\",
	"trailing\\", "{{x}}", "<a href='x'>", "'\"", "<span>", "mailto:a@b.example", "\r\n```\r\n<b>",
	"\u2028<b>", "*", "_", "a_b_c", "::", "</code>", "﷽", "=", "+ x", "<br>", "]]>", "<?php", "<![CDATA[",
}

// TestWriteMarkdown_KeepsTextAsText checks that no field of a report becomes
// markup, whatever it contains.
func TestWriteMarkdown_KeepsTextAsText(t *testing.T) {
	for _, text := range hostiles {
		checkMarkdown(t, text)
	}
}

// FuzzWriteMarkdown is TestWriteMarkdown_KeepsTextAsText for any text.
func FuzzWriteMarkdown(f *testing.F) {
	for _, text := range hostiles {
		f.Add(text)
	}
	f.Fuzz(checkMarkdown)
}

// checkMarkdown compares a report whose texts are hostile with one whose texts
// are a word: GitHub's Markdown must have the same elements.
func checkMarkdown(t *testing.T, text string) {
	t.Helper()
	line := printable.Line(text)
	if line == "" {
		return // a report without texts has other parts
	}
	got, texts := elements(t, markdown(t, hostile(text)))
	want, _ := elements(t, markdown(t, hostile("word")))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%+q: got other elements (-want +got):\n%s", text, diff)
	}
	for _, shown := range texts {
		if m := linked.FindString(shown); m != "" {
			t.Errorf("%+q: got the text %q with %q, want a text that no platform links", text, shown, m)
		}
	}
	if all := strings.Join(texts, ""); len([]rune(line)) < 200 && !strings.Contains(all, line) {
		t.Errorf("%+q: got the texts %q, want them to have it", text, all)
	}
}

// linked is what platforms turn into a link or a mention within one text.
var linked = regexp.MustCompile(`(?i)@\w|www\.\w|\w://|#\d|\bgh-\d|:(?:\d{3,}|[\w+-]*[a-z_+-][\w+-]*):`)

// elements returns the elements of a page in Markdown as GitHub renders it, and
// its texts outside of code.
func elements(t *testing.T, page string) (names, texts []string) {
	t.Helper()
	var out bytes.Buffer
	md := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithRendererOptions(html.WithUnsafe()))
	if err := md.Convert([]byte(page), &out); err != nil {
		t.Fatal(err)
	}
	code := 0
	for z := xhtml.NewTokenizer(&out); ; {
		kind := z.Next()
		if kind == xhtml.ErrorToken {
			return names, texts
		}
		switch token := z.Token(); {
		case kind == xhtml.TextToken && code == 0:
			texts = append(texts, token.Data)
		case kind == xhtml.TextToken || token.Data == "span" && len(token.Attr) == 0:
		default:
			names = append(names, token.String())
			if token.Data == "code" || token.Data == "pre" {
				code += map[xhtml.TokenType]int{xhtml.StartTagToken: 1, xhtml.EndTagToken: -1}[kind]
			}
		}
	}
}

// TestHostile_HasTextEverywhere checks that the report of these tests has the
// text in each field, also in those that are added later.
func TestHostile_HasTextEverywhere(t *testing.T) {
	const text = "needle"
	r := hostile(text)
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if v.Type() != reflect.TypeFor[*time.Location]() && !v.IsNil() {
				walk(path, v.Elem())
			}
		case reflect.Struct:
			if v.Type() == reflect.TypeFor[time.Time]() {
				return
			}
			for i := range v.NumField() {
				walk(path+"."+v.Type().Field(i).Name, v.Field(i))
			}
		case reflect.Slice:
			if v.Len() == 0 {
				t.Errorf("%s: got an empty list, want one with the text", path)
			}
			if v.Type().Elem().Kind() == reflect.Uint8 {
				return
			}
			for i := range v.Len() {
				walk(path, v.Index(i))
			}
		case reflect.Map:
			for _, key := range v.MapKeys() {
				walk(path, v.MapIndex(key))
			}
		case reflect.String:
			if !strings.Contains(v.String(), text) && !enumerated.MatchString(path) {
				t.Errorf("%s: got %q, want the text in it", path, v.String())
			}
		}
	}
	walk("", reflect.ValueOf(*r))
}

// markdown returns a report in Markdown.
func markdown(t *testing.T, r *report.Report) string {
	t.Helper()
	var out bytes.Buffer
	if err := report.WriteMarkdown(&out, r); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

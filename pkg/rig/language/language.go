package language

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

const (
	// commentWidth is the limit for lines that contain only a comment.
	commentWidth = 80
	// codeWidth is the limit for code, and for comments that follow code on
	// their line.
	codeWidth = 120
	tabWidth  = 4
)

// A Phrase is wording that the project does not use.
type Phrase struct {
	// Pattern is a regular expression. It matches whole words in any case.
	Pattern string
	// Instead is what to write.
	Instead string
	// FineAfter is a word after which the wording is fine. Empty means none.
	FineAfter string
}

// Phrases returns the phrases that comments and pages must not contain.
func Phrases() []Phrase {
	return []Phrase{
		{Pattern: `anew`, Instead: "again"},
		{Pattern: `beside`, Instead: "next to, concurrently with"},
		{Pattern: `at the most`, Instead: "at most"},
		{Pattern: `tells? (whether|why|when|what|how|it|them|us)`, Instead: "reports, shows"},
		{Pattern: `stands? for`, Instead: "means"},
		{Pattern: `(is|was) none`, Instead: "there is no", FineAfter: "there"},
		// Not "is no longer", "no later", "no more", "no need".
		{Pattern: `(is|are|was|were) no ([a-ko-z]\w*)`, Instead: "is not a, does not have", FineAfter: "there"},
		{Pattern: `as good as`, Instead: "the same as, or name the effect"},
		{Pattern: `go(es)? by`, Instead: "uses, follows"},
		{Pattern: `of which nothing`, Instead: "name the thing"},
		{Pattern: `as of`, Instead: "since, from"},
		{Pattern: `what (stands|is kept|is said|is left|remains)`, Instead: "name the thing"},
		{Pattern: `stands? (there|here|above|below|on|in|until|beside)`, Instead: "is, name the state"},
		{Pattern: `for want of`, Instead: "without, because there is no"},
		{Pattern: `ahead of`, Instead: "before"},
		{Pattern: `whoever`, Instead: "name the actor"},
		{Pattern: `(stands?|comes?|continues?|lies|lie|just|goes|right|left|leaves?) behind`, Instead: "after"},
		{Pattern: `mend(s|ed|ing)?`, Instead: "fix, repair"},
		{Pattern: `makes? up for`, Instead: "recovers, fills"},
		{Pattern: `passed over`, Instead: "ignored"},
		{Pattern: `is told (of|to|by)`, Instead: "receives, is configured to"},
		{Pattern: `(no|some|any|every)body`, Instead: "name the actor"},
		{Pattern: `in force`, Instead: "current, active"},
		{Pattern: `once more`, Instead: "again"},
		{Pattern: `as a whole`, Instead: "completely", FineAfter: "owned"},
		{Pattern: `for good`, Instead: "permanently"},
		{Pattern: `by itself`, Instead: "automatically, alone"},
		{
			Pattern: `(server|recorder|plugin|clients?|cluster|package|suite|program|log|store|engine|watch) knows?`,
			Instead: "has, supports, uses",
		},
		{Pattern: `asks? for`, Instead: "requests, requires"},
		{Pattern: `says? that`, Instead: "means that, reports that"},
		{Pattern: `if need be|where need be`, Instead: "if necessary"},
		{Pattern: `where there (is|are)`, Instead: "if there is"},
		{Pattern: `comes? to`, Instead: "becomes"},
		{Pattern: `of (its|their) own accord`, Instead: "automatically"},
		{Pattern: `has it that`, Instead: "name the source"},
		{Pattern: `anyhow|hence|let alone|in vain|at hand`, Instead: "use a plain word"},
	}
}

// A Finding is one place that breaks a rule.
type Finding struct {
	// File is the path as it was given, Line counts from 1.
	File string
	Line int
	// Message names the rule and how to follow it.
	Message string
}

func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Message)
}

// CheckGo returns the findings in the code and comments of a Go file. Generated
// files have none. The error is a syntax error of the file.
func CheckGo(path string, src []byte) ([]Finding, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	if ast.IsGenerated(file) {
		return nil, nil
	}
	lines := strings.Split(string(src), "\n")
	var found []Finding
	for _, group := range file.Comments {
		for _, comment := range group.List {
			pos := set.Position(comment.Pos())
			found = append(found, checkComment(pos, comment.Text, lines)...)
		}
		first := set.Position(group.Pos()).Line
		found = append(found, checkPhrases(path, first, commentText(group))...)
	}
	return append(found, checkCode(set, file, lines)...), nil
}

// CheckStrings returns the phrases in the string constants of a Go file: texts
// of errors, logs and commands. Constants of one or two words are names and
// parts of texts, and are not checked. The error is a syntax error of the file.
func CheckStrings(path string, src []byte) (found []Finding, err error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, src, parser.SkipObjectResolution)
	if err != nil || ast.IsGenerated(file) {
		return nil, err
	}
	for node := range ast.Preorder(file) {
		literal, ok := node.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			continue
		}
		text, err := strconv.Unquote(literal.Value)
		if err != nil {
			return nil, err
		}
		if len(strings.Fields(text)) > 2 {
			found = append(found, checkPhrases(path, set.Position(literal.Pos()).Line, text)...)
		}
	}
	return found, nil
}

// commentText returns the text of a comment group without the markers, with
// its line breaks, and without directives and indented blocks.
func commentText(group *ast.CommentGroup) string {
	var b strings.Builder
	for _, comment := range group.List {
		for line := range strings.SplitSeq(comment.Text, "\n") {
			if !isDirective(line) && !isVerbatim(line) {
				b.WriteString(strings.TrimPrefix(line, "//"))
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// checkComment checks the width of a comment's lines. pos is its beginning.
func checkComment(pos token.Position, text string, lines []string) (found []Finding) {
	for i := range strings.Count(text, "\n") + 1 {
		line := strings.TrimSuffix(lines[pos.Line-1+i], "\r")
		limit := commentWidth
		trimmed := strings.TrimSpace(line)
		if i == 0 {
			trimmed = line[pos.Column-1:]
			if strings.TrimSpace(line[:pos.Column-1]) != "" {
				limit = codeWidth
			}
		}
		if isDirective(trimmed) || isVerbatim(trimmed) || strings.Contains(line, "://") {
			continue
		}
		if got := width(line); got > limit {
			found = append(found, Finding{
				pos.Filename, pos.Line + i,
				fmt.Sprintf("comment of %d columns, want at most %d", got, limit),
			})
		}
	}
	return found
}

// checkCode checks the width of the code on each line, without the comment
// after it. A line that begins inside a raw string may be wider, because
// wrapping it would change the string.
func checkCode(set *token.FileSet, file *ast.File, lines []string) (found []Finding) {
	code := slices.Clone(lines)
	for _, group := range file.Comments {
		for _, comment := range group.List {
			pos := set.Position(comment.Pos())
			line := code[pos.Line-1]
			code[pos.Line-1] = line[:min(pos.Column-1, len(line))]
			clear(code[pos.Line : pos.Line+strings.Count(comment.Text, "\n")])
		}
	}
	for node := range ast.Preorder(file) {
		if literal, ok := node.(*ast.BasicLit); ok {
			line := set.Position(literal.Pos()).Line
			clear(code[line : line+strings.Count(literal.Value, "\n")])
		}
	}
	for i, line := range code {
		if got := width(strings.TrimRight(line, " \t\r")); got > codeWidth {
			message := fmt.Sprintf("code of %d columns, want at most %d", got, codeWidth)
			found = append(found, Finding{set.Position(file.Package).Filename, i + 1, message})
		}
	}
	return found
}

// CheckMarkdown returns the phrases in a Markdown page. Code is not checked.
func CheckMarkdown(path string, src []byte) []Finding {
	return checkPhrases(path, 1, strings.Join(proseLines(src), "\n"))
}

// checkPhrases finds phrases in a text, also across the ends of lines. Code in
// backquotes and quoted words are not checked.
func checkPhrases(path string, first int, text string) (found []Finding) {
	text = blank(text, quoted())
	anyPhrase, patterns := phrasePatterns()
	if !anyPhrase.MatchString(text) {
		return nil
	}
	for i, p := range Phrases() {
		for _, at := range patterns[i].FindAllStringIndex(text, -1) {
			before := strings.TrimRight(text[:at[0]], " \t\n")
			if p.FineAfter != "" && strings.HasSuffix(strings.ToLower(before), p.FineAfter) {
				continue
			}
			line := first + strings.Count(text[:at[0]], "\n")
			words := strings.Join(strings.Fields(text[at[0]:at[1]]), " ")
			found = append(found, Finding{path, line, fmt.Sprintf("%q, write: %s", words, p.Instead)})
		}
	}
	return found
}

// quoted returns the pattern of code in backquotes and of quoted words.
var quoted = sync.OnceValue(func() *regexp.Regexp { //nolint:gochecknoglobals // compiled once
	return regexp.MustCompile("`[^`]*`|\"[^\"\n]*\"")
})

// phrasePatterns returns the pattern of each phrase, and one that matches any
// of them. Most texts have no phrase, and one search shows it.
//
//nolint:gochecknoglobals // compiled once
var phrasePatterns = sync.OnceValues(func() (anyPhrase *regexp.Regexp, patterns []*regexp.Regexp) {
	words := func(pattern string) *regexp.Regexp {
		return regexp.MustCompile(`(?i)\b(?:` + strings.ReplaceAll(pattern, " ", `\s+`) + `)\b`)
	}
	var all []string
	for _, p := range Phrases() {
		patterns = append(patterns, words(p.Pattern))
		all = append(all, p.Pattern)
	}
	return words(strings.Join(all, "|")), patterns
})

// blank replaces matches by spaces and keeps line breaks, so that the numbers
// of lines stay right.
func blank(text string, pattern *regexp.Regexp) string {
	return pattern.ReplaceAllStringFunc(text, func(s string) string {
		return strings.Map(func(r rune) rune {
			if r == '\n' {
				return r
			}
			return ' '
		}, s)
	})
}

// isDirective reports whether a comment is for tools: //go:build, //nolint:x.
func isDirective(line string) bool {
	return strings.HasPrefix(line, "//") && directive().MatchString(line)
}

// directive returns the pattern of comments that are for tools.
var directive = sync.OnceValue(func() *regexp.Regexp { //nolint:gochecknoglobals // compiled once
	return regexp.MustCompile(`^//([a-z0-9]+:[a-z0-9]|nolint|line |export )`)
})

// isVerbatim reports whether a comment's line belongs to an indented block,
// which godoc shows as it is, or is an object in the output of an example.
func isVerbatim(line string) bool {
	return strings.HasPrefix(line, "//\t") || strings.HasPrefix(line, `// {"`)
}

// width returns the columns of a line. A tab moves to the next multiple of
// tabWidth, every other character takes one column.
func width(line string) int {
	n := 0
	for _, part := range strings.SplitAfter(line, "\t") {
		if tabbed, ok := strings.CutSuffix(part, "\t"); ok {
			n += utf8.RuneCountInString(tabbed)
			n += tabWidth - n%tabWidth
			continue
		}
		n += utf8.RuneCountInString(part)
	}
	return n
}

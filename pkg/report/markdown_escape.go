package report

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/watchhistory/watchhistory/pkg/internal/printable"
)

// markup are the ASCII characters that may begin markup in Markdown or HTML, or
// mathematics on GitHub.
const markup = "&<>\"'`*_~[]()|\\!${}^#@"

// references returns the pattern of texts that platforms turn into links,
// mentions or emoji, also if their characters are written as entities:
// addresses, users, issues and commits. Each is made harmless by an element
// around its first character.
//
//nolint:gochecknoglobals // compiled once
var references = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)www\.|://|[@#]|\bgh-\d|:(?:\d{3,}|[\w+-]*[a-z_+-][\w+-]*):|\b[0-9a-f]{7,40}\b`)
})

// mdText returns a text of the cluster for Markdown: on one line, and the same
// in a paragraph, in a cell of a table and in HTML. Long texts are cut.
//
// It has no backslashes, because HTML has none. An entity is never markup, but
// platforms search for references in the text that it means.
func mdText(text string) string {
	text = printable.Line(text)
	if runes := []rune(text); len(runes) > maxTextRunes {
		text = string(runes[:maxTextRunes-1]) + "…"
	}
	broken := map[int]bool{}
	for _, at := range references().FindAllStringIndex(text, -1) {
		broken[at[0]] = true
	}
	var b strings.Builder
	for i, r := range text {
		shown := string(r)
		if strings.ContainsRune(markup, r) {
			shown = fmt.Sprintf("&#%d;", r)
		}
		if broken[i] {
			shown = "<span>" + shown + "</span>"
		}
		b.WriteString(shown)
	}
	return b.String()
}

// mdCode is [mdText] in the font of code.
func mdCode(text string) string { return "<code>" + mdText(text) + "</code>" }

// mdFence returns a text of several lines as a block of code. The fence is
// longer than any in the text.
func mdFence(text, language string) string {
	text = strings.TrimRight(printable.Text(text), "\n")
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + language + "\n" + text + "\n" + fence
}

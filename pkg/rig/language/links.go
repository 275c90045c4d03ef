package language

import (
	"regexp"
	"strings"
	"unicode"
)

// A Link is a reference from a page or a comment to a file of the repository.
type Link struct {
	Line int
	// Path is relative to the page, or to the root of the repository for a
	// comment. Empty means the page itself.
	Path string
	// Anchor is the part after "#", if there is one.
	Anchor string
}

// MarkdownLinks returns the links of a page to files of the repository.
func MarkdownLinks(src []byte) (links []Link) {
	pattern := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for i, line := range proseLines(src) {
		for _, match := range pattern.FindAllStringSubmatch(line, -1) {
			if !strings.Contains(match[1], "://") {
				path, anchor, _ := strings.Cut(match[1], "#")
				links = append(links, Link{i + 1, path, anchor})
			}
		}
	}
	return links
}

// GoLinks returns the pages in docs/ that a Go file names.
func GoLinks(src []byte) (links []Link) {
	pattern := regexp.MustCompile(`\bdocs/[\w/.-]*\.md\b`)
	for i, line := range strings.Split(string(src), "\n") {
		for _, path := range pattern.FindAllString(line, -1) {
			links = append(links, Link{Line: i + 1, Path: path})
		}
	}
	return links
}

// Anchors returns the anchors of a page's headings, as GitHub makes them.
func Anchors(src []byte) (anchors []string) {
	for _, line := range proseLines(src) {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			anchors = append(anchors, anchor(title))
		}
	}
	return anchors
}

func anchor(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		default:
			return -1
		}
	}, strings.TrimSpace(title))
}

// proseLines returns the lines of a page. Those of code blocks are empty.
func proseLines(src []byte) []string {
	lines := strings.Split(string(src), "\n")
	fenced := false
	for i, line := range lines {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		if fence || fenced {
			lines[i] = ""
		}
		if fence {
			fenced = !fenced
		}
	}
	return lines
}

// PageFiles returns the files and directories of the repository that a page
// names in backquotes, such as `pkg/store/scan.go` or `pkg/store/scan*.go`.
func PageFiles(src []byte) (links []Link) {
	pattern := regexp.MustCompile("`((?:pkg|cmd|plugins|tools|deploy|krew)/[\\w./*-]+)`")
	for i, line := range proseLines(src) {
		for _, match := range pattern.FindAllStringSubmatch(line, -1) {
			if !strings.Contains(match[1], "NAME") { // a placeholder
				links = append(links, Link{Line: i + 1, Path: match[1]})
			}
		}
	}
	return links
}

package render

import (
	"strings"
	"unicode"

	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"k8s.io/cli-runtime/pkg/printers"
)

// joiner builds emoji.
const joiner = '\u200d'

// Escape makes a text from a cluster harmless to a terminal. Line breaks and tabs stay.
func Escape(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == joiner:
			return r
		case isHostile(r):
			return unicode.ReplacementChar
		default:
			return r
		}
	}, printers.EscapeTerminal(strings.ToValidUTF8(text, "\uFFFD")))
}

// isHostile tells what a terminal could take for a command, C1 included, and what turns the direction of writing or can't be seen.
func isHostile(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}

// cell is an escaped text on one line; "-" where there is none.
func cell(text string) string {
	if text = strings.Join(strings.Fields(Escape(text)), " "); text == "" {
		return "-"
	}
	return text
}

// cut shortens a text without styles to that many columns.
func cut(text string, width int) string {
	if twwidth.Width(text) <= width {
		return text
	}
	kept, used := 0, 1 // the ellipsis
	for i, r := range text {
		if used += twwidth.Width(string(r)); used > width {
			break
		}
		kept = i + len(string(r))
	}
	return strings.TrimRight(text[:kept], " ") + "…"
}

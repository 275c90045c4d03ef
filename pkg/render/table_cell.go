package render

import (
	"strings"
	"unicode"

	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"k8s.io/cli-runtime/pkg/printers"
)

// The characters that build emoji, and are invisible anywhere else.
const (
	joiner     = '\u200d'
	emojiStyle = '\ufe0f'
)

// Escape makes a text from a cluster harmless to a terminal. Line breaks and tabs stay.
func Escape(text string) string {
	hostile := hostility()
	return strings.Map(func(r rune) rune {
		if hostile(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, printers.EscapeTerminal(strings.ToValidUTF8(text, "\uFFFD")))
}

// hostility returns a function that is called with each character of a text, in
// their order. It reports whether a terminal could take the character for a
// command, C1 included, or does not show it, or writes it in another direction.
func hostility() func(rune) bool {
	var before rune
	return func(r rune) bool {
		hostile := unicode.IsControl(r) || r > unicode.MaxASCII && unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp,
			unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
		if r == joiner || r == emojiStyle {
			hostile = !unicode.IsSymbol(before) && before != emojiStyle
		}
		before = r
		return hostile
	}
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

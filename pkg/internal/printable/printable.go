// Package printable makes foreign text safe to print.
//
// Names, messages and errors from a cluster may contain terminal commands,
// invisible characters and characters that reverse the writing direction. Every
// package that prints or quotes such a text uses this one, so that all of them
// agree on what is unsafe.
//
// The package does not escape for a syntax. JSON and YAML have escapes of their
// own; their writers call [Unsafe] and write the escapes themselves.
package printable

import (
	"strings"
	"unicode"
)

// The characters that join emoji. They are invisible next to anything else.
const (
	zeroWidthJoiner = '\u200d'
	emojiStyle      = '\ufe0f'
)

// Text returns text without unsafe characters. Line feeds and tabs are kept.
//
// The escape character becomes "^[" and the carriage return `\r`, as in the
// output of kubectl. Every other unsafe character becomes U+FFFD, as does each
// run of invalid UTF-8. Text is idempotent.
func Text(text string) string {
	unsafe := Unsafe()
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(text, string(unicode.ReplacementChar)) {
		switch isUnsafe := unsafe(r); {
		case r == '\x1b':
			b.WriteString("^[")
		case r == '\r':
			b.WriteString(`\r`)
		case isUnsafe && r != '\n' && r != '\t':
			b.WriteRune(unicode.ReplacementChar)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Line returns text on one line, without unsafe characters. Each run of white
// space becomes one space, and white space at both ends is removed. Line is
// idempotent.
func Line(text string) string {
	return Text(strings.Join(strings.Fields(text), " "))
}

// Unsafe returns a function that reports whether a character is unsafe. The
// caller passes all characters of one text to it, in order, because emoji
// joiners are safe only after an emoji. Each text needs a function of its own.
//
// A character is unsafe if a terminal may obey it, if it is invisible, or if it
// changes the writing direction. That includes the C1 controls, line feeds and
// tabs.
func Unsafe() func(rune) bool {
	var previous rune // 0 after an unsafe character
	return func(r rune) bool {
		unsafe := unicode.IsControl(r) || r > unicode.MaxASCII && unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp,
			unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
		if r == zeroWidthJoiner || r == emojiStyle {
			unsafe = !unicode.IsSymbol(previous) && previous != emojiStyle
		}
		if previous = r; unsafe {
			previous = 0
		}
		return unsafe
	}
}

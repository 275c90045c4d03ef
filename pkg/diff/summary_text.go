package diff

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// transition returns the change of the value, such as "old → new", "set to new"
// or "removed (was old)".
func (c Change) transition() string {
	switch {
	case c.Kind == Reordered:
		return "reordered"
	case !isScalar(c.Old) || !isScalar(c.New) || isHash(c.Old) || isHash(c.New):
		return c.Kind.String()
	case c.Kind == Added:
		return "set to " + scalar(c.New)
	case c.Kind == Removed:
		return "removed (was " + scalar(c.Old) + ")"
	}
	old, now := scalar(c.Old), scalar(c.New)
	if old == now {
		return "changed"
	}
	return old + " → " + now
}

// isScalar reports whether a value is not an object or a list.
func isScalar(value any) bool {
	switch value.(type) {
	case map[string]any, []any:
		return false
	default:
		return true
	}
}

// scalar returns a scalar in one line of at most valueWidth runes.
func scalar(value any) string {
	text, ok := value.(string)
	switch {
	case value == nil:
		return "null"
	case ok && (strings.TrimSpace(text) == "" || text == "null"): // ambiguous without quotes
		return cut(strconv.Quote(text), valueWidth)
	case !ok:
		text = number(value)
	}
	return cut(line(text), valueWidth)
}

// hashPrefix begins the hash that replaces a redacted value.
const hashPrefix = "hmac-sha256:"

// isHash reports whether a value was replaced by a hash, or contains one.
func isHash(value any) bool {
	text, ok := value.(string)
	return ok && strings.Contains(text, hashPrefix)
}

// line returns a text as one line. Sequences of white space and control
// characters become one space, and hashes become "(hidden)".
func line(text string) string {
	if isLine(text) {
		return text
	}
	if len(text) > 4*summaryWidth { // the rest is never shown
		text = text[:4*summaryWidth]
	}
	text = withoutHashes(text)
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "?"), func(r rune) bool {
		return r <= ' ' || r == 0x7f
	}), " ")
}

// isLine reports whether line would return the text unchanged, as it does for
// most texts.
func isLine(text string) bool {
	before := byte(' ')
	for i := range len(text) {
		c := text[i]
		if c < ' ' || c >= 0x7f || c == ' ' && before == ' ' {
			return false
		}
		before = c
	}
	return (text == "" || before != ' ') && len(text) <= summaryWidth && !strings.Contains(text, hashPrefix)
}

// withoutHashes replaces the hashes in a text.
func withoutHashes(text string) string {
	for {
		at := strings.Index(text, hashPrefix)
		if at < 0 {
			return text
		}
		rest := strings.TrimLeft(text[at+len(hashPrefix):], "0123456789abcdef")
		text = text[:at] + "(hidden)" + rest
	}
}

// cut shortens a text to at most width runes, with an ellipsis.
func cut(text string, width int) string {
	if len(text) <= width || utf8.RuneCountInString(text) <= width {
		return text
	}
	return strings.TrimRight(string([]rune(text)[:width-1]), " ") + "…"
}

// number returns a value that is not a string as text. Whole numbers have no
// fraction and no exponent.
func number(value any) string {
	if f, ok := value.(float64); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return fmt.Sprint(value)
}

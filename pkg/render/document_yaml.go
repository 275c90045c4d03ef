package render

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/watchhistory/watchhistory/pkg/internal/printable"
)

// indentation is the number of spaces between a YAML block and the one around
// it.
const indentation = 2

// maxSimpleKey is the number of bytes above which a key is written as an
// explicit key ("? "). Readers reject simple keys with more than 1,024
// characters, and escapes make a key up to four times as long.
const maxSimpleKey = 128

// toYAML converts a JSON document to YAML in the style of kubectl: sorted keys,
// block style, and multi-line texts as literals.
//
// Invariant: the result parses back to the same document, whatever its keys and
// strings contain. Numbers keep their text and lose no digits. With escape,
// unsafe characters are written as escapes in double quotes.
func toYAML(document []byte, escape bool) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON document")
	}
	return valueToYAML(value, escape), nil
}

// valueToYAML is [toYAML] of a decoded value whose numbers are [json.Number].
func valueToYAML(value any, escape bool) []byte {
	w := yamlWriter{escape: escape}
	w.value(value, 0)
	w.text.WriteByte('\n')
	return w.text.Bytes()
}

// yamlWriter writes values. None of its methods writes the final line break.
type yamlWriter struct {
	text   bytes.Buffer
	escape bool
}

// value writes a value at the current position. Its further lines are indented
// by indent.
func (w *yamlWriter) value(value any, indent int) {
	switch v := value.(type) {
	case map[string]any:
		w.mapping(v, indent)
	case []any:
		w.sequence(v, indent)
	case string:
		w.scalar(v, indent)
	case nil:
		w.text.WriteString("null")
	case json.Number:
		w.text.WriteString(v.String())
	default:
		fmt.Fprint(&w.text, v)
	}
}

// mapping writes a mapping with sorted keys. Its first line is written at the
// current position.
func (w *yamlWriter) mapping(m map[string]any, indent int) {
	if len(m) == 0 {
		w.text.WriteString("{}")
		return
	}
	for i, key := range slices.SortedFunc(maps.Keys(m), compareKeys) {
		if i > 0 {
			w.newLine(indent)
		}
		w.entry(key, m[key], indent)
	}
}

// entry writes a key and its value. A list in a mapping is not indented, as in
// kubectl's YAML.
func (w *yamlWriter) entry(key string, value any, indent int) {
	if len(key) > maxSimpleKey {
		w.text.WriteString("? ")
		w.quoted(key)
		w.newLine(indent)
		w.text.WriteString(": ")
		w.value(value, indent+indentation)
		return
	}
	w.quoted(key)
	w.text.WriteByte(':')
	switch v := value.(type) {
	case map[string]any:
		if len(v) > 0 {
			w.newLine(indent + indentation)
			w.mapping(v, indent+indentation)
			return
		}
	case []any:
		if len(v) > 0 {
			w.newLine(indent)
			w.sequence(v, indent)
			return
		}
	}
	w.text.WriteByte(' ')
	w.value(value, indent+indentation)
}

// sequence writes a list. Its first line is written at the current position.
func (w *yamlWriter) sequence(items []any, indent int) {
	if len(items) == 0 {
		w.text.WriteString("[]")
		return
	}
	for i, item := range items {
		if i > 0 {
			w.newLine(indent)
		}
		w.text.WriteString("- ")
		w.value(item, indent+indentation)
	}
}

// newLine ends the line, and writes the indentation of the next one.
func (w *yamlWriter) newLine(indent int) {
	w.text.WriteByte('\n')
	for range indent {
		w.text.WriteByte(' ')
	}
}

// scalar writes a string: as a literal if it has several lines and fits one,
// otherwise on one line.
func (w *yamlWriter) scalar(s string, indent int) {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if w.fitsLiteral(s) {
		w.literal(s, max(indent, indentation))
		return
	}
	w.quoted(s)
}

// quoted writes a string on one line: plain if possible, otherwise in single or
// double quotes.
func (w *yamlWriter) quoted(s string) {
	s = strings.ToValidUTF8(s, "\uFFFD")
	switch {
	case isTyped(s) || strings.ContainsAny(s, "\n\t") || strings.ContainsFunc(s, w.mustEscape()):
		w.doubleQuoted(s)
	case isPlain(s):
		w.text.WriteString(s)
	default:
		w.text.WriteString("'" + strings.ReplaceAll(s, "'", "''") + "'")
	}
}

// fitsLiteral reports whether a text can be written as a literal. Literals have
// no escapes, and editors remove white space at the end of a line.
func (w *yamlWriter) fitsLiteral(s string) bool {
	if !strings.Contains(s, "\n") || strings.Trim(s, "\n") == "" || strings.ContainsFunc(s, w.mustEscape()) {
		return false
	}
	for line := range strings.Lines(s) {
		if line = strings.TrimSuffix(line, "\n"); line != strings.TrimRight(line, " \t") {
			return false
		}
	}
	return true
}

// literal writes a text as a literal ("|"), with the indicators for indentation
// and final line breaks that it needs.
func (w *yamlWriter) literal(s string, indent int) {
	w.text.WriteByte('|')
	if strings.ContainsAny(s[:1], " \t\n") { // a reader can't detect the indentation
		w.text.WriteString(strconv.Itoa(indentation))
	}
	switch {
	case !strings.HasSuffix(s, "\n"):
		w.text.WriteByte('-')
	case strings.HasSuffix(s, "\n\n"):
		w.text.WriteByte('+')
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(s, "\n"), "\n") {
		if line == "" {
			w.text.WriteByte('\n')
			continue
		}
		w.newLine(indent)
		w.text.WriteString(line)
	}
}

// mustEscape returns a function that reports whether a character must be
// escaped. As with [printable.Unsafe], it gets all characters of a string in
// order. Line feeds and tabs are left to the caller.
func (w *yamlWriter) mustEscape() func(rune) bool {
	unsafe := printable.Unsafe()
	return func(r rune) bool {
		switch isUnsafe := unsafe(r); {
		case r == '\n' || r == '\t':
			return false
		case w.escape:
			return isUnsafe || isNoncharacter(r)
		default:
			return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp) || isNoncharacter(r)
		}
	}
}

// isNoncharacter reports whether YAML readers reject a character, or treat it
// as a byte order mark.
func isNoncharacter(r rune) bool { return r == '\ufeff' || r&0xfffe == 0xfffe }

// doubleQuoted writes a string in double quotes, with escapes.
func (w *yamlWriter) doubleQuoted(s string) {
	w.text.WriteByte('"')
	mustEscape := w.mustEscape()
	for _, r := range s {
		switch escape := mustEscape(r); {
		case r == '"' || r == '\\':
			w.text.WriteByte('\\')
			w.text.WriteRune(r)
		case r < ' ' && strings.ContainsRune("\n\t\r\x1b", r):
			w.text.WriteByte('\\')
			w.text.WriteByte(map[rune]byte{'\n': 'n', '\t': 't', '\r': 'r', '\x1b': 'e'}[r])
		case !escape:
			w.text.WriteRune(r)
		case r <= 0xff:
			fmt.Fprintf(&w.text, `\x%02X`, r)
		case r <= 0xffff:
			fmt.Fprintf(&w.text, `\u%04X`, r)
		default:
			fmt.Fprintf(&w.text, `\U%08X`, r)
		}
	}
	w.text.WriteByte('"')
}

// isPlain reports whether a string needs no quotes. The string contains no
// character that must be escaped, and is not typed.
func isPlain(s string) bool {
	if strings.Trim(s, " ") != s || strings.HasPrefix(s, "---") || strings.HasPrefix(s, "...") {
		return false
	}
	switch s[0] {
	case '#', ',', '[', ']', '{', '}', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`':
		return false
	case '-', '?', ':':
		if len(s) == 1 || s[1] == ' ' {
			return false
		}
	}
	return !strings.Contains(s, ": ") && !strings.HasSuffix(s, ":") && !strings.Contains(s, " #")
}

// isTyped reports whether a YAML 1.1 or 1.2 reader parses a plain string as
// something else: null, a number, a boolean, a time or a merge key.
func isTyped(s string) bool {
	switch strings.ToLower(s) {
	case "", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n",
		".nan", ".inf", "+.inf", "-.inf", "<<", "=":
		return true
	}
	if s[0] != '.' && s[0] != '+' && s[0] != '-' && (s[0] < '0' || s[0] > '9') {
		return false
	}
	digits := strings.ReplaceAll(s, "_", "")
	_, notInteger := strconv.ParseInt(digits, 0, 64)
	_, notNumber := strconv.ParseFloat(digits, 64)
	return !errors.Is(notInteger, strconv.ErrSyntax) || !errors.Is(notNumber, strconv.ErrSyntax) || isTime(s)
}

// isTime reports whether YAML 1.1 parses a string as a date, a time, or a
// number in base 60.
func isTime(s string) bool {
	year, rest, dashed := strings.Cut(s, "-")
	if dashed && len(year) == len("2006") && consistsOf(year, "0123456789") {
		month, day, _ := strings.Cut(rest, "-")
		return consistsOf(month, "0123456789") && day != "" && consistsOf(day[:1], "0123456789")
	}
	first, rest, sexagesimal := strings.Cut(strings.TrimLeft(s, "+-"), ":")
	if !sexagesimal || !consistsOf(first, "0123456789_") {
		return false
	}
	whole, fraction, _ := strings.Cut(rest, ".")
	for digits := range strings.SplitSeq(whole, ":") {
		if len(digits) > len("59") || !consistsOf(digits, "0123456789") {
			return false
		}
	}
	return fraction == "" || consistsOf(fraction, "0123456789_")
}

// consistsOf reports whether a text is not empty and has only characters of a
// set.
func consistsOf(text, characters string) bool {
	return text != "" && strings.Trim(text, characters) == ""
}

// compareKeys orders keys as kubectl's YAML does: letters after all other
// characters, and numbers within keys by their value.
func compareKeys(a, b string) int {
	x, y := []rune(a), []rune(b)
	for i := range min(len(x), len(y)) {
		if x[i] == y[i] {
			continue
		}
		if isLetter := unicode.IsLetter(x[i]); isLetter != unicode.IsLetter(y[i]) {
			return map[bool]int{true: 1, false: -1}[isLetter]
		} else if isLetter {
			return cmp.Compare(x[i], y[i])
		}
		start := i
		for start > 0 && unicode.IsDigit(x[start-1]) { // the number may start in the common prefix
			start--
		}
		m, n := leadingDigits(x[start:]), leadingDigits(y[start:])
		p, q := strings.TrimLeft(m, "0"), strings.TrimLeft(n, "0")
		return cmp.Or(cmp.Compare(len(p), len(q)), strings.Compare(p, q),
			cmp.Compare(len(m), len(n)), cmp.Compare(x[i], y[i]))
	}
	return cmp.Compare(len(x), len(y))
}

// leadingDigits returns the digits at the start of a text.
func leadingDigits(text []rune) string {
	end := slices.IndexFunc(text, func(r rune) bool { return !unicode.IsDigit(r) })
	if end < 0 {
		end = len(text)
	}
	return string(text[:end])
}

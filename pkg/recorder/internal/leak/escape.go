package leak

import (
	"bytes"
	"html"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// inUnescaped reports whether the text contains a value after its escapes are
// resolved. Each kind of escape is resolved separately: an apparent escape of
// another kind may be a part of the value.
func (s *Set) inUnescaped(text []byte, depth int) bool {
	// A form encodes a space as a plus sign, and other characters like a URL.
	if s.spaces && bytes.IndexByte(text, '+') >= 0 {
		s.work -= len(text)
		if s.matches(unescape(nil, bytes.ReplaceAll(text, []byte("+"), []byte(" ")), '%', unescapePercent)) {
			return true
		}
	}
	return s.inResolved(text, depth, '\\', unescapeBackslash) || s.inResolved(text, depth, '%', unescapePercent) ||
		s.inResolved(text, depth, '&', unescapeReference)
}

// resolve appends to dst the resolution of the escape at the start of a text.
// It returns the length of the escape, or 0 if there is none.
type resolve func(dst, text []byte) (_ []byte, n int)

// inResolved reports whether the text contains a value after the escapes that
// begin with a mark are resolved.
func (s *Set) inResolved(text []byte, depth int, mark byte, one resolve) bool {
	if bytes.IndexByte(text, mark) < 0 {
		return false
	}
	s.decoded[depth] = unescape(s.decoded[depth][:0], text, mark, one)
	return !bytes.Equal(s.decoded[depth], text) && s.contains(s.decoded[depth], depth+1)
}

// unescape appends the text to dst, with the escapes that begin with a mark
// resolved.
func unescape(dst, text []byte, mark byte, one resolve) []byte {
	for {
		at := bytes.IndexByte(text, mark)
		if at < 0 {
			return append(dst, text...)
		}
		dst = append(dst, text[:at]...)
		text = text[at:]
		n := 0
		if dst, n = one(dst, text); n == 0 {
			dst, n = append(dst, mark), 1
		}
		text = text[n:]
	}
}

// unescapePercent resolves an escape of URLs, such as %20.
func unescapePercent(dst, text []byte) (_ []byte, n int) { return unescapeHex(dst, text, 1, 2) }

// unescapeBackslash resolves an escape of JSON, YAML and shells.
func unescapeBackslash(dst, text []byte) (_ []byte, n int) {
	if len(text) < 2 {
		return dst, 0
	}
	switch c := text[1]; c {
	case 'u':
		return unescapeHex(dst, text, 2, 4)
	case 'x':
		return unescapeHex(dst, text, 2, 2)
	case 'n':
		return append(dst, '\n'), 2
	case 'r':
		return append(dst, '\r'), 2
	case 't':
		return append(dst, '\t'), 2
	case 'b':
		return append(dst, '\b'), 2
	case 'f':
		return append(dst, '\f'), 2
	case '0', '1', '2', '3':
		if code, err := strconv.ParseUint(string(text[1:min(4, len(text))]), 8, 8); err == nil && len(text) >= 4 {
			return append(dst, byte(code)), 4
		}
		return dst, 0
	default:
		return append(dst, c), 2
	}
}

// unescapeHex resolves an escape of a mark and a fixed number of hexadecimal
// digits. The mark has mark bytes.
func unescapeHex(dst, text []byte, mark, digits int) (_ []byte, n int) {
	if len(text) < mark+digits {
		return dst, 0
	}
	code, err := strconv.ParseUint(string(text[mark:mark+digits]), 16, 16)
	switch {
	case err != nil:
		return dst, 0
	case digits == 2:
		return append(dst, byte(code)), mark + digits
	case utf16.IsSurrogate(rune(code)):
		return unescapeSurrogates(dst, text, rune(code))
	}
	return utf8.AppendRune(dst, rune(code)), mark + digits
}

// unescapeSurrogates resolves two escapes of JSON that encode one character.
func unescapeSurrogates(dst, text []byte, high rune) (_ []byte, n int) {
	const one, two = len(`\uXXXX`), 2 * len(`\uXXXX`)
	if len(text) < two || !bytes.HasPrefix(text[one:], []byte(`\u`)) {
		return dst, 0
	}
	low, err := strconv.ParseUint(string(text[one+2:two]), 16, 16)
	if err != nil {
		return dst, 0
	}
	return utf8.AppendRune(dst, utf16.DecodeRune(high, rune(low))), two
}

// longestReference is the length in bytes of the longest character reference of
// HTML.
const longestReference = 33

// unescapeReference resolves a character reference of HTML, such as &amp;.
func unescapeReference(dst, text []byte) (_ []byte, n int) {
	end := bytes.IndexByte(text[:min(len(text), longestReference)], ';')
	if end < 0 {
		return dst, 0
	}
	reference := string(text[:end+1])
	if resolved := html.UnescapeString(reference); resolved != reference {
		return append(dst, resolved...), end + 1
	}
	return dst, 0
}

package rawjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"unicode/utf8"
)

// Kind is the kind of a JSON value. The zero Kind is that of bytes that no
// value begins with.
type Kind uint8

// The kinds of values.
const (
	Object Kind = iota + 1
	Array
	String
	Number
	Bool
	Null
)

// Error means that the document is not valid JSON, or that a value is not of
// the required kind. It never quotes the document.
type Error struct {
	Offset int    // in bytes from the start of the document
	Want   string // the required syntax or kind
}

// Error returns the message.
func (e *Error) Error() string { return fmt.Sprintf("json: want %s at byte %d", e.Want, e.Offset) }

// Scanner walks once over a document, from its first byte to its last. Its
// position is before a value. [Scanner.Skip], [Scanner.SkipSame],
// [Scanner.Text], [Scanner.Members] and [Scanner.Elements] consume the value.
//
// After the first error the position stays, and all methods return nothing. So
// callers check for errors once, by [Scanner.End].
//
// A Scanner may be copied to look ahead, but not inside a loop over its own
// members or elements that continues with the original.
type Scanner struct {
	data    []byte
	pos     int
	depth   int  // of open containers
	trusted bool // the document is known to be valid
	err     error
}

// Scan returns a scanner of the document. It reads data and never writes to it.
func Scan(data []byte) Scanner { return Scanner{data: data, pos: space(data, 0)} }

// ScanValid returns a scanner of a document that is known to be valid JSON. It
// is nearly twice as fast as [Scan]. If the document is invalid, the scanner
// may return any part of it as a value, with or without an error. It never
// reads outside the document.
func ScanValid(data []byte) Scanner { return Scanner{data: data, pos: space(data, 0), trusted: true} }

// Offset returns the position, in bytes from the start of the document. In a
// loop it is the start of the value, and its end after the value was consumed.
func (s *Scanner) Offset() int { return s.pos }

// Kind returns the kind of the next value by its first byte, without consuming
// the value.
func (s *Scanner) Kind() Kind {
	if s.err != nil || s.pos >= len(s.data) {
		return 0
	}
	switch c := s.data[s.pos]; {
	case c == '{':
		return Object
	case c == '[':
		return Array
	case c == '"':
		return String
	case c == 't', c == 'f':
		return Bool
	case c == 'n':
		return Null
	case c == '-', '0' <= c && c <= '9':
		return Number
	}
	return 0
}

// Skip consumes the next value and returns its bytes, a slice of the document.
func (s *Scanner) Skip() []byte {
	if s.err != nil {
		return nil
	}
	start := s.pos
	end, ok := 0, false
	if s.trusted {
		end, ok = trustedValue(s.data, start)
	} else {
		end, ok = checkedValue(s.data, start, s.depth)
	}
	if s.pos = end; !ok {
		s.fail("a value")
		return nil
	}
	return s.data[start:end]
}

// SkipSame consumes the next value if its bytes equal those of another value,
// which must be valid JSON. It reports whether it did. Comparing bytes is many
// times faster than walking over them.
func (s *Scanner) SkipSame(valid []byte) bool {
	if s.err != nil || len(valid) == 0 || !bytes.HasPrefix(s.data[s.pos:], valid) {
		return false
	}
	if end := s.pos + len(valid); end == len(s.data) || delimits(s.data[end]) {
		s.pos = end
		return true
	}
	return false // the number continues
}

// delimits reports whether a byte may follow a value.
func delimits(c byte) bool {
	switch c {
	case ',', '}', ']', ' ', '\n', '\t', '\r':
		return true
	default:
		return false
	}
}

// Text consumes the next value, which must be a string or null, and returns its
// text. The text of null is "".
func (s *Scanner) Text() string {
	switch s.Kind() {
	case String:
		return string(s.text("a string"))
	case Null:
		s.Skip()
	default:
		s.fail("a string")
	}
	return ""
}

// text consumes a string and returns its text. If the string has no escapes,
// the text is a slice of the document. want is that of the error if there is no
// string.
func (s *Scanner) text(want string) []byte {
	start := s.pos
	end, ok, isPlain := 0, false, false
	if s.trusted {
		end, ok, isPlain = trustedString(s.data, start)
	} else {
		end, ok = checkedString(s.data, start)
	}
	switch s.pos = end; {
	case !ok:
		s.fail(want)
		return nil
	case isPlain:
		return s.data[start+1 : end-1]
	default:
		return unquote(s.data[start:end])
	}
}

// Members consumes the next value, which must be an object or null. It yields
// the offset at which each member begins, and its key. Null has no members.
//
// The body of the loop may consume the member's value; otherwise the value is
// skipped. The key is valid as long as the document is not changed. Leaving the
// loop early is an error of the scan.
func (s *Scanner) Members() iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) { s.members(yield) }
}

// Elements consumes the next value, which must be an array or null. It yields
// the offset of each element. The rules of [Scanner.Members] apply.
func (s *Scanner) Elements() iter.Seq[int] {
	return func(yield func(int) bool) { s.elements(yield) }
}

// End checks that only white space follows. It returns the first error of the
// scan.
func (s *Scanner) End() error {
	if s.err == nil {
		if s.pos = space(s.data, s.pos); s.pos != len(s.data) {
			s.fail("the end")
		}
	}
	return s.err
}

// members is the loop of Members.
func (s *Scanner) members(yield func(int, []byte) bool) {
	if !s.open('{', "an object") {
		return
	}
	for first := true; s.more(first, '}'); first = false {
		at := s.pos
		key := s.key()
		if s.err != nil {
			return
		}
		value := s.pos
		if !yield(at, key) {
			s.fail("the whole object to be read")
			return
		}
		s.finish(value)
	}
}

// elements is the loop of Elements.
func (s *Scanner) elements(yield func(int) bool) {
	if !s.open('[', "an array") {
		return
	}
	for first := true; s.more(first, ']'); first = false {
		value := s.pos
		if !yield(value) {
			s.fail("the whole array to be read")
			return
		}
		s.finish(value)
	}
}

// open enters a container and reports whether it did. It consumes null instead.
func (s *Scanner) open(bracket byte, want string) bool {
	switch {
	case s.Kind() == Null:
		s.Skip()
	case s.err != nil || s.pos >= len(s.data) || s.data[s.pos] != bracket:
		s.fail(want)
	case s.depth >= maxDepth:
		s.fail("less nesting")
	default:
		s.depth++
		s.pos = space(s.data, s.pos+1)
		return true
	}
	return false
}

// more moves to the next member or element, or past the closing bracket. It
// reports whether there is one.
func (s *Scanner) more(first bool, bracket byte) bool {
	switch {
	case s.err != nil:
		return false
	case s.pos < len(s.data) && s.data[s.pos] == bracket:
		s.pos++
		s.depth--
		return false
	case first:
		return true
	case s.pos < len(s.data) && s.data[s.pos] == ',':
		s.pos = space(s.data, s.pos+1)
		return true
	}
	s.fail("a comma or a closing bracket")
	return false
}

// key consumes the key of a member, and its colon.
func (s *Scanner) key() []byte {
	key := s.text("a key")
	if s.err != nil {
		return nil
	}
	if s.pos = space(s.data, s.pos); s.pos >= len(s.data) || s.data[s.pos] != ':' {
		s.fail("a colon")
		return nil
	}
	s.pos = space(s.data, s.pos+1)
	return key
}

// finish skips the value that begins at start unless the loop consumed it, and
// the white space after it.
func (s *Scanner) finish(start int) {
	if s.err == nil && s.pos == start {
		s.Skip()
	}
	if s.err == nil {
		s.pos = space(s.data, s.pos)
	}
}

// fail sets the error unless there is an earlier one.
func (s *Scanner) fail(want string) {
	if s.err == nil {
		s.err = &Error{Offset: s.pos, Want: want}
	}
}

// unquote returns the text of a valid string literal. If the literal has no
// escapes, the text is a slice of it.
func unquote(literal []byte) []byte {
	inner := literal[1 : len(literal)-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return inner
	}
	var decoded string
	if err := json.Unmarshal(literal, &decoded); err != nil {
		return inner // not reached: the literal is valid
	}
	return []byte(decoded)
}

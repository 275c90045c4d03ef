package rawjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"unicode/utf8"
)

// Kind is the kind of a JSON value. The zero Kind is that of bytes that begin no value.
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

// Error says that the bytes are no valid JSON, or not the value that was asked for. It never quotes the document.
type Error struct {
	Offset int // in bytes from the document's start
	Want   string
}

// Error returns the message.
func (e *Error) Error() string { return fmt.Sprintf("json: want %s at byte %d", e.Want, e.Offset) }

// Scanner walks once over a document, from its first byte to its last. Its position stands before a value, which is
// consumed by [Scanner.Skip], [Scanner.Text], [Scanner.Members] or [Scanner.Elements]. After the first error it
// stands still, and everything yields nothing; so errors need looking at only once, by [Scanner.End].
//
// A Scanner must not be copied while a loop over it runs.
type Scanner struct {
	data    []byte
	pos     int
	depth   int
	trusted bool
	err     error
}

// Scan returns a scanner that stands before the document's only value. The scanner reads data and never writes it.
func Scan(data []byte) Scanner { return Scanner{data: data, pos: space(data, 0)} }

// ScanValid returns a scanner of a document that is known to be valid JSON. It
// is nearly twice as fast as [Scan]. Given an invalid document, it may return
// any part of it as a value, with or without an error, but never reads outside
// it.
func ScanValid(data []byte) Scanner { return Scanner{data: data, pos: space(data, 0), trusted: true} }

// Offset returns the position: within a loop the start of the member's value until it is consumed, its end after that.
func (s *Scanner) Offset() int { return s.pos }

// Kind tells what the next value is by its first byte, without consuming it.
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

// Skip consumes the next value and returns its bytes, a part of the document.
func (s *Scanner) Skip() []byte {
	if s.err != nil {
		return nil
	}
	start := s.pos
	end, ok := 0, false
	if s.trusted {
		end, ok = validValue(s.data, start)
	} else {
		end, ok = value(s.data, start, s.depth)
	}
	if s.pos = end; !ok {
		s.fail("a value")
		return nil
	}
	return s.data[start:end]
}

// SkipSame consumes the next value if it has the same bytes as another value, which was found valid, and tells whether it has. It
// compares bytes, which is many times faster than walking over them.
func (s *Scanner) SkipSame(valid []byte) bool {
	if s.err != nil || len(valid) == 0 || !bytes.HasPrefix(s.data[s.pos:], valid) {
		return false
	}
	if end := s.pos + len(valid); end == len(s.data) || delimits(s.data[end]) {
		s.pos = end
		return true
	}
	return false // a longer number
}

// delimits tells whether a byte may stand behind a value.
func delimits(c byte) bool {
	switch c {
	case ',', '}', ']', ' ', '\n', '\t', '\r':
		return true
	default:
		return false
	}
}

// Text consumes the next value, which has to be a string, and returns its text; for null "".
func (s *Scanner) Text() string {
	switch s.Kind() {
	case String:
		if s.trusted {
			return s.validText()
		}
		if literal := s.Skip(); literal != nil {
			return string(unquote(literal))
		}
	case Null:
		s.Skip()
	default:
		s.fail("a string")
	}
	return ""
}

func (s *Scanner) validText() string {
	start := s.pos
	end, ok, isPlain := validText(s.data, start)
	switch s.pos = end; {
	case !ok:
		s.fail("a string")
		return ""
	case isPlain:
		return string(s.data[start+1 : end-1])
	default:
		return string(unquote(s.data[start:end]))
	}
}

// Members consumes the next value, which has to be an object, and yields the offset at which each member begins, and its
// key. A member's value that the loop's body does not consume is skipped. Null has no members. The key is valid until
// the document changes. Leaving the loop early ends the scan with an error.
func (s *Scanner) Members() iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) { s.members(yield) }
}

// Elements consumes the next value, which has to be an array, and yields the offset of each element, like
// [Scanner.Members].
func (s *Scanner) Elements() iter.Seq[int] {
	return func(yield func(int) bool) { s.elements(yield) }
}

// End checks that nothing but white space follows, and returns the first error of the walk.
func (s *Scanner) End() error {
	if s.err == nil {
		if s.pos = space(s.data, s.pos); s.pos != len(s.data) {
			s.fail("the end")
		}
	}
	return s.err
}

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
		s.settle(value)
	}
}

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
		s.settle(value)
	}
}

// open enters a container. It does not where null stands in its place, which it consumes.
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

// more moves to the next member or element, or behind the closing bracket.
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

// key consumes a member's key and its colon.
func (s *Scanner) key() (key []byte) {
	start := s.pos
	end, ok, isPlain := 0, false, false
	if s.trusted {
		end, ok, isPlain = validText(s.data, start)
	} else {
		end, ok = text(s.data, start)
	}
	if s.pos = end; !ok {
		s.fail("a key")
		return nil
	}
	if s.pos = space(s.data, end); s.pos >= len(s.data) || s.data[s.pos] != ':' {
		s.fail("a colon")
		return nil
	}
	s.pos = space(s.data, s.pos+1)
	if isPlain {
		return s.data[start+1 : end-1]
	}
	return unquote(s.data[start:end])
}

// settle skips the value that began at start unless the loop's body consumed it, and the white space behind it.
func (s *Scanner) settle(start int) {
	if s.err == nil && s.pos == start {
		s.Skip()
	}
	if s.err == nil {
		s.pos = space(s.data, s.pos)
	}
}

func (s *Scanner) fail(want string) {
	if s.err == nil {
		s.err = &Error{Offset: s.pos, Want: want}
	}
}

// unquote returns the text of a valid string literal. Without escapes it is a part of the literal itself.
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

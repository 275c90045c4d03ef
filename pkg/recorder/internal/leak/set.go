package leak

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"slices"
)

// Shortest is the length in bytes from which a value is searched for inside a
// text. The base64 of a shorter value has only three characters that do not
// depend on what precedes it. They occur by chance in every tenth text. A
// shorter value is found if it is the whole text.
const Shortest = 4

const (
	maxPrefix = 64       // bytes of a value that are compared
	maxDepth  = 6        // nested encodings
	maxWork   = 32 << 20 // bytes that one set searches in total
	textWork  = 16       // additional cost of each text, in bytes
)

// Set is a set of values to search for. It is used by one goroutine at a time.
//
// The bound of its work applies to all of its texts together. So one set is
// used for the texts of one object.
type Set struct {
	prefixes [][]byte          // of the values, in lower case and sorted; none is a prefix of another
	starts   map[uint32]bounds // ranges of prefixes by their first four bytes
	pairs    [1 << 10]uint64   // bit set of the first two bytes of all prefixes
	whole    map[string]bool   // short values and their encodings, in lower case
	spaces   bool              // a value contains a space
	least    int               // length in bytes of the shortest text that may match

	codecs  [3]codec
	work    int                  // remaining, in bytes
	lowered []byte               // buffer for a text in lower case
	decoded [maxDepth + 1][]byte // buffers, by depth
}

// bounds is a range of indexes of prefixes: from is in it, to is not.
type bounds struct{ from, to int }

// New returns a set of values. White space around a value and the case of
// letters are ignored. Values shorter than shortest, which is at least
// [Shortest], are found only if they are the whole text.
//
// Only the first maxPrefix bytes of a value are compared, so that the cost per
// byte of a text is constant.
func New(values [][]byte, shortest int) *Set {
	s := &Set{starts: map[uint32]bounds{}, whole: map[string]bool{}, work: maxWork}
	least := maxPrefix
	for _, value := range values {
		value = bytes.TrimSpace(value)
		if len(value) < shortest {
			s.addWhole(value)
			continue
		}
		s.spaces = s.spaces || bytes.IndexByte(value, ' ') >= 0
		least = min(least, len(value))
		s.prefixes = append(s.prefixes, lower(nil, value[:min(len(value), maxPrefix)]))
	}
	slices.SortFunc(s.prefixes, bytes.Compare)
	s.prefixes = withoutExtensions(s.prefixes)
	for i, p := range s.prefixes {
		start := binary.LittleEndian.Uint32(p)
		b, ok := s.starts[start]
		if !ok {
			b.from = i
		}
		b.to = i + 1
		s.starts[start] = b
		pair := binary.LittleEndian.Uint16(p)
		s.pairs[pair>>6] |= 1 << (pair & 63)
	}
	s.least = min(least, leastCompressed)
	s.codecs = newCodecs(s.least)
	return s
}

// addWhole adds a value that is found only if it is the whole text.
func (s *Set) addWhole(value []byte) {
	if len(value) == 0 {
		return
	}
	for _, form := range []string{
		string(value), hex.EncodeToString(value), base64.StdEncoding.EncodeToString(value),
		base64.RawStdEncoding.EncodeToString(value),
		base64.URLEncoding.EncodeToString(value), base64.RawURLEncoding.EncodeToString(value),
	} {
		s.whole[string(lower(nil, []byte(form)))] = true
	}
}

// withoutExtensions removes the prefixes that begin with another one from the
// sorted list: a text that contains them contains the other one too.
func withoutExtensions(sorted [][]byte) [][]byte {
	kept := sorted[:0]
	for _, p := range sorted {
		if len(kept) == 0 || !bytes.HasPrefix(p, kept[len(kept)-1]) {
			kept = append(kept, p)
		}
	}
	return kept
}

// In reports whether the text contains a value of the set, raw or encoded. It
// also returns true if that can't be excluded within the bounds of work.
func (s *Set) In(text []byte) bool {
	if len(s.whole) > 0 {
		s.lowered = lower(s.lowered[:0], bytes.TrimSpace(text))
		if s.whole[string(s.lowered)] {
			return true
		}
	}
	return len(s.prefixes) > 0 && s.contains(text, 0)
}

// contains searches the text and its decodings. depth is the number of
// encodings that were removed. The text may be s.decoded[depth-1], so decodings
// are written to s.decoded[depth].
func (s *Set) contains(text []byte, depth int) bool {
	if len(text) < s.least {
		return false
	}
	s.work -= len(text) + textWork
	if s.work < 0 || depth > maxDepth || s.matches(text) || s.inUnescaped(text, depth) {
		return true
	}
	for i := range s.codecs {
		if s.inRuns(&s.codecs[i], text, depth) {
			return true
		}
	}
	// A string is text, so it contains compressed data only in an encoding.
	return depth > 0 && s.inCompressed(text, depth)
}

// matches reports whether a prefix occurs in the text as it is.
//
// At each position, one prefix has to be compared: the last one that is not
// greater than the rest of the text. Another prefix that the rest begins with
// would be a prefix of this one, and New removed those.
func (s *Set) matches(text []byte) bool {
	s.lowered = lower(s.lowered[:0], text)
	for rest := s.lowered; len(rest) >= Shortest; rest = rest[1:] {
		pair := binary.LittleEndian.Uint16(rest)
		if s.pairs[pair>>6]&(1<<(pair&63)) == 0 {
			continue
		}
		b, ok := s.starts[binary.LittleEndian.Uint32(rest)]
		if !ok {
			continue
		}
		after, found := slices.BinarySearchFunc(s.prefixes[b.from:b.to], rest, bytes.Compare)
		if found || after > 0 && bytes.HasPrefix(rest, s.prefixes[b.from+after-1]) {
			return true
		}
	}
	return false
}

// lower appends the text to dst, with ASCII letters in lower case.
func lower(dst, text []byte) []byte {
	for _, c := range text {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

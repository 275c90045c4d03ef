package rawjson

import (
	"encoding/binary"
	"math/bits"
)

// The functions of this file find the end of the value of d that begins at i.
// Unlike those of checked.go, they assume that d is valid JSON.

// trustedValue finds the end of a value of any kind.
func trustedValue(d []byte, i int) (int, bool) {
	if i >= len(d) {
		return i, false
	}
	switch d[i] {
	case '"':
		end, ok, _ := trustedString(d, i)
		return end, ok
	case '{', '[':
		return trustedContainer(d, i)
	default:
		start := i
		for i < len(d) && !delimits(d[i]) {
			i++
		}
		return i, i > start
	}
}

// The highest and the lowest bit of each byte of a word.
const (
	highs = 0x8080808080808080
	ones  = 0x0101010101010101
)

// trustedContainer counts brackets outside strings, eight bytes at a time. A
// branch per bracket would be mispredicted too often.
//
// A byte is inside a string if the number of quotes before it is odd. Three
// shifts compute this parity for a whole word: Langdale and Lemire, "Parsing
// Gigabytes of JSON per Second" (2019), section 3.1.1. Words that contain a
// backslash, or may contain the end of the container, are processed byte by
// byte.
func trustedContainer(d []byte, i int) (end int, ok bool) {
	depth, quoted := 0, uint64(0) // quoted has all high bits set inside a string
	for ; len(d)-i >= 8; i += 8 {
		word := binary.LittleEndian.Uint64(d[i:])
		lower := word | ones*0x20 // maps [ to { and ] to }
		quotes := bytesOf(word, '"')
		inString := quotes ^ quotes<<8
		inString ^= inString << 16
		inString ^= inString<<32 ^ quoted
		closing := bits.OnesCount64(bytesOf(lower, '}') &^ inString)
		if bytesOf(word, '\\') != 0 || closing >= depth {
			w := walk{depth: depth, quoted: quoted != 0}
			if end, ok = w.over(d, i, i+8); ok || end >= len(d) {
				return end, ok
			}
			i, depth, quoted = end-8, w.depth, 0
			if w.quoted {
				quoted = highs
			}
			continue
		}
		depth += bits.OnesCount64(bytesOf(lower, '{')&^inString) - closing
		quoted = uint64(int64(inString)>>63) & highs
	}
	w := walk{depth: depth, quoted: quoted != 0}
	return w.over(d, i, len(d))
}

// bytesOf returns the high bit of each byte of the word that equals c. The
// addition carries nothing into the next byte, so all bits are exact.
func bytesOf(word uint64, c byte) uint64 {
	x := word ^ ones*uint64(c)
	return ^((x&^highs + ^uint64(highs)) | x) & highs
}

// walk is the state of a byte-wise walk over a container.
type walk struct {
	depth  int  // of open brackets
	quoted bool // inside a string
}

// over continues at byte i until the end of the container, or until limit. An
// escaped byte at limit is included.
func (w *walk) over(d []byte, i, limit int) (end int, ok bool) {
	for ; i < limit && i < len(d); i++ {
		switch c := d[i]; {
		case c == '"':
			w.quoted = !w.quoted
		case w.quoted && c == '\\':
			i++
		case w.quoted:
		case c == '{', c == '[':
			w.depth++
		case c == '}', c == ']':
			if w.depth--; w.depth == 0 {
				return i + 1, true
			}
		}
	}
	return min(i, len(d)), false
}

// trustedString finds the end of a string, eight bytes at a time. isPlain means
// that the string is ASCII without escapes. Then the literal contains its text.
func trustedString(d []byte, i int) (end int, ok, isPlain bool) {
	if i >= len(d) || d[i] != '"' {
		return i, false, false
	}
	escaped := false
	var seen uint64 // bitwise or of all bytes
	for i++; i < len(d); {
		if len(d)-i >= 8 {
			word := binary.LittleEndian.Uint64(d[i:])
			n := unquoted(word)
			if i += n; n == 8 {
				seen |= word
				continue
			}
			seen |= word & (1<<(8*n) - 1)
		} else {
			seen |= uint64(d[i]) // and the following ones, one by one
		}
		switch d[i] {
		case '"':
			return i + 1, true, !escaped && seen&highs == 0
		case '\\':
			escaped = true
			i += 2
		default:
			i++
		}
	}
	return min(i, len(d)), false, false
}

// unquoted returns how many of the word's bytes, from the lowest, precede the
// first quote or backslash.
func unquoted(word uint64) int {
	return bits.TrailingZeros64(bytesOf(word, '"')|bytesOf(word, '\\')) / 8
}

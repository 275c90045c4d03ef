package rawjson

import (
	"encoding/binary"
	"math/bits"
)

// maxDepth is the maximum nesting of containers. It is the limit of
// encoding/json, which decodes recorded objects later.
const maxDepth = 10_000

// The functions of this file walk over the token or value of d that begins at
// i. They return the offset after it. If it is invalid, they return the offset
// of the first wrong byte, and false.

// checkedValue walks over one value. depth is the number of containers around
// it.
func checkedValue(d []byte, i, depth int) (int, bool) {
	if i >= len(d) {
		return i, false
	}
	switch d[i] {
	case '"':
		return checkedString(d, i)
	case '{':
		return checkedContainer(d, i, depth, '}')
	case '[':
		return checkedContainer(d, i, depth, ']')
	case 't':
		return literal(d, i, "true")
	case 'f':
		return literal(d, i, "false")
	case 'n':
		return literal(d, i, "null")
	default:
		return number(d, i)
	}
}

// checkedContainer walks over an object or an array, by its closing bracket.
func checkedContainer(d []byte, i, depth int, bracket byte) (int, bool) {
	if depth >= maxDepth {
		return i, false
	}
	if i = space(d, i+1); i < len(d) && d[i] == bracket {
		return i + 1, true
	}
	var ok bool
	for {
		if bracket == '}' {
			if i, ok = checkedString(d, i); !ok {
				return i, false
			}
			if i = space(d, i); i >= len(d) || d[i] != ':' {
				return i, false
			}
			i = space(d, i+1)
		}
		if i, ok = checkedValue(d, i, depth+1); !ok {
			return i, false
		}
		i = space(d, i)
		if i < len(d) && d[i] == bracket {
			return i + 1, true
		}
		if i >= len(d) || d[i] != ',' {
			return i, false
		}
		i = space(d, i+1)
	}
}

// checkedString walks over a string literal, eight bytes at a time as long as
// none of them is special.
func checkedString(d []byte, i int) (int, bool) {
	if i >= len(d) || d[i] != '"' {
		return i, false
	}
	for i++; i < len(d); {
		if len(d)-i >= 8 {
			if i += plain(binary.LittleEndian.Uint64(d[i:])); i >= len(d) {
				break
			}
		}
		switch c := d[i]; {
		case c == '"':
			return i + 1, true
		case c == '\\':
			end, ok := escape(d, i+1)
			if i = end; !ok {
				return i, false
			}
		case c < ' ':
			return i, false
		default:
			i++
		}
	}
	return i, false
}

// plain returns how many of the word's bytes, from the lowest, precede the
// first quote, backslash or control character. See "Bit Twiddling Hacks",
// "Determine if a word has a byte less than n". Only the lowest match is exact.
func plain(word uint64) int {
	quotes := word ^ ones*'"'
	slashes := word ^ ones*'\\'
	special := (word-ones*' ')&^word | (quotes-ones)&^quotes | (slashes-ones)&^slashes
	return bits.TrailingZeros64(special&highs) / 8
}

// escape walks over the rest of an escape, after the backslash.
func escape(d []byte, i int) (int, bool) {
	if i >= len(d) {
		return i, false
	}
	switch d[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1, true
	case 'u':
		for range 4 {
			if i++; i >= len(d) || !hex(d[i]) {
				return i, false
			}
		}
		return i + 1, true
	}
	return i, false
}

// hex reports whether c is a hexadecimal digit.
func hex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// number walks over a number. After a leading zero, only a fraction or an
// exponent may follow.
func number(d []byte, i int) (int, bool) {
	if i < len(d) && d[i] == '-' {
		i++
	}
	var ok bool
	if i < len(d) && d[i] == '0' {
		i++
	} else if i, ok = digits(d, i); !ok {
		return i, false
	}
	if i < len(d) && d[i] == '.' {
		if i, ok = digits(d, i+1); !ok {
			return i, false
		}
	}
	if i < len(d) && (d[i] == 'e' || d[i] == 'E') {
		if i++; i < len(d) && (d[i] == '+' || d[i] == '-') {
			i++
		}
		return digits(d, i)
	}
	return i, true
}

// digits walks over one or more digits.
func digits(d []byte, i int) (int, bool) {
	start := i
	for i < len(d) && '0' <= d[i] && d[i] <= '9' {
		i++
	}
	return i, i > start
}

// literal walks over true, false or null.
func literal(d []byte, i int, want string) (int, bool) {
	end := min(i+len(want), len(d))
	return end, string(d[i:end]) == want
}

// space returns the offset of the first byte, from i on, that is not white
// space.
func space(d []byte, i int) int {
	for i < len(d) && d[i] <= ' ' && (d[i] == ' ' || d[i] == '\n' || d[i] == '\t' || d[i] == '\r') {
		i++
	}
	return i
}

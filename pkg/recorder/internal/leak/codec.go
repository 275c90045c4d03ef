package leak

// The values in codec.digits for bytes that are not digits of the encoding.
const (
	noDigit   = -1 // ends a run
	separator = -2 // may occur between digits
	lineEnd   = -3 // may occur between digits, followed by white space
)

// leastCompressed is the length in bytes from which a run may contain
// compressed data. That may be shorter than the value in it: an empty zlib
// stream has eight bytes.
const leastCompressed = 12

// codec is an encoding that writes bytes as digits of a fixed number of bits.
type codec struct {
	bits   int       // per digit
	period int       // number of digits after which a digit begins at a byte again
	least  int       // digits of the shortest run that is decoded
	digits [256]int8 // value of a byte as a digit, or one of the constants above
}

// newCodecs returns the codecs of base64, base32 and hexadecimal, in the plain
// and the URL alphabet. They decode runs of at least so many bytes.
func newCodecs(least int) [3]codec {
	all := [3]codec{{bits: 6, period: 4}, {bits: 5, period: 8}, {bits: 4, period: 2}}
	for i := range all {
		c := &all[i]
		c.least = (least*8 + c.bits - 1) / c.bits
		for b := range c.digits {
			c.digits[b] = noDigit
		}
		c.digits['\r'], c.digits['\n'] = lineEnd, lineEnd
	}
	base64, base32, hex := &all[0].digits, &all[1].digits, &all[2].digits
	for i := range int8(26) {
		upper, lower := 'A'+rune(i), 'a'+rune(i)
		base64[upper], base64[lower] = i, 26+i
		base32[upper], base32[lower] = i, i
		if i < 6 {
			hex[upper], hex[lower] = 10+i, 10+i
		}
	}
	for i := range int8(10) {
		digit := '0' + rune(i)
		base64[digit], hex[digit] = 52+i, i
		if 2 <= i && i <= 7 {
			base32[digit] = 24 + i
		}
	}
	base64['+'], base64['-'], base64['/'], base64['_'] = 62, 62, 63, 63
	hex[' '], hex[':'], hex['-'] = separator, separator, separator
	return all
}

// decode appends to dst the bytes that the digits of a run encode. The first
// skip digits are ignored.
func (c *codec) decode(dst, run []byte, skip int) []byte {
	var buffer uint32
	bits := 0
	for _, b := range run {
		digit := c.digits[b]
		switch {
		case digit < 0:
			continue
		case skip > 0:
			skip--
			continue
		}
		buffer = buffer<<c.bits | uint32(digit)
		if bits += c.bits; bits >= 8 {
			bits -= 8
			dst = append(dst, byte(buffer>>bits))
		}
	}
	return dst
}

// inRuns reports whether a run of digits in the text encodes a value. A run may
// be wrapped into lines, and the lines may be indented.
func (s *Set) inRuns(c *codec, text []byte, depth int) bool {
	start, length, indented := 0, 0, false
	for i, b := range text {
		switch digit := c.digits[b]; {
		case digit >= 0:
			if length == 0 {
				start = i
			}
			length++
			indented = false
		case digit == lineEnd:
			indented = true
		case digit == noDigit && (!indented || b != ' ' && b != '\t'):
			if length >= c.least && s.inRun(c, text[start:i], depth) {
				return true
			}
			length = 0
		}
	}
	return length >= c.least && s.inRun(c, text[start:], depth)
}

// inRun reports whether a run of digits encodes a value. The encoding may begin
// at any digit.
func (s *Set) inRun(c *codec, run []byte, depth int) bool {
	for skip := range c.period {
		s.decoded[depth] = c.decode(s.decoded[depth][:0], run, skip)
		if s.contains(s.decoded[depth], depth+1) {
			return true
		}
	}
	return false
}

package leak

import (
	"bytes"
	"compress/bzip2"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"io"
)

const (
	maxDecompressed = 1 << 20  // bytes that are read from one stream
	streamWork      = 16 << 10 // cost of an attempt to decompress, in bytes
)

// inCompressed reports whether compressed data that begins anywhere in the text
// contains a value.
func (s *Set) inCompressed(text []byte, depth int) bool {
	for i := 0; i+6 <= len(text); i++ {
		switch text[i] { // the first bytes of the formats in inStream
		case 0x1f, 'B', 'P', 'x', '7', 0x28, 0xfd, 0x04, 0xff:
			if s.inStream(text[i:], depth) {
				return true
			}
		}
	}
	return false
}

// inStream reports whether the text begins with compressed data that contains a
// value, or that can't be decompressed here.
func (s *Set) inStream(text []byte, depth int) bool {
	begins := func(magic string) bool { return bytes.HasPrefix(text, []byte(magic)) }
	switch {
	case begins("\x1f\x8b\x08"):
		r, err := gzip.NewReader(bytes.NewReader(text))
		return err == nil && s.inDecompressed(r, depth)
	case begins("x\x01"), begins("x\x5e"), begins("x\x9c"), begins("x\xda"):
		r, err := zlib.NewReader(bytes.NewReader(text))
		return err == nil && s.inDecompressed(r, depth)
	case begins("BZh"):
		return s.inDecompressed(bzip2.NewReader(bytes.NewReader(text)), depth)
	case begins("PK\x03\x04"):
		return s.inZipped(text, depth)
	case begins("\x28\xb5\x2f\xfd"), begins("\xfd7zXZ\x00"), begins("\x04\x22\x4d\x18"),
		begins("7z\xbc\xaf\x27\x1c"), begins("\xff\x06\x00\x00sNaPpY"):
		return true // zstd, xz, lz4, 7z, snappy
	}
	return false
}

// inZipped reports whether a file of a zip archive contains a value. The text
// begins with the header of the file.
func (s *Set) inZipped(text []byte, depth int) bool {
	const header, stored, deflated = 30, 0, 8
	if len(text) < header {
		return false
	}
	// The header has 30 bytes: the method at 8, and at 26 and 28 the lengths of
	// the name and of the extra field, which follow it. A stored file needs no
	// decoding: it is a part of the text, which was searched already.
	begin := header + int(binary.LittleEndian.Uint16(text[26:])) + int(binary.LittleEndian.Uint16(text[28:]))
	switch method := binary.LittleEndian.Uint16(text[8:]); {
	case begin > len(text), method == stored:
		return false
	case method != deflated:
		return true
	}
	return s.inDecompressed(flate.NewReader(bytes.NewReader(text[begin:])), depth)
}

// inDecompressed reports whether the data that r returns contains a value, even
// if r fails afterwards.
func (s *Set) inDecompressed(r io.Reader, depth int) bool {
	if s.work -= streamWork; s.work < 0 {
		return true
	}
	data, _ := io.ReadAll(io.LimitReader(r, maxDecompressed+1))
	return len(data) > maxDecompressed || len(data) > 0 && s.contains(data, depth+1)
}

// Unpack decodes a text from base64, and decompresses the result if it is gzip
// or zlib. It returns nil if the text is not base64, if the compressed data is
// damaged, or if the result is too large.
func Unpack(text []byte) []byte {
	data, err := base64.RawStdEncoding.DecodeString(string(bytes.TrimRight(bytes.TrimSpace(text), "=")))
	if err != nil {
		return nil
	}
	var r io.Reader
	switch {
	case bytes.HasPrefix(data, []byte("\x1f\x8b")):
		r, err = gzip.NewReader(bytes.NewReader(data))
	case bytes.HasPrefix(data, []byte("x")):
		r, err = zlib.NewReader(bytes.NewReader(data))
	default:
		return data
	}
	if err != nil {
		return data
	}
	unpacked, err := io.ReadAll(io.LimitReader(r, maxDecompressed+1))
	if err != nil || len(unpacked) > maxDecompressed {
		return nil
	}
	return unpacked
}

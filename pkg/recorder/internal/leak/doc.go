// Package leak searches texts for values, raw or encoded.
//
// It decides whether a text may be stored. A [Set] holds the values that must
// not be stored, and [Set.In] reports whether a text contains one of them.
//
// It decodes the text instead of encoding the values, so the cost depends on
// the text, and not on the number of values. The encodings are base64 and
// base32 at any alignment, hexadecimal, the escapes of JSON, URLs and HTML,
// gzip, zlib, zip and bzip2. The result is searched and decoded again.
//
// Invariant: work is bounded, and doubt counts as a match. A text that exceeds
// a bound matches, and so does one in a compression format that the package
// can't read.
package leak

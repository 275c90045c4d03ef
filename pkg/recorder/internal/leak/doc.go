// Package leak finds values in texts, whether they stand there as they are or
// encoded.
//
// It owns the question whether a text may be stored: a [Set] holds the values
// that must not be, and [Set.In] reports whether a text contains one of them.
// A text is decoded in every way that it allows (base64 and base32 at any
// alignment, hexadecimal, escapes of JSON, URLs and HTML, gzip, zlib, zip and
// bzip2), and what comes out is searched and decoded again. So the cost depends
// on the text, not on the number of values.
//
// Its invariant: work is bounded, and a text that exceeds a bound, or that was
// compressed by something that can't be decompressed here, counts as one that
// contains a value.
package leak

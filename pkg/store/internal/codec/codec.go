// Package codec encodes and decodes the values of the log: a version's metadata
// and body, heads, identities, checkpoints, gaps and the log's state.
//
// Invariant: decoding an encoded value returns an equal value. Decoding
// anything else returns an error that wraps [ErrCorrupt]. Decoding never
// panics, and the memory that it allocates is bounded. The first byte of each
// encoding is its version or kind, so that another one can be added.
//
// The package handles neither keys nor a database. Terms of dictionaries are
// numbers here. docs/storage-format.md describes the encodings byte by byte.
package codec

import "github.com/watchhistory/watchhistory/pkg/internal/binval"

// ErrCorrupt is wrapped by every decoding error: the bytes are not an encoded
// value.
var ErrCorrupt = binval.ErrCorrupt

// Pair joins two texts to one that [SplitPair] splits again. The texts may
// contain any bytes.
func Pair(a, b string) string { return string(append(binval.AppendText(nil, a), b...)) }

// SplitPair is the inverse of [Pair].
func SplitPair(text string) (a, b string, err error) {
	r := binval.NewReader([]byte(text))
	a = r.Text()
	return a, string(r.Rest()), r.Err()
}

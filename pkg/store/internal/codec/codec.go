// Package codec is the codec of the log's values: a version's metadata, its body, heads, identities and checkpoints.
//
// The invariant: decoding what encoding returned gives an equal value, and decoding anything else gives an error, never a
// panic and never more memory than a bound. Every encoding begins with a byte that says how it goes on, so that further
// ones can stand beside it.
//
// It knows no keys and no database. What is numbered by a dictionary stays a number here.
package codec

import "github.com/watchhistory/watchhistory/pkg/internal/binval"

// ErrCorrupt is wrapped by every error of decoding: the bytes are not what was written.
var ErrCorrupt = binval.ErrCorrupt

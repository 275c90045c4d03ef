package codec

import "github.com/watchhistory/watchhistory/pkg/internal/wire"

// Pair joins two texts into one that [SplitPair] takes apart again, whatever bytes they hold.
func Pair(a, b string) string { return string(append(wire.AppendText(nil, a), b...)) }

// SplitPair is the inverse of [Pair].
func SplitPair(text string) (a, b string, err error) {
	r := wire.NewReader([]byte(text))
	a = r.Text()
	return a, string(r.Rest()), r.Err()
}

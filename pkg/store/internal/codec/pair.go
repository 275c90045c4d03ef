package codec

import "github.com/watchhistory/watchhistory/pkg/internal/binval"

// Pair joins two texts into one that [SplitPair] takes apart again, whatever bytes they hold.
func Pair(a, b string) string { return string(append(binval.AppendText(nil, a), b...)) }

// SplitPair is the inverse of [Pair].
func SplitPair(text string) (a, b string, err error) {
	r := binval.NewReader([]byte(text))
	a = r.Text()
	return a, string(r.Rest()), r.Err()
}

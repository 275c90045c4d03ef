package codec

// Pair joins two texts into one that [SplitPair] takes apart again, whatever bytes they hold.
func Pair(a, b string) string { return string(append(appendString(nil, a), b...)) }

// SplitPair is the inverse of [Pair].
func SplitPair(text string) (a, b string, err error) {
	r := &reader{b: []byte(text)}
	a = r.string()
	return a, string(r.b), r.err
}

package codec

import "github.com/watchhistory/watchhistory/pkg/history"

// gapV1 is the first byte of the encoding of a gap.
const gapV1 = 1

// EncodeGap returns the bytes of a gap, but for its resource and its start, which the key has.
func EncodeGap(g *history.Gap) []byte {
	b := appendTime([]byte{gapV1}, g.End)
	return appendString(appendString(b, g.Reason), g.Detail)
}

// DecodeGap is the inverse of [EncodeGap].
func DecodeGap(b []byte) (history.Gap, error) {
	r := &reader{b: b}
	r.expect(gapV1, "gap of an unknown encoding")
	g := history.Gap{End: r.time(), Reason: history.GapReason(r.string()), Detail: r.string()}
	return g, r.done()
}

package codec

import (
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/binval"
)

// gapV1 is the first byte of an encoded gap.
const gapV1 = 1

// EncodeGap returns the bytes of a gap without its resource and its start,
// which are in the key.
func EncodeGap(g *history.Gap) []byte {
	b := binval.AppendTime([]byte{gapV1}, g.End)
	return binval.AppendText(binval.AppendText(b, g.Reason), g.Detail)
}

// DecodeGap is the inverse of [EncodeGap].
func DecodeGap(b []byte) (history.Gap, error) {
	r := binval.NewReader(b)
	r.Expect(gapV1, "gap of an unknown encoding")
	g := history.Gap{End: r.Time(), Reason: history.GapReason(r.Text()), Detail: r.Text()}
	return g, r.Done()
}

package codec_test

import (
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
)

// FuzzGap checks that arbitrary bytes give an error or a gap that comes back from its own encoding.
func FuzzGap(f *testing.F) {
	f.Add(codec.EncodeGap(&history.Gap{End: time.Unix(1_790_000_000, 1), Reason: history.GapExpired, Detail: "why"}))
	f.Add(codec.EncodeGap(&history.Gap{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if g, err := codec.DecodeGap(b); err == nil {
			again, err := codec.DecodeGap(codec.EncodeGap(&g))
			check(t, g, again, err)
		}
	})
}

package memlimit_test

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchhistory/watchhistory/pkg/internal/memlimit"
)

func TestHold(t *testing.T) {
	before := debug.SetMemoryLimit(1 << 30)
	defer debug.SetMemoryLimit(before)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		go memlimit.Hold(ctx)
		limit := func() int64 { synctest.Wait(); return debug.SetMemoryLimit(-1) }
		if got := limit(); got != 80<<20 {
			t.Errorf("at first the limit is %d", got)
		}
		large := make([]byte, 120<<20)
		runtime.GC()
		time.Sleep(10 * time.Second)
		if got := limit(); got != 80<<20 {
			t.Errorf("what is in use for a moment sets the limit to %d", got)
		}
		time.Sleep(10 * time.Second)
		if got := limit(); got < 216<<20 || got > 226<<20 {
			t.Errorf("120 MB that stay in use set the limit to %d, want 96 MB beside them", got)
		}
		larger := make([]byte, 240<<20)
		runtime.KeepAlive(large)
		runtime.GC()
		time.Sleep(20 * time.Second)
		if got := limit(); got < 360<<20 || got > 380<<20 {
			t.Errorf("240 MB that stay in use set the limit to %d, want half as much beside them", got)
		}
		runtime.KeepAlive(larger)
		largest := make([]byte, 800<<20)
		runtime.GC()
		time.Sleep(20 * time.Second)
		if got := limit(); got != 1<<30 {
			t.Errorf("800 MB set the limit to %d, want no more than it was before", got)
		}
		runtime.KeepAlive(largest)
		cancel()
		if got := limit(); got != 1<<30 {
			t.Errorf("afterwards the limit is %d, want what it was before", got)
		}
	})
}

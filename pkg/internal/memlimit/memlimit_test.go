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

func TestRun_FollowsLiveHeap(t *testing.T) {
	before := debug.SetMemoryLimit(1 << 30)
	defer debug.SetMemoryLimit(before)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		go memlimit.Run(ctx)
		limit := func() int64 { synctest.Wait(); return debug.SetMemoryLimit(-1) }
		if got := limit(); got != 80<<20 {
			t.Errorf("limit at first: got %d, want %d", got, 80<<20)
		}
		large := make([]byte, 120<<20)
		runtime.GC()
		time.Sleep(10 * time.Second)
		if got := limit(); got != 80<<20 {
			t.Errorf("limit after 120 MiB for 10 s: got %d, want %d", got, 80<<20)
		}
		time.Sleep(10 * time.Second)
		if got := limit(); got < 216<<20 || got > 226<<20 {
			t.Errorf("limit after 120 MiB for 20 s: got %d, want 96 MiB more", got)
		}
		larger := make([]byte, 240<<20)
		runtime.KeepAlive(large)
		runtime.GC()
		time.Sleep(20 * time.Second)
		if got := limit(); got < 360<<20 || got > 380<<20 {
			t.Errorf("limit after 240 MiB: got %d, want half as much more", got)
		}
		runtime.KeepAlive(larger)
		largest := make([]byte, 800<<20)
		runtime.GC()
		time.Sleep(20 * time.Second)
		if got := limit(); got != 1<<30 {
			t.Errorf("limit after 800 MiB: got %d, want the earlier limit %d", got, 1<<30)
		}
		runtime.KeepAlive(largest)
		cancel()
		if got := limit(); got != 1<<30 {
			t.Errorf("limit after the end: got %d, want the earlier limit %d", got, 1<<30)
		}
	})
}

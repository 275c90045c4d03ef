// Package memlimit limits the memory of a process that has a log open. It only
// sets parameters of the Go runtime; it frees nothing itself.
package memlimit

import (
	"context"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"time"
)

// GCPercent is the GOGC of a process whose environment sets none. Most live
// memory consists of large buffers without pointers, which are cheap to scan.
const GCPercent = 75

// The parameters of [Run]. The limit follows the smallest live heap of the last
// samples, so a compaction that ends within them does not raise it.
const (
	minLimit       = 80 << 20 // bytes
	usualHeadroom  = 96 << 20 // bytes
	sampleInterval = 2 * time.Second
	samples        = 8
)

// Run keeps the soft memory limit of the runtime close to the live heap until
// ctx is done. It then restores the earlier limit. Only one call may run at a
// time.
//
// While Badger compacts tables it allocates tens of megabytes at once, frees
// them, and allocates as many again before a collection by GCPercent begins.
// The limit starts that collection earlier.
//
// The limit is the live heap plus headroom, and at least 80 MiB. The headroom
// is as large as the live heap, but bounded by 96 MiB or half of the live heap,
// whichever is more. So a large live heap is not collected all the time. The
// limit never exceeds the earlier one, which is GOMEMLIMIT.
func Run(ctx context.Context) {
	earlier := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(earlier)
	tick := time.NewTicker(sampleInterval)
	defer tick.Stop()
	var live [samples]uint64
	for n := 0; ; n++ {
		live[n%samples] = liveHeap()
		debug.SetMemoryLimit(limit(slices.Min(live[:]), earlier))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// limit returns the limit in bytes for a live heap. It is at most most.
func limit(live uint64, most int64) int64 {
	used := int64(min(live, math.MaxInt64/2))
	return min(max(minLimit, used+min(used, max(usualHeadroom, used/2))), most)
}

// liveHeap returns the bytes that the last collection did not free.
func liveHeap() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// Package memlimit keeps the memory of a process small that has a log open. It sets what the Go collector goes by, and nothing
// else: it neither measures nor frees.
package memlimit

import (
	"context"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"time"
)

// GCPercent is how much of what is in use may be left over until it is collected, where nobody says anything else. Most of what is
// in use are large buffers without pointers, which cost next to nothing to collect around.
const GCPercent = 75

// What [Hold] goes by. A join of tables is over within limitAfter looks, each limitEvery after the one before.
const (
	leastLimit = 80 << 20 // bytes
	usualRoom  = 96 << 20 // bytes
	limitEvery = 2 * time.Second
	limitAfter = 8
)

// Hold keeps the runtime's memory below a soft limit until ctx is done: while Badger joins tables it takes tens of
// megabytes for a moment, gives them back, and takes as many again before a collector that waits for GCPercent has begun. The
// limit is leastLimit or, where that is more, leaves room beside what is in use for longer than such a moment: as much again, but no more
// than usualRoom or the half of it, so that a recorder of very many objects does not collect all the time. It is never more than the
// limit was before: GOMEMLIMIT, which it is again afterwards. It is for one caller at a time.
func Hold(ctx context.Context) {
	most := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(most)
	tick := time.NewTicker(limitEvery)
	defer tick.Stop()
	var seen [limitAfter]uint64
	for n := 0; ; n++ {
		seen[n%limitAfter] = inUse()
		debug.SetMemoryLimit(limit(slices.Min(seen[:]), most))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// limit returns the limit for so many bytes in use.
func limit(live uint64, most int64) int64 {
	used := int64(min(live, math.MaxInt64/2))
	return min(max(leastLimit, used+min(used, max(usualRoom, used/2))), most)
}

// inUse returns what the last collection left, in bytes.
func inUse() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

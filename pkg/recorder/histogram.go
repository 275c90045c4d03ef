package recorder

import (
	"sync"
	"time"
)

// Histogram counts durations by how long they were.
type Histogram struct {
	Count uint64
	Sum   time.Duration
	// AtMost counts the durations of at most so many seconds, each with all that are shorter.
	AtMost map[float64]uint64
}

// histogram is a [Histogram] that is being filled. Its zero value is ready.
type histogram struct {
	mu     sync.Mutex // guards what follows
	counts [len(bounds) + 1]uint64
	sum    time.Duration
}

// bounds are the upper ends of a histogram's buckets.
var bounds = [...]time.Duration{ //nolint:gochecknoglobals // a constant, if there were such
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute,
}

// add counts one duration. One below zero, which clocks that differ make, counts as zero.
func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	i := 0
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts[i]++
	h.sum += d
}

func (h *histogram) snapshot() Histogram {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := Histogram{Sum: h.sum, AtMost: make(map[float64]uint64, len(bounds))}
	for i, n := range h.counts {
		s.Count += n
		if i < len(bounds) {
			s.AtMost[bounds[i].Seconds()] = s.Count
		}
	}
	return s
}

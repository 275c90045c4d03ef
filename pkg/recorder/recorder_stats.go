package recorder

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Stats are the counters of a recorder since it was created.
type Stats struct {
	QueueRecords, QueueBytes int       // accepted, and not yet taken for a commit
	Batches                  uint64    // committed transactions
	Retries                  uint64    // retries of failed commits
	LastCommit               time.Time // zero before the first
	Refused                  error     // see Recorder.Refused
	// Commits are the durations of transactions, including retries.
	Commits Histogram
	// Lag is the time from a write of the API server to its commit, of watched
	// versions that name a writer. The API server truncates the times of writes
	// to seconds, and uses its own clock.
	Lag       Histogram
	Resources []ResourceStats
}

// ResourceStats are the counters of one stream. They count committed records.
type ResourceStats struct {
	Group, Resource           string
	Created, Updated, Deleted uint64
	Known                     uint64                       // versions that were delivered again and skipped
	Alive                     int                          // live objects
	Gaps                      map[history.GapReason]uint64 // opened gaps, by reason
	Syncs                     uint64                       // syncs that began
	Checkpoint                time.Time                    // of the last committed checkpoint; zero if there is none

	// IgnoredNamespace and IgnoredChange count the versions that a rule
	// ignored: because of their namespace, or because only ignored fields
	// changed.
	IgnoredNamespace, IgnoredChange uint64
}

// Stats returns the current counters. Resources are sorted by group and name.
func (r *Recorder) Stats() Stats {
	stats := Stats{Batches: r.batches.Load(), Retries: r.retries.Load(), Commits: r.commits.snapshot(), Lag: r.lag.snapshot()}
	stats.QueueRecords, stats.QueueBytes = r.queue.depth()
	stats.Refused = r.Refused()
	if at := r.lastCommit.Load(); at != 0 {
		stats.LastCommit = time.Unix(0, at)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.streams {
		stats.Resources = append(stats.Resources, s.stats())
	}
	slices.SortFunc(stats.Resources, func(a, b ResourceStats) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Resource, b.Resource))
	})
	return stats
}

// Refused returns the error of a write that is being retried. It returns nil if
// the last write succeeded.
func (r *Recorder) Refused() error {
	if err := r.refused.Load(); err != nil {
		return *err
	}
	return nil
}

// stats returns the counters of the stream. Any goroutine may call it.
func (s *Stream) stats() ResourceStats {
	stats := ResourceStats{
		Group: s.resource.Group, Resource: s.resource.Resource,
		Created: s.committed[history.Create].Load(), Updated: s.committed[history.Update].Load(), Deleted: s.committed[history.Delete].Load(),
		Known: s.duplicates.Load(), Alive: int(s.alive.Load()), Gaps: s.gapsOpened.counts(),
		IgnoredNamespace: s.ignoredNamespace.Load(), IgnoredChange: s.ignoredChange.Load(), Syncs: s.lists.Load(),
	}
	if at := s.checkpointed.Load(); at != 0 {
		stats.Checkpoint = time.Unix(0, at)
	}
	return stats
}

// count counts an entry that was committed at the time now.
func (s *Stream) count(e *entry, now time.Time) {
	for _, r := range e.records {
		s.committed[r.Verb].Add(1)
		if !r.Initial && r.InferredSince.IsZero() && len(r.Managers) > 0 && !r.Managers[0].Time.IsZero() {
			s.recorder.lag.add(now.Sub(r.Managers[0].Time))
		}
	}
	if c := e.checkpoint; c != nil {
		s.checkpointed.Store(0)
		if c.RV != "" {
			s.checkpointed.Store(c.Time.UnixNano())
		}
	}
	if e.gap != nil && e.gap.Open() {
		s.gapsOpened.add(e.gap.Reason)
	}
}

// Histogram is the distribution of durations, in cumulative buckets.
type Histogram struct {
	Count uint64
	Sum   time.Duration
	// AtMost maps the upper bound of a bucket, in seconds, to the number of
	// durations up to it.
	AtMost map[float64]uint64
}

// histogram collects durations for a [Histogram]. Its zero value is ready. It
// is safe for concurrent use.
type histogram struct {
	mu     sync.Mutex // guards the fields below
	counts [len(buckets) + 1]uint64
	sum    time.Duration
}

// buckets are the upper bounds of a histogram's buckets.
var buckets = [...]time.Duration{ //nolint:gochecknoglobals // constant
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute,
}

// add counts a duration. A negative one, from clocks that differ, counts as 0.
func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	i := 0
	for i < len(buckets) && d > buckets[i] {
		i++
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts[i]++
	h.sum += d
}

// snapshot returns the current distribution.
func (h *histogram) snapshot() Histogram {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := Histogram{Sum: h.sum, AtMost: make(map[float64]uint64, len(buckets))}
	for i, n := range h.counts {
		s.Count += n
		if i < len(buckets) {
			s.AtMost[buckets[i].Seconds()] = s.Count
		}
	}
	return s
}

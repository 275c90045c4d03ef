package recorder

import (
	"cmp"
	"slices"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Stats are the counters of a recorder since it was created.
type Stats struct {
	QueueRecords, QueueBytes int       // accepted, and not yet taken for a commit
	Batches                  uint64    // committed transactions
	Retries                  uint64    // retries of failed commits
	LastCommit               time.Time // zero before the first
	RetryError               error     // see Recorder.RetryError
	Resources                []ResourceStats
}

// ResourceStats are the counters of one stream. They count committed records.
type ResourceStats struct {
	Group, Resource           string
	Created, Updated, Deleted uint64
	Duplicates                uint64                       // versions that were delivered again and skipped
	Live                      int                          // live objects
	Gaps                      map[history.GapReason]uint64 // opened gaps, by reason
	Lists                     uint64                       // lists that began
	Checkpoint                time.Time                    // of the last committed checkpoint; zero if there is none

	// IgnoredNamespace and IgnoredChange count the versions that a rule
	// ignored: because of their namespace, or because only ignored fields
	// changed.
	IgnoredNamespace, IgnoredChange uint64
}

// Stats returns the current counters. Resources are sorted by group and name.
func (r *Recorder) Stats() Stats {
	stats := Stats{Batches: r.batches.Load(), Retries: r.retries.Load()}
	stats.QueueRecords, stats.QueueBytes = r.queue.depth()
	stats.RetryError = r.RetryError()
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

// RetryError returns the error of a write that is being retried. It returns nil
// if the last write succeeded.
func (r *Recorder) RetryError() error {
	if err := r.retryError.Load(); err != nil {
		return *err
	}
	return nil
}

// stats returns the counters of the stream. Any goroutine may call it.
func (s *Stream) stats() ResourceStats {
	stats := ResourceStats{
		Group: s.resource.Group, Resource: s.resource.Resource,
		Created: s.committed[history.Create].Load(), Updated: s.committed[history.Update].Load(), Deleted: s.committed[history.Delete].Load(),
		Duplicates: s.duplicates.Load(), Live: int(s.live.Load()), Gaps: s.gapsOpened.counts(),
		IgnoredNamespace: s.ignoredNamespace.Load(), IgnoredChange: s.ignoredChange.Load(), Lists: s.lists.Load(),
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
			// Clocks differ: a negative lag counts as zero.
			s.recorder.opts.VersionLag.Observe(max(now.Sub(r.Managers[0].Time), 0).Seconds())
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

// Observer receives measurements, in seconds. A Prometheus histogram is one. It
// must be safe for concurrent use.
type Observer interface {
	Observe(seconds float64)
}

// discard is an [Observer] that ignores what it receives.
type discard struct{}

// Observe implements [Observer].
func (discard) Observe(float64) {}

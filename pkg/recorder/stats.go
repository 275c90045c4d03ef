package recorder

import (
	"cmp"
	"slices"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Stats are what a recorder has done since it was made.
type Stats struct {
	QueueRecords, QueueBytes int       // accepted and not yet taken for a commit
	Batches                  uint64    // transactions committed
	Retries                  uint64    // commits that failed and were tried again
	LastCommit               time.Time // zero before the first
	Resources                []ResourceStats
}

// ResourceStats are what one stream has done, in records committed.
type ResourceStats struct {
	Group, Resource           string
	Created, Updated, Deleted uint64
	Known                     uint64                       // versions that came again, which the log had already
	Alive                     int                          // objects that exist, as far as is known
	Gaps                      map[history.GapReason]uint64 // opened, by reason

	// IgnoredNamespace and IgnoredChange count the versions that a rule left out: for their namespace, or because nothing
	// that counts was changed.
	IgnoredNamespace, IgnoredChange uint64
}

// Stats returns the counters as they are, the resources in order of group and name.
func (r *Recorder) Stats() Stats {
	stats := Stats{Batches: r.batches.Load(), Retries: r.retries.Load()}
	stats.QueueRecords, stats.QueueBytes = r.queue.depth()
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

func (s *Stream) stats() ResourceStats {
	return ResourceStats{
		Group: s.resource.Group, Resource: s.resource.Resource,
		Created: s.committed[history.Create].Load(), Updated: s.committed[history.Update].Load(), Deleted: s.committed[history.Delete].Load(),
		Known: s.known.Load(), Alive: int(s.alive.Load()), Gaps: s.gaps.counts(),
		IgnoredNamespace: s.ignoredNamespace.Load(), IgnoredChange: s.ignoredChange.Load(),
	}
}

func (s *Stream) count(e *entry) {
	for _, r := range e.records {
		s.committed[r.Verb].Add(1)
	}
	if e.gap != nil && e.gap.Open() {
		s.gaps.count(e.gap.Reason)
	}
}

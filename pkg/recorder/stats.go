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
	Refused                  error     // why the log took nothing when it was asked last; nil where it did
	// Commits are how long transactions took, retries included.
	Commits Histogram
	// Lag is the time from the API server's write to the commit, of versions that a watch brought and that name a writer. The
	// API server dates writes in whole seconds, and by its own clock.
	Lag       Histogram
	Resources []ResourceStats
}

// ResourceStats are what one stream has done, in records committed.
type ResourceStats struct {
	Group, Resource           string
	Created, Updated, Deleted uint64
	Known                     uint64                       // versions that came again, which the log had already
	Alive                     int                          // objects that exist, as far as is known
	Gaps                      map[history.GapReason]uint64 // opened, by reason
	Syncs                     uint64                       // begun: lists of everything
	Checkpoint                time.Time                    // when the resourceVersion of the last one committed was received; zero where there is none

	// IgnoredNamespace and IgnoredChange count the versions that a rule left out: for their namespace, or because nothing
	// that counts was changed.
	IgnoredNamespace, IgnoredChange uint64
}

// Stats returns the counters as they are, the resources in order of group and name.
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

// Refused returns why the log takes nothing, as long as it is asked again; nil where it takes what there is.
func (r *Recorder) Refused() error {
	if err := r.refused.Load(); err != nil {
		return *err
	}
	return nil
}

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

// count counts an entry that is durable now.
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

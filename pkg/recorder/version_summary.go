package recorder

import (
	"cmp"
	"context"

	"github.com/watchhistory/watchhistory/pkg/fold"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder/internal/redact"
	"github.com/watchhistory/watchhistory/pkg/summary"
)

// The bounds of the work on a record's summary, in bytes. A summary that is not
// stored is computed by each query.
const (
	maxCompared = 1 << 20 // of an object
	maxSummary  = 4 << 10 // of the summary and the problem, which are stored
)

// update completes the record of an update: its summary, who wrote it, and
// its class.
func (s *Stream) update(ctx context.Context, record *history.NewVersion, v *version, h head) {
	last := s.lastVersion(ctx, record.Ref, h)
	s.cacheVersion(record.Record, v, last)
	record.Before = last.object
	comparison := compare(record)
	missed := !record.InferredSince.IsZero()
	a := attribution{entries: v.entries, apiVersion: v.apiVersion, before: h.managedHashes, floor: h.newest}
	if last.newest == newestSecond(v.entries) {
		a.fresh = s.received.Sub(last.since).Abs() <= sameSecondDelay // the clock may have been set back
	}
	if last.rv == h.rv { // otherwise a rule ignored versions in between
		a.comparison = comparison
	}
	record.Managers = a.managers(missed)
	summarize(record.Record, comparison)
	s.classify(ctx, record, comparison)
	attributeFields(record.Record, v.entries, comparison, missed || last.rv != h.rv)
}

// compare compares an update with the previous version. It returns nil if the
// previous version is not available or the objects are too large, and if the
// summary does not depend on it.
func compare(record *history.NewVersion) *summary.Comparison {
	size := max(len(record.Before), len(record.Object))
	if record.Before == nil || !summary.NeedsPrevious(record.Record) || size > maxCompared {
		return nil
	}
	return summary.Compare(record.Before, record.Object)
}

// lastVersion returns the previous version of an updated object as it was
// recorded: from the cache, otherwise from the log.
//
// A version that waits to be committed is usually cached. If it is not,
// lastVersion does not wait for the commit: only the summary, the managers and
// the stored size depend on the previous version.
func (s *Stream) lastVersion(ctx context.Context, ref history.ObjectRef, h head) lastVersion {
	last := s.recorder.lastVersions.get(string(ref.UID))
	if last.object != nil {
		return last
	}
	before, err := s.recorder.log.Latest(ctx, ref)
	if err != nil || before.RV != h.rv {
		return lastVersion{}
	}
	return fromLog(before)
}

// fromLog returns a version that was read from the log as it is cached.
func fromLog(r *history.Record) lastVersion {
	last := lastVersion{rv: r.RV, object: r.Object, since: r.Time}
	// The entries of a version's managers were new in it, so their second was
	// first received with that version.
	for _, m := range r.Managers {
		last.newest = max(last.newest, second(m.Time))
	}
	return last
}

// cacheVersion caches a version that was just received.
func (s *Stream) cacheVersion(record *history.Record, v *version, last lastVersion) {
	current := lastVersion{rv: record.RV, object: record.Object, newest: newestSecond(v.entries), since: s.received}
	if current.newest == last.newest {
		current.since = last.since
	}
	s.recorder.lastVersions.put(string(v.uid), current)
}

// previous returns the recorded version before the one that is being parsed. It
// returns nil if there is none, or if the version itself is recorded already.
// Unlike lastVersion, it waits for queued records to be committed: redaction
// depends on it.
func (s *Stream) previous(ctx context.Context, id redact.Identity, event history.WatchEventType) []byte {
	key := objectKey{id.Namespace, id.Name}
	h, known := s.heads[key]
	if !known || h.uid != id.UID || h.rv == id.RV && event != history.Deleted {
		return nil
	}
	if last := s.recorder.lastVersions.get(id.UID); last.object != nil {
		return last.object
	}
	before, err := s.latest(ctx, key, h)
	if err != nil {
		return nil // the next step that reads the log reports it
	}
	s.recorder.lastVersions.put(id.UID, fromLog(before))
	return before.Object
}

// summarize sets a record's summary. It leaves it out if it depends on a
// previous version that is not available, or if it exceeds the bounds.
func summarize(r *history.Record, c *summary.Comparison) {
	r.Summary = nil
	if c == nil && summary.NeedsPrevious(r) || len(r.Object) > maxCompared {
		return
	}
	if s := summary.Of(r, c); len(s.Text)+len(s.Problem) <= maxSummary {
		r.Summary = &s
	}
}

// classify sets a record's class. A symptom that only a configured rule finds
// is the problem of its summary. A configured rule that is too expensive for
// the version finds nothing.
func (s *Stream) classify(ctx context.Context, record *history.NewVersion, c *summary.Comparison) {
	record.Class = fold.ClassOf(record.Record, c)
	compiled := s.parser.ignore.compiled
	if record.Summary == nil || record.Verb == history.Delete {
		return
	}
	// Whether the version is recorded correctly does not depend on ctx.
	now, begins, err := compiled.symptoms.Begin(context.WithoutCancel(ctx), record.Record, record.Before)
	if err != nil && s.warned != compiled {
		s.warned = compiled
		s.recorder.opts.Logger.WarnContext(ctx, "configured symptom not evaluated",
			"resource", s.resource, "namespace", record.Ref.Namespace, "name", record.Ref.Name, "err", err)
	}
	if len(now) == 0 {
		return
	}
	record.Summary.Problem = cmp.Or(record.Summary.Problem, now[0].Text)
	if begins && !record.Initial && record.Class == history.Consequence {
		record.Class = history.Onset
	}
}

// attributeFields sets which of the changed fields each of the record's
// managers owns. others means that other managers may have written too. Then
// fields inside an owned value count only if they are owned themselves.
func attributeFields(r *history.Record, entries []managedEntry, c *summary.Comparison, others bool) {
	if c == nil {
		return
	}
	for i := range r.Managers {
		m := &r.Managers[i]
		for _, e := range entries {
			if len(m.Fields) == 0 && e.isOf(*m) {
				m.Fields = c.Owned(e.fieldsV1, !others)
			}
		}
	}
}

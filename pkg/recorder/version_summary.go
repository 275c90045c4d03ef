package recorder

import (
	"context"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/summary"
)

// The bounds of what is done for a record's words, in bytes. What is beyond them is told when somebody asks.
const (
	maxCompared = 1 << 20 // of an object
	maxWords    = 4 << 10 // of what is stored with every version
)

// compare compares an update with the version before it. It returns nil where the version before is not at hand, and where
// nothing is to be compared.
func (s *Stream) compare(record *history.Record) *summary.Comparison {
	if record.Before == nil || !summary.Compared(record) || max(len(record.Before), len(record.Object)) > maxCompared {
		return nil
	}
	return summary.Compare(record.Before, record.Object)
}

// update completes the record of an update: what changed in it, and who wrote.
func (s *Stream) update(ctx context.Context, record *history.Record, v *version, h head) {
	last := s.last(ctx, record, h)
	s.hold(record, v, last)
	record.Before = last.object
	comparison := s.compare(record)
	missed := !record.InferredSince.IsZero()
	a := attribution{entries: v.writers, apiVersion: v.apiVersion, before: h.writers, floor: h.newest}
	if last.newest == newestSecond(v.writers) {
		a.fresh = s.received.Sub(last.since).Abs() <= closeTogether // a clock can be set back
	}
	if last.rv == h.rv { // otherwise a rule left out versions in between
		a.comparison = comparison
	}
	record.Managers = a.attribute(missed)
	tell(record, comparison)
	own(record, v.writers, comparison, missed || last.rv != h.rv)
}

// last returns the version before an update, as it was recorded. The log has
// what the memory does not: all but what waits to be committed, which the memory
// usually has, and which is not waited for.
func (s *Stream) last(ctx context.Context, record *history.Record, h head) lastVersion {
	last := s.recorder.memory.recall(string(record.Ref.UID))
	if last.object != nil {
		return last
	}
	before, err := s.recorder.log.Latest(ctx, record.Ref)
	if err != nil || before.RV != h.rv {
		return lastVersion{} // nothing but words, names and room depend on it
	}
	return recorded(before)
}

// recorded returns what the memory holds of a version from the log.
func recorded(r *history.Record) lastVersion {
	last := lastVersion{rv: r.RV, object: r.Object, since: r.Time}
	for _, m := range r.Managers { // wrote that version, so its entry was new in it
		last.newest = max(last.newest, second(m.Time))
	}
	return last
}

// hold keeps a record that was just received for the next version.
func (s *Stream) hold(record *history.Record, v *version, last lastVersion) {
	now := lastVersion{rv: record.RV, object: record.Object, newest: newestSecond(v.writers), since: s.received}
	if now.newest == last.newest {
		now.since = last.since
	}
	s.recorder.memory.hold(string(v.uid), now)
}

// previous returns the version before of an object whose next version is being
// read; nil if there is none or if that version is recorded already. Unlike
// last, it waits for what is to be committed.
func (s *Stream) previous(ctx context.Context, id identity, frame history.WatchEventType) []byte {
	h, known := s.heads[id.objectKey]
	if !known || h.uid != id.uid || h.rv == id.rv && frame != history.Deleted {
		return nil
	}
	if last := s.recorder.memory.recall(id.uid); last.object != nil {
		return last.object
	}
	before, err := s.latest(ctx, id.objectKey, h)
	if err != nil {
		return nil // the next step that needs the log reports it
	}
	s.recorder.memory.hold(id.uid, recorded(before))
	return before.Object
}

// tell puts a record into words, unless they depend on a version before that is not at hand.
func tell(r *history.Record, c *summary.Comparison) {
	r.Summary = nil
	if c == nil && summary.Compared(r) || len(r.Object) > maxCompared {
		return
	}
	if words := summary.Of(r, c); len(words.Text)+len(words.Problem) <= maxWords {
		r.Summary = &words
	}
}

// own finds out which of the fields that changed belong to the managers who
// wrote the record. If others may have written too, what lies inside of an
// owned value counts only if it is owned by its own path.
func own(r *history.Record, entries []writer, c *summary.Comparison, others bool) {
	if c == nil {
		return
	}
	for i := range r.Managers {
		m := &r.Managers[i]
		for _, w := range entries {
			if len(m.Fields) == 0 && w.of(*m) {
				m.Fields = c.Owned(w.fieldsV1, !others)
			}
		}
	}
}

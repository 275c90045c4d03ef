package recorder

import (
	"context"
	"slices"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/narrative"
)

// The bounds of what is done for a record's words, in bytes. What is beyond them is told when somebody asks.
const (
	maxCompared = 1 << 20 // of an object
	maxWords    = 4 << 10 // of what is stored with every version
)

// compare compares an update with the version before it. It returns nil where the version before is not at hand, and where
// nothing is to be compared.
func (s *Stream) compare(record *history.Record) *narrative.Comparison {
	if record.Before == nil || !narrative.Compared(record) || max(len(record.Before), len(record.Object)) > maxCompared {
		return nil
	}
	return narrative.Compare(record.Before, record.Object)
}

// before returns the version before an update, as it was recorded, and remembers the update for the next one. The log has what
// the memory does not: all but what waits to be committed, which the memory usually has, and which is not waited for.
func (s *Stream) before(ctx context.Context, record *history.Record, h head) []byte {
	before := s.recorder.memory.recall(string(record.Ref.UID))
	s.recorder.memory.hold(string(record.Ref.UID), record.Object)
	if before != nil {
		return before
	}
	last, err := s.recorder.log.Latest(ctx, record.Ref)
	if err != nil || last.RV != h.rv {
		return nil // nothing but words, and room, depend on it
	}
	return last.Object
}

// tell puts a record into words, unless they depend on a version before that is not at hand.
func tell(r *history.Record, c *narrative.Comparison) {
	r.Words = nil
	if c == nil && narrative.Compared(r) || len(r.Object) > maxCompared {
		return
	}
	if words := narrative.Of(r, c); len(words.Summary)+len(words.Trouble) <= maxWords {
		r.Words = &words
	}
}

// confirm keeps of the managers who are guessed to have written the record those that own something of what changed. Nobody is
// kept where the version before is not at hand.
func confirm(guessed []history.Manager, entries []writer, c *narrative.Comparison) (who []history.Manager) {
	for _, m := range guessed {
		if c != nil && slices.ContainsFunc(entries, func(w writer) bool { return w.of(m) && c.Owns(w.fieldsV1) }) {
			who = append(who, m)
		}
	}
	return who
}

// own tells which of the fields that changed belong to the managers who wrote the record.
func own(r *history.Record, entries []writer, c *narrative.Comparison) {
	if c == nil {
		return
	}
	for i := range r.Managers {
		m := &r.Managers[i]
		for _, w := range entries {
			if len(m.Fields) == 0 && w.of(*m) {
				m.Fields = c.Owned(w.fieldsV1)
			}
		}
	}
}

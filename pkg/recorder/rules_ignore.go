package recorder

import (
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// existedBefore is by how much an object's creation has to come before something to be sure that it did: the API server's
// clock is another one.
const existedBefore = time.Minute

// follow takes up the recorder's rules if they have changed.
func (s *Stream) follow() {
	if book := s.recorder.rules.Load(); s.parser.rules == nil || s.parser.rules.book != book {
		s.parser.rules = book.of(s.resource)
	}
}

// omits tells whether a version is left out by a rule, counts it, and then lets the head go on to it: it is known, and
// neither comes again nor is looked for later. An object's first version is left out only for its namespace, and a deletion
// only where nothing of the object is recorded.
func (s *Stream) omits(v *version, frame history.WatchEventType) bool {
	key := objectKey{v.namespace, v.name}
	h, known := s.heads[key]
	same := known && h.uid == string(v.uid)
	switch {
	case same && (h.rv == v.rv || frame == history.Deleted), known && !same:
		return false
	case s.parser.rules.ignores(v.namespace):
		s.ignoredNamespace.Add(1)
	case same && v.content != 0 && v.content == h.content:
		s.ignoredChange.Add(1)
	default:
		return false
	}
	if same {
		s.heads[key] = s.head(v, h, fingerprints(v.writers))
	}
	return true
}

// existed tells whether the object says of itself that it was created before then. An object that a rule kept out of the
// history may be found by a sync long after.
func (v *version) existed(then time.Time) bool {
	var created time.Time
	err := rawjson.Find(v.object, []rawjson.Selector{mustSelect("metadata.creationTimestamp")}, func(scan *rawjson.Scanner, _ int) {
		if scan.Kind() != rawjson.String {
			return
		}
		if at, err := time.Parse(time.RFC3339, scan.Text()); err == nil {
			created = at
		}
	})
	return err == nil && !created.IsZero() && created.Before(then.Add(-existedBefore))
}

// redacted hides what must not be stored today in an object that was recorded under the rules of its time.
func (s *Stream) redacted(object []byte) ([]byte, error) {
	s.follow()
	hidden, err := s.parser.hideAgain(object)
	if err != nil {
		return nil, wrap("redact an object of", s.resource, err)
	}
	return hidden, nil
}

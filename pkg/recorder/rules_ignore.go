package recorder

import (
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// maxClockSkew is the assumed maximum difference between the clock of the API
// server, which sets creationTimestamp, and the clock of the recorder.
const maxClockSkew = time.Minute

// reloadRules applies the recorder's current rules from now on.
func (s *Stream) reloadRules() {
	compiled := s.recorder.rules.Load()
	if s.parser.ignore != nil && s.parser.ignore.compiled == compiled {
		return
	}
	s.parser.ignore = compiled.ignore(s.resource)
	s.parser.redactor.SetRules(compiled.redact)
}

// applyIgnoreRules reports whether a rule ignores a version, and counts it.
//
// The head advances to an ignored version, so that the version is neither
// processed again nor inferred later. An object's first version is ignored only
// because of its namespace, and a deletion only if no version of the object is
// recorded.
func (s *Stream) applyIgnoreRules(v *version, event history.WatchEventType) bool {
	key := objectKey{v.namespace, v.name}
	h, known := s.heads[key]
	same := known && h.uid == string(v.uid)
	switch {
	case same && (h.rv == v.rv || event == history.Deleted), known && !same:
		return false
	case s.parser.ignore.ignoresNamespace(v.namespace):
		s.metrics.ignoredNamespace.Inc()
	case same && v.contentHash != 0 && v.contentHash == h.contentHash:
		s.metrics.ignoredChange.Inc()
	default:
		return false
	}
	if same {
		s.heads[key] = s.head(v, h, managedHashes(v.entries))
	}
	return true
}

// createdBefore reports whether the object was certainly created before a time,
// by its creationTimestamp. A relist may find an object long after it was
// created if a rule ignored it until then.
func (v *version) createdBefore(then time.Time) bool {
	var created time.Time
	selectors := []rawjson.Selector{{Path: rawjson.MustParsePath("metadata.creationTimestamp")}}
	err := rawjson.Find(v.object, selectors, func(scan *rawjson.Scanner, _ int) {
		if scan.Kind() != rawjson.String {
			return
		}
		if at, err := time.Parse(time.RFC3339, scan.Text()); err == nil {
			created = at
		}
	})
	return err == nil && !created.IsZero() && created.Before(then.Add(-maxClockSkew))
}

// reRedact applies today's rules to an object that was recorded under earlier
// ones.
func (s *Stream) reRedact(object []byte) ([]byte, error) {
	s.reloadRules()
	redacted, err := s.parser.redactor.RedactAgain(object)
	if err != nil {
		return nil, wrap("redact an object of", s.resource, err)
	}
	return redacted, nil
}

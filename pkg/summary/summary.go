package summary

import (
	"encoding/json"
	"strings"

	"github.com/watchhistory/watchhistory/pkg/diff"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/summary/internal/problem"
)

// The summaries of versions that are not compared.
const (
	summaryInitial  = "existed when recording began"
	summaryCreated  = "created"
	summaryDeleted  = "deleted"
	summaryOrphaned = "the version before is not kept"
)

// NeedsPrevious reports whether the summary of a record depends on the previous
// version.
func NeedsPrevious(r *history.Record) bool { return r.Verb == history.Update && !isEvent(r) }

// Of returns the summary of a record, which must have its object. The
// comparison is that with the previous version, or nil if that is not
// available. It is ignored if the summary does not depend on it.
func Of(r *history.Record, c *Comparison) history.Summary {
	if !NeedsPrevious(r) {
		c = nil
	}
	if isExpiry(r) {
		return history.Summary{}
	}
	var before []byte
	if c != nil {
		before = c.before
	}
	return history.Summary{Text: summary(r, c), Problem: problem.Of(r.Ref.GroupResource(), r.Object, before)}
}

// ProblemBegins reports whether a version with a summary has a problem that the
// previous version did not have. c is the comparison with the previous version,
// or nil if that is not available. Then an update of an Event has no new
// problem, and any other version with a problem has.
func ProblemBegins(r *history.Record, c *Comparison) bool {
	switch {
	case r.Summary == nil || r.Summary.Problem == "":
		return false
	case isEvent(r):
		return r.Verb == history.Create
	case c == nil:
		return true
	default:
		return problem.Begins(r.Ref.GroupResource(), r.Object, c.before)
	}
}

// summary returns the text of a summary.
func summary(r *history.Record, c *Comparison) string {
	switch {
	case isEvent(r):
		return eventSummary(r.Object)
	case r.Verb == history.Delete:
		return summaryDeleted
	case r.Initial:
		return summaryInitial
	case r.Verb == history.Create:
		return creation(r.Object)
	case c == nil:
		return summaryOrphaned
	default:
		return diff.Summary(c.Changes())
	}
}

// creation returns the summary of a new object: its controller, if it has one.
func creation(object []byte) string {
	var metadata struct {
		OwnerReferences []struct {
			Kind, Name string
			Controller bool
		}
	}
	for _, m := range new(reader).members(object, nil) {
		if string(m.key) != "metadata" || json.Unmarshal(m.value, &metadata) != nil {
			continue
		}
		for _, owner := range metadata.OwnerReferences {
			if owner.Controller {
				return "owned by " + strings.ToLower(owner.Kind) + "/" + owner.Name
			}
		}
	}
	return summaryCreated
}

// isEvent reports whether the record is of a Kubernetes Event, in either of its
// two groups.
func isEvent(r *history.Record) bool {
	return history.IsEventResource(r.Ref.GroupResource())
}

// isExpiry reports whether the record is the deletion of an Event. The API
// server deletes each Event some time after its last write, by default an hour
// (--event-ttl). The deletion contains no information about the target.
func isExpiry(r *history.Record) bool { return r.Verb == history.Delete && isEvent(r) }

// eventSummary returns the reason and the message of an Event.
func eventSummary(object []byte) string {
	var e struct{ Reason, Message, Note string }
	if json.Unmarshal(object, &e) != nil {
		return ""
	}
	text := strings.Join(strings.Fields(e.Message+e.Note), " ")
	if e.Reason == "" || text == "" {
		return e.Reason + text
	}
	return e.Reason + ": " + text
}

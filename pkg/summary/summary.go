package summary

import (
	"encoding/json"
	"strings"

	"github.com/watchhistory/watchhistory/pkg/diff"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/summary/internal/problem"
)

// What a summary says where there is nothing to compare with.
const (
	summaryInitial  = "existed when recording began"
	summaryCreated  = "created"
	summaryDeleted  = "deleted"
	summaryOrphaned = "the version before is not kept"
)

// Compared tells whether the record's words depend on the version before.
func Compared(r *history.Record) bool { return r.Verb == history.Update && !isEvent(r) }

// Of puts a record, which has its object, into words. The comparison is that with the version before; nil where that is not
// known, and it counts only where the words depend on it.
func Of(r *history.Record, c *Comparison) history.Summary {
	if !Compared(r) {
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

// creation names the object's controller, or says only that it was created.
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

// isEvent tells whether the record is of a Kubernetes Event, in either of the two groups that serve them.
func isEvent(r *history.Record) bool {
	return history.IsEventResource(r.Ref.GroupResource())
}

// isExpiry reports whether the record is the deletion of an Event. The API
// server deletes each Event after an hour (--event-ttl); that says nothing
// about the object that the Event regarded, so it is noise.
func isExpiry(r *history.Record) bool { return r.Verb == history.Delete && isEvent(r) }

// eventSummary is an Event's reason and message.
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

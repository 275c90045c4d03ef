package query

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/diff"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query/internal/trouble"
)

// What a summary says where there is nothing to compare with.
const (
	summaryInitial  = "existed when recording began"
	summaryCreated  = "created"
	summaryDeleted  = "deleted"
	summaryOrphaned = "the version before is not kept"
)

// narrate puts records, which are in order, into words. It costs one more read for every update whose version before is
// not among them.
func (s *Service) narrate(ctx context.Context, records []*history.Record, order history.Order) ([]Version, error) {
	n := narrator{reader: s.reader, newest: map[types.UID]*state{}}
	versions := make([]Version, 0, len(records))
	if order == history.NewestFirst {
		records = slices.Clone(records)
		slices.Reverse(records)
	}
	for _, r := range records {
		v, err := n.version(ctx, r)
		if err != nil {
			return nil, fmt.Errorf("compare %s with the version before: %w", r.Ref, err)
		}
		versions = append(versions, v)
	}
	if order == history.NewestFirst {
		slices.Reverse(versions)
	}
	return versions, nil
}

// state is a version, and the fields of its object once they were asked for.
type state struct {
	*history.Record

	fields map[string]json.RawMessage
}

// split returns the object's fields; none where it is no object.
func (s *state) split() map[string]json.RawMessage {
	if s.fields == nil && json.Unmarshal(s.Object, &s.fields) != nil {
		s.fields = map[string]json.RawMessage{}
	}
	return s.fields
}

// difference decodes those fields in which two versions of an object differ in their bytes. Most versions share the larger
// ones, and decoding is what a summary costs.
func difference(before, now *state) (old, new map[string]any) {
	was, is := before.split(), now.split()
	return decode(was, is), decode(is, was)
}

// decode decodes the fields that the other version does not have to the byte.
func decode(fields, other map[string]json.RawMessage) map[string]any {
	object := map[string]any{}
	for name, raw := range fields {
		if bytes.Equal(raw, other[name]) {
			continue
		}
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		var value any
		if d.Decode(&value) == nil { // it was found valid when the object was split
			object[name] = value
		}
	}
	return object
}

// narrator goes through records, oldest first, and remembers each object's newest version for the next one.
type narrator struct {
	reader Reader
	newest map[types.UID]*state
}

func (n *narrator) version(ctx context.Context, r *history.Record) (Version, error) {
	v, now := Version{Record: r}, &state{Record: r}
	before, err := n.before(ctx, r)
	if err != nil {
		return v, err
	}
	n.newest[r.Ref.UID] = now
	v.Summary = summary(now, before)
	var bodyBefore []byte
	if before != nil {
		bodyBefore = before.Object
	}
	v.Trouble = trouble.Of(r.Ref.GroupResource(), r.Object, bodyBefore)
	return v, nil
}

// before returns the version before an update; nil where it is not kept, and for everything that is no update.
func (n *narrator) before(ctx context.Context, r *history.Record) (*state, error) {
	if r.Verb != history.Update || r.Revision <= 1 || isEvent(r) {
		return nil, nil
	}
	if last := n.newest[r.Ref.UID]; last != nil && last.Revision+1 == r.Revision {
		return last, nil
	}
	scan := history.Scan{Filter: exactly(r.Ref), Order: history.NewestFirst, Limit: 1, Bodies: true}
	scan.End = r.Time
	for before, err := range n.reader.Scan(ctx, scan) {
		return &state{Record: before}, err
	}
	return nil, nil
}

// exactly returns the filter of one incarnation.
func exactly(ref history.ObjectRef) history.Filter {
	f := history.Filter{Namespace: ref.Namespace, Name: ref.Name, UID: ref.UID}
	f.Resources = append(f.Resources, ref.GroupResource())
	if f.Namespace == "" {
		f.Namespace = history.NoNamespace
	}
	return f
}

func summary(now, before *state) string {
	switch {
	case isEvent(now.Record):
		return eventSummary(now.Object)
	case now.Verb == history.Delete:
		return summaryDeleted
	case now.Initial:
		return summaryInitial
	case now.Verb == history.Create:
		return creation(now.Object)
	case before == nil:
		return summaryOrphaned
	default:
		return diff.Summary(diff.Objects(difference(before, now)))
	}
}

// creation names the object's controller, or says only that it was created.
func creation(object []byte) string {
	var o struct {
		Metadata struct {
			OwnerReferences []struct {
				Kind, Name string
				Controller bool
			}
		}
	}
	if json.Unmarshal(object, &o) == nil {
		for _, owner := range o.Metadata.OwnerReferences {
			if owner.Controller {
				return "owned by " + strings.ToLower(owner.Kind) + "/" + owner.Name
			}
		}
	}
	return summaryCreated
}

// isEvent tells whether the record is of a Kubernetes Event, in either of the two groups that serve them.
func isEvent(r *history.Record) bool {
	return r.Ref.Resource == "events" && (r.Ref.Group == "" || r.Ref.Group == "events.k8s.io")
}

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

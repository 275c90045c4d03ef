package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"time"
	"unicode/utf8"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// event returns a version in the form of an audit event. With summary, the
// event has no object. If the object is not valid JSON, that is logged, and the
// event has no object either.
func (h *handler) event(v *query.Version, summary bool) v1.Event {
	resource := history.Resource{Group: v.Ref.Group, Version: v.Version, Plural: v.Ref.Resource}
	e := v1.Event{
		Timestamp:       v.Time.UTC(),
		Verb:            v.Verb.String(),
		User:            v1.WatcherUser,
		Namespace:       v.Ref.Namespace,
		ResourceType:    v.Ref.Resource,
		ResourceName:    v.Ref.Name,
		ResponseStatus:  v1.StatusOK,
		Message:         message(v),
		Stage:           v1.StageResponseComplete,
		RequestURI:      resource.Path(v.Ref.Namespace, v.Ref.Name),
		Group:           v.Ref.Group,
		APIVersion:      resource.APIVersion(),
		Kind:            v.Kind,
		UID:             string(v.Ref.UID),
		ResourceVersion: v.RV,
		Revision:        v.Revision,
		Initial:         v.Initial,
		Summary:         v.Summary,
		Class:           v.Class.String(),
	}
	e.Managers, e.Unmanaged = managers(v.Managers)
	if !v.InferredSince.IsZero() {
		e.Inferred = &v1.Interval{Start: v.InferredSince.UTC(), End: v.Time.UTC()}
	}
	if v.Ending != nil {
		e.Outcome, e.Delivery = outcome(v.Ending.Outcome, v.Time), deliveryOf(v.Ending)
		e.Consequences = v.Ending.Consequences
	}
	if summary {
		return e
	}
	var err error
	if len(v.Previous) > 0 {
		e.PreviousObject, _, err = visibleObject(v.Previous)
	}
	if err == nil {
		e.ObjectChanges, e.Annotations, err = visibleObject(v.Object)
	}
	if err != nil {
		h.options.Logger.Error("record has no valid object", "resource", v.Ref.Resource, "namespace", v.Ref.Namespace,
			"name", v.Ref.Name, "uid", v.Ref.UID, "revision", v.Revision, "err", err)
	}
	return e
}

// outcome returns how a change at a time ended, or nil.
func outcome(o *query.Outcome, changed time.Time) *v1.Outcome {
	if o == nil {
		return nil
	}
	outcome := &v1.Outcome{State: o.State.String(), Text: o.Text}
	if o.Reached.After(changed) {
		after := o.Reached.Sub(changed).Seconds()
		outcome.AfterSeconds = &after
	}
	return outcome
}

// deliveryOf returns the release of a change in the form of the API, or nil.
func deliveryOf(e *query.Ending) *v1.Delivery {
	d := e.Delivery
	if d == nil {
		return nil
	}
	return &v1.Delivery{
		Text: d.String(), Tool: d.Tool, Kind: d.Kind, Name: d.Name, Namespace: d.Namespace,
		Chart: d.Chart, Revision: d.Revision, Commit: d.Commit, Cause: d.Cause,
	}
}

// managers separates the managers that the API server recorded from the one
// that was inferred.
func managers(list []history.Manager) (recorded []v1.Manager, inferred *v1.Unmanaged) {
	for _, m := range list {
		if m.IsInferred() {
			inferred = &v1.Unmanaged{Subresource: m.Subresource, Writer: m.Name}
			continue
		}
		recorded = append(recorded, v1.Manager{
			Manager: m.Name, Operation: m.Operation, Subresource: m.Subresource, Time: m.Time, Fields: m.Fields,
		})
	}
	return recorded, inferred
}

// message returns a text such as "Update pods shop/web", followed by the
// object's problem if it has one. The text is fixed: clients search it for the
// words of the problem.
func message(v *query.Version) string {
	verb := map[history.Verb]string{
		history.Create: "Create", history.Update: "Update", history.Delete: "Delete",
	}[v.Verb]
	text := verb + " " + v.Ref.Resource + " " + path.Join(v.Ref.Namespace, v.Ref.Name)
	if v.Problem != "" {
		text += ": " + v.Problem
	}
	return text
}

// visibleObject returns an object as clients see it, without the metadata that
// the API server maintains, and the object's annotations.
//
// All other bytes are kept: numbers, the order of fields, and the contents of
// strings. Invalid UTF-8, which an aggregated API server may send, is replaced
// by U+FFFD, because a client's parser would reject the whole answer.
func visibleObject(object []byte) (json.RawMessage, map[string]string, error) {
	var edits []rawjson.Edit
	var annotations map[string]string
	s := rawjson.Scan(object)
	for _, field := range s.Members() {
		if string(field) != "metadata" {
			continue
		}
		start := s.Offset()
		var kept []byte
		kept, annotations = visibleMetadata(&s, object)
		edits = append(edits, rawjson.Edit{Start: start, End: s.Offset(), With: kept})
	}
	if err := s.End(); err != nil {
		return nil, nil, fmt.Errorf("read object: %w", err)
	}
	kept := rawjson.Apply(object, edits)
	if !utf8.Valid(kept) {
		kept = bytes.ToValidUTF8(kept, []byte("\uFFFD"))
	}
	return kept, annotations, nil
}

// visibleMetadata consumes the metadata of an object, and returns its visible
// part.
func visibleMetadata(s *rawjson.Scanner, object []byte) (kept []byte, annotations map[string]string) {
	kept = append(kept, '{')
	for at, field := range s.Members() {
		switch string(field) {
		case "annotations":
			annotations = texts(s)
		default:
			s.Skip()
		}
		if serverField(string(field)) {
			continue
		}
		if len(kept) > 1 {
			kept = append(kept, ',')
		}
		kept = append(kept, object[at:s.Offset()]...)
	}
	return append(kept, '}'), annotations
}

// serverField reports whether the API server maintains a field of metadata. The
// useful ones are fields of the event.
func serverField(name string) bool {
	switch name {
	case "managedFields", "resourceVersion", "generation", "selfLink", "uid":
		return true
	default:
		return false
	}
}

// texts consumes an object whose values are strings. It returns nil if the
// object is empty.
func texts(s *rawjson.Scanner) map[string]string {
	var all map[string]string
	for _, key := range s.Members() {
		if all == nil {
			all = map[string]string{}
		}
		all[string(key)] = s.Text()
	}
	return all
}

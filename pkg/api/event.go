package api

import (
	"path"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// event writes a version in the shape of an audit event.
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
	}
	e.Managers, e.Unmanaged = managers(v.Managers)
	if !v.InferredSince.IsZero() {
		e.Inferred = &v1.Interval{Start: v.InferredSince.UTC(), End: v.Time.UTC()}
	}
	if summary {
		return e
	}
	var err error
	if e.ObjectChanges, e.Annotations, err = whole(v.Object); err != nil {
		h.options.Logger.Error("record holds no object", "resource", v.Ref.Resource, "namespace", v.Ref.Namespace,
			"name", v.Ref.Name, "uid", v.Ref.UID, "revision", v.Revision, "err", err)
	}
	return e
}

// managers separates the managers that the API server recorded from the one
// that was inferred.
func managers(list []history.Manager) (recorded []v1.Manager, inferred *v1.Unmanaged) {
	for _, m := range list {
		if m.IsInferred() {
			inferred = &v1.Unmanaged{Subresource: m.Subresource, Writer: m.Name}
			continue
		}
		recorded = append(recorded, v1.Manager{Manager: m.Name, Operation: m.Operation, Subresource: m.Subresource, Time: m.Time, Fields: m.Fields})
	}
	return recorded, inferred
}

// message says what happened to which object and, where the object is in trouble, the reason.
func message(v *query.Version) string {
	verb := map[history.Verb]string{history.Create: "Create", history.Update: "Update", history.Delete: "Delete"}[v.Verb]
	text := verb + " " + v.Ref.Resource + " " + path.Join(v.Ref.Namespace, v.Ref.Name)
	if v.Problem != "" {
		text += ": " + v.Problem
	}
	return text
}

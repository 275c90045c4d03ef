package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/report"
	"github.com/watchhistory/watchhistory/pkg/restore"
)

// stateResult is the merged result of several queries for objects as they were
// at a time.
type stateResult struct {
	at      time.Time // zero without queries
	objects []*restore.Object
	items   []json.RawMessage // the objects, as the recorder returned them
	pages   []client.Page     // the last one of each query
}

// byKey returns the objects by their keys.
func (r *stateResult) byKey() restore.State {
	all := restore.State{}
	for _, o := range r.objects {
		all[o.Key()] = o
	}
	return all
}

// state reads all objects of queries. Objects are complete.
//
// A custom type may have had another scope, and is searched in both. The
// recorder rejects the one that it never had.
func (s *session) state(ctx context.Context, queries []client.StateQuery) (*stateResult, error) {
	r := &stateResult{}
	for _, q := range queries {
		q.Limit = defaultChunkSize
		for {
			page, err := s.State(ctx, q)
			if len(queries) > 1 && report.IsUnknownType(err) {
				break
			}
			if err != nil {
				return nil, err
			}
			s.restricted = s.restricted || page.Restricted
			r.at = page.At
			for _, item := range page.Items {
				o, err := s.objectOf(ctx, item)
				if err != nil {
					return nil, err
				}
				r.objects, r.items = append(r.objects, o), append(r.items, item)
			}
			if !page.HasMore {
				r.pages = append(r.pages, page.Page)
				break
			}
			q.Cursor = page.Next
		}
	}
	return r, nil
}

// objectOf returns an object that the recorder returned. Its resource is that
// of its kind in the catalogue, or empty if the catalogue has none.
func (s *session) objectOf(ctx context.Context, item json.RawMessage) (*restore.Object, error) {
	body := map[string]any{}
	if err := utiljson.Unmarshal(item, &body); err != nil {
		return nil, fmt.Errorf("decode an object of the state: %w", err)
	}
	o := &restore.Object{Body: body}
	version, _ := body["apiVersion"].(string)
	o.Kind, _ = body["kind"].(string)
	metadata, _ := body["metadata"].(map[string]any)
	o.Name, _ = metadata["name"].(string)
	o.Namespace, _ = metadata["namespace"].(string)
	o.GVR, _, _ = s.resourceOf(ctx, version, o.Kind)
	return o, nil
}

// resourceOf returns the resource of a kind in the recorder's catalogue, and
// whether its objects are in namespaces. It reports false if there is none.
func (s *session) resourceOf(
	ctx context.Context, apiVersion, kind string,
) (resource schema.GroupVersionResource, namespaced, known bool) {
	version, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return resource, false, false
	}
	if err := s.types.readOnce(ctx); err != nil {
		return resource, false, false
	}
	for _, r := range s.types.catalogue {
		former := func(d history.Definition) bool { return d.Kind == kind }
		if r.Group == version.Group && (r.Kind == kind || slices.ContainsFunc(r.Former, former)) {
			return version.WithResource(r.Plural), r.Namespaced, true
		}
	}
	return resource, false, false
}

// stateQueries returns the queries for the objects of subjects at a time.
func (s *session) stateQueries(subjects []subject, at time.Time) (queries []client.StateQuery) {
	get := getOptions{}
	for _, q := range get.queries(s, subjects) {
		queries = append(queries, client.StateQuery{
			At: at, Namespace: q.Namespace, Resources: q.Resources, Name: q.Name,
		})
	}
	return queries
}

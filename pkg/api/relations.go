package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// relations writes the relations of one object at a time: the endpoint
// [v1.RelationsPath]. rest is the escaped path after [v1.RelationsRoot].
func (h *handler) relations(a *answer, r *http.Request, rest string) {
	q, err := parseRelations(r, rest)
	if err != nil {
		h.fail(a, r, err)
		return
	}
	start := time.Now()
	graph, err := h.ask(r.Context()).Relations(r.Context(), q)
	walk := time.Since(start)
	writeMoments(a, &graph.Moments)
	if err != nil {
		h.fail(a, r, ofParameter(err, func(time.Time) string { return v1.ParamAt }))
		return
	}
	start = time.Now()
	body, err := encodeRelations(&graph)
	if err != nil {
		h.fail(a, r, err)
		return
	}
	writeTiming(a, step{"relations", walk}, step{"encode", time.Since(start)})
	writeMomentsPage(a, r, &graph.Moments, func(out io.Writer) { _, _ = out.Write(body) })
}

// encodeRelations returns a [v1.RelationGraph] with one object or relation per
// line.
func encodeRelations(graph *query.RelationGraph) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	write := func(i int, element any) error {
		if i > 0 {
			b.WriteString(",\n")
		}
		if err := encoder.Encode(element); err != nil {
			return fmt.Errorf("encode relations: %w", err)
		}
		b.Truncate(b.Len() - 1) // the line feed
		return nil
	}
	fmt.Fprintf(&b, `{"at":%q,"objects":[`, graph.At.Format(time.RFC3339Nano))
	for i := range graph.Objects {
		if err := write(i, relatedObject(&graph.Objects[i])); err != nil {
			return nil, err
		}
	}
	b.WriteString(`],"relations":[`)
	for i, r := range graph.Relations {
		one := v1.Relation{From: r.From, To: r.To, Rule: r.Rule, Path: r.Path, Optional: r.Optional}
		if err := write(i, one); err != nil {
			return nil, err
		}
	}
	b.WriteString("]}\n")
	return b.Bytes(), nil
}

// relatedObject returns a related object in the form of the API.
func relatedObject(o *query.RelatedObject) v1.RelatedObject {
	one := v1.RelatedObject{
		State:        string(o.State),
		Namespace:    o.Ref.Namespace,
		ResourceType: o.Ref.Resource,
		ResourceName: o.Ref.Name,
		Group:        o.Ref.Group,
		Kind:         o.Kind,
		UID:          string(o.Ref.UID),
	}
	if v := o.Version; v != nil {
		one.APIVersion = history.Resource{Group: v.Ref.Group, Version: v.Version}.APIVersion()
		one.Revision, one.Timestamp = v.Revision, v.Time.UTC()
	}
	return one
}

// parseRelations parses the path and the parameters of the endpoint.
func parseRelations(r *http.Request, rest string) (q query.Relations, err error) {
	if q, err = parseObjectAt(r, rest); err != nil {
		return q, err
	}
	if text := r.URL.Query().Get(v1.ParamDepth); text != "" {
		if q.Depth, err = strconv.Atoi(text); err != nil || q.Depth < 1 || q.Depth > v1.MaxDepth {
			return q, invalid(v1.ParamDepth, text, fmt.Sprintf("want a number from 1 to %d", v1.MaxDepth))
		}
	}
	return q, nil
}

// parseObjectAt parses the path of one object, its group and a time.
func parseObjectAt(r *http.Request, rest string) (q query.Relations, err error) {
	segments, err := splitObjectPath(rest)
	if fixed, is := errors.AsType[*fixedError](err); is {
		return q, history.Errorf(history.Invalid, "%s", fixed.Error())
	}
	if err != nil {
		return q, err
	}
	p := parameters{values: r.URL.Query()}
	q = query.Relations{
		Namespace: history.ParseNamespaceScope(segments[0]), Type: segments[1], Name: segments[2],
		Group: p.values.Get(v1.ParamGroup),
	}
	q.At, err = p.moment(v1.ParamAt)
	return q, err
}

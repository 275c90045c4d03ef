package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// state writes objects as they were at a time, as a v1 List: the endpoint
// [v1.StatePath].
func (h *handler) state(a *answer, r *http.Request) {
	q, strip, err := parseState(r, h.options.MaxLimit())
	if err != nil {
		h.fail(a, r, err)
		return
	}
	start := time.Now()
	page, err := h.ask(r.Context()).State(r.Context(), q)
	scan := time.Since(start)
	writeMoments(a, &page.Moments)
	if err != nil {
		h.fail(a, r, ofParameter(err, func(time.Time) string { return v1.ParamAt }))
		return
	}
	start = time.Now()
	objects := make([][]byte, len(page.Versions))
	for i, version := range page.Versions {
		if objects[i], err = h.objectOf(version, strip); err != nil {
			h.fail(a, r, err)
			return
		}
		version.Object = nil // the memory is needed only once
	}
	a.Header().Set(v1.AtHeader, page.At.Format(time.RFC3339Nano))
	writeTiming(a, step{"scan", scan}, step{"encode", time.Since(start)})
	writeMomentsPage(a, r, &page.Moments, func(out io.Writer) { writeList(out, objects) })
}

// writeList writes a v1 List with one object per line. Write errors are
// ignored, as in writeEvents.
func writeList(w io.Writer, objects [][]byte) {
	out := bufio.NewWriter(w)
	_, _ = out.WriteString(`{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":""},"items":[`)
	for i, object := range objects {
		if i > 0 {
			_, _ = out.WriteString(",\n")
		}
		_, _ = out.Write(object)
	}
	_, _ = out.WriteString("]}\n")
	_ = out.Flush()
}

// objectOf returns the object of a version. If its contents were lost, it
// returns what the record contains, or an error if the object has to be
// stripped: it must not be applied.
func (h *handler) objectOf(r *history.Record, strip bool) ([]byte, error) {
	s := rawjson.Scan(r.Object)
	isObject := s.Kind() == rawjson.Object
	s.Skip()
	err := s.End()
	if err == nil && !isObject {
		err = errors.New("want an object")
	}
	if err == nil && strip {
		return stripped(r)
	}
	if err != nil {
		h.options.Logger.Error("record has no valid object", "resource", r.Ref.Resource, "namespace", r.Ref.Namespace,
			"name", r.Ref.Name, "uid", r.Ref.UID, "revision", r.Revision, "err", err)
		if strip {
			return nil, history.Errorf(history.Internal,
				"contents of %s were lost: select other objects, or omit parameter %s",
				r.Ref, v1.ParamStrip)
		}
		return lostObject(r)
	}
	if !utf8.Valid(r.Object) {
		return bytes.ToValidUTF8(r.Object, []byte("\uFFFD")), nil
	}
	return r.Object, nil
}

// lostObject returns an object with only its identity.
func lostObject(r *history.Record) ([]byte, error) {
	metadata := map[string]any{
		"name": r.Ref.Name, "uid": r.Ref.UID, "annotations": map[string]string{v1.LostAnnotation: "true"},
	}
	if r.Ref.Namespace != "" {
		metadata["namespace"] = r.Ref.Namespace
	}
	resource := history.Resource{Group: r.Ref.Group, Version: r.Version}
	return json.Marshal(map[string]any{"apiVersion": resource.APIVersion(), "kind": r.Kind, "metadata": metadata})
}

// parseState parses the parameters of the endpoint.
func parseState(r *http.Request, maxLimit int) (q query.State, strip bool, err error) {
	p := parameters{values: r.URL.Query()}
	q.Objects = p.objects()
	if q.Limit, err = p.parseLimit(maxLimit); err != nil {
		return q, false, asJSON(v1.ParamLimit, p.values.Get(v1.ParamLimit), "want a number", err)
	}
	if strip, err = p.flag(v1.ParamStrip); err != nil {
		return q, false, err
	}
	if q.Problem, err = p.flag(v1.ParamProblem); err != nil {
		return q, false, err
	}
	if q.At, err = p.moment(v1.ParamAt); err != nil {
		return q, false, err
	}
	q.After, err = p.stateCursor(false)
	return q, strip, err
}

// objects returns the parameters that select objects.
func (p parameters) objects() query.Objects {
	q := query.Objects{
		Group:     p.values.Get(v1.ParamGroup),
		Namespace: history.ParseNamespaceScope(p.values.Get(v1.ParamNamespace)),
		Name:      p.values.Get(v1.ParamResourceName),
		UID:       types.UID(p.values.Get(v1.ParamUID)),
	}
	if text := p.values.Get(v1.ParamResourceType); text != "" {
		q.Types = strings.Split(text, ",")
	}
	return q
}

// moment parses a time, or [v1.Now], which is the zero time.
func (p parameters) moment(name string) (time.Time, error) {
	text := p.values.Get(name)
	if text == v1.Now {
		return time.Time{}, nil
	}
	t, err := p.time(name, "")
	if err != nil {
		return t, asJSON(name, text, "want a time in RFC 3339 such as 2026-03-01T10:00:00Z, or "+v1.Now, err)
	}
	return t, nil
}

// asJSON returns the error of a parameter of an endpoint that is not fixed.
func asJSON(name, value, want string, err error) error {
	if _, fixed := errors.AsType[*fixedError](err); fixed {
		return invalid(name, value, want)
	}
	return err
}

// stateCursor parses the cursor of a state or a comparison.
func (p parameters) stateCursor(comparison bool) (history.StateCursor, error) {
	text := p.values.Get(v1.ParamCursor)
	c, err := history.ParseStateCursor(text)
	if err != nil || text != "" && c.From.IsZero() == comparison {
		return c, invalid(v1.ParamCursor, text, "want one from an answer of this recorder to the same query")
	}
	return c, nil
}

// ofParameter returns the error of a query with the name of the parameter that
// caused it. timeParameter returns the parameter of a time.
func ofParameter(err error, timeParameter func(time.Time) string) error {
	if wrong, ok := errors.AsType[*query.TimeError](err); ok {
		return &parameterError{timeParameter(wrong.Time), err}
	}
	if unknown, ok := errors.AsType[*query.UnknownTypeError](err); ok {
		return history.Errorf(history.NotFound, "parameters %s and %s: %v",
			v1.ParamResourceType, v1.ParamGroup, unknown)
	}
	return err
}

package api

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// why writes what is wrong with an object, and which changes may have caused
// it: the endpoint [v1.WhyPath]. rest is the escaped path after [v1.WhyRoot].
func (h *handler) why(a *answer, r *http.Request, rest string) {
	q, err := parseWhy(r, rest)
	if err != nil {
		h.fail(a, r, err)
		return
	}
	start := time.Now()
	found, err := h.ask(r.Context()).Why(r.Context(), q)
	search := time.Since(start)
	writeMoments(a, &found.Moments)
	if err != nil {
		h.fail(a, r, ofParameter(err, func(time.Time) string { return v1.ParamAt }))
		return
	}
	writeTiming(a, step{"why", search})
	writeMomentsPage(a, r, &found.Moments, func(out io.Writer) {
		_ = json.NewEncoder(out).Encode(h.whyAnswer(&found)) // a write error ends the answer
	})
}

// parseWhy parses the path and the parameters of the endpoint.
func parseWhy(r *http.Request, rest string) (query.Why, error) {
	of, err := parseObjectAt(r, rest)
	if err != nil {
		return query.Why{}, err
	}
	q := query.Why{Namespace: of.Namespace, Type: of.Type, Name: of.Name, Group: of.Group, At: of.At}
	p := parameters{values: r.URL.Query()}
	if text := p.values.Get(v1.ParamLimit); text != "" {
		if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 1 || q.Limit > v1.MaxCauses {
			return q, invalid(v1.ParamLimit, text, "want a number from 1 to "+strconv.Itoa(v1.MaxCauses))
		}
	}
	return q, nil
}

// whyAnswer returns an answer in the form of the API.
func (h *handler) whyAnswer(of *query.WhyAnswer) v1.Why {
	answer := v1.Why{
		At: of.At.UTC(), State: of.Health.State.String(), Text: of.Health.Text,
		Symptoms: []v1.Symptom{}, Causes: []v1.Cause{},
		Onset: optionalTime(of.Onset), HealthyUntil: optionalTime(of.HealthyUntil), Searched: optionalTime(of.Searched),
		Object: object(of.Of), Initial: of.Initial,
	}
	for i := range of.Symptoms {
		s := &of.Symptoms[i]
		answer.Symptoms = append(answer.Symptoms, v1.Symptom{
			Code: s.Code, Text: s.Text, Since: s.Since.UTC(), Initial: s.Initial,
			Object: objectOfRef(s.Of.Ref, s.Of.Kind), Count: s.Count,
		})
	}
	for _, what := range of.Unread {
		answer.Unread = append(answer.Unread, string(what))
	}
	for i := range of.Causes {
		c := &of.Causes[i]
		version := query.Version{Record: c.Change, Summary: c.Summary}
		cause := v1.Cause{
			Change: h.event(&version, true), Score: c.Score, Likely: c.Likely(), Fields: notNil(c.Paths),
			Path: []v1.PathStep{},
			For:  notNil(c.For), Against: notNil(c.Against),
		}
		for _, step := range c.Path {
			cause.Path = append(cause.Path, v1.PathStep{Rule: step.Rule, Object: objectOfRef(step.To, step.Kind)})
		}
		answer.Causes = append(answer.Causes, cause)
	}
	return answer
}

// optionalTime returns a time in UTC, or nil if it is zero.
func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// notNil returns an empty list for nil: the API has no null.
func notNil(texts []string) []string {
	if texts == nil {
		return []string{}
	}
	return texts
}

// objectOfRef identifies an object.
func objectOfRef(ref history.ObjectRef, kind string) v1.Object {
	return v1.Object{
		Group: ref.Group, ResourceType: ref.Resource, Kind: kind,
		Namespace: ref.Namespace, Name: ref.Name, UID: string(ref.UID),
	}
}

package api

import (
	"errors"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/selector"
)

// parameters are the parameters that all endpoints with records share. An empty
// value means that the parameter is absent. Unknown parameters are ignored.
type parameters struct {
	values url.Values

	start, end time.Time
	limit      int
	order      history.Order
	summary    bool // without objects
	empty      bool // an empty answer instead of 404
	classes    []history.Class
}

// parse parses the parameters. It starts with the fixed ones, so that a request
// with several mistakes gets the fixed text.
func parse(values url.Values, maxLimit int) (parameters, error) {
	p := parameters{values: values}
	for _, step := range []func() error{
		func() (err error) { p.start, err = p.time(v1.ParamStart, v1.InvalidStartText); return },
		func() (err error) { p.end, err = p.time(v1.ParamEnd, v1.InvalidEndText); return },
		func() (err error) { p.limit, err = p.parseLimit(maxLimit); return },
		func() (err error) { p.order, err = p.parseOrder(); return },
		func() (err error) { p.summary, err = p.flag(v1.ParamSummary); return },
		func() (err error) { p.empty, err = p.parseEmpty(); return },
		func() (err error) { p.classes, err = p.parseClasses(); return },
	} {
		if err := step(); err != nil {
			return p, err
		}
	}
	return p, nil
}

// time parses a time, and moves it into the range of times that can be stored.
// A plus sign that a client did not escape arrives as a space. A valid time
// contains no space, so it is replaced.
func (p parameters) time(name, mistake string) (time.Time, error) {
	text := p.values.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		if escaped, again := time.Parse(time.RFC3339Nano, strings.Replace(text, " ", "+", 1)); again == nil {
			t, err = escaped, nil
		}
	}
	if err != nil {
		return time.Time{}, &fixedError{mistake + err.Error()}
	}
	if first := time.Unix(0, 0); t.Before(first) {
		t = first
	}
	if last := time.Unix(0, math.MaxInt64); t.After(last) {
		t = last
	}
	return t.UTC(), nil
}

// parseLimit parses the size of a page. A number out of range means the
// maximum.
func (p parameters) parseLimit(most int) (int, error) {
	text := p.values.Get(v1.ParamLimit)
	if text == "" {
		return most, nil
	}
	n, err := strconv.Atoi(text)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return most, nil
	case err != nil:
		return 0, &fixedError{v1.InvalidLimitText + err.Error()}
	case n <= 0 || n > most:
		return most, nil
	default:
		return n, nil
	}
}

// parseOrder parses the order of a page. The default is the oldest first.
func (p parameters) parseOrder() (history.Order, error) {
	switch text := p.values.Get(v1.ParamOrder); text {
	case "", v1.OrderAscending:
		return history.OldestFirst, nil
	case v1.OrderDescending:
		return history.NewestFirst, nil
	default:
		return 0, invalid(v1.ParamOrder, text, "want asc or desc")
	}
}

// parseClasses parses the classes of versions.
func (p parameters) parseClasses() (classes []history.Class, err error) {
	for _, text := range p.list(v1.ParamClass) {
		class, err := history.ParseClass(text)
		if err != nil {
			return nil, invalid(v1.ParamClass, text, "want root, onset or consequence")
		}
		classes = append(classes, class)
	}
	return classes, nil
}

// all returns the values of a parameter that may be repeated, except for empty
// ones.
func (p parameters) all(name string) []string {
	return slices.DeleteFunc(slices.Clone(p.values[name]), func(text string) bool { return text == "" })
}

// list returns the values of a parameter that may be repeated, or whose values
// are separated by commas, except for empty ones.
func (p parameters) list(name string) (values []string) {
	for _, text := range p.values[name] {
		values = append(values, strings.Split(text, ",")...)
	}
	return slices.DeleteFunc(values, func(text string) bool { return text == "" })
}

// verbs parses the verbs. It reports false if nothing can match, because no
// watch shows any of them.
func (p parameters) verbs() (verbs []history.Verb, possible bool) {
	texts := p.list(v1.ParamVerb)
	for _, text := range texts {
		if verb, err := history.ParseVerb(text); err == nil {
			verbs = append(verbs, verb)
		}
	}
	return verbs, len(texts) == 0 || len(verbs) > 0
}

// selector parses the parameters that select versions by their contents. A
// selector that is repeated must be satisfied in all its forms.
func (p parameters) selector() (*selector.Selector, error) {
	s := &selector.Selector{Reasons: p.list(v1.ParamReason), EventTypes: p.list(v1.ParamType)}
	var err error
	if names := p.list(v1.ParamWriter); len(names) > 0 {
		if s.Writers, err = selector.ParseWriters(names); err != nil {
			return nil, invalid(v1.ParamWriter, strings.Join(names, ","),
				"want names, as in kubectl,!argocd: "+err.Error())
		}
	}
	if text := p.values.Get(v1.ParamText); text != "" {
		if s.Text, err = selector.ParseText(text); err != nil {
			return nil, invalid(v1.ParamText, text, err.Error())
		}
	}
	if text := strings.Join(p.all(v1.ParamLabelSelector), ","); text != "" {
		if s.Labels, err = selector.ParseLabels(text); err != nil {
			return nil, invalid(v1.ParamLabelSelector, text,
				"want labels, as in app=web,tier in (front,back),!test: "+err.Error())
		}
	}
	if text := strings.Join(p.all(v1.ParamFieldSelector), ","); text != "" {
		if s.Fields, err = selector.ParseFields(text); err != nil {
			return nil, invalid(v1.ParamFieldSelector, text,
				"want fields, as in status.phase=Failed,metadata.name!=web: "+err.Error())
		}
	}
	switch all := p.all(v1.ParamQuery); {
	case len(all) > 1:
		return nil, invalid(v1.ParamQuery, all[1], "want one expression: join several with &&")
	case len(all) == 1:
		if s.Expression, err = selector.Compile(all[0]); err != nil {
			return nil, queryError(err)
		}
	}
	return s, nil
}

// contentFilters returns the parameters that [parameters.selector] parses.
func contentFilters() []string {
	return []string{
		v1.ParamLabelSelector, v1.ParamFieldSelector, v1.ParamReason, v1.ParamType, v1.ParamWriter, v1.ParamText,
		v1.ParamQuery,
	}
}

// consequences parses how many consequences of each folded row are returned.
func (p parameters) consequences() (int, error) {
	text := p.values.Get(v1.ParamConsequences)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > v1.MaxConsequences {
		return 0, invalid(v1.ParamConsequences, text, "want a number from 0 to "+strconv.Itoa(v1.MaxConsequences))
	}
	return n, nil
}

// queryError returns an error of the expression in [v1.ParamQuery], which
// occurs when it is compiled or evaluated.
func queryError(err error) error {
	return &parameterError{v1.ParamQuery, err}
}

// flag parses a boolean, which is false by default.
func (p parameters) flag(name string) (bool, error) {
	text := p.values.Get(name)
	if text == "" {
		return false, nil
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, invalid(name, text, "want true or false")
	}
	return value, nil
}

// parseEmpty parses the status of an answer without a match. It returns true
// for 200.
func (p parameters) parseEmpty() (bool, error) {
	switch text := p.values.Get(v1.ParamEmpty); text {
	case "", v1.EmptyNotFound:
		return false, nil
	case v1.EmptyOK:
		return true, nil
	default:
		return false, invalid(v1.ParamEmpty, text, "want 200 or 404")
	}
}

// cursor parses one cursor of [v1.ParamCursor].
func cursor(text string) (history.Cursor, error) {
	c, err := history.ParseCursor(text)
	if err != nil || text != "" && c.Before(time.Unix(0, 0)) {
		return c, invalid(v1.ParamCursor, text, "want one from an answer of this recorder")
	}
	return c, nil
}

// revisions parses a list such as "13,14".
func (p parameters) revisions() ([]uint64, error) {
	text := p.values.Get(v1.ParamRevision)
	if text == "" {
		return nil, nil
	}
	var revisions []uint64
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.ParseUint(strings.TrimSpace(part), 10, 64)
		if err != nil || n == 0 {
			return nil, invalid(v1.ParamRevision, text, "want one or more numbers from 1, with commas between them")
		}
		revisions = append(revisions, n)
	}
	return revisions, nil
}

// invalid returns the error of a parameter that is not fixed.
func invalid(name, value, want string) error {
	return &parameterError{name, history.Errorf(history.Invalid, "invalid value %q: %s", value, want)}
}

// timeline returns the query for [v1.EventsPath]. It reports false if nothing
// can match, because no watch shows the verb or the user.
func (p parameters) timeline() (query.Timeline, bool, error) {
	q := query.Timeline{Group: p.values.Get(v1.ParamGroup), Order: p.order, Limit: p.limit, Bare: p.summary}
	q.Start, q.End = p.start, p.end
	for _, text := range p.list(v1.ParamNamespace) {
		q.Namespaces = append(q.Namespaces, history.ParseNamespaceScope(text))
	}
	q.Name = p.values.Get(v1.ParamResourceName)
	q.UID = types.UID(p.values.Get(v1.ParamUID))
	q.Managers, q.Classes = p.all(v1.ParamManager), p.classes
	if text := p.values.Get(v1.ParamResourceType); text != "" {
		q.Types = strings.Split(text, ",")
	}
	verbs, possible := p.verbs()
	q.Verbs = verbs
	if user := p.values.Get(v1.ParamUser); user != "" && user != v1.WatcherUser {
		possible = false
	}
	var err error
	if q.Selector, err = p.selector(); err != nil {
		return q, false, err
	}
	if q.Endings, err = p.flag(v1.ParamOutcome); err != nil {
		return q, false, err
	}
	if q.Previous, err = p.flag(v1.ParamPrevious); err != nil {
		return q, false, err
	}
	q.After, err = cursor(p.values.Get(v1.ParamCursor))
	return q, possible, err
}

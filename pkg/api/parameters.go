package api

import (
	"errors"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
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
	return history.Errorf(history.Invalid, "parameter %s: invalid value %q: %s", name, value, want)
}

// timeline returns the query for [v1.EventsPath]. It reports false if nothing
// can match, because no watch shows the verb or the user.
func (p parameters) timeline() (query.Timeline, bool, error) {
	q := query.Timeline{Group: p.values.Get(v1.ParamGroup), Order: p.order, Limit: p.limit, Bare: p.summary}
	q.Start, q.End = p.start, p.end
	q.Namespace = history.ParseNamespaceScope(p.values.Get(v1.ParamNamespace))
	q.Name = p.values.Get(v1.ParamResourceName)
	q.UID = types.UID(p.values.Get(v1.ParamUID))
	if manager := p.values.Get(v1.ParamManager); manager != "" {
		q.Managers = []string{manager}
	}
	if text := p.values.Get(v1.ParamResourceType); text != "" {
		q.Types = strings.Split(text, ",")
	}
	possible := true
	if text := p.values.Get(v1.ParamVerb); text != "" {
		verb, err := history.ParseVerb(text)
		q.Verbs, possible = []history.Verb{verb}, err == nil
	}
	if user := p.values.Get(v1.ParamUser); user != "" && user != v1.WatcherUser {
		possible = false
	}
	var err error
	q.After, err = cursor(p.values.Get(v1.ParamCursor))
	return q, possible, err
}

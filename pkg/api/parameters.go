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

// parameters are a request's, as far as both endpoints of the fixed part take them. A parameter that is empty is as good as
// absent; one that nobody knows is passed over.
type parameters struct {
	values url.Values

	start, end time.Time
	limit      int
	order      history.Order
	summary    bool // no objects
	empty      bool // an empty answer instead of 404
}

// parse reads the parameters. The fixed ones come first, so that a mistake in them is told in the words that clients know.
func parse(values url.Values, maxLimit int) (parameters, error) {
	p := parameters{values: values}
	for _, step := range []func() error{
		func() (err error) { p.start, err = p.time("start", textBadStart); return },
		func() (err error) { p.end, err = p.time("end", textBadEnd); return },
		func() (err error) { p.limit, err = p.parseLimit(maxLimit); return },
		func() (err error) { p.order, err = p.parseOrder(); return },
		func() (err error) { p.summary, err = p.flag("summary"); return },
		func() (err error) { p.empty, err = p.parseEmpty(); return },
	} {
		if err := step(); err != nil {
			return p, err
		}
	}
	return p, nil
}

// time reads a time, and moves it into the range in which times are stored. A plus sign that a client forgot to escape
// arrives as a space; no other space can be in a time.
func (p parameters) time(name, mistake string) (time.Time, error) {
	text := p.values.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		if mended, again := time.Parse(time.RFC3339Nano, strings.Replace(text, " ", "+", 1)); again == nil {
			t, err = mended, nil
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

// parseLimit reads the page's size. Numbers out of range mean the maximum, however large they are.
func (p parameters) parseLimit(most int) (int, error) {
	text := p.values.Get("limit")
	if text == "" {
		return most, nil
	}
	n, err := strconv.Atoi(text)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return most, nil
	case err != nil:
		return 0, &fixedError{textBadLimit + err.Error()}
	case n <= 0 || n > most:
		return most, nil
	default:
		return n, nil
	}
}

func (p parameters) parseOrder() (history.Order, error) {
	switch text := p.values.Get("order"); text {
	case "", "asc":
		return history.OldestFirst, nil
	case "desc":
		return history.NewestFirst, nil
	default:
		return 0, invalid("order", text, "want asc or desc")
	}
}

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

func (p parameters) parseEmpty() (bool, error) {
	switch text := p.values.Get("empty"); text {
	case "", "404":
		return false, nil
	case "200":
		return true, nil
	default:
		return false, invalid("empty", text, "want 200 or 404")
	}
}

// cursor reads one cursor out of a text that came from the parameter of that name.
func cursor(text string) (history.Cursor, error) {
	c, err := history.ParseCursor(text)
	if err != nil || text != "" && c.Before(time.Unix(0, 0)) {
		return c, invalid("cursor", text, "want one from an answer of this recorder")
	}
	return c, nil
}

// revisions reads "14" or "13,14".
func (p parameters) revisions() ([]uint64, error) {
	text := p.values.Get("revision")
	if text == "" {
		return nil, nil
	}
	var revisions []uint64
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.ParseUint(strings.TrimSpace(part), 10, 64)
		if err != nil || n == 0 {
			return nil, invalid("revision", text, "want one or more numbers from 1, with commas between them")
		}
		revisions = append(revisions, n)
	}
	return revisions, nil
}

// invalid is a mistake in an additive parameter.
func invalid(name, value, want string) error {
	return history.Errorf(history.Invalid, "parameter %s: invalid value %q: %s", name, value, want)
}

// timeline reads the question that the events endpoint is asked. It reports false where nothing can match: verbs and users
// that no watch sees.
func (p parameters) timeline() (query.Timeline, bool, error) {
	q := query.Timeline{Group: p.values.Get("group"), Order: p.order, Limit: p.limit, Bare: p.summary}
	q.Start, q.End = p.start, p.end
	q.Namespace, q.Name = p.values.Get("namespace"), p.values.Get("resourceName")
	q.UID, q.Manager = types.UID(p.values.Get("uid")), p.values.Get("manager")
	if text := p.values.Get("resourceType"); text != "" {
		q.Types = strings.Split(text, ",")
	}
	possible := true
	if text := p.values.Get("verb"); text != "" {
		verb, err := history.ParseVerb(text)
		q.Verbs, possible = []history.Verb{verb}, err == nil
	}
	if user := p.values.Get("user"); user != "" && user != v1.WatcherUser {
		possible = false
	}
	var err error
	q.After, err = cursor(p.values.Get("cursor"))
	return q, possible, err
}

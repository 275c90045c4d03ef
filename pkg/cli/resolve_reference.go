package cli

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// reference selects one version of an object, as the end of its name:
// "#14", "#-1" or "@12:30".
type reference struct {
	revision int    // negative: counted from the newest, which is -1; 0: none
	at       moment // the version of this time
}

// isSet reports whether the argument has a reference.
func (r *reference) isSet() bool { return r.revision != 0 || r.at.isSet() }

// cutReference separates a name from the reference at its end. A time is not
// parsed yet.
//
// The names of roles may contain an @, as in alice@example.com. So it precedes
// a time only if the rest begins like one.
func cutReference(text string) (name string, r reference, err error) {
	i := strings.LastIndexAny(text, "#@")
	if i < 0 {
		return text, r, nil
	}
	name, rest := text[:i], text[i+1:]
	if text[i] == '@' {
		if !regexp.MustCompile(`^(-?\d|now$|(today|yesterday)( |$))`).MatchString(rest) {
			return text, r, nil
		}
		r.at = moment{flag: "the time after @:", text: rest}
		return name, r, nil
	}
	if r.revision, err = strconv.Atoi(rest); err != nil || r.revision == 0 {
		return name, r, invalidf("%q: %q is not a revision: want a number as in #14, or #-1 for the newest", text, rest)
	}
	return name, r, nil
}

// reject returns an error if the argument has a reference, because a command
// has no use for it.
func (a *objectArg) reject(advice string) error {
	if !a.ref.isSet() {
		return nil
	}
	return withAdvice(advice, "%s/%s: a revision or a time after the name selects one version", a.kind, a.name)
}

// resolveAt returns the time that a command shows: that of a reference, or that
// of --at. It is zero if neither is set.
func (c *connection) resolveAt(
	ctx context.Context, s *session, in *time.Location, sub subject, ref *reference, at *moment,
) (time.Time, error) {
	if ref.isSet() && at.isSet() {
		return time.Time{}, withAdvice("Leave out one of them.", "%s can't be combined with a revision or a time "+
			"after the name", at.flag)
	}
	if err := c.resolveMoments(ctx, s, in, &ref.at, at); err != nil {
		return time.Time{}, err
	}
	switch {
	case ref.at.isSet():
		return ref.at.time, nil
	case !ref.isSet():
		return at.time, nil
	}
	v := newVersions(s, &c.env, sub, "")
	e, err := v.version(ctx, ref)
	if err != nil {
		return time.Time{}, err
	}
	return e.Timestamp, nil
}

// version returns the version that a reference selects, with its body, and
// restricts v to its incarnation and its namespace. Without a reference, it is
// the newest one. The times of the reference must be resolved.
func (v *versions) version(ctx context.Context, ref *reference) (*v1.Event, error) {
	if ref.at.isSet() {
		return v.versionAt(ctx, ref.at.time)
	}
	newest, err := v.newestVersion(ctx)
	if err != nil {
		return nil, err
	}
	number := newest.Revision
	switch {
	case ref.revision > 0:
		number = uint64(ref.revision)
	case ref.revision < 0 && uint64(-ref.revision) > newest.Revision:
		return nil, history.Errorf(history.NotFound, "revision %d of %s not found: the newest is %d",
			ref.revision, v.subject, newest.Revision)
	case ref.revision < 0:
		number = newest.Revision - uint64(-ref.revision) + 1
	}
	found, err := v.exactly(ctx, v.namespaces[0], v.uid, number)
	if err != nil {
		return nil, err
	}
	if found[number] == nil {
		return nil, revisionNotFound(v, number, newest.Revision)
	}
	return found[number], nil
}

// versionAt is version for a time: it returns the last version that was
// recorded until then.
func (v *versions) versionAt(ctx context.Context, at time.Time) (found *v1.Event, err error) {
	for _, q := range v.queries(false) {
		q.Limit, q.End = 1, at.Add(1)
		page, err := v.Events(ctx, q)
		if err != nil {
			return nil, err
		}
		if page.Gaps > 0 {
			q.End = time.Time{}
			v.withGaps = []client.EventsQuery{q}
		}
		if len(page.Events) > 0 && (found == nil || page.Events[0].Timestamp.After(found.Timestamp)) {
			found = &page.Events[0]
			v.uid, v.namespaces = found.UID, []history.NamespaceScope{q.Namespace}
		}
	}
	if found != nil {
		return found, nil
	}
	known, err := v.hasHistory(ctx, v.subject, v.uid)
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, v.noHistory(ctx, v.env, v.subject, v.uid)
	}
	return nil, history.WithHint(history.Errorf(history.NotFound, "no version of %s%s was recorded until %s",
		v.subject, in(v.subject.namespaceOf(v.namespace)), at.Format(time.RFC3339)),
		v.subject.versionsHint(v.env, v.subject.namespaceOf(v.namespace)))
}

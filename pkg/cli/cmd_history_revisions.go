package cli

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// revisions is a parsed --revision: one revision or a range. Numbers below 0
// count from the newest revision, which is -1.
//
// As first and last, "14" is 14 and 14, "-2" is -2 and -2, "2.." is 2 and -1,
// and "..5" is 1 and 5.
type revisions struct {
	first, last int
	isRange     bool
}

// parseRevisions parses "14", "-2" or "2..5". Either end of a range may be
// absent.
func parseRevisions(text string) (r revisions, err error) {
	first, last, isRange := strings.Cut(text, "..")
	if r = (revisions{isRange: isRange, first: 1, last: -1}); !isRange {
		last = first
	}
	ok := !isRange || first != "" || last != ""
	if first != "" {
		r.first, err = strconv.Atoi(first)
		ok = ok && err == nil
	}
	if last != "" {
		r.last, err = strconv.Atoi(last)
		ok = ok && err == nil
	}
	if !ok || !isRange && first == "" || r.first == 0 || r.last == 0 {
		return r, invalidf(
			"--revision %q: want a number like 14, -1 for the newest, -2 for the one before, or a range like 2..5",
			text,
		)
	}
	return r, nil
}

// absolute returns the range as numbers from 1. newest is the number of the
// newest revision. ok is false if the range is empty. The numbers may be higher
// than newest: the caller rejects or limits them.
func (r revisions) absolute(newest uint64) (first, last uint64, ok bool) {
	count := func(n int) int {
		if n > 0 {
			return n
		}
		return int(newest) + 1 + n //nolint:gosec // revisions fit
	}
	f, l := count(r.first), count(r.last)
	if f < 1 || l < f {
		return 0, 0, false
	}
	return uint64(f), uint64(l), true
}

// isReversed reports whether the range is empty for every object: both ends
// count from the same side, and the first is the newer one.
func (r revisions) isReversed() bool { return r.first > r.last && (r.first > 0) == (r.last > 0) }

// runRevisions writes one revision or a range, and returns the number of
// versions or of diffs that it wrote.
//
// The newest version is read first: numbers below 0 count from it, and its UID
// selects the incarnation. Every incarnation has a revision 1.
func (o *historyOptions) runRevisions(ctx context.Context, v *versions) (shown int, err error) {
	newest, err := v.newestVersion(ctx)
	if err != nil {
		return 0, err
	}
	first, last, ok := o.revisions.absolute(newest.Revision)
	switch {
	case !ok && o.revisions.isReversed():
		return 0, invalidf("--revision %s: want the older one first, as in %d..%d",
			o.revision, o.revisions.last, o.revisions.first)
	case !ok:
		return 0, invalidf("--revision %s not found: the newest is %d", o.revision, newest.Revision)
	}
	if o.diff != "" {
		return o.compare(ctx, v, first, last, newest.Revision)
	}
	found, err := v.between(ctx, first, min(last, newest.Revision), o.isLean())
	if err != nil {
		return 0, err
	}
	if len(found) == 0 {
		return 0, revisionNotFound(v, last, newest.Revision)
	}
	gaps, err := v.gapsBetween(ctx, &found[len(found)-1], &found[0])
	if err != nil {
		return 0, err
	}
	if o.isLog() {
		for i := range found {
			if err := v.readEnding(ctx, &found[i]); err != nil {
				return 0, err
			}
		}
	}
	p := o.printer(&o.env, false, o.showNoise)
	o.objects = true
	if err := o.write(&o.env, p, found, gaps, o.table(p)); err != nil {
		return 0, err
	}
	if !o.isLean() {
		v.warnOfHashes(found)
	}
	o.env.note(o.whoNote(found))
	o.env.note(gapsNote(len(gaps), false, o.hidesGaps()))
	return len(found), nil
}

// warnOfHashes warns if values of versions were recorded as hashes.
func (v *versions) warnOfHashes(found []v1.Event) {
	if slices.ContainsFunc(found, isRedacted) {
		v.types.warnf("values of %s were recorded as hashes; the original values can't be restored", v.subject)
	}
}

// isRedacted reports whether values of a version, or parts of them, were
// replaced by hashes. It searches for the prefix of hashes, so an object that
// contains the prefix as text is reported too.
func isRedacted(e v1.Event) bool { return bytes.Contains(e.ObjectChanges, []byte("hmac-sha256:")) }

// revisionNotFound returns the error for a revision that is not in the history.
func revisionNotFound(v *versions, revision, newest uint64) error {
	return history.Errorf(history.NotFound,
		"revision %d of %s not found: the newest is %d; revisions older than the retention are dropped",
		revision, v.subject, newest)
}

// compare writes the diff of the first and the last revision of a range, or of
// a single revision and the one before it. It returns the number of diffs that
// are not empty.
func (o *historyOptions) compare(ctx context.Context, v *versions, first, last, newest uint64) (shown int, err error) {
	// A single revision is compared with the previous one. Revision 1 has none.
	numbers := []uint64{last}
	if !o.revisions.isRange {
		first--
	}
	if first > 0 {
		numbers = append(numbers, first)
	}
	found, err := v.exactly(ctx, v.namespaces[0], v.uid, numbers...)
	if err != nil {
		return 0, err
	}
	if found[last] == nil || o.revisions.isRange && found[first] == nil {
		missing := last
		if found[last] != nil {
			missing = first
		}
		return 0, revisionNotFound(v, missing, newest)
	}
	gaps, err := v.gapsBetween(ctx, found[first], found[last])
	if err != nil {
		return 0, err
	}
	d := o.diffWriter()
	if err := d.write(found[first], found[last]); err != nil {
		return 0, err
	}
	d.noteHidden()
	o.env.note(gapsNote(len(gaps), false, o.hidesGaps()))
	return d.shown, nil
}

// versions reads the versions of one object.
type versions struct {
	*session

	env        *Environment
	subject    subject
	namespaces []history.NamespaceScope // in which the object may be
	uid        string                   // "" means all incarnations
	withGaps   []client.EventsQuery     // the query of newestVersion, if gaps overlap it
}

// newVersions returns the versions of an object. An empty uid means all
// incarnations.
func newVersions(s *session, env *Environment, sub subject, uid string) *versions {
	return &versions{session: s, env: env, subject: sub, uid: uid, namespaces: sub.namespaces(s.namespace)}
}

// queries returns one query for each namespace. Lean queries return no bodies.
func (v *versions) queries(lean bool) (queries []client.EventsQuery) {
	for _, namespace := range v.namespaces {
		queries = append(queries, client.EventsQuery{
			Namespace: namespace, Resources: []string{v.subject.resourceArg()},
			Name: v.subject.name, UID: v.uid, Order: history.NewestFirst, Summary: lean,
		})
	}
	return queries
}

// newestVersion returns the newest version, and restricts v to its incarnation
// and its namespace. It fails if there is none. It must be called before
// gapsBetween and between.
func (v *versions) newestVersion(ctx context.Context) (newest *v1.Event, err error) {
	for _, q := range v.queries(true) {
		q.Limit = 1
		page, err := v.Events(ctx, q)
		if err != nil {
			return nil, err
		}
		if page.Gaps > 0 {
			v.withGaps = []client.EventsQuery{q}
		}
		if len(page.Events) > 0 && (newest == nil || page.Events[0].Timestamp.After(newest.Timestamp)) {
			newest = &page.Events[0]
			v.uid, v.namespaces = newest.UID, []history.NamespaceScope{q.Namespace}
		}
	}
	if newest == nil {
		return nil, v.noHistory(ctx, v.env, v.subject, v.uid)
	}
	return newest, nil
}

// gapsBetween returns the gaps between two versions. If first is nil, it
// returns the gaps at the time of last. It sends a request only if the response
// of newestVersion reports gaps.
func (v *versions) gapsBetween(ctx context.Context, first, last *v1.Event) ([]v1.Gap, error) {
	if first == nil {
		first = last
	}
	return v.gaps(ctx, v.withGaps, first.Timestamp, last.Timestamp)
}

// between returns the revisions from first to last, newest first. Lean versions
// have no bodies.
func (v *versions) between(ctx context.Context, first, last uint64, lean bool) ([]v1.Event, error) {
	if first == last {
		found, err := v.exactly(ctx, v.namespaces[0], v.uid, first)
		if found[first] == nil || err != nil {
			return nil, err
		}
		return []v1.Event{*found[first]}, nil
	}
	// A range may be long, and the API has no ranges of revisions. So the
	// versions are read newest first, until the range ends.
	var found []v1.Event
	for e, err := range v.All(ctx, v.queries(lean)[0]) {
		if err != nil {
			return nil, err
		}
		if e.Revision < first {
			break
		}
		if e.Revision <= last {
			found = append(found, e)
		}
	}
	return found, nil
}

// exactly returns revisions of one incarnation by number, with their bodies.
// Revisions that are not in the history are absent from the map.
func (v *versions) exactly(
	ctx context.Context, namespace history.NamespaceScope, uid string, numbers ...uint64,
) (map[uint64]*v1.Event, error) {
	page, err := v.Object(ctx, client.ObjectQuery{
		Namespace: namespace, Resource: v.subject.resourceArg(), Name: v.subject.name, UID: uid, Revisions: numbers,
	})
	if err != nil {
		return nil, err
	}
	found := map[uint64]*v1.Event{}
	for i := range page.WatchEvents {
		found[page.WatchEvents[i].Revision] = &page.WatchEvents[i]
	}
	return found, nil
}

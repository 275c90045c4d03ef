package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// note writes a line to stderr; an empty one not at all.
func (e *Environment) note(text string) {
	if text != "" {
		e.answer()
		_, _ = fmt.Fprintln(e.ErrOut, render.Escape(text))
	}
}

// warnings is the stream for the warnings of kubectl's libraries. Each is
// written once.
type warnings struct {
	env  *Environment
	seen []string
}

// Write expects one warning, and never fails.
func (w *warnings) Write(p []byte) (int, error) {
	text := strings.TrimSpace(string(p))
	for _, events := range eventTypes() { // both groups serve the same Events
		if strings.HasSuffix(text, " could also match lower priority resource "+events.GroupResource().String()) {
			return len(p), nil
		}
	}
	if !slices.Contains(w.seen, text) {
		w.seen = append(w.seen, text)
		w.env.note(text)
	}
	return len(p), nil
}

// ignored collects what the recorder's configuration leaves out of answers, by rule.
type ignored []string

// add takes what one answer says.
func (i *ignored) add(rules string) {
	for rule := range strings.SplitSeq(rules, "; ") {
		if rule != "" && !slices.Contains(*i, rule) {
			*i = append(*i, rule)
		}
	}
}

// note is "" where nothing is left out.
func (i ignored) note() string {
	if len(i) == 0 {
		return ""
	}
	return "The recorder is configured to leave out: " + strings.Join(i, "; ") + "."
}

// in is " in shop namespace" or, where that says nothing, "".
func in(scope history.NamespaceScope) string {
	namespace, _ := scope.Namespace()
	if namespace == "" {
		return ""
	}
	return " in " + namespace + " namespace"
}

// unchanged returns nil, after a note, if an object has history, but none in
// the window. Otherwise its error says what of the object was never recorded.
func (s *session) unchanged(ctx context.Context, env *Environment, t target, uid string, w *window) error {
	if w.isSet() {
		known, err := s.isKnown(ctx, t, uid)
		if err != nil {
			return err
		}
		if known {
			env.note(fmt.Sprintf("No changes of %s%s in that time.", t, in(t.namespaceOf(s.namespace))))
			return nil
		}
	}
	return s.missing(ctx, env, t, uid)
}

// isKnown reports whether an object, or one incarnation of it, has history.
func (s *session) isKnown(ctx context.Context, t target, uid string) (bool, error) {
	found, err := s.newestVersions(ctx, t, uid, 1)
	return len(found) > 0, err
}

// newestVersions returns the newest versions of a type's objects, or of one
// object, without their bodies: of each namespace at most so many.
func (s *session) newestVersions(ctx context.Context, t target, uid string, limit int) (found []v1.Event, err error) {
	for _, namespace := range t.namespaces(s.namespace) {
		page, err := s.Events(ctx, client.EventsQuery{
			Namespace: namespace, Resources: []string{t.wire()}, Name: t.name, UID: uid,
			Order: history.NewestFirst, Limit: limit, Summary: true,
		})
		if err != nil {
			return nil, err
		}
		found = append(found, page.Events...)
	}
	slices.SortStableFunc(found, func(a, b v1.Event) int { return b.Timestamp.Compare(a.Timestamp) })
	return found, nil
}

// missing is the error for an object, or an incarnation of it, that has no history.
func (s *session) missing(ctx context.Context, env *Environment, t target, uid string) error {
	where, hint := in(t.namespaceOf(s.namespace)), ""
	if uid != "" {
		uids, err := s.incarnations(ctx, t)
		if err != nil {
			return err
		}
		if len(uids) > 0 {
			return history.Errorf(history.NotFound, "%s%s has no history under the UID %q: its UIDs are %s", t, where, uid, strings.Join(uids, ", "))
		}
	}
	if recorded, err := s.types.known(ctx, t.wire()); err == nil && !recorded {
		hint = fmt.Sprintf("the recorder does not record %s", t.GroupResource())
	} else if reason := s.unrecorded(ctx, t); reason != "" {
		hint = fmt.Sprintf("the recorder does not record %s: %s", t.GroupResource(), reason)
	} else {
		hint = fmt.Sprintf("'%s get %s -A' shows which have one", env.Name, t.GroupResource())
	}
	return history.Errorf(history.NotFound, "no history of %s%s: %s", t, where, hint)
}

// incarnations returns the UIDs of an object's newest versions, the newest first.
func (s *session) incarnations(ctx context.Context, t target) (uids []string, err error) {
	found, err := s.newestVersions(ctx, t, "", defaultChunkSize)
	if err != nil {
		return nil, err
	}
	for i := range found {
		if uid := found[i].UID; !slices.Contains(uids, uid) {
			uids = append(uids, uid)
		}
	}
	return uids, nil
}

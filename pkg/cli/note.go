package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

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
func in(namespace string) string {
	if namespace == "" || namespace == history.NoNamespace {
		return ""
	}
	return " in " + namespace + " namespace"
}

// missing is the error for an object that has no history.
func (s *session) missing(ctx context.Context, env *Environment, t target, w *window) error {
	where, hint := in(t.namespaceOf(s.namespace)), ""
	if w != nil && w.isSet() {
		return history.Errorf(history.NotFound, "no history of %s%s in that time: leave out --since and --until to see all", t, where)
	}
	if recorded, err := s.types.known(ctx, t.wire()); err == nil && !recorded {
		hint = fmt.Sprintf("the recorder does not record %s", t.GroupResource())
	} else {
		hint = fmt.Sprintf("'%s get %s -A' shows which have one", env.Name, t.GroupResource())
	}
	return history.Errorf(history.NotFound, "no history of %s%s: %s", t, where, hint)
}

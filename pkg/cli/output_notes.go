package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/printable"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// note writes a line to stderr. An empty note is not written.
func (e *Environment) note(text string) {
	if text != "" {
		e.endProgress()
		_, _ = fmt.Fprintln(e.ErrOut, printable.Text(text))
	}
}

// warnings is the stream for the warnings of kubectl's libraries. Each warning
// is written once.
//
// Both groups of Events match the name "events". Write omits kubectl's warning
// about that, because recordedAs selects the group that is recorded.
type warnings struct {
	env  *Environment
	seen []string
}

// Write implements [io.Writer]. It expects one warning, and never fails.
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

// HandleWarningHeader implements [rest.WarningHandler]: it writes a warning of
// the API server as kubectl does.
func (w *warnings) HandleWarningHeader(code int, _, text string) {
	const ofAPIServer = 299
	if code == ofAPIServer && text != "" {
		_, _ = w.Write([]byte("Warning: " + text))
	}
}

// ignoreRules are the rules by which the recorder's configuration ignores
// changes, each once.
type ignoreRules []string

// add adds the rules of one response, which are separated by semicolons.
func (i *ignoreRules) add(rules string) {
	for rule := range strings.SplitSeq(rules, "; ") {
		if rule != "" && !slices.Contains(*i, rule) {
			*i = append(*i, rule)
		}
	}
}

// note returns a note with the rules, or "" if there are none.
func (i ignoreRules) note() string {
	if len(i) == 0 {
		return ""
	}
	return "The recorder is configured to ignore: " + strings.Join(i, "; ") + "."
}

// in returns " in shop namespace", or "" for all namespaces and for
// cluster-scoped objects.
func in(scope history.NamespaceScope) string {
	namespace, _ := scope.Namespace()
	if namespace == "" {
		return ""
	}
	return " in " + namespace + " namespace"
}

// namespaceFlag returns " -n shop", for a command in a hint, or "" for all
// namespaces and for cluster-scoped objects.
func namespaceFlag(scope history.NamespaceScope) string {
	namespace, _ := scope.Namespace()
	if namespace == "" {
		return ""
	}
	return " -n " + namespace
}

// versionsHint returns a hint at the versions of a named subject.
func (s subject) versionsHint(env *Environment, scope history.NamespaceScope) string {
	return "'" + env.command("history "+s.GroupResource().String()+"/"+s.name+namespaceFlag(scope)) +
		"' lists its versions."
}

// hiddenNote returns a note that n changes or versions were hidden as noise, or
// "".
func hiddenNote(n int, noun string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%s with noise only %s hidden; --show-noise lists them", plural(n, noun), are(n))
}

// whoNote returns an explanation of the question mark in the column WHO, or ""
// if the table has none.
func (o *output) whoNote(shown []v1.Event) string {
	if !o.isTable() || !slices.ContainsFunc(shown, func(e v1.Event) bool { return render.IsAnonymous(&e) }) {
		return ""
	}
	return "? = the API server does not record who made this change (deletions, " +
		"removed fields, some scaling); audit logs do"
}

// noteUnchanged explains why an object has no versions in the output. If it has
// history outside the window, or that does not match, that is a note. Otherwise
// it is the error of [session.noHistory]. selected means that the versions were
// selected by their contents.
func (s *session) noteUnchanged(
	ctx context.Context, env *Environment, sub subject, uid string, w *window, selected bool,
) error {
	if w.isSet() || selected {
		known, err := s.hasHistory(ctx, sub, uid)
		if err != nil {
			return err
		}
		if known {
			changes, when := "changes", " in the requested time"
			if selected {
				changes = "matching changes"
			}
			if !w.isSet() {
				when = ""
			}
			env.note(fmt.Sprintf("No %s of %s%s%s.", changes, sub, in(sub.namespaceOf(s.namespace)), when))
			return nil
		}
	}
	return s.noHistory(ctx, env, sub, uid)
}

// noHistory returns the error for an object, or an incarnation of it, that has
// no history. The error contains the reason if the recorder returns one. With a
// uid, it lists the UIDs under which the object has history.
func (s *session) noHistory(ctx context.Context, env *Environment, sub subject, uid string) error {
	where, reason := in(sub.namespaceOf(s.namespace)), ""
	if uid != "" {
		uids, err := s.incarnations(ctx, sub)
		if err != nil {
			return err
		}
		if len(uids) > 0 {
			return history.Errorf(history.NotFound, "%s%s has no history under the UID %q: its UIDs are %s",
				sub, where, uid, strings.Join(uids, ", "))
		}
	}
	if !sub.Namespaced && s.recorded != nil && s.recorded.check("") != nil {
		reason = fmt.Sprintf(": %s has only %s", s.recorded.file, s.recorded.content())
	} else if recorded, err := s.types.isRecorded(ctx, sub.resourceArg()); err == nil && !recorded {
		reason = fmt.Sprintf(": the recorder does not record %s", sub.GroupResource())
		if s.restricted {
			reason += ", or you may not read them in the cluster"
		}
	} else if detail := s.notRecordedReason(ctx, sub); detail != "" {
		reason = fmt.Sprintf(": the recorder does not record %s: %s", sub.GroupResource(), detail)
	}
	err := history.Errorf(history.NotFound, "no history of %s%s%s", sub, where, reason)
	if reason != "" {
		return err
	}
	return history.WithHint(err,
		"'"+env.command("get "+sub.GroupResource().String()+" -A")+"' lists the objects with history.")
}

// plural returns a number with its noun: "1 change" or "2 changes".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// are returns "is" or "are", for n things.
func are(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// follow returns "follows" or "follow", for n things.
func follow(n int) string {
	if n == 1 {
		return "follows"
	}
	return "follow"
}

// them returns "it" or "them", for n things.
func them(n int) string {
	if n == 1 {
		return "it"
	}
	return "them"
}

// firstText returns the first text that is not empty, or "".
func firstText(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

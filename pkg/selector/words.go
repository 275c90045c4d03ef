package selector

import (
	"slices"
	"strings"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/writer"
)

// Writers selects versions by who wrote them, in the names that operators use.
type Writers struct{ included, excluded []string }

// ParseWriters parses names such as "kubectl", "argocd" or "?". An exclamation
// mark before a name excludes the writer.
func ParseWriters(names []string) (*Writers, error) {
	w := &Writers{}
	for _, name := range names {
		name = strings.TrimSpace(name)
		if err := checkLength(name); err != nil {
			return nil, err
		}
		excluded, is := strings.CutPrefix(name, "!")
		switch {
		case name == "" || is && excluded == "":
			return nil, history.Errorf(history.Invalid, "a name is empty")
		case is:
			w.excluded = append(w.excluded, excluded)
		default:
			w.included = append(w.included, name)
		}
	}
	return w, nil
}

// Matches reports whether one of the managers of a version is selected: it has
// one of the included names, or there are none, and none of the excluded ones.
// A version without managers has a writer whose name is not recorded.
func (w *Writers) Matches(managers []history.Manager) bool {
	if len(managers) == 0 {
		return w.selects("")
	}
	return slices.ContainsFunc(managers, func(m history.Manager) bool { return w.selects(m.Name) })
}

func (w *Writers) selects(manager string) bool {
	named := func(name string) bool { return writer.Matches(manager, name) }
	return (len(w.included) == 0 || slices.ContainsFunc(w.included, named)) && !slices.ContainsFunc(w.excluded, named)
}

// OnlyExcludes reports whether the selector has no included names.
func (w *Writers) OnlyExcludes() bool { return len(w.included) == 0 }

// Text selects versions whose summary, problem or name contains a text. Case
// matters only if the text has a capital letter.
type Text struct {
	text  string
	exact bool
}

// ParseText returns the selector of a plain text, which has no wildcards.
func ParseText(text string) (*Text, error) {
	if err := checkLength(text); err != nil {
		return nil, err
	}
	return &Text{text: text, exact: text != strings.ToLower(text)}, nil
}

// Matches reports whether one of the texts contains the selected one.
func (t *Text) Matches(texts ...string) bool {
	return slices.ContainsFunc(texts, func(text string) bool {
		if !t.exact {
			text = strings.ToLower(text)
		}
		return strings.Contains(text, t.text)
	})
}

// MatchesVersion reports whether the text is in the summary or the problem of a
// version, in "kind/name" of its object or, for an Event, in that of its
// target.
func (t *Text) MatchesVersion(r *history.Record, s history.Summary) bool {
	if t.Matches(s.Text, s.Problem, subject(r.Kind, r.Ref.Name)) {
		return true
	}
	return r.Regarding != nil && t.Matches(subject(r.Regarding.Kind, r.Regarding.Name))
}

// subject returns a name as tables write it: "deployment/web".
func subject(kind, name string) string { return strings.ToLower(kind) + "/" + name }

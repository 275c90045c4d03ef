package diff

import (
	"strings"

	"github.com/watchhistory/watchhistory/pkg/diff/internal/content"
)

// maxLeaves is how many changes inside of a value are shown at most. A value
// with more of them is shown as changed.
const maxLeaves = 40

// isContent reports whether a field has the data of ConfigMaps and Secrets.
func isContent(field string) bool {
	return field == "data" || field == "stringData" || field == "binaryData"
}

// content adds the phrases for a key of a ConfigMap or a Secret.
func (s *summarizer) content(c Change) {
	key := fieldName(c.Path[1])
	old, wasText := c.Old.(string)
	now, isText := c.New.(string)
	switch {
	case c.Kind == Added && isText && isValue(now) && len(now) <= valueWidth &&
		c.Path[0].Field == "data" && !isHash(now):
		s.add(phrase{rank: byContent, name: key + "=" + line(now), text: "added"})
	case c.Kind != Changed || !wasText || !isText || isHash(old) || isHash(now) || c.Path[0].Field == "binaryData":
		s.add(phrase{rank: byContent, name: key, text: c.Kind.String()})
	case isValue(old) && isValue(now): // most values are not files
		s.add(phrase{rank: byContent, name: key, text: c.transition()})
	case s.leaves(key, old, now):
	default:
		s.add(phrase{rank: byContent, name: key, text: lines(old, now)})
	}
}

// leaves adds the phrases for the changes inside of a text with a structure. It
// returns false if there is no structure, or nothing or too much in it changed.
func (s *summarizer) leaves(key, old, now string) bool {
	before, ok := content.Decode(old)
	if !ok {
		return false
	}
	after, ok := content.Decode(now)
	if !ok {
		return false
	}
	changes := Objects(before, after)
	if len(changes) == 0 || len(changes) > maxLeaves {
		return false
	}
	for _, c := range changes {
		p := fieldPhrase(c)
		p.rank, p.depth, p.container = byContent, 0, ""
		if p.subject != "" {
			p.name, p.subject = p.subject+" "+p.name, ""
		}
		if p.name == "" {
			p.name = `""`
		}
		p.subject = key + ":"
		s.add(p)
	}
	return true
}

// isValue reports whether a text is a single value: one line that is not JSON.
func isValue(text string) bool {
	return !strings.Contains(strings.TrimRight(text, "\n"), "\n") && !strings.HasPrefix(text, "{") &&
		!strings.HasPrefix(text, "[") && !strings.HasSuffix(text, "\n")
}

// lines returns the change of a text, if one line of it changed.
func lines(old, now string) string {
	before, after := strings.Split(old, "\n"), strings.Split(now, "\n")
	for len(before) > 0 && len(after) > 0 && before[0] == after[0] {
		before, after = before[1:], after[1:]
	}
	for len(before) > 0 && len(after) > 0 && before[len(before)-1] == after[len(after)-1] {
		before, after = before[:len(before)-1], after[:len(after)-1]
	}
	c := Change{Kind: Changed}
	switch {
	case len(before) == 1 && len(after) == 1:
		c.Old, c.New = before[0], after[0]
		return c.transition()
	case len(before) == 0 && len(after) == 1 && strings.TrimSpace(after[0]) != "":
		return scalar(after[0]) + " added"
	case len(before) == 1 && len(after) == 0 && strings.TrimSpace(before[0]) != "":
		return scalar(before[0]) + " removed"
	default:
		return "changed"
	}
}

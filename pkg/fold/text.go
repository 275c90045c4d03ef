package fold

import (
	"fmt"
	"strings"
)

// Text returns what a row's changes have in common, in a few words: the summary
// of a change, the values of a fight, or how many objects there are.
func (r *Row) Text() string {
	switch r.Kind {
	case Fight:
		if text := alternating(r.Changes); text != "" {
			return text
		}
	case Repeat:
		if text := progression(r.Changes); text != "" {
			return text
		}
	case Bulk:
		return fmt.Sprintf("%s in %d %s", r.Last().Summary, r.Objects(), r.Last().Ref.Resource)
	case Removal:
		return fmt.Sprintf("deleted with %s", counted(r.Objects()-1, "object"))
	}
	return r.Last().Summary
}

// Objects returns the number of objects that a row is about.
func (r *Row) Objects() int {
	objects := map[string]bool{}
	for i := range r.Changes {
		o := &r.Changes[i].Ref
		objects[o.Group+"/"+o.Resource+"/"+o.Namespace+"/"+o.Name+"/"+string(o.UID)] = true
	}
	return len(objects)
}

// alternating returns the two values of a fight: "replicas 2 ⇄ 4". It returns
// "" if the summaries don't show two values.
func alternating(changes []Change) string {
	first, _, _ := strings.Cut(changes[len(changes)-1].Summary, ", ")
	before, after, changed := strings.Cut(first, arrow)
	if !changed {
		return ""
	}
	i := strings.LastIndexByte(before, ' ')
	subject := strings.TrimSpace(before[:i+1])
	a, b := before[i+1:], after
	if a > b && len(a) >= len(b) || len(a) > len(b) {
		a, b = b, a
	}
	return strings.TrimSpace(subject + " " + a + " ⇄ " + b)
}

// progression returns the first and the last value of a field that was changed
// several times: "replicas 3 → 4". It returns "" if the summaries don't show
// one field each.
func progression(changes []Change) string {
	first, last := changes[0].Summary, changes[len(changes)-1].Summary
	before, _, changed := strings.Cut(first, arrow)
	_, after, changedLast := strings.Cut(last, arrow)
	if !changed || !changedLast || subjectOf(first) != subjectOf(last) ||
		strings.Contains(first, ", ") || strings.Contains(last, ", ") {
		return ""
	}
	return before + arrow + after
}

// counted returns a number with a noun.
func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

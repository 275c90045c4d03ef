package diff

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The bounds of a summary, in runes.
const (
	summaryWidth = 120
	valueWidth   = 48
	pathWidth    = 64
	maxPhrases   = 3
)

// Summary returns the most interesting changes in one line of at most 120
// runes. The number of other changes follows: "image app: 1.4 → 1.5 (+2 more)".
// Noise is neither shown nor counted. If all changes are noise, Summary returns
// "".
func Summary(changes []Change) string {
	phrases := phrases(changes)
	if len(phrases) == 0 {
		return ""
	}
	// The first phrase is always shown. Others are shown as long as they are
	// interesting and fit, with room for the number of the remaining ones.
	line, shown := "", 0
	for i, p := range phrases {
		text := p.after(phrases[:i])
		if i > 0 && (i == maxPhrases || p.rank >= byPlain ||
			utf8.RuneCountInString(line+text) > summaryWidth-len(", (+99 more)")) {
			break
		}
		line += text
		shown++
	}
	if more := len(phrases) - shown; more > 0 {
		line = cut(line, summaryWidth-len(" (+9999 more)")) + fmt.Sprintf(" (+%d more)", more)
	}
	return cut(line, summaryWidth)
}

// The ranks of phrases, from the most interesting one. Phrases of rank byPlain
// or later appear only if they are the first.
const (
	byDeletion   = iota // the object's deletion was requested
	byImage             // of a container
	byTrouble           // a container waits or has terminated
	byRestarts          // of a container
	byScale             // spec.replicas
	byContent           // data of a ConfigMap or a Secret
	byScheduling        // a pod was scheduled, or a node cordoned
	byPhase             // status.phase
	byRunning           // a container runs
	byCondition         // the status of a condition
	byPlain             // spec and any other fields
	byReadiness         // of a container
	byCounts            // numbers in a status
	byMetadata          // labels, annotations and other metadata
	byStatus            // other fields of a status
	byAftermath         // consequences of another change
)

// phrase describes one change, or a few related ones.
type phrase struct {
	rank    int
	subject string // the name of a container, or ""
	text    string
}

// after returns the phrase as the continuation of earlier ones. A subject that
// is the same as before is not repeated.
func (p phrase) after(before []phrase) string {
	switch {
	case len(before) == 0:
		return p.full()
	case p.subject != "" && before[len(before)-1].subject == p.subject:
		return ", " + p.text
	default:
		return ", " + p.full()
	}
}

// full returns the phrase with its subject.
func (p phrase) full() string {
	if p.subject == "" {
		return p.text
	}
	return p.subject + " " + p.text
}

// phrases returns the phrases for the changes, sorted by rank and without
// duplicates.
func phrases(changes []Change) []phrase {
	var all []phrase
	for _, c := range changes {
		if c.Noise() {
			continue
		}
		if p := phraseOf(c); p.text != "" && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	slices.SortStableFunc(all, func(a, b phrase) int { return cmp.Compare(a.rank, b.rank) })
	return all
}

// transition returns the change of the value, such as "old → new", "set to new"
// or "removed (was old)".
func (c Change) transition() string {
	switch {
	case c.Kind == Reordered:
		return "reordered"
	case !isScalar(c.Old) || !isScalar(c.New):
		return c.Kind.String()
	case c.Kind == Added:
		return "set to " + scalar(c.New)
	case c.Kind == Removed:
		return "removed (was " + scalar(c.Old) + ")"
	}
	old, now := scalar(c.Old), scalar(c.New)
	if old == now {
		return "changed"
	}
	return old + " → " + now
}

// isScalar reports whether a value is not an object or a list.
func isScalar(value any) bool {
	switch value.(type) {
	case map[string]any, []any:
		return false
	default:
		return true
	}
}

// scalar returns a scalar in one line of at most valueWidth runes.
func scalar(value any) string {
	text, ok := value.(string)
	switch {
	case value == nil:
		return "null"
	case ok && (strings.TrimSpace(text) == "" || text == "null"): // ambiguous without quotes
		return cut(strconv.Quote(text), valueWidth)
	case !ok:
		text = number(value)
	}
	return cut(line(text), valueWidth)
}

// line returns a text as one line. Sequences of white space and control
// characters become one space.
func line(text string) string {
	if isLine(text) {
		return text
	}
	if len(text) > 4*summaryWidth { // the rest is never shown
		text = text[:4*summaryWidth]
	}
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "?"), func(r rune) bool {
		return r <= ' ' || r == 0x7f
	}), " ")
}

// isLine reports whether line would return the text unchanged, as it does for
// most texts.
func isLine(text string) bool {
	before := byte(' ')
	for i := range len(text) {
		c := text[i]
		if c < ' ' || c >= 0x7f || c == ' ' && before == ' ' {
			return false
		}
		before = c
	}
	return (text == "" || before != ' ') && len(text) <= summaryWidth
}

// cut shortens a text to at most width runes, with an ellipsis.
func cut(text string, width int) string {
	if len(text) <= width || utf8.RuneCountInString(text) <= width {
		return text
	}
	return strings.TrimRight(string([]rune(text)[:width-1]), " ") + "…"
}

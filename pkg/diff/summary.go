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

// Summary says in one line of at most 120 runes what the changes amount to, the most interesting first, and how many more
// there are: "image app: 1.4 → 1.5 (+2 more)". Noise is not mentioned and not counted; nothing but noise is "".
func Summary(changes []Change) string {
	phrases := phrases(changes)
	if len(phrases) == 0 {
		return ""
	}
	line, said := "", 0
	for i, p := range phrases {
		text := p.after(phrases[:i])
		if i > 0 && (i == maxPhrases || p.rank >= byPlain || utf8.RuneCountInString(line+text) > summaryWidth-len(", (+99 more)")) {
			break
		}
		line += text
		said++
	}
	if more := len(phrases) - said; more > 0 {
		line = cut(line, summaryWidth-len(" (+9999 more)")) + fmt.Sprintf(" (+%d more)", more)
	}
	return cut(line, summaryWidth)
}

// The ranks of phrases. From byPlain on, a phrase appears only as the first one.
const (
	byDeletion = iota
	byImage
	byTrouble
	byRestarts
	byScale
	byContent
	byScheduling
	byPhase
	byRunning
	byCondition
	byPlain // spec and any other fields
	byReadiness
	byCounts // the numbers in a status
	byMetadata
	byStatus
	byAftermath // what follows from something else
)

// phrase is what one change, or a few that belong together, amount to.
type phrase struct {
	rank    int
	subject string // a container, perhaps
	text    string
}

// after returns the phrase as it continues the phrases before it: the same subject is not said twice.
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

func (p phrase) full() string {
	if p.subject == "" {
		return p.text
	}
	return p.subject + " " + p.text
}

// phrases returns what to say about the changes, by rank. Phrases that are the same are one.
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

// transition writes "old → new", "set to new" or "removed", by the kind of the change.
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

func isScalar(value any) bool {
	switch value.(type) {
	case map[string]any, []any:
		return false
	default:
		return true
	}
}

// scalar writes a value that has no insides on one line, bounded.
func scalar(value any) string {
	text, ok := value.(string)
	switch {
	case value == nil:
		return "null"
	case ok && (strings.TrimSpace(text) == "" || text == "null"): // unquoted it looks like nothing
		return cut(strconv.Quote(text), valueWidth)
	case !ok:
		text = number(value)
	}
	return cut(line(text), valueWidth)
}

// line makes one line of a text: white space and control characters become one space.
func line(text string) string {
	if isLine(text) {
		return text
	}
	if len(text) > 4*summaryWidth { // nobody sees the rest
		text = text[:4*summaryWidth]
	}
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "?"), func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
}

// isLine tells whether a text is one line as it is, which most are.
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

// cut shortens a text to that many runes, with an ellipsis.
func cut(text string, width int) string {
	if len(text) <= width || utf8.RuneCountInString(text) <= width {
		return text
	}
	return strings.TrimRight(string([]rune(text)[:width-1]), " ") + "…"
}

package printable_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/watchhistory/watchhistory/pkg/internal/printable"
)

func TestText_ReplacesUnsafeCharacters(t *testing.T) {
	for text, want := range map[string]string{
		"":                    "",
		"a\tb\nc":             "a\tb\nc",
		"\x1b[2J\u009b2J\x07": "^[[2J\ufffd2J\ufffd",
		"a\r\nb":              "a\\r\nb",
		"\u202eabc\u2028":     "\ufffdabc\ufffd",
		"\xff\xfea":           "\ufffda",
		"👩\u200d💻 ❤\ufe0f\u200d🔥 👍🏽":   "👩\u200d💻 ❤\ufe0f\u200d🔥 👍🏽",
		"pay\u200dment a\ufe0f \u200d": "pay\ufffdment a\ufffd \ufffd",
		"a\ufe0f\u200d":                "a\ufffd\ufffd",
		"\u3164\u115f\u034f\U000e01ef": "\ufffd\ufffd\ufffd\ufffd",
		"\u09a8\u09be\u0902":           "\u09a8\u09be\u0902", // combining marks are visible
	} {
		if got := printable.Text(text); got != want {
			t.Errorf("Text(%+q): got %+q, want %+q", text, got, want)
		}
	}
}

func TestLine_CollapsesWhiteSpace(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "",
		" \t\r\n":                "",
		" a\r\nb\u00a0\u2028 c ": "a b c",
		"a\x00b\n":               "a\ufffdb",
	} {
		if got := printable.Line(text); got != want {
			t.Errorf("Line(%+q): got %+q, want %+q", text, got, want)
		}
	}
}

// FuzzText checks that no unsafe character is left, that every line break is,
// and that both functions are idempotent.
func FuzzText(f *testing.F) {
	for _, seed := range []string{
		"", "a\tb\n", "\x1b[31m\r\u009b", "❤\ufe0f\u200d🔥", "a\ufe0f\u200d", "\u202e\xff\u2028", "\ufffd\u200d",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := printable.Text(text)
		if !utf8.ValidString(got) {
			t.Errorf("Text(%+q): got %+q, want valid UTF-8", text, got)
		}
		unsafe := printable.Unsafe()
		for _, r := range got {
			if unsafe(r) && r != '\n' && r != '\t' {
				t.Errorf("Text(%+q): got %+q with %+q, want no unsafe character", text, got, r)
			}
		}
		if lines, want := strings.Count(got, "\n"), strings.Count(text, "\n"); lines != want {
			t.Errorf("Text(%+q): got %d line feeds, want %d", text, lines, want)
		}
		if again := printable.Text(got); again != got {
			t.Errorf("Text(%+q): got %+q, want it unchanged", got, again)
		}
		line := printable.Line(text)
		if want := strings.Join(strings.Fields(line), " "); line != want {
			t.Errorf("Line(%+q): got %+q, want %+q", text, line, want)
		}
		if again := printable.Line(line); again != line {
			t.Errorf("Line(%+q): got %+q, want it unchanged", line, again)
		}
	})
}

package client

import (
	"strings"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/printable"
)

// Error is a failure to reach a recorder, or a recorder's refusal.
type Error struct {
	Code    history.Code
	Message string // what went wrong, in one line
	Hint    string // what to do next; it may span lines, as a Role to paste does, and may be empty
	Err     error  // the cause, where there is one; its text is part of Message already
}

// Error returns the message and, on the lines after it, the hint.
func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + "\n" + e.Hint
}

// Unwrap gives [history.CodeOf] the code, and errors.Is and errors.As the cause.
func (e *Error) Unwrap() []error {
	coded := &history.Error{Code: e.Code, Message: e.Message}
	if e.Err == nil {
		return []error{coded}
	}
	return []error{coded, e.Err}
}

// longestQuote is how much of a foreign text an error message repeats, in bytes.
const longestQuote = 600

// quotable returns a foreign text on one line that is safe to print, cut to
// longestQuote.
func quotable(text string) string {
	text = strings.ToValidUTF8(text, "�")
	if len(text) > longestQuote {
		text = strings.ToValidUTF8(text[:longestQuote], "") + "…"
	}
	return printable.Line(text)
}

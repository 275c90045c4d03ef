package client

import (
	"strings"
	"unicode"

	"github.com/watchhistory/watchhistory/pkg/history"
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

// quotable makes one line of a foreign text, without anything that a terminal could take for a command.
func quotable(text string) string {
	text = strings.ToValidUTF8(text, "�")
	if len(text) > longestQuote {
		text = strings.ToValidUTF8(text[:longestQuote], "") + "…"
	}
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r) || !unicode.IsPrint(r):
			return '�'
		default:
			return r
		}
	}, text)
	return strings.Join(strings.Fields(text), " ")
}

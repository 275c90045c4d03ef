package history

import (
	"errors"
	"fmt"
)

// Code classifies an error. Package api maps it to an HTTP status, and package
// cli to an exit code. The texts are part of the REST API.
type Code string

// The codes. An error without one is [Internal].
const (
	Invalid      Code = "invalid"      // the request can't be fulfilled as it was made
	NotFound     Code = "not_found"    // nothing is recorded under that name
	Unauthorized Code = "unauthorized" // the caller's identity is missing or invalid
	Forbidden    Code = "forbidden"    // the caller lacks a permission
	Unavailable  Code = "unavailable"  // a retry may succeed
	Gone         Code = "gone"         // the log does not have any more what was read before
	Internal     Code = "internal"     // anything else
)

// Error is the error type of this module: a code, a message and a cause.
//
// Packages below the programs state facts. Only a package that parses a flag
// or reads a variable names it in a Hint.
type Error struct {
	Code Code
	// Message names the operation, the subject and the cause, in one line. It
	// contains the text of Err if that helps the reader.
	Message string
	// Hint is advice for a person. It may span lines or be empty, and is not
	// part of [Error.Error].
	Hint string
	Err  error // the cause, for errors.Is and errors.As; may be nil
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an [Error] with a formatted message. A %w verb sets the cause;
// at most one is allowed.
func Errorf(code Code, format string, args ...any) error {
	formatted := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: formatted.Error(), Err: errors.Unwrap(formatted)}
}

// WithHint returns an [Error] with err as its cause and a hint. The code and
// the message are those of err.
func WithHint(err error, hint string) error {
	return &Error{Code: CodeOf(err), Message: err.Error(), Hint: hint, Err: err}
}

// CodeOf returns the code of the first [Error] in err's chain. It returns
// [Internal] if there is none, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}

// HintOf returns the hint of the first [Error] in err's chain that has one, or
// "".
func HintOf(err error) string {
	for {
		e, ok := errors.AsType[*Error](err)
		switch {
		case !ok:
			return ""
		case e.Hint != "":
			return e.Hint
		}
		err = e.Err
	}
}

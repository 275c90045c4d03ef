package history

import (
	"errors"
	"fmt"
)

// Code classifies an error for whoever maps it to an HTTP status or an exit code.
type Code string

// The codes. An error without one is [Internal].
const (
	Invalid     Code = "invalid"     // the caller asked for something that can't be
	NotFound    Code = "not_found"   // nothing is recorded under that name
	Forbidden   Code = "forbidden"   // the caller may not; somebody else can permit it
	Unavailable Code = "unavailable" // not now; trying again may help
	Internal    Code = "internal"
)

// Error is an error with a code and a message for people.
type Error struct {
	Code    Code
	Message string
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Errorf returns an [Error] with a formatted message.
func Errorf(code Code, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code of the first [Error] in err's chain, [Internal] where there is none, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}

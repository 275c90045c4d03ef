package cli

// OutputClosed is tested by itself: whether a broken connection is reported as a reset or as a broken pipe, the system decides.
var OutputClosed = outputClosed

// WithHint adds the hint for an error of a connection by URL.
func WithHint(err error) error { return (&connection{url: "http://h"}).withHint(err) }

package cli

// OutputClosed is tested directly, because the system decides whether a broken
// connection is a reset or a broken pipe.
var OutputClosed = outputClosed

// WithHint adds the hint for an error of a connection by URL.
func WithHint(err error) error { return (&connection{url: "http://h"}).withHint(err) }

// ParameterFlags are the flags of the API's parameters.
var ParameterFlags = parameterFlags

// WithClusterHint adds the hint for an error of a recorder that was found in
// the namespace tools.
func WithClusterHint(err error) error { return (&connection{foundIn: "tools"}).withHint(err) }

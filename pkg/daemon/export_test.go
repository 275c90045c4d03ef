package daemon

// DefaultRedactions returns the redactions of every configuration.
var DefaultRedactions = defaultRedactions

// StreamError adds a hint to an error of opening the stream of a resource.
var StreamError = streamError

// ListenError returns the error of listening on an address.
var ListenError = listenError

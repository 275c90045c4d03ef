package daemon

// DefaultRedactions returns the redactions of every configuration.
var DefaultRedactions = defaultRedactions

// ListenError returns the error of listening on an address.
var ListenError = listenError

package daemon

// DefaultRedactions returns the redactions of every configuration.
var DefaultRedactions = defaultRedactions

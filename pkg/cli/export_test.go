package cli

// OutputClosed is tested directly, because the system decides whether a broken
// connection is a reset or a broken pipe.
var OutputClosed = outputClosed

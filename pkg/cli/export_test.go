package cli

// OutputClosed is tested by itself: whether a broken connection is reported as a reset or as a broken pipe, the system decides.
var OutputClosed = outputClosed

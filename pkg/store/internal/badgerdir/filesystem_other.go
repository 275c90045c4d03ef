//go:build !linux

package badgerdir

// filesystem returns "": the file system is unknown.
func filesystem(string) string { return "" }

//go:build !unix

package store

import "io/fs"

// allocated returns the bytes of a file; holes can't be told.
func allocated(st fs.FileInfo) int64 { return st.Size() }

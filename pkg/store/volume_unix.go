//go:build linux || darwin

package store

import "syscall"

// free returns how many bytes of a directory's volume are free to this process.
func free(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:unconvert // other systems have other types
}

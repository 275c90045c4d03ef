package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// RootVariable is the environment variable that overrides the directory of
// named clusters.
const RootVariable = "DEVCLUSTER_ROOT"

// Root returns the directory that contains one directory per named cluster, and
// creates it if necessary. It is in the temporary directory, which other users
// share, so its owner must be this user.
func Root() (string, error) {
	root := os.Getenv(RootVariable)
	if root == "" {
		root = filepath.Join(os.TempDir(), "devcluster-"+strconv.Itoa(os.Getuid()))
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return "", fmt.Errorf("make directory for clusters: %w", err)
	}
	found, err := os.Lstat(root)
	if err != nil {
		return "", fmt.Errorf("check directory for clusters: %w", err)
	}
	if stat, ok := found.Sys().(*syscall.Stat_t); !ok || !found.IsDir() || int(stat.Uid) != os.Getuid() {
		return "", fmt.Errorf("%s is not a directory of your own: remove it or set %s", root, RootVariable)
	}
	return filepath.Abs(root)
}

// List returns the clusters in root, including those whose supervisor has died.
func List(root string) ([]State, error) {
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list clusters: %w", err)
	}
	var found []State
	for _, entry := range entries {
		state, err := Read(filepath.Join(root, entry.Name()))
		if errors.Is(err, ErrNotFound) || errors.Is(err, syscall.ENOTDIR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, state)
	}
	return found, nil
}

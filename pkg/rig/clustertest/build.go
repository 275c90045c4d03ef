package clustertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/watchhistory/watchhistory/pkg/rig/gobuild"
)

// buildVariable names an existing devcluster binary to use instead of
// building one.
const buildVariable = "DEVCLUSTER"

// build brings bin/devcluster up to date and returns its path. With Go's build
// cache this takes about a second, except for the first time. Test packages run
// concurrently, so a lock makes one build and the others wait.
func build(ctx context.Context) (binary string, err error) {
	if binary := os.Getenv(buildVariable); binary != "" {
		return binary, nil
	}
	root, err := repository()
	if err != nil {
		return "", err
	}
	binary = filepath.Join(root, "bin", "devcluster")
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		return "", fmt.Errorf("make directory for devcluster: %w", err)
	}
	unlock, err := lockedfile.MutexAt(filepath.Join(root, "bin", ".devcluster.lock")).Lock()
	if err != nil {
		return "", fmt.Errorf("wait for another build of devcluster: %w", err)
	}
	defer unlock()
	return binary, compile(ctx, filepath.Join(root, "cmd", "devcluster"), binary)
}

// compile runs go build, with progress.
func compile(ctx context.Context, source, binary string) error {
	return gobuild.Run(ctx, gobuild.Build{ //nolint:wrapcheck // gobuild adds the name
		Name: "devcluster (the first build on a machine compiles Kubernetes)", Dir: source,
		// The same flags as in the Makefile. Otherwise each would link the
		// other's output again.
		Args: []string{"-ldflags=-s -w", "-o", binary, "."},
		Out:  os.Stderr, Terminal: gobuild.IsTerminal(os.Stderr), After: 5 * time.Second,
	})
}

// repository returns the directory of this module's go.mod, at or above the
// working directory. The working directory of a test is its package.
func repository() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find repository: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("find repository: %w", err)
		}
		if bytes.HasPrefix(mod, []byte("module github.com/watchhistory/watchhistory\n")) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no watchhistory repository at or above %s: set %s to a devcluster binary",
				start, buildVariable)
		}
	}
}

package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// SocketName is the name of a recorder's socket in its storage directory.
const SocketName = "admin.sock"

// maxSocketPath is the length in bytes that every system accepts for the path
// of a socket.
const maxSocketPath = 103

// errNoRecorder means that no recorder runs on a storage directory.
var errNoRecorder = errors.New("no recorder runs on the storage directory")

// Listen opens the socket of a storage directory. Only the owner can connect.
// Closing the listener removes the socket.
//
// The caller holds the lock of the directory. So an existing socket was left by
// a process that was killed, and is replaced.
func Listen(ctx context.Context, storage string) (net.Listener, error) {
	path, err := socketPath(storage)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("replace an old socket: %w", err)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// socketPath returns the path of a storage directory's socket. It fails if the
// path is too long for a socket.
func socketPath(storage string) (string, error) {
	path := filepath.Join(storage, SocketName)
	if len(path) > maxSocketPath {
		return "", history.Errorf(history.Invalid, "the path of the socket %s is longer than %d bytes",
			path, maxSocketPath)
	}
	return path, nil
}

// dial connects to the recorder that runs on a storage directory. It fails with
// [errNoRecorder] if none runs.
//
// A socket without a listener, which a killed recorder leaves, counts as no
// recorder.
func dial(ctx context.Context, storage string) (net.Conn, error) {
	path, err := socketPath(storage)
	if err != nil {
		return nil, errNoRecorder // no recorder can have opened it
	}
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		return c, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, fs.ErrPermission):
		return nil, history.WithHint(history.Errorf(history.Forbidden, "open %s: permission denied", path),
			"Run this command as the recorder's user.")
	default:
		return nil, errNoRecorder
	}
}

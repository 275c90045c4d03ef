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

// maxSocketPath is the length in bytes of the longest path that every system takes for a socket.
const maxSocketPath = 103

// Listen opens the socket of a storage directory, which the caller has locked: one that is there was left behind by a process
// that was killed, and is replaced. Only the owner may connect. Closing the listener removes it.
func Listen(ctx context.Context, storage string) (net.Listener, error) {
	path, err := socketPath(storage)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("replace the socket that was left behind: %w", err)
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

func socketPath(storage string) (string, error) {
	path := filepath.Join(storage, SocketName)
	if len(path) > maxSocketPath {
		return "", history.Errorf(history.Invalid,
			"the path %s is longer than the %d bytes that a socket's may have: move the storage directory, or name it by a shorter relative path",
			path, maxSocketPath)
	}
	return path, nil
}

// dial connects to the recorder that runs on a storage directory. Without one it is [errNobody].
func dial(ctx context.Context, storage string) (net.Conn, error) {
	path, err := socketPath(storage)
	if err != nil {
		return nil, errNobody
	}
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		return c, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, fs.ErrPermission):
		return nil, history.Errorf(history.Forbidden, "%s may not be opened: run this as the user that the recorder runs as", path)
	default:
		return nil, errNobody
	}
}

// errNobody says that no recorder answers on a storage directory's socket.
var errNobody = errors.New("nobody answers")

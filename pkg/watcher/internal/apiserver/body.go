package apiserver

import (
	"errors"
	"io"
	"time"

	"github.com/watchhistory/watchhistory/pkg/watcher/internal/coalesce"
)

// Body is the body of an answer. One goroutine at a time may use it.
type Body struct {
	stream    io.ReadCloser
	conn      *coalesce.Conn // nil if it is not known
	readBegan time.Time      // when the last Read began
}

// Read implements [io.Reader].
func (b *Body) Read(p []byte) (int, error) {
	b.readBegan = time.Now()
	n, err := b.stream.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = networkError(err)
	}
	return n, err //nolint:wrapcheck // the error is the stream's
}

// Close implements [io.Closer].
func (b *Body) Close() error { return b.stream.Close() } //nolint:wrapcheck // the error is the stream's

// Alive returns when the server, or a proxy, was last known to be alive. That
// is when bytes last arrived on the connection, even bytes of another answer.
// It returns zero if none arrived since the last Read began.
//
// A reader that waits has read everything that arrived before. So the body was
// read up to what the server had sent until that time. If this side closes the
// connection, bytes that wait for their window are lost. Therefore the result
// is a window earlier.
func (b *Body) Alive() time.Time {
	if b.conn == nil {
		return time.Time{}
	}
	if at := b.conn.LastRead(); at.After(b.readBegan) {
		return at.Add(-coalesce.Window)
	}
	return time.Time{}
}

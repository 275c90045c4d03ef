package apiserver

import (
	"errors"
	"io"
	"time"

	"github.com/watchhistory/watchhistory/pkg/watcher/internal/coalesce"
)

// Body is the body of an answer. One goroutine at a time may use it.
type Body struct {
	stream io.ReadCloser
	conn   *coalesce.Conn // nil if it is not known
	wait   time.Time      // when the last Read began
}

// Read implements [io.Reader].
func (b *Body) Read(p []byte) (int, error) {
	b.wait = time.Now()
	n, err := b.stream.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = networkError(err)
	}
	return n, err //nolint:wrapcheck // it stands for the stream
}

// Close implements [io.Closer].
func (b *Body) Close() error { return b.stream.Close() } //nolint:wrapcheck // it stands for the stream

// Alive returns the last time at which the server, or whatever else ends the
// connection, is known to have been alive while the reader waited for more of
// this body: when anything arrived on the connection, be it of another answer
// or of none. It is zero if nothing arrived since the last Read began.
//
// A reader that waits has read all that arrived, and keeps the server from
// sending nothing. So whatever the server had sent by then was read, too, but
// for what waits for its beat when the connection is closed at this end.
func (b *Body) Alive() time.Time {
	if b.conn == nil {
		return time.Time{}
	}
	if at := b.conn.LastRead(); at.After(b.wait) {
		return at.Add(-coalesce.Beat)
	}
	return time.Time{}
}

package watchproto

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

const (
	// bufferSize is the size of the buffer, in bytes. Most events fit into it.
	bufferSize = 32 << 10
	// maxKept bounds the memory that is kept after a line that did not fit into
	// the buffer, in bytes.
	maxKept = 1 << 20
)

// Lines reads the lines of a watch. One goroutine at a time may use it.
type Lines struct {
	r         *bufio.Reader
	limit     int    // of a line, in bytes
	long      []byte // a line that does not fit into the buffer
	truncated bool   // the input ended within a line
}

// NewLines returns a reader of the lines of r. A line that is longer than limit
// bytes is an error.
func NewLines(r io.Reader, limit int) *Lines {
	return &Lines{r: bufio.NewReaderSize(r, bufferSize), limit: limit}
}

// Next returns the next line, which is valid until the next call. The error is
// [io.EOF] if the input ends after a line, and [io.ErrUnexpectedEOF] if it ends
// within one.
func (l *Lines) Next() ([]byte, error) {
	if l.long = l.long[:0]; cap(l.long) > maxKept {
		l.long = nil
	}
	for {
		part, err := l.r.ReadSlice('\n')
		if len(l.long)+len(part) > l.limit {
			return nil, fmt.Errorf("watch event is longer than %d MiB", l.limit>>20)
		}
		switch {
		case err == nil && len(l.long) == 0:
			return part, nil
		case err == nil:
			l.long = append(l.long, part...)
			return l.long, nil
		case errors.Is(err, bufio.ErrBufferFull):
			l.long = append(l.long, part...)
			continue
		}
		l.truncated = len(l.long)+len(part) > 0
		if l.truncated && errors.Is(err, io.EOF) {
			return nil, io.ErrUnexpectedEOF
		}
		return nil, err
	}
}

// Whole reports whether the input ended after a line. It is valid after Next
// has returned an error.
func (l *Lines) Whole() bool { return !l.truncated }

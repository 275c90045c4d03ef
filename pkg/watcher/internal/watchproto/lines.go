package watchproto

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// A watch's usual event fits into bufferSize bytes. What was needed for an unusual one is kept only up to keepSize.
const (
	bufferSize = 32 << 10
	keepSize   = 1 << 20
)

// Lines reads the lines of a watch.
type Lines struct {
	r    *bufio.Reader
	max  int
	long []byte // room for a line that the buffer has not
	cut  bool   // the input ended within a line
}

// NewLines returns a reader of the lines in r, none of which may be longer than max bytes.
func NewLines(r io.Reader, limit int) *Lines {
	return &Lines{r: bufio.NewReaderSize(r, bufferSize), max: limit}
}

// Next returns the next line, which is valid until it is called again. The error is [io.EOF] where the input ends behind a line, and
// [io.ErrUnexpectedEOF] where it ends within one.
func (l *Lines) Next() ([]byte, error) {
	if l.long = l.long[:0]; cap(l.long) > keepSize {
		l.long = nil
	}
	for {
		part, err := l.r.ReadSlice('\n')
		if len(l.long)+len(part) > l.max {
			return nil, fmt.Errorf("watch event is longer than %d MiB", l.max>>20)
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
		l.cut = len(l.long)+len(part) > 0
		if l.cut && errors.Is(err, io.EOF) {
			return nil, io.ErrUnexpectedEOF
		}
		return nil, err
	}
}

// Whole reports whether the input, once Next has returned its error, ended
// after a line.
func (l *Lines) Whole() bool { return !l.cut }

package admin

import (
	"context"
	"errors"
	"io"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/durable"
)

// stdio is the file name that means stdin or stdout.
const stdio = "-"

// destination is where a command writes: the name of a file, or [stdio].
type destination string

// check rejects a terminal as the destination. noun names the output, such as
// "a backup". Commands call it before they open the log.
func (d destination) check(out io.Writer, noun string) error {
	if d == stdio && isTerminal(out) {
		return history.WithHint(history.Errorf(history.Invalid, "%s can't be written to a terminal", noun),
			"Give a file, or redirect the output.")
	}
	return nil
}

// produce writes the output of f to the destination, and shows its progress.
// The function gets access to the log of the storage directory. The returned
// progress has the totals. It is cleared before produce returns, so that the
// caller can print a result.
func (d destination) produce(
	ctx context.Context, flags *storageFlags, out, errOut io.Writer, doing string,
	f func(a access, w io.Writer, progress func(entries, bytes int64)) error,
) (p *progress, err error) {
	dir, err := flags.dir()
	if err != nil {
		return nil, err
	}
	a, closeAccess, err := flags.openAccess(ctx, dir, errOut)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeAccess()) }()
	p = newProgress(errOut, doing)
	defer p.clear()
	return p, d.write(out, p, func(w io.Writer) error { return f(a, w, p.update) })
}

// write writes the output of f, and counts its bytes in p. A file gets its name
// after f succeeds and the file is synced; otherwise it is removed.
func (d destination) write(out io.Writer, p *progress, f func(io.Writer) error) error {
	if d == stdio {
		return f(&countingWriter{w: out, p: p})
	}
	file, err := durable.Create(string(d))
	if err != nil {
		return history.Errorf(history.Invalid, "write %s: %v", d, err)
	}
	if err := f(&countingWriter{w: file, p: p}); err != nil {
		return errors.Join(err, file.Discard())
	}
	return file.Commit()
}

// countingWriter reports the bytes that were written as progress.
type countingWriter struct {
	w io.Writer
	p *progress
	n int64
}

// Write implements [io.Writer].
func (c *countingWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	c.p.update(c.p.entries, c.n)
	return n, err
}

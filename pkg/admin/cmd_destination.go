package admin

import (
	"context"
	"errors"
	"io"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/durable"
)

// stream stands for the standard streams where a file is asked for.
const stream = "-"

// destination is what a command writes: a file, or the standard output.
type destination string

// check refuses to write to a terminal what is not for people.
func (d destination) check(out io.Writer, what string) error {
	if d == stream && isTerminal(out) {
		return history.Errorf(history.Invalid, "%s is not for a terminal: name a file, or redirect the output", what)
	}
	return nil
}

// produce writes what f makes of the target's log, and shows how far that has come. The meter tells afterwards how much it was.
func (d destination) produce(
	ctx context.Context, t *target, out, errOut io.Writer, doing string, f func(log keeper, w io.Writer, progress func(entries, bytes int64)) error,
) (m *meter, err error) {
	dir, err := t.dir()
	if err != nil {
		return nil, err
	}
	log, done, err := t.access(ctx, dir, errOut)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	m = newMeter(errOut, doing)
	defer m.clear()
	return m, d.write(out, m, func(w io.Writer) error { return f(log, w, m.progress) })
}

// write writes what f writes, and tells a meter. A file gets its name once all of it is there.
func (d destination) write(out io.Writer, m *meter, f func(io.Writer) error) error {
	if d == stream {
		return f(&counted{w: out, m: m})
	}
	file, err := durable.Create(string(d))
	if err != nil {
		return history.Errorf(history.Invalid, "%s can't be written: %v", d, err)
	}
	if err := f(&counted{w: file, m: m}); err != nil {
		return errors.Join(err, file.Discard())
	}
	return file.Commit()
}

// counted tells a meter what was written.
type counted struct {
	w io.Writer
	m *meter
	n int64
}

// Write writes and counts.
func (c *counted) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	c.m.progress(c.m.entries, c.n)
	return n, err
}

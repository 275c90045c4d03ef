package watcher

import (
	"context"
	"io"
	"time"
)

// A watch first delivers the changes since its resourceVersion, without marking
// where they end and new changes begin. The watcher assumes that it has caught
// up after a pause. If a watch never pauses, it assumes so after some time: no
// API server keeps more changes than can be read in that time. Until then, the
// connection is read without a coalescing window.
const (
	caughtUpPause = 75 * time.Millisecond
	maxCatchUp    = 10 * time.Second
)

// catchUpReader reads a watch, and calls onCaughtUp once, when the watch has
// caught up.
//
// It calls onCaughtUp in Read or in a timer while Read waits. Read does not
// return before onCaughtUp has returned, so the call never runs concurrently
// with anything else of the reader's goroutine.
type catchUpReader struct {
	io.Reader

	began      time.Time
	onCaughtUp func() error // nil: it was called, or begin was not called yet
}

// begin makes the reader call onCaughtUp after the next pause.
func (r *catchUpReader) begin(onCaughtUp func() error) {
	r.began, r.onCaughtUp = time.Now(), onCaughtUp
}

// Read implements [io.Reader]. It also returns the error of onCaughtUp.
func (r *catchUpReader) Read(p []byte) (int, error) {
	if r.onCaughtUp == nil {
		return r.Reader.Read(p) //nolint:wrapcheck // the error is the watch's
	}
	if time.Since(r.began) > maxCatchUp {
		if err := r.finish(); err != nil {
			return 0, err
		}
	}
	finished := make(chan error, 1)
	pause := time.AfterFunc(caughtUpPause, func() { finished <- r.finish() })
	n, err := r.Reader.Read(p)
	if !pause.Stop() { // the timer has fired: wait for finish
		if failed := <-finished; failed != nil {
			return 0, failed
		}
	}
	return n, err //nolint:wrapcheck // the error is the watch's
}

// finish calls onCaughtUp, unless that was done.
func (r *catchUpReader) finish() error {
	onCaughtUp := r.onCaughtUp
	r.onCaughtUp = nil
	if onCaughtUp == nil {
		return nil
	}
	return onCaughtUp()
}

// catchUpFrom returns the reader of a watch. A resumed watch changes the state
// to Watching only when it has caught up. A streamed list begins to catch up at
// its end.
func (w *Watcher) catchUpFrom(ctx context.Context, body io.Reader) io.Reader {
	w.catchUp = &catchUpReader{Reader: body}
	if w.rv == "" { // endList begins
		return w.catchUp
	}
	w.release = w.server.Immediate()
	w.catchUp.begin(func() error {
		defer w.release()
		if err := w.caughtUp(ctx); err != nil {
			return err
		}
		w.setState(Change{State: Watching})
		return nil
	})
	return w.catchUp
}

// caughtUp calls [Sink.CaughtUp]. The causes stay until the session ends, see
// resetCauses.
func (w *Watcher) caughtUp(ctx context.Context) error {
	w.assumed = true
	return asSinkError(w.sink.CaughtUp(ctx))
}

// resetCauses resets the causes if the watcher assumed that it had caught up in
// the session that ended with err. The causes of earlier interruptions don't
// explain a later one.
//
// A busy API server accepts a watch, and may refuse to resume it only after the
// pause. Then the assumption was wrong, and the causes stay. Those that an
// event has reset are not restored.
func (w *Watcher) resetCauses(err error) {
	refused := isExpired(err) && time.Since(w.opened) < maxCatchUp
	if w.assumed && !refused {
		w.causes.Reset()
	}
}

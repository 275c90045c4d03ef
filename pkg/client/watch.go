package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/exchange"
)

// The delays before a stream is opened again. They double with each attempt,
// and half of each is random, so that clients of one recorder spread.
const (
	minReconnect = 500 * time.Millisecond
	maxReconnect = 15 * time.Second
)

// maxSilence is the longest time between two lines of a stream that works.
const maxSilence = 4 * v1.HeartbeatSeconds * time.Second

// maxUnauthorized is how many attempts in a row may be rejected because of the
// caller's credentials. A transport obtains new ones after the first rejection
// at the latest.
const maxUnauthorized = 3

// UpdateType is the type of an [Update].
type UpdateType string

// The types of updates.
const (
	// Connected means that a stream is open. It is the first update, and
	// follows each Disconnected one.
	Connected UpdateType = "connected"
	// Recorded means that Event was recorded.
	Recorded UpdateType = "recorded"
	// GapChanged means that Gap was opened, changed or closed.
	GapChanged UpdateType = "gap changed"
	// GapDismissed means that Gap, which was open, does not exist any more: the
	// recorder could read the missing changes.
	GapDismissed UpdateType = "gap dismissed"
	// Heartbeat means that nothing was recorded for a while. Its cursor may be
	// newer than that of the update before.
	Heartbeat UpdateType = "heartbeat"
	// Disconnected means that the stream has ended because of Err. It is opened
	// again after a delay.
	Disconnected UpdateType = "disconnected"
)

// Update is an element of [Client.Watch].
type Update struct {
	Type  UpdateType
	Event v1.Event // of Recorded
	Gap   v1.Gap   // of GapChanged and GapDismissed
	Err   error    // of Disconnected
	// Cursor is the position after the update. An [EventsQuery] with it
	// continues there.
	Cursor string
}

// Watch iterates over the records that are appended from now on, oldest first,
// and over the gaps that are open or that change. q.Cursor continues after an
// earlier update, and q.Start begins at a time. q.End, q.Order and q.Limit must
// be zero.
//
// If the connection is lost or the recorder restarts, Watch connects again and
// continues: it never omits or repeats a record. It does so until ctx ends. Its
// error is then the last element, as for an error that a retry can't resolve.
// That is every error of the first connection, and [history.Gone] if later
// records are no longer stored.
//
// The recorder cuts off a client that does not read for 30 seconds. So a loop
// that takes longer for an update is connected again, too.
func (c *Client) Watch(ctx context.Context, q EventsQuery) iter.Seq2[Update, error] {
	return func(yield func(Update, error) bool) {
		w := &watch{client: c, values: q.values(), cursor: q.Cursor, gaps: map[gapID]v1.Gap{}, yield: yield}
		if !q.End.IsZero() || q.Order != history.OldestFirst || q.Limit != 0 {
			yield(Update{}, history.Errorf(history.Invalid, "watch: a stream has no end, no order and no limit"))
			return
		}
		w.values.Del(v1.ParamEmpty)
		w.values.Set(v1.ParamWatch, "true")
		if err := w.run(ctx); !errors.Is(err, errLoopEnded) {
			yield(Update{}, err)
		}
	}
}

// errLongLine means that a line exceeds [Options.MaxResponse].
var errLongLine = errors.New("line too long")

// errLoopEnded means that the caller's loop has ended.
var errLoopEnded = errors.New("loop ended")

// watch is a running [Client.Watch].
type watch struct {
	client *Client
	values url.Values // of the request, without the cursor
	yield  func(Update, error) bool

	cursor     string // after the last update
	connected  bool   // at least once
	progress   bool   // an event was delivered since the last connection was lost
	gaps       map[gapID]v1.Gap
	retryAfter time.Duration // that the recorder asked for
}

// gapID identifies a gap.
type gapID struct {
	group, resource string
	start           int64 // nanoseconds since 1970
}

func idOf(g *v1.Gap) gapID { return gapID{g.Group, g.Resource, g.Start.UnixNano()} }

// run opens one stream after another. It returns the error that ends the watch.
func (w *watch) run(ctx context.Context) error {
	delay, unauthorized := minReconnect, 0
	for {
		began := time.Now()
		err := w.stream(ctx)
		if history.CodeOf(err) == history.Unauthorized {
			unauthorized++
		} else {
			unauthorized = 0
		}
		switch {
		case errors.Is(err, errLoopEnded):
			return err
		case ctx.Err() != nil:
			return fmt.Errorf("watch %s: %w", w.client.options.Name, context.Cause(ctx))
		case !w.connected, IsPermanent(err), unauthorized == maxUnauthorized:
			return err
		}
		if err := w.deliver(Update{Type: Disconnected, Err: err, Cursor: w.cursor}); err != nil {
			return err
		}
		if w.progress || time.Since(began) > maxReconnect {
			delay, w.progress = minReconnect, false
		}
		pause := delay/2 + rand.N(delay/2) //nolint:gosec // no secret
		if err := sleep(ctx, max(pause, w.retryAfter)); err != nil {
			return fmt.Errorf("watch %s: %w", w.client.options.Name, err)
		}
		delay = min(2*delay, maxReconnect)
	}
}

// IsPermanent reports whether a new attempt would get the same error.
func IsPermanent(err error) bool {
	switch history.CodeOf(err) {
	case history.Invalid, history.NotFound, history.Forbidden, history.Gone:
		return true
	default:
		return errors.Is(err, ErrNotRecorder)
	}
}

// sleep waits, or returns why ctx ended.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// deliver passes an update to the caller's loop.
func (w *watch) deliver(u Update) error {
	if !w.yield(u, nil) {
		return errLoopEnded
	}
	return nil
}

// stream opens one stream and delivers its updates. It returns the error that
// ended the stream, which is never nil.
func (w *watch) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(exchange.Stream(ctx))
	defer cancel(nil)
	resp, err := w.open(ctx)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	silence := time.AfterFunc(maxSilence, func() { cancel(ErrStalled) })
	defer silence.Stop()
	lines := bufio.NewReader(resp.Body)
	for {
		silence.Reset(maxSilence)
		line, err := readLine(lines, w.client.options.MaxResponse)
		silence.Stop() // the caller's loop may take long
		if err != nil {
			return w.cutOff(ctx, err)
		}
		var item v1.StreamItem
		if err := json.Unmarshal(line, &item); err != nil {
			return w.client.notARecorder(err)
		}
		if err := w.receive(&item); err != nil {
			return err
		}
	}
}

// open sends the request.
func (w *watch) open(ctx context.Context) (*http.Response, error) {
	c := w.client
	at := c.base.JoinPath(v1.EventsPath)
	setText(w.values, v1.ParamCursor, w.cursor)
	at.RawQuery = w.values.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", c.options.Name, err)
	}
	req.Header.Set("Accept", v1.StreamContentType+", "+v1.ContentType)
	if c.options.UserAgent != "" {
		req.Header.Set("User-Agent", c.options.UserAgent)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	w.retryAfter = 0
	c.clock.observe(resp)
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode == http.StatusOK && kind == v1.StreamContentType {
		return resp, nil
	}
	defer resp.Body.Close()
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		w.retryAfter = min(time.Duration(max(seconds, 0))*time.Second, maxReconnect)
	}
	if resp.StatusCode == http.StatusOK && kind == v1.ContentType {
		return nil, w.noStreams()
	}
	const maxError = 64 << 10
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxError))
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if resp.StatusCode == http.StatusOK {
		return nil, c.notARecorder(errors.New("it answered with " + kind))
	}
	if err := c.failure(resp.StatusCode, kind, body); err != nil {
		return nil, err
	}
	return nil, w.noStreams() // a page without records
}

// noStreams returns the error of a recorder that answers with a page.
func (w *watch) noStreams() error {
	return &history.Error{
		Code:    history.Invalid,
		Message: w.client.options.Name + " does not serve streams: it is older than this client",
		Err:     ErrNoStreams,
	}
}

// cutOff returns the error of a stream that ended without its last line.
func (w *watch) cutOff(ctx context.Context, err error) error {
	c := w.client
	switch {
	case errors.Is(context.Cause(ctx), ErrStalled):
		return &history.Error{
			Code:    history.Unavailable,
			Message: fmt.Sprintf("%s has sent nothing for %s", c.options.Name, maxSilence), Err: ErrStalled,
		}
	case errors.Is(err, errLongLine):
		return c.tooLarge()
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return c.unreachable(ctx, err)
}

// readLine returns the next line without its end. A line without an end is
// io.EOF: the stream was cut off within it.
func readLine(from *bufio.Reader, most int64) ([]byte, error) {
	var line []byte
	for {
		part, err := from.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return bytes.TrimSuffix(line, []byte("\n")), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case int64(len(line)) > most:
			return nil, errLongLine
		}
	}
}

// receive delivers the update of a line. It returns an error if the stream ends
// with the line.
func (w *watch) receive(item *v1.StreamItem) error {
	if item.Cursor != "" {
		w.cursor = item.Cursor
	}
	switch item.Type {
	case v1.StreamStart:
		return w.begin(item.Gaps)
	case v1.StreamEvent:
		if item.Event == nil {
			return w.client.notARecorder(errors.New("its stream has an empty event"))
		}
		w.progress = true
		return w.deliver(Update{Type: Recorded, Event: *item.Event, Cursor: w.cursor})
	case v1.StreamGap:
		if item.Gap == nil {
			return w.client.notARecorder(errors.New("its stream has an empty gap"))
		}
		return w.changeGap(*item.Gap)
	case v1.StreamNoGap:
		if item.Gap == nil {
			return w.client.notARecorder(errors.New("its stream has an empty gap"))
		}
		return w.dismissGap(*item.Gap)
	case v1.StreamHeartbeat:
		return w.deliver(Update{Type: Heartbeat, Cursor: w.cursor})
	case v1.StreamEnd:
		return &history.Error{
			Code: history.Unavailable, Message: w.client.options.Name + " has stopped", Err: ErrStopped,
		}
	case v1.StreamError:
		if item.Error == nil {
			return w.client.notARecorder(errors.New("its stream has an empty error"))
		}
		code := history.Code(item.Error.Code)
		if !slices.Contains(codes(), code) {
			code = history.Internal
		}
		return w.client.answered(code, http.StatusInternalServerError, item.Error.Message)
	default:
		return nil // of a newer recorder
	}
}

// begin delivers that the stream is open, and how gaps have changed while none
// was.
func (w *watch) begin(gaps []v1.Gap) error {
	w.connected = true
	if err := w.deliver(Update{Type: Connected, Cursor: w.cursor}); err != nil {
		return err
	}
	known := w.gaps
	w.gaps = map[gapID]v1.Gap{}
	for _, g := range gaps {
		w.gaps[idOf(&g)] = g
	}
	for id, g := range known {
		if _, exists := w.gaps[id]; !exists && g.End.IsZero() {
			if err := w.deliver(Update{Type: GapDismissed, Gap: g, Cursor: w.cursor}); err != nil {
				return err
			}
		}
	}
	for _, g := range gaps {
		if before, told := known[idOf(&g)]; told && before == g {
			continue
		}
		if err := w.deliver(Update{Type: GapChanged, Gap: g, Cursor: w.cursor}); err != nil {
			return err
		}
	}
	return nil
}

// changeGap delivers a gap, unless the caller has it already.
func (w *watch) changeGap(g v1.Gap) error {
	if w.gaps[idOf(&g)] == g {
		return nil
	}
	w.gaps[idOf(&g)] = g
	return w.deliver(Update{Type: GapChanged, Gap: g, Cursor: w.cursor})
}

// dismissGap delivers that a gap does not exist.
func (w *watch) dismissGap(g v1.Gap) error {
	delete(w.gaps, idOf(&g))
	return w.deliver(Update{Type: GapDismissed, Gap: g, Cursor: w.cursor})
}

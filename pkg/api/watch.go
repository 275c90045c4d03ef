package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/selector"
)

const (
	// recheckBeats is how often the caller of a stream must be admitted again,
	// and how often their rights are asked for again, in heartbeats.
	recheckBeats = 2
	// batchPause is the shortest time between two batches of a stream that has
	// caught up. A busy log commits about as often.
	batchPause = 200 * time.Millisecond
	// batchBytes is the size from which a batch ends, in bytes, and batchEvents
	// its largest number of records.
	batchBytes  = 64 << 10
	batchEvents = 512
	// minWindow is the length of history that the first batch of a stream
	// reads. It doubles, up to maxWindow, as long as batches are empty.
	minWindow = time.Hour
	maxWindow = 1000 * time.Hour
)

// isStream reports whether a request is one for a stream. [handler.events]
// reports an invalid value.
func isStream(r *http.Request) bool {
	watch, err := strconv.ParseBool(r.URL.Query().Get(v1.ParamWatch))
	return err == nil && watch
}

// watch answers with a stream of records: the endpoint [v1.EventsPath] with
// [v1.ParamWatch].
//
// A stream has a slot while a batch is read, and none while the batch is sent
// or while it waits. Its memory is that of one batch.
func (h *handler) watch(w http.ResponseWriter, r *http.Request) {
	client := cmp.Or(h.options.Client(r), remoteHost(r))
	leave, err := h.admitStream(r.Context(), client)
	if err != nil {
		h.limits.refuse(w, r, err)
		return
	}
	defer leave()
	s, err := h.newStream(w, r, client)
	if err == nil {
		err = s.first(r.Context())
	}
	_, refused := errors.AsType[*refusal](err)
	_, fixed := errors.AsType[*fixedError](err)
	switch {
	case refused:
		h.limits.refuse(w, r, err)
	case fixed:
		h.failFixed(w, r, v1.QueryFailedText, err)
	case err != nil:
		h.fail(w, r, err)
	default:
		s.run(r)
	}
}

// admitStream counts a stream until the returned function is called.
func (h *handler) admitStream(ctx context.Context, client string) (leave func(), err error) {
	if isExcess(ctx) {
		return nil, errExcess
	}
	if err := h.limits.rate.allow(client, time.Now()); err != nil {
		return nil, err
	}
	return h.limits.streams.enter(client)
}

// stream is an open stream. One goroutine uses it.
type stream struct {
	h          *handler
	w          http.ResponseWriter
	client     string
	query      query.Timeline // After is the stream's position
	restricted bool           // the caller may read only a part of the log now
	rights     query.Rights   // of the caller

	window  time.Duration         // that the next batch reads at most
	checked time.Time             // when the caller was last admitted
	more    bool                  // records may follow that are committed already
	changed <-chan struct{}       // closed by the next commit
	gaps    map[gapID]history.Gap // that were sent

	lines   bytes.Buffer // of the batch, in the order in which they are sent
	events  bytes.Buffer // of the batch
	n       int          // events of the batch
	secrets map[string]bool
}

// gapID identifies a gap.
type gapID struct {
	resource schema.GroupResource
	start    int64 // nanoseconds since 1970
}

func idOf(g *history.Gap) gapID { return gapID{g.GroupResource(), g.Start.UnixNano()} }

// newStream parses the parameters of a stream.
func (h *handler) newStream(w http.ResponseWriter, r *http.Request, client string) (*stream, error) {
	p, err := parse(r.URL.Query(), h.options.MaxLimit())
	if err != nil {
		return nil, err
	}
	for _, name := range []string{v1.ParamEnd, v1.ParamLimit, v1.ParamEmpty} {
		if text := p.values.Get(name); text != "" {
			return nil, invalid(name, text, "want none for a stream")
		}
	}
	if p.order == history.NewestFirst {
		return nil, invalid(v1.ParamOrder, v1.OrderDescending, "want asc or none for a stream")
	}
	after := p.values.Get(v1.ParamCursor)
	p.values.Del(v1.ParamCursor)
	s := &stream{
		h: h, w: w, client: client, window: minWindow, checked: time.Now(),
		restricted: h.options.Caller(r.Context()) != nil,
		rights:     query.Rights{Life: recheckBeats * h.options.Heartbeat},
	}
	possible := false
	if s.query, possible, err = p.timeline(); err != nil {
		return nil, err
	}
	if !possible {
		s.query.Revisions = []uint64{0} // no version has it
	}
	s.query.Limit, s.query.Each = batchEvents, s.add
	if s.query.After, err = h.cursors.parse(after, s.restricted); err != nil {
		return nil, err
	}
	return s, nil
}

// first reads the first batch. Its errors are answers, because nothing was sent
// before.
func (s *stream) first(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, s.h.options.Timeout)
	defer cancel()
	release, err := s.h.limits.small.queue.acquire(ctx, s.client)
	if err != nil {
		if ctx.Err() != nil {
			return errWait
		}
		return err
	}
	defer release()
	if s.query.After.IsZero() {
		if s.query.After, err = s.h.ask(ctx).FollowFrom(ctx, s.query.Start); err != nil {
			return err
		}
	}
	batch, err := s.read(ctx)
	if err != nil {
		return err
	}
	s.gaps = map[gapID]history.Gap{}
	start := v1.StreamItem{Type: v1.StreamStart, Cursor: s.position()}
	for _, g := range batch.Gaps {
		s.gaps[idOf(&g)] = g
		start.Gaps = append(start.Gaps, gapOf(g))
	}
	writeIgnored(s.w, batch.Ignored)
	writeCoverage(s.w, batch.Coverage)
	writeLine(&s.lines, &start)
	s.accept(&batch)
	return nil
}

// next reads the next batch, while the stream has a slot.
func (s *stream) next(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.h.options.Timeout)
	defer cancel()
	release, err := s.h.limits.small.queue.resume(ctx, s.client)
	if err != nil {
		return errWait
	}
	defer release()
	batch, err := s.read(ctx)
	if err != nil {
		return err
	}
	if err := s.compareGaps(ctx, &batch); err != nil {
		return err
	}
	s.accept(&batch)
	return nil
}

// read reads a batch after the stream's position.
func (s *stream) read(ctx context.Context) (query.Batch, error) {
	s.events, s.secrets, s.n = bytes.Buffer{}, nil, 0
	s.restricted = s.h.options.Caller(ctx) != nil // the configuration may have changed
	batch, err := s.h.ask(ctx).Follow(ctx, s.query, s.window, &s.rights)
	if errors.Is(err, selector.ErrTooExpensive) {
		err = queryError(err)
	}
	return batch, err
}

// add adds an event to the batch. It returns [query.ErrFull] instead if the
// batch is full.
func (s *stream) add(v *query.Version) error {
	if s.events.Len() >= batchBytes {
		return query.ErrFull
	}
	event := s.h.event(v, s.query.Bare)
	writeLine(&s.events, &v1.StreamItem{
		Type: v1.StreamEvent, Cursor: s.cursorOf(history.Cursor{Time: v.Time}), Event: &event,
	})
	if isSecret(v) {
		if s.secrets == nil {
			s.secrets = map[string]bool{}
		}
		s.secrets[v.Ref.Namespace+"/"+v.Ref.Name] = true
	}
	s.n++
	runtime.Gosched() // as eventList.write does
	return nil
}

// compareGaps adds a line for each gap that differs from what was sent before.
// They precede the events of the batch. So a client that resumes after an event
// has every change of a gap from before it, or gets it at the start.
//
// An open gap of a resource that the caller can't see now is kept without a
// line: nothing is known about it. If it closed meanwhile, that may have been
// before the batch.
func (s *stream) compareGaps(ctx context.Context, batch *query.Batch) error {
	now := map[gapID]history.Gap{}
	for _, g := range batch.Gaps {
		now[idOf(&g)] = g
	}
	for id, g := range s.gaps {
		if _, exists := now[id]; exists || !g.Open() {
			continue
		}
		if !batch.Sees(id.resource) {
			now[id] = g
			continue
		}
		switch closed, exists, err := batch.Gap(ctx, id.resource, g.Start); {
		case err != nil:
			return err
		case !exists:
			s.gapLine(v1.StreamNoGap, g)
		default:
			s.gapLine(v1.StreamGap, closed)
			now[id] = closed
		}
	}
	for _, g := range batch.Gaps {
		if known, told := s.gaps[idOf(&g)]; !told || !same(known, g) {
			s.gapLine(v1.StreamGap, g)
		}
	}
	s.gaps = now
	return nil
}

// same reports whether two gaps are the same for a client.
func same(a, b history.Gap) bool {
	return a.End.Equal(b.End) && a.Reason == b.Reason && a.Detail == b.Detail
}

func (s *stream) gapLine(kind v1.StreamType, g history.Gap) {
	gap := gapOf(g)
	writeLine(&s.lines, &v1.StreamItem{Type: kind, Cursor: s.position(), Gap: &gap})
}

// accept adds the events of a batch to its lines, and moves the stream's
// position.
func (s *stream) accept(batch *query.Batch) {
	_, _ = s.events.WriteTo(&s.lines) // does not fail
	s.query.After, s.changed = batch.Next, batch.Changed
	s.more = batch.More
	switch {
	case !s.more:
		s.window = minWindow
	case s.n == 0:
		s.window = min(2*s.window, maxWindow)
	}
}

// position returns the stream's position as a cursor.
func (s *stream) position() string { return s.cursorOf(s.query.After) }

// cursorOf returns a position as a cursor that the caller may have.
func (s *stream) cursorOf(at history.Cursor) string {
	if s.restricted {
		return s.h.cursors.hidden(at)
	}
	return at.String()
}

// run sends the batches until the stream ends. It returns after a last line of
// type [v1.StreamEnd] or [v1.StreamError], or if the client has disconnected.
// Otherwise the connection is aborted.
func (s *stream) run(r *http.Request) {
	header := s.w.Header()
	header.Set(headerType, v1.StreamContentType)
	header.Set(headerSniffing, sniffingDisabled)
	header.Set(headerCache, "no-store")
	s.w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	s.send(r.Context())
	why := changed // the first batch is read at once
	for sent := time.Now(); ; {
		read := time.Now()
		switch why {
		case disconnected:
			return
		case stopping:
			s.lastLine(r.Context(), &v1.StreamItem{Type: v1.StreamEnd})
			return
		}
		if err := s.advance(r.Context()); err != nil {
			s.fail(r, err)
			return
		}
		if s.lines.Len() == 0 && time.Since(sent) >= s.h.options.Heartbeat {
			writeLine(&s.lines, &v1.StreamItem{Type: v1.StreamHeartbeat, Cursor: s.position()})
		}
		if s.lines.Len() > 0 {
			s.send(r.Context())
			sent = time.Now()
		}
		why = s.wait(r.Context(), read, sent.Add(s.h.options.Heartbeat))
	}
}

// event is why a stream stops waiting.
type event int

const (
	changed event = iota // records may follow, or it is time for a heartbeat
	stopping
	disconnected
)

// wait waits until the next batch is to be read: after a commit, or for a
// heartbeat at a time. A batch that has all records is not followed by another
// one for batchPause after it was read, unless a heartbeat is due. Otherwise
// the time of a heartbeat would show whether others have committed something.
func (s *stream) wait(ctx context.Context, read, until time.Time) event {
	if s.more {
		return s.waitFor(ctx, nil, 0)
	}
	if why := s.waitFor(ctx, s.changed, time.Until(until)); why != changed {
		return why
	}
	return s.waitFor(ctx, nil, min(time.Until(read.Add(batchPause)), time.Until(until)))
}

// waitFor waits for a channel, but not longer than a time. If the handler is
// stopping, the stream is too, whether further records follow or not.
func (s *stream) waitFor(ctx context.Context, next <-chan struct{}, most time.Duration) event {
	select {
	case <-s.h.options.Stopping:
		return stopping
	default:
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return disconnected
	case <-s.h.options.Stopping:
		return stopping
	case <-next:
		return changed
	case <-timer.C:
		return changed
	}
}

// advance reads the next batch. It first checks that the caller is still
// admitted.
func (s *stream) advance(ctx context.Context) error {
	if now := time.Now(); now.Sub(s.checked) >= recheckBeats*s.h.options.Heartbeat {
		if err := s.h.options.Recheck(ctx); err != nil {
			return err
		}
		s.checked = now
	}
	return s.next(ctx)
}

// send sends the lines, and returns their memory. If the client does not read
// them in time, it aborts the connection: the client must not take a part of
// the stream for all of it.
func (s *stream) send(ctx context.Context) {
	memory, n := s.h.limits.small.memory, s.lines.Len()
	memory.exceed(s.client, n)
	defer memory.give(s.client, n)
	defer s.h.audit(ctx, s.secrets)
	controller := http.NewResponseController(s.w)
	_, err := s.lines.WriteTo(s.w)
	if err == nil {
		err = controller.Flush()
	}
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	// The deadline is that of a write. While a stream waits there is none:
	// HTTP/2 would reset the stream.
	_ = controller.SetWriteDeadline(time.Time{}) // fails only if a write would
	s.lines, s.events, s.secrets = bytes.Buffer{}, bytes.Buffer{}, nil
}

// lastLine sends the last line, with the stream's position.
func (s *stream) lastLine(ctx context.Context, item *v1.StreamItem) {
	s.lines, s.secrets = bytes.Buffer{}, nil // of a batch that failed
	item.Cursor = s.position()
	writeLine(&s.lines, item)
	s.send(ctx)
}

// fail ends the stream with an error.
func (s *stream) fail(r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // the client has disconnected
	}
	if status(err) == http.StatusInternalServerError {
		s.h.logFailure(r, err)
	}
	s.lastLine(r.Context(), &v1.StreamItem{
		Type: v1.StreamError, Error: &v1.Error{Code: string(history.CodeOf(err)), Message: err.Error()},
	})
}

// writeLine writes an item as one line.
func writeLine(to *bytes.Buffer, item *v1.StreamItem) {
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(item) // visibleObject has checked the raw JSON of events
}

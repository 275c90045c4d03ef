package recorder

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/fold"
	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder/internal/redact"
)

// errNotListed is the error of a stream that is used before its first list. It
// keeps the checkpoint from moving past changes that were never observed.
var errNotListed = errors.New("a complete list is required first")

// Stream turns the watch events of one resource into records. It is the sink of
// the resource's watcher. One goroutine at a time may use it.
//
// A method returns after its records are queued, not after they are committed.
// After an error other than [history.Invalid], the argument is not recorded,
// and the stream must not be used until [Recorder.Stream] has returned it
// again.
type Stream struct {
	recorder *Recorder
	parser   parser
	resource schema.GroupResource

	heads         map[objectKey]head
	rv            string    // of the last checkpoint that was accepted; "" if a list is due
	listing       bool      // between BeginList and EndList or AbortList
	listRequested time.Time // when the next list was requested; zero if it is not known
	syncGen       uint32    // number of the list; a head has the number of the last list that returned it

	gaps gap.Track
	// gapStart is when the complete recording ended while a gap is open. It is
	// zero if no gap is open, or if the recording was never complete.
	gapStart time.Time
	// received is when the last event, bookmark or end of a list was received,
	// or when the watch was last known to be alive, whichever is later.
	received time.Time
	// catchingUpSince is the time of the checkpoint that the watch or the list
	// began with, until it has caught up. It is zero afterwards.
	catchingUpSince time.Time

	lane lane // of the queue
	// interrupted means that something was not accepted, or its commit was not
	// waited for. The fields above may be newer than the log.
	interrupted bool

	// warned are the rules of which one was too expensive. That is logged once.
	warned *compiledRules

	metrics *streamMetrics // nil until the state was loaded, so that a resource that can't be read has no series
}

// objectKey identifies a live object within its resource. The namespace is
// empty for cluster-scoped objects.
type objectKey struct{ namespace, name string }

// head is the newest version of a live object. A stream holds one for each live
// object, so it is kept small.
type head struct {
	uid           string
	rv            string
	managedHashes []uint64
	contentHash   uint64 // see version; 0 if it is not known or all changes count
	syncGen       uint32 // of the list that observed the object last
	// newest is the second of the newest managed entry that the object ever
	// had. It is 0 if it is not known, as after a restart.
	newest uint32
}

// newStream returns a stream with the state of the log.
func newStream(ctx context.Context, r *Recorder, resource history.Resource) (*Stream, error) {
	s := &Stream{
		recorder: r, resource: resource.GroupResource(),
		heads: map[objectKey]head{}, gaps: gap.NewTrack(resource.GroupResource()),
	}
	var err error
	if s.parser, err = newParser(resource, r.opts); err != nil {
		return nil, wrap("record", s.resource, err)
	}
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// load reads the resource's state from the log. All records of the stream must
// be committed.
func (s *Stream) load(ctx context.Context) error {
	checkpoint, err := s.recorder.log.Checkpoint(ctx, s.resource)
	if err != nil {
		return wrap("read the checkpoint of", s.resource, err)
	}
	s.rv, s.listing = checkpoint.RV, false
	if s.rv != "" {
		s.catchingUpSince = checkpoint.Time
	}
	if err := s.loadGaps(ctx); err != nil {
		return err
	}
	for _, h := range s.heads {
		s.recorder.lastVersions.remove(h.uid)
	}
	clear(s.heads)
	for h, err := range s.recorder.log.Heads(ctx, s.resource) {
		if err != nil {
			return wrap("read the heads of", s.resource, err)
		}
		s.heads[objectKey{h.Ref.Namespace, h.Ref.Name}] = head{
			uid: string(h.Ref.UID), rv: h.RV, managedHashes: h.ManagedHashes,
		}
	}
	uids := make([]types.UID, 0, len(s.heads))
	for _, h := range s.heads {
		uids = append(uids, types.UID(h.uid))
	}
	s.recorder.queue.setLive(true, uids...)
	s.interrupted = false
	s.recorder.queue.open(&s.lane, s.parser.resource, s.rv)
	if s.metrics == nil {
		s.metrics = s.recorder.metrics.stream(s.resource)
	}
	s.metrics.alive.Set(float64(len(s.heads)))
	s.metrics.setCheckpoint(checkpoint)
	return nil
}

// reload restores a stream from the log if one of its entries was not accepted
// or not waited for.
func (s *Stream) reload(ctx context.Context) error {
	if !s.interrupted {
		return nil
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	return s.load(ctx)
}

// Checkpoint returns the resourceVersion to resume from. It returns "" if a
// list is required, because no list has ended yet or because a later one has
// begun and not ended. That holds across crashes.
func (s *Stream) Checkpoint() string { return s.rv }

// Observe accepts one watch event. A version that is recorded already is
// skipped, and does not move the checkpoint, because it may be an old one. If
// the event can't be read, Observe returns a [history.Invalid] error and
// changes nothing.
func (s *Stream) Observe(ctx context.Context, event history.WatchEvent) error {
	if !s.listing && s.rv == "" {
		return wrap("record", s.resource, errNotListed)
	}
	// 1. Parse the object, with hidden values redacted.
	s.reloadRules()
	s.receive()
	v, err := s.parser.parse(event.Object, func(id redact.Identity) []byte { return s.previous(ctx, id, event.Type) })
	if err != nil {
		return history.Errorf(history.Invalid, "read an object of %s: %v", s.resource, err)
	}
	if v.opaque {
		s.recorder.opts.Logger.ErrorContext(ctx, "last-applied configuration is unreadable, hashed completely",
			"namespace", v.namespace, "name", v.name, "rv", v.rv)
	}
	// 2. Skip versions that are recorded already, or that a rule ignores.
	repeated, err := s.isRepeated(ctx, v, event.Type)
	if err != nil {
		return wrap("record", s.resource, err)
	}
	if repeated {
		s.metrics.known.Inc()
		return nil
	}
	if s.applyIgnoreRules(v, event.Type) {
		s.recorder.queue.setLive(event.Type != history.Deleted, v.uid)
		return s.accept(ctx, nil, nil, v.rv)
	}
	// 3. Turn the version into records, and queue them with the checkpoint.
	var records []history.NewVersion
	switch event.Type {
	case history.Added, history.Modified:
		records, err = s.recordVersion(ctx, v, event.Type)
	case history.Deleted:
		records = s.recordDeletion(v)
	default:
		err = fmt.Errorf("unknown type %s of a watch event", event.Type)
	}
	if err != nil {
		return wrap("record", s.resource, err)
	}
	if len(records) == 0 {
		s.metrics.known.Inc()
		return nil
	}
	// Only an observed creation waits for its causes. Others are not in order.
	var causes []cause
	if last := records[len(records)-1]; last.Verb == history.Create && !last.Initial && last.InferredSince.IsZero() {
		causes = v.causes()
	}
	return s.accept(ctx, records, causes, v.rv)
}

// isRepeated reports whether a version that a watch delivers was recorded
// before.
//
// A watch repeats versions if another API server took over that lags, or that
// ignores the resourceVersion to resume from. A list may go back in time,
// because etcd may have been restored from a backup.
//
// A resourceVersion that is not newer than the checkpoint's proves nothing,
// because some servers count resourceVersions per object. So the heads and the
// log decide.
func (s *Stream) isRepeated(ctx context.Context, v *version, event history.WatchEventType) (bool, error) {
	if s.listing || event == history.Deleted || v.rv != s.rv && !history.Older(v.rv, s.rv) {
		return false, nil
	}
	key := objectKey{v.namespace, v.name}
	if h, known := s.heads[key]; known && h.uid == string(v.uid) {
		return v.rv == h.rv || history.Older(v.rv, h.rv), nil
	}
	_, err := s.latest(ctx, key, head{uid: string(v.uid)})
	if history.CodeOf(err) == history.NotFound {
		return false, nil
	}
	return err == nil, err
}

// recordVersion returns the records of a version that exists: a creation or an
// update. If an earlier object had the same name, its inferred deletion comes
// first. recordVersion returns none if the version is the head.
func (s *Stream) recordVersion(
	ctx context.Context, v *version, event history.WatchEventType,
) ([]history.NewVersion, error) {
	key := objectKey{v.namespace, v.name}
	h, known := s.heads[key]
	var records []history.NewVersion
	var record history.NewVersion
	switch {
	case known && h.uid == string(v.uid) && h.rv == v.rv:
		h.syncGen = s.syncGen
		if len(h.managedHashes) == 0 { // a repair restores heads without hashes
			h.managedHashes = managedHashes(v.entries)
		}
		s.heads[key] = h
		return nil, nil
	case known && h.uid == string(v.uid):
		record = s.parser.record(v, history.Update)
		if err := s.infer(ctx, record.Record, h); err != nil {
			return nil, err
		}
		s.update(ctx, &record, v, h)
	default:
		if known {
			deletion, err := s.inferDeletion(ctx, key, h)
			if err != nil {
				return nil, err
			}
			records = append(records, deletion)
		}
		record = s.recordCreation(ctx, v, event)
	}
	truncate(&record)
	s.heads[key] = s.head(v, h, record.ManagedHashes)
	s.metrics.alive.Set(float64(len(s.heads)))
	return append(records, record), nil
}

// head returns the head of a version. last is the previous head of its name,
// which may be of an earlier object.
func (s *Stream) head(v *version, last head, managedHashes []uint64) head {
	h := head{
		uid: string(v.uid), rv: v.rv, managedHashes: managedHashes, newest: newestSecond(v.entries),
		contentHash: v.contentHash, syncGen: s.syncGen,
	}
	if last.uid == h.uid {
		h.newest = max(h.newest, last.newest)
	}
	return h
}

// recordCreation returns the record of an object's first version. A watch
// reports a creation as Added. After any other watch event, the creation was
// not observed.
func (s *Stream) recordCreation(ctx context.Context, v *version, event history.WatchEventType) history.NewVersion {
	record := s.parser.record(v, history.Create)
	switch {
	// In a list after a gap, the object was created in the gap unless it is
	// older.
	case !s.gapStart.IsZero() && !v.createdBefore(s.gapStart):
		record.InferredSince = s.gapStart
	case s.listing, event != history.Added:
		record.Initial = true
	}
	record.Managers = creators(v.entries, record.Initial || !record.InferredSince.IsZero())
	summarize(record.Record, nil)
	s.classify(ctx, &record, nil)
	if !s.listing { // a list would evict the objects that change
		s.cacheVersion(record.Record, v, lastVersion{})
	}
	return record
}

// recordDeletion returns the record of a deletion that a watch reported. It
// returns none if the deletion of this incarnation is recorded already.
func (s *Stream) recordDeletion(v *version) []history.NewVersion {
	key := objectKey{v.namespace, v.name}
	h, known := s.heads[key]
	if !known || h.uid != string(v.uid) {
		return nil
	}
	record := s.parser.record(v, history.Delete)
	record.Before = s.recorder.lastVersions.get(h.uid).object
	record.Managers = attribution{entries: v.entries, before: h.managedHashes, floor: h.newest}.managers(false)
	summarize(record.Record, nil)
	record.Class = fold.ClassOf(record.Record, nil)
	truncate(&record)
	s.forget(key)
	return []history.NewVersion{record}
}

// forget removes the head of a deleted object.
func (s *Stream) forget(key objectKey) {
	s.recorder.lastVersions.remove(s.heads[key].uid)
	delete(s.heads, key)
	s.metrics.alive.Set(float64(len(s.heads)))
}

// accept queues the records, together with the checkpoint of rv unless a list
// is running. causes are those of the created object, if any.
func (s *Stream) accept(ctx context.Context, records []history.NewVersion, causes []cause, rv string) error {
	e := entry{stream: s, records: records, causes: causes, rv: rv}
	if !s.listing && rv != s.rv && !history.Older(rv, s.rv) {
		e.checkpoint, e.idle = s.checkpoint(rv), len(records) == 0
		s.rv = rv
	}
	if e.checkpoint == nil && len(records) == 0 {
		return nil
	}
	return s.put(ctx, e)
}

// put queues an entry. It blocks while the queue is full.
func (s *Stream) put(ctx context.Context, e entry) error {
	if err := s.recorder.queue.put(ctx, &e); err != nil {
		s.interrupted = true
		return wrap("record", s.resource, err)
	}
	return nil
}

// checkpoint returns a checkpoint at rv. Its time is no later than the receipt
// of the last change up to rv. While the stream is catching up, that is the
// time of the checkpoint that it began with.
func (s *Stream) checkpoint(rv string) *history.Checkpoint {
	at := s.received
	if !s.catchingUpSince.IsZero() && s.catchingUpSince.Before(at) {
		at = s.catchingUpSince
	}
	return &history.Checkpoint{Group: s.resource.Group, Resource: s.resource.Resource, RV: rv, Time: at}
}

// Bookmark moves the checkpoint to a resourceVersion without a record. The
// checkpoint is committed with the next record, or after IdleDelay. A bookmark
// of a server that lags is ignored.
func (s *Stream) Bookmark(ctx context.Context, rv string) error {
	if !s.listing && s.rv == "" {
		return wrap("record", s.resource, errNotListed)
	}
	if !s.listing && history.Older(rv, s.rv) { // the server lags
		return nil
	}
	s.receive()
	if !s.listing {
		s.caughtUp()
	}
	return s.accept(ctx, nil, nil, rv)
}

// Alive moves the time of the checkpoint forward to at: every change that the
// API server had sent by then was observed. A later gap begins no earlier. It
// has no effect while a list is running or the stream is catching up.
func (s *Stream) Alive(ctx context.Context, at time.Time) error {
	if s.listing || s.rv == "" || !s.catchingUpSince.IsZero() || !at.After(s.received) {
		return nil
	}
	s.received = at.UTC()
	return s.put(ctx, entry{stream: s, checkpoint: s.checkpoint(s.rv)})
}

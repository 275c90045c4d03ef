package recorder

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// errNotListed is the error of a stream that is used before its first list. It
// keeps the checkpoint from moving past changes that were never observed.
var errNotListed = errors.New("a complete list is required first")

// Stream turns the watch events of one resource into records. It is the sink of
// the resource's watcher. One goroutine at a time may use it.
//
// A method returns when its argument is accepted, which is before the commit.
// After an error other than [history.Invalid], the stream has ended: the argument
// is not recorded.
type Stream struct {
	recorder *Recorder
	parser   parser
	resource schema.GroupResource

	heads         map[objectKey]head
	rv            string    // of the last checkpoint that was accepted; "" if a list is due
	listing       bool      // between BeginList and EndList or AbortList
	listRequested time.Time // when the next list was requested; zero if it is not known
	syncGen       uint32    // number of the list; a head has the number of the last list that returned it

	gaps       gap.Track
	gapsOpened gapCounter
	// gapStart is when the complete recording ended while a gap is open. It is
	// zero if no gap is open, or if the recording was never complete.
	gapStart time.Time
	// received is when the last event, bookmark or end of a list was received, or
	// when the watch was last known to be alive, whichever is later.
	received time.Time
	// catchingUpSince is the time of the checkpoint that the watch or the list
	// began with, until it has caught up. It is zero afterwards.
	catchingUpSince time.Time

	lane lane // of the queue
	// interrupted means that something was not accepted, or its commit was not
	// waited for. The fields above may be ahead of the log.
	interrupted bool

	committed  [history.Delete + 1]atomic.Uint64
	duplicates atomic.Uint64 // versions that were recorded already

	ignoredNamespace, ignoredChange atomic.Uint64 // left out by a rule

	alive        atomic.Int64
	lists        atomic.Uint64
	checkpointed atomic.Int64 // when the last checkpoint committed was received, in nanoseconds since 1970; 0: there is none
}

type objectKey struct{ namespace, name string }

// head is the newest version of an object that is alive.
type head struct {
	uid     string
	rv      string
	writers []uint64
	content uint64 // that of its version; 0 where that is not known, or all of it counts
	syncGen uint32
	newest  uint32 // second of the newest entry that the object ever had in managedFields; 0 if it is not known, as after a restart
}

func newStream(ctx context.Context, r *Recorder, resource history.Resource) (*Stream, error) {
	s := &Stream{
		recorder: r, resource: resource.GroupResource(), heads: map[objectKey]head{}, gaps: gap.NewTrack(resource.GroupResource()),
		parser: newParser(resource, r.opts.RedactionKey, r.opts.Scope),
	}
	if s.parser.secrets != nil && len(r.opts.RedactionKey) == 0 {
		return nil, wrap("record", s.resource, errors.New("there is no key to hash secret values with"))
	}
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// load takes up what the log holds of the resource. All that the stream accepted has to be in it.
func (s *Stream) load(ctx context.Context) error {
	checkpoint, err := s.recorder.log.Checkpoint(ctx, s.resource)
	if err != nil {
		return wrap("read the checkpoint of", s.resource, err)
	}
	s.rv, s.listing = checkpoint.RV, false
	if s.rv != "" {
		s.catchingUpSince = checkpoint.Time
		s.checkpointed.Store(checkpoint.Time.UnixNano())
	}
	if err := s.loadGaps(ctx); err != nil {
		return err
	}
	for _, h := range s.heads {
		s.recorder.memory.forget(h.uid)
	}
	clear(s.heads)
	for h, err := range s.recorder.log.Heads(ctx, s.resource) {
		if err != nil {
			return wrap("read the heads of", s.resource, err)
		}
		s.heads[objectKey{h.Ref.Namespace, h.Ref.Name}] = head{uid: string(h.Ref.UID), rv: h.RV, writers: h.ManagedHashes}
	}
	uids := make([]types.UID, 0, len(s.heads))
	for _, h := range s.heads {
		uids = append(uids, types.UID(h.uid))
	}
	s.recorder.queue.know(uids...)
	s.alive.Store(int64(len(s.heads)))
	s.interrupted = false
	s.recorder.queue.open(&s.lane, s.parser.resource, s.rv)
	return nil
}

// mend lets a stream that was cut off go on from the log.
func (s *Stream) mend(ctx context.Context) error {
	if !s.interrupted {
		return nil
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	return s.load(ctx)
}

// Checkpoint returns the resourceVersion to resume from. It returns "" if a list
// is required: before the first list has ended, and between the beginning and the
// end of any other list, also across crashes.
func (s *Stream) Checkpoint() string { return s.rv }

// Observe accepts one watch event. A version that is recorded already is skipped,
// and does not move the checkpoint, because it may be an old one. If the event
// can't be read, Observe returns a [history.Invalid] error and changes nothing.
func (s *Stream) Observe(ctx context.Context, f history.WatchEvent) error {
	if !s.listing && s.rv == "" {
		return wrap("record", s.resource, errNotListed)
	}
	s.follow()
	s.receive()
	v, err := s.parser.parse(f.Object, func(id identity) []byte { return s.previous(ctx, id, f.Type) })
	if err != nil {
		return history.Errorf(history.Invalid, "read a frame of %s: %v", s.resource, err)
	}
	if v.opaque {
		s.recorder.opts.Logger.ErrorContext(ctx, "a last-applied configuration that has to be redacted can't be read and is hashed as a whole",
			"namespace", v.namespace, "name", v.name, "rv", v.rv)
	}
	again, err := s.repeated(ctx, v, f.Type)
	if err != nil {
		return wrap("record", s.resource, err)
	}
	if again {
		s.duplicates.Add(1)
		return nil
	}
	if s.omits(v, f.Type) {
		s.recorder.queue.pass(v.uid, f.Type)
		return s.accept(ctx, nil, nil, v.rv)
	}
	var records []*history.Record
	switch f.Type {
	case history.Added, history.Modified:
		records, err = s.alter(ctx, v, f.Type)
	case history.Deleted:
		records = s.remove(v)
	default:
		err = fmt.Errorf("a frame of type %s", f.Type)
	}
	if err != nil {
		return wrap("record", s.resource, err)
	}
	if len(records) == 0 {
		s.duplicates.Add(1)
		return nil
	}
	var causes []cause
	if last := records[len(records)-1]; last.Verb == history.Create && !last.Initial && last.InferredSince.IsZero() {
		causes = v.causes()
	}
	return s.accept(ctx, records, causes, v.rv)
}

// alter records that an object has a version, unless the log has it.
func (s *Stream) alter(ctx context.Context, v *version, frame history.WatchEventType) ([]*history.Record, error) {
	key := objectKey{v.namespace, v.name}
	h, known := s.heads[key]
	var records []*history.Record
	var record *history.Record
	switch {
	case known && h.uid == string(v.uid) && h.rv == v.rv:
		h.syncGen = s.syncGen
		if len(h.writers) == 0 { // a repair rebuilds heads without them
			h.writers = fingerprints(v.writers)
		}
		s.heads[key] = h
		return nil, nil
	case known && h.uid == string(v.uid):
		record = s.parser.record(v, history.Update)
		if err := s.infer(ctx, record, h); err != nil {
			return nil, err
		}
		s.update(ctx, record, v, h)
	default:
		if known {
			deletion, err := s.inferDeletion(ctx, key, h)
			if err != nil {
				return nil, err
			}
			records = append(records, deletion)
		}
		record = s.create(v, frame)
	}
	bound(record)
	s.heads[key] = s.head(v, h, record.ManagedHashes)
	s.alive.Store(int64(len(s.heads)))
	return append(records, record), nil
}

// head returns the head of a version that follows another one, perhaps of an
// earlier object of the name.
func (s *Stream) head(v *version, last head, writers []uint64) head {
	h := head{uid: string(v.uid), rv: v.rv, writers: writers, newest: newestSecond(v.writers), content: v.content, syncGen: s.syncGen}
	if last.uid == h.uid {
		h.newest = max(h.newest, last.newest)
	}
	return h
}

// create records an object's first version. A watch reports a creation as added: any other frame tells that the creation was
// not seen.
func (s *Stream) create(v *version, frame history.WatchEventType) *history.Record {
	record := s.parser.record(v, history.Create)
	switch {
	case !s.gapStart.IsZero() && !v.existed(s.gapStart):
		record.InferredSince = s.gapStart
	case s.listing, frame != history.Added:
		record.Initial = true
	}
	record.Managers = creators(v.writers, record.Initial || !record.InferredSince.IsZero())
	tell(record, nil)
	if !s.listing { // a sync would fill the memory with whatever came last
		s.hold(record, v, lastVersion{})
	}
	return record
}

// remove records a deletion that a watch reported, unless the log knows that this incarnation is gone.
func (s *Stream) remove(v *version) []*history.Record {
	key := objectKey{v.namespace, v.name}
	h, known := s.heads[key]
	if !known || h.uid != string(v.uid) {
		return nil
	}
	record := s.parser.record(v, history.Delete)
	record.Before = s.recorder.memory.recall(h.uid).object
	record.Managers = attribution{entries: v.writers, before: h.writers, floor: h.newest}.attribute(false)
	tell(record, nil)
	bound(record)
	s.forget(key)
	return []*history.Record{record}
}

func (s *Stream) forget(key objectKey) {
	s.recorder.memory.forget(s.heads[key].uid)
	delete(s.heads, key)
	s.alive.Store(int64(len(s.heads)))
}

// accept queues the records together with the checkpoint that they lead to,
// unless a sync is running. causes are those of the created object, if any.
func (s *Stream) accept(ctx context.Context, records []*history.Record, causes []cause, rv string) error {
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

func (s *Stream) put(ctx context.Context, e entry) error {
	if err := s.recorder.queue.put(ctx, &e); err != nil {
		s.interrupted = true
		return wrap("record", s.resource, err)
	}
	return nil
}

// checkpoint returns a checkpoint at rv. Its time is no later than the receipt of
// the last change up to rv. While the stream is catching up, that is the time of
// the checkpoint that it began with.
func (s *Stream) checkpoint(rv string) *history.Checkpoint {
	at := s.received
	if !s.catchingUpSince.IsZero() && s.catchingUpSince.Before(at) {
		at = s.catchingUpSince
	}
	return &history.Checkpoint{Group: s.resource.Group, Resource: s.resource.Resource, RV: rv, Time: at}
}

// Bookmark moves the checkpoint to a resourceVersion without a record. The
// checkpoint is committed with the next record, or after IdleDelay. A bookmark of
// a server that lags is ignored.
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

// Alive dates the checkpoint at this time: every change that the API server had
// sent by then was observed. A later gap begins no earlier. It has no effect
// while a list is running or the stream is catching up.
func (s *Stream) Alive(ctx context.Context, at time.Time) error {
	if s.listing || s.rv == "" || !s.catchingUpSince.IsZero() || !at.After(s.received) {
		return nil
	}
	s.received = at.UTC()
	return s.put(ctx, entry{stream: s, checkpoint: s.checkpoint(s.rv)})
}

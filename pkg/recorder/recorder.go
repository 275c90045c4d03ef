package recorder

import (
	"context"
	"errors"
	"hash/maphash"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// ErrStopped is what streams answer once their recorder has been stopped.
var ErrStopped = errors.New("the recorder has been stopped")

// Log is what the recorder writes, and what it goes on from.
type Log interface {
	// Append commits the batch as a whole or not at all, and is durable when it returns. An Unavailable error says that it
	// can't now and changed nothing; then it is asked again until it can.
	Append(ctx context.Context, b *history.Batch) error
	// Heads yields the newest version of every object of the resource that is alive.
	Heads(ctx context.Context, r schema.GroupResource) iter.Seq2[history.Head, error]
	// Latest returns an object's newest record, with its body.
	Latest(ctx context.Context, o history.ObjectRef) (*history.Record, error)
	// Checkpoint returns the last one committed, or one without an RV.
	Checkpoint(ctx context.Context, r schema.GroupResource) (history.Checkpoint, error)
	// Gaps returns the gaps of the resources that touch the time from start to end; a zero end is no end.
	Gaps(ctx context.Context, resources []schema.GroupResource, start, end time.Time) ([]history.Gap, error)
	// Register keeps the resource's names for as long as its records.
	Register(ctx context.Context, r history.Resource) error
}

// Options are a recorder's settings. Zero numbers stand for the defaults.
type Options struct {
	Logger *slog.Logger // slog.Default when nil
	// Now is the clock that checkpoints and gaps are dated with; time.Now when nil.
	Now func() time.Time
	// RedactionKey is the secret with which Secret values are hashed. Without one no stream of Secrets can be had.
	RedactionKey []byte

	// Scope returns whether objects of a kind live in namespaces, and false for
	// known if the API server serves no such kind. An empty group means any. It
	// locates the objects that Events regard. Default: nothing is known.
	Scope func(group, kind string) (namespaced, known bool)

	// CommitDuration observes how long each transaction took, including retries.
	// May be nil.
	CommitDuration Observer
	// VersionLag observes the time from the API server's write to the commit,
	// of versions that a watch delivered and whose manager is known. The API
	// server dates writes in whole seconds, by its own clock. May be nil.
	VersionLag Observer

	// Memory is for the newest versions of objects, in bytes, which the next ones are compared with; 12 MiB.
	Memory int

	QueueRecords int // accepted and not yet committed; 4096
	QueueBytes   int // 8 MiB
	BatchRecords int // committed at once; 512
	BatchBytes   int // of their bodies and about 400 for each, which has to fit one transaction of the log; 2 MiB

	BatchDelay time.Duration // how long the first record after silence waits for others; 5 ms
	// SkewDelay is how long any other record waits for records of other
	// streams that were written before it and arrive after it; 60 ms.
	SkewDelay time.Duration
	// BatchInterval is the time between commits under load, and half of what
	// counts as silence; 200 ms.
	BatchInterval time.Duration
	IdleDelay     time.Duration // how long a checkpoint that moved without a record waits for one; 3 s
	Retries       int           // of a commit that fails, before the recorder gives up; 5
	RetryDelay    time.Duration // before the first retry; it doubles with each, up to 10 s; 100 ms
	// CommitWithin is how long one commit may be under way before the recorder gives up; 1 minute.
	CommitWithin time.Duration
	StopWithin   time.Duration // for the commits after Run's context has ended; 20 s
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Scope == nil {
		o.Scope = func(string, string) (bool, bool) { return false, false }
	}
	if o.CommitDuration == nil {
		o.CommitDuration = discard{}
	}
	if o.VersionLag == nil {
		o.VersionLag = discard{}
	}
	setDefault(&o.Memory, 12<<20)
	setDefault(&o.QueueRecords, 4096)
	setDefault(&o.QueueBytes, 8<<20)
	setDefault(&o.BatchRecords, 512)
	setDefault(&o.BatchBytes, 2<<20)
	setDefault(&o.BatchDelay, 5*time.Millisecond)
	setDefault(&o.SkewDelay, 60*time.Millisecond)
	setDefault(&o.BatchInterval, 200*time.Millisecond)
	setDefault(&o.IdleDelay, 3*time.Second)
	setDefault(&o.Retries, 5)
	setDefault(&o.RetryDelay, 100*time.Millisecond)
	setDefault(&o.CommitWithin, time.Minute)
	setDefault(&o.StopWithin, 20*time.Second)
	return o
}

func setDefault[T int | time.Duration](value *T, fallback T) {
	if *value <= 0 {
		*value = fallback
	}
}

// Recorder commits what its streams accept. Its methods may be called by any goroutine.
type Recorder struct {
	log    Log
	opts   Options
	queue  *queue
	memory *memory
	rules  atomic.Pointer[rulebook]
	seed   maphash.Seed // of the hashes that tell whether something changed that counts

	batches, retries atomic.Uint64
	refused          atomic.Pointer[error] // why the log took nothing when it was asked last; nil where it did
	lastCommit       atomic.Int64          // in nanoseconds since 1970; 0 before the first

	mu      sync.Mutex // guards streams
	streams map[schema.GroupResource]*Stream
}

// New returns a recorder that writes to log. Its streams accept frames at once, and fill a queue that [Recorder.Run]
// empties.
func New(log Log, opts Options) *Recorder {
	opts = opts.withDefaults()
	r := &Recorder{
		log: log, opts: opts, queue: newQueue(opts), memory: newMemory(opts.Memory), seed: maphash.MakeSeed(), streams: map[schema.GroupResource]*Stream{},
	}
	var none rulebook
	none.allow(nil)
	r.rules.Store(&none)
	return r
}

// Stream returns the sink for the frames of one resource. It registers the resource and reads its heads and checkpoint from the
// log, once: asked again for a resource, it returns the same stream, which has learned the resource's new API version
// and names. A stream that was cut off while it waited goes on from the log, for not all that it was told is recorded. Who
// asks again must have stopped using the stream before.
func (r *Recorder) Stream(ctx context.Context, resource history.Resource) (*Stream, error) {
	if err := r.insist(ctx, "register", func() error { return r.log.Register(ctx, resource) }); err != nil {
		return nil, wrap("register", resource.GroupResource(), err)
	}
	if s := r.stream(resource.GroupResource()); s != nil {
		s.parser.resource = resource
		return s, s.mend(ctx)
	}
	s, err := newStream(ctx, r, resource)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.streams[resource.GroupResource()] = s
	return s, nil
}

// stream returns the resource's stream, nil where there is none yet.
func (r *Recorder) stream(resource schema.GroupResource) *Stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.streams[resource]
}

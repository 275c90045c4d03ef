package recorder

import (
	"context"
	"errors"
	"hash/maphash"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// ErrStopped is returned by streams after their recorder was stopped.
var ErrStopped = errors.New("the recorder has been stopped")

// Log is the log that the recorder writes to, and resumes from after a restart.
// Its methods must be safe for concurrent use.
type Log interface {
	// Append commits the whole batch or nothing. The batch is durable when
	// Append returns. A [history.Unavailable] error means that nothing was
	// changed; the recorder then retries until Append succeeds.
	Append(ctx context.Context, b *history.Batch) error
	// Heads yields the newest version of every live object of the resource.
	Heads(ctx context.Context, r schema.GroupResource) iter.Seq2[history.Head, error]
	// Latest returns an object's newest record, with its body. If there is
	// none, the error is a [history.NotFound] error.
	Latest(ctx context.Context, o history.ObjectRef) (*history.Record, error)
	// Checkpoint returns the last committed checkpoint. It has no RV if there
	// is none.
	Checkpoint(ctx context.Context, r schema.GroupResource) (history.Checkpoint, error)
	// Gaps returns the gaps of the resources that overlap the time from start
	// to end. A zero end means no end.
	Gaps(ctx context.Context, resources []schema.GroupResource, start, end time.Time) ([]history.Gap, error)
	// Register stores the resource's names. They are kept as long as its
	// records.
	// Its errors name the resource.
	Register(ctx context.Context, r history.Resource) error
}

// Options are a recorder's settings. Zero fields have defaults.
type Options struct {
	// Logger receives the recorder's messages. Default: slog.Default().
	Logger *slog.Logger
	// Now is the clock for the times of checkpoints and gaps. Default:
	// time.Now.
	Now func() time.Time
	// RedactionKey is the key from which the keys of all hashes are derived.
	// The hashes replace redacted values. It is required for a stream of
	// Secrets.
	RedactionKey []byte

	// Scope returns whether the objects of a kind are namespaced. known is
	// false if the API server does not serve the kind. An empty group matches
	// any. It is used to correct the namespaces of Event targets. Default: no
	// kind is known.
	Scope func(group, kind string) (namespaced, known bool)

	// Registerer registers the recorder's metrics. New panics if it has those
	// of another recorder. Default: the metrics are kept, but not registered.
	Registerer prometheus.Registerer

	// Memory bounds the cache of last versions, in bytes. Default: 12 MiB.
	Memory int

	// QueueRecords bounds the records that are accepted and not committed.
	// Default: 4096.
	QueueRecords int
	// QueueBytes bounds their memory, in bytes. Default: 8 MiB.
	QueueBytes int
	// BatchRecords bounds the records of one commit. Default: 512.
	BatchRecords int
	// BatchBytes bounds the size of one commit, which must fit into one
	// transaction of the log: the bodies, and about 400 bytes per record.
	// Default: 2 MiB.
	BatchBytes int

	// BatchDelay is how long the first record after silence waits for others.
	// Default: 5 ms.
	BatchDelay time.Duration
	// SkewDelay is how long any other record waits for records of other streams
	// that were written before it and arrive after it. Default: 60 ms.
	SkewDelay time.Duration
	// BatchInterval is the time between commits under load. Twice this time
	// without a record counts as silence. Default: 200 ms.
	BatchInterval time.Duration
	// IdleDelay is how long a checkpoint that moved without a record waits for
	// one. Default: 3 s.
	IdleDelay time.Duration
	// Retries is how often a failed commit is retried before the recorder
	// stops. Default: 5.
	Retries int
	// RetryDelay is the delay before the first retry. It doubles with each one,
	// up to 10 s. Default: 100 ms.
	RetryDelay time.Duration
	// CommitWithin is the timeout of one commit. The recorder stops if it is
	// exceeded. Default: 1 min.
	CommitWithin time.Duration
	// StopWithin is the time for the last commits after the context of Run was
	// canceled. Default: 20 s.
	StopWithin time.Duration
}

// withDefaults returns the options with the zero values replaced by the
// defaults.
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

// setDefault sets a value that is not positive to its default.
func setDefault[T int | time.Duration](value *T, fallback T) {
	if *value <= 0 {
		*value = fallback
	}
}

// Recorder commits the records of its streams. Its methods are safe for
// concurrent use.
type Recorder struct {
	log          Log
	opts         Options
	queue        *queue
	lastVersions *lastVersions
	rules        atomic.Pointer[compiledRules]
	seed         maphash.Seed // of the content hashes of ignore rules

	retried failedWrites
	metrics *metrics

	mu      sync.Mutex // guards streams
	streams map[schema.GroupResource]*Stream
}

// New returns a recorder that writes to log. Its streams accept records at once
// and queue them until [Recorder.Run] commits them.
func New(log Log, opts Options) *Recorder {
	opts = opts.withDefaults()
	r := &Recorder{
		log: log, opts: opts, queue: newQueue(opts), lastVersions: newLastVersions(opts.Memory),
		seed: maphash.MakeSeed(), streams: map[schema.GroupResource]*Stream{},
	}
	builtIn, err := compileRules(Rules{}, r.seed)
	if err != nil {
		panic(err) // not reached: without rules, nothing can be invalid
	}
	r.rules.Store(builtIn)
	r.metrics = newMetrics(r)
	return r
}

// Stream returns the sink for the watch events of one resource. It registers
// the resource, and reads its heads and its checkpoint from the log.
//
// There is one stream per resource. Later calls return it again, with the names
// and the API version of the given resource. If one of its records was not
// accepted or not waited for, the stream is restored from the log first. The
// caller must have stopped using the stream before.
func (r *Recorder) Stream(ctx context.Context, resource history.Resource) (*Stream, error) {
	if err := r.retry(ctx, "register", func() error { return r.log.Register(ctx, resource) }); err != nil {
		return nil, err // it names the resource
	}
	if s := r.stream(resource.GroupResource()); s != nil {
		s.parser.resource = resource
		return s, s.reload(ctx)
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

// stream returns the resource's stream, or nil if there is none yet.
func (r *Recorder) stream(resource schema.GroupResource) *Stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.streams[resource]
}

// IgnoredVersions returns how many versions of each resource were ignored by a
// rule since the recorder was created. Resources without a stream are absent.
func (r *Recorder) IgnoredVersions() map[schema.GroupResource]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	versions := make(map[schema.GroupResource]uint64, len(r.streams))
	for resource, s := range r.streams {
		versions[resource] = s.metrics.ignored()
	}
	return versions
}

// RetryError returns the error of a write that is being retried, the oldest one
// if there are several. It returns nil if no write is being retried.
func (r *Recorder) RetryError() error { return r.retried.first() }

// failedWrite is a write that failed and is being retried.
type failedWrite struct{ err error }

// failedWrites are the writes that are being retried: at most one commit, and
// registrations. Safe for concurrent use.
type failedWrites struct {
	mu  sync.Mutex // guards all
	all []*failedWrite
}

// replace adds a write with its newest error in the place of an earlier
// attempt, which is nil for the first one.
func (f *failedWrites) replace(earlier *failedWrite, err error) *failedWrite {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := &failedWrite{err}
	if i := slices.Index(f.all, earlier); i >= 0 {
		f.all[i] = w
	} else {
		f.all = append(f.all, w)
	}
	return w
}

// remove removes a write that ended. It does nothing if w is nil.
func (f *failedWrites) remove(w *failedWrite) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = slices.DeleteFunc(f.all, func(one *failedWrite) bool { return one == w })
}

// first returns the error of the oldest write, or nil.
func (f *failedWrites) first() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.all) == 0 {
		return nil
	}
	return f.all[0].err
}

package api

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// Options configure a handler. Zero fields have defaults. The functions are
// called concurrently.
type Options struct {
	Logger *slog.Logger // default: discards
	// MaxLimit returns the maximum number of records on a page, which is also
	// the default of a request. Default: 1,000.
	MaxLimit func() int
	// Timeout bounds one query, including the time for which it waits for
	// others, but not the time of sending the answer. If an answer is computed
	// in several segments, it bounds each of them. Default: 30 s.
	Timeout time.Duration

	// Caller returns whose rights restrict the answers to a request with this
	// context, or nil if the caller may read everything. It is called for each
	// segment of an answer, so a right that is withdrawn ends a long answer.
	// Default: nil.
	Caller func(context.Context) query.Authorizer

	// Recheck returns an error if the caller of a request with this context
	// would not be admitted any more. It is called for open streams. Default:
	// nil.
	Recheck func(context.Context) error
	// CursorKey hides in the cursors of restricted callers when others changed
	// something. It should stay the same for as long as the log. Default: a
	// random key.
	CursorKey []byte
	// Heartbeat is the longest time between two lines of a stream, and between
	// two reviews of the caller's rights. At most [v1.HeartbeatSeconds], which
	// is the default.
	Heartbeat time.Duration
	// Streams bounds the open streams. One client gets at most a quarter of
	// them, and at least one. Default: 128.
	Streams int
	// Stopping ends all streams when it is closed. Default: never.
	Stopping <-chan struct{}

	// User returns the name of a caller for the access log. Default: "".
	User func(context.Context) string
	// Host reports whether a name, in lower case, is one of the recorder's.
	// Requests with another Host are refused. Addresses and localhost are
	// always accepted. Default: every name.
	Host func(name string) bool

	// Client returns the name of the client that sent a request. Each client
	// has limits of its own, and clients take turns. "" means the remote host.
	// Default: the remote host.
	Client func(*http.Request) string
	// Concurrency bounds the queries that run at once, three quarters of them
	// small ones. At least 2. Default: twice the number of processors, from 4
	// to 8.
	Concurrency int
	// Backlog bounds the queries of one client that wait for others. Four times
	// as many of all clients can wait. Small and large queries count
	// separately. Default: 64.
	Backlog int
	// Patience bounds how long a query waits for others. Default: 10 s.
	Patience time.Duration
	// Rate bounds the queries of one client per second, on average over ten
	// seconds. [NoRate] means no limit. Default: 100.
	Rate float64
	// AnswerBytes bounds the memory of answers that are being sent. One
	// client's answers get at most half of it. Default: 64 MiB.
	AnswerBytes int

	// Registerer registers the metrics of queries. Default: no metrics.
	Registerer prometheus.Registerer

	// Missing returns the resources that are not in sync, one line per cause.
	// The recorder is ready anyway, because it can serve the recorded history.
	// Default: none.
	Missing func() []string
	// Refused returns why nothing can be recorded now, or nil. The recorder is
	// ready anyway. Default: nil.
	Refused func() error
	// Details reports whether a request with this context may read what Missing
	// and Refused return. Others read only that something is missing. Default:
	// true.
	Details func(context.Context) bool
	// States returns the resources that are recorded, waited for or only
	// served, with their states. The catalogue's other resources are stopped.
	// Default: none.
	States func() []v1.Resource
	// Metrics serves [v1.MetricsPath]. Default: not found.
	Metrics http.Handler

	// Recorder is the answer of [v1.RecorderPath], except for the platform and
	// the version of Go. Default: a version of "unknown", and the cluster whose
	// namespaces are recorded.
	Recorder v1.Recorder
}

// The defaults of [Options].
const (
	defaultMaxLimit    = 1000
	defaultTimeout     = 30 * time.Second
	defaultBacklog     = 64
	defaultPatience    = 10 * time.Second
	defaultRate        = 100
	defaultAnswerBytes = 64 << 20
	defaultStreams     = 128
)

// defaultConcurrency returns the default of [Options.Concurrency]. More queries
// would take memory and finish no earlier, and small ones would wait longer for
// a processor.
func defaultConcurrency() int { return min(max(2*runtime.GOMAXPROCS(0), 4), 8) }

// NoRate is the [Options.Rate] that sets no limit.
const NoRate = -1

const (
	minConcurrency = 2 // one small and one large query
	// backlogClients is how many clients with a full backlog can wait.
	backlogClients = 4
	// rateBurst is the time over which the rate of a client is averaged.
	rateBurst = 10 * time.Second
)

// handler serves the API. Its fields are not written after New, except for
// cluster.
type handler struct {
	service *query.Service
	options Options
	limits  *limits
	openAPI document
	cursors *cursors
	cluster atomic.Pointer[types.UID] // of the log, once it is known
}

// New returns the handler of the API. It is safe for concurrent use.
func New(service *query.Service, o Options) http.Handler {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MaxLimit == nil {
		o.MaxLimit = func() int { return defaultMaxLimit }
	}
	if o.Missing == nil {
		o.Missing = func() []string { return nil }
	}
	if o.Refused == nil {
		o.Refused = func() error { return nil }
	}
	if o.Details == nil {
		o.Details = func(context.Context) bool { return true }
	}
	if o.States == nil {
		o.States = func() []v1.Resource { return nil }
	}
	if o.Metrics == nil {
		o.Metrics = http.NotFoundHandler()
	}
	if o.Client == nil {
		o.Client = func(*http.Request) string { return "" }
	}
	if o.User == nil {
		o.User = func(context.Context) string { return "" }
	}
	if o.Host == nil {
		o.Host = func(string) bool { return true }
	}
	if o.Caller == nil {
		o.Caller = func(context.Context) query.Authorizer { return nil }
	}
	if o.Recheck == nil {
		o.Recheck = func(context.Context) error { return nil }
	}
	o.Recorder.Version = cmp.Or(o.Recorder.Version, "unknown")
	o.Recorder.GoVersion, o.Recorder.Platform = runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH
	o.Heartbeat = cmp.Or(max(o.Heartbeat, 0), v1.HeartbeatSeconds*time.Second)
	o.Streams = cmp.Or(max(o.Streams, 0), defaultStreams)
	o.Timeout = cmp.Or(max(o.Timeout, 0), defaultTimeout)
	o.Concurrency = max(cmp.Or(max(o.Concurrency, 0), defaultConcurrency()), minConcurrency)
	o.Backlog = cmp.Or(max(o.Backlog, 0), defaultBacklog)
	o.Patience = cmp.Or(max(o.Patience, 0), defaultPatience)
	o.Rate = cmp.Or(o.Rate, defaultRate)
	o.AnswerBytes = cmp.Or(max(o.AnswerBytes, 0), defaultAnswerBytes)
	h := &handler{
		service: service, options: o, limits: newLimits(&o), openAPI: newDocument(openAPI),
		cursors: newCursors(o.CursorKey),
	}
	return h.logged(h.fromKnownHost(http.HandlerFunc(h.route)))
}

// Path returns the path by which the API routes a request. A request's path may
// begin with several slashes. A handler in front of the API must use it too.
func Path(r *http.Request) string { return "/" + strings.TrimLeft(r.URL.EscapedPath(), "/") }

// ask returns the service for the caller of a request with this context.
func (h *handler) ask(ctx context.Context) *query.Service {
	if caller := h.options.Caller(ctx); caller != nil {
		return h.service.As(caller)
	}
	return h.service
}

// recorder returns the answer of [v1.RecorderPath]. A log is about one cluster,
// so its UID is read only until it is recorded.
func (h *handler) recorder(ctx context.Context) v1.Recorder {
	about := h.options.Recorder
	if about.ClusterUID != "" {
		return about
	}
	known := h.cluster.Load()
	if known == nil {
		uid, err := h.service.ClusterUID(ctx)
		if err != nil {
			h.options.Logger.WarnContext(ctx, "read cluster UID failed", "err", err)
		}
		if known = &uid; uid != "" {
			h.cluster.Store(known)
		}
	}
	about.ClusterUID = string(*known)
	return about
}

// route calls the endpoint of the path.
func (h *handler) route(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		writeError(w, http.StatusMethodNotAllowed, codeMethodNotAllowed,
			"method "+r.Method+" is not allowed: the API is read-only")
		return
	}
	path := Path(r)
	object, isObject := strings.CutPrefix(path, v1.EventsPath+"/")
	related, isRelated := strings.CutPrefix(path, v1.RelationsRoot+"/")
	asked, isWhy := strings.CutPrefix(path, v1.WhyRoot+"/")
	document, isDocument := strings.CutPrefix(path, v1.CataloguePath+"/")
	small := h.limits.small
	switch {
	case path == v1.EventsPath && isStream(r):
		h.watch(w, r)
	case path == v1.EventsPath:
		h.query(w, r, h.limits.lane(r.URL.Query()), h.events)
	case isObject:
		h.query(w, r, small, func(a *answer, r *http.Request) { h.object(a, r, object) })
	case path == v1.ResourcesPath:
		h.query(w, r, small, func(a *answer, r *http.Request) { h.resources(a, r) })
	case path == v1.GapsPath:
		h.query(w, r, small, func(a *answer, r *http.Request) { h.gaps(a, r) })
	case path == v1.StatePath:
		h.query(w, r, h.limits.lane(r.URL.Query()), h.state)
	case path == v1.ComparePath:
		h.query(w, r, h.limits.lane(r.URL.Query()), h.compare)
	case isRelated:
		h.query(w, r, h.limits.large, func(a *answer, r *http.Request) { h.relations(a, r, related) })
	case isWhy:
		h.query(w, r, h.limits.large, func(a *answer, r *http.Request) { h.why(a, r, asked) })
	case path == v1.CataloguePath:
		h.query(w, r, small, func(a *answer, r *http.Request) { h.catalogue(a, r) })
	case isDocument:
		h.query(w, r, small, func(a *answer, r *http.Request) { h.document(a, r, document) })
	case path == v1.RecorderPath:
		writeJSON(w, http.StatusOK, h.recorder(r.Context()))
	case path == v1.OpenAPIPath:
		h.openAPI.serve(w, r)
	case path == v1.HealthPath:
		health(w)
	case path == v1.LivezPath:
		livez(w)
	case path == v1.ReadyzPath:
		h.readyz(w, r)
	case path == v1.MetricsPath:
		h.options.Metrics.ServeHTTP(w, r)
	default:
		writeError(w, http.StatusNotFound, string(history.NotFound), "path "+r.URL.Path+" not found")
	}
}

// query answers with an endpoint that reads the log. It runs the endpoint while
// the query has a slot of its lane, and sends the answer afterwards.
func (h *handler) query(w http.ResponseWriter, r *http.Request, on lane, endpoint func(*answer, *http.Request)) {
	h.limits.metrics.inFlight.Inc()
	defer h.limits.metrics.inFlight.Dec()
	ctx, cancel := context.WithTimeout(r.Context(), h.options.Timeout)
	defer cancel()
	client := cmp.Or(h.options.Client(r), remoteHost(r))
	start := time.Now()
	a, release, err := h.limits.begin(ctx, on, client, acceptsGzip(r))
	wait := step{"wait", time.Since(start)}
	if err != nil {
		writeTiming(w, wait)
		h.limits.refuse(w, r, err)
		return
	}
	defer a.close()
	defer func() { h.audit(r.Context(), a.secrets) }()
	func() {
		defer release()
		writeTiming(a, wait)
		start, waited := time.Now(), a.header.Get(headerTiming)
		endpoint(a, r.WithContext(ctx))
		a.endSegment()
		if a.header.Get(headerTiming) == waited { // the endpoint has added no steps
			writeTiming(a, step{"query", time.Since(start)})
		}
	}()
	if a.begin(w); r.Method == http.MethodHead {
		return
	}
	if err := h.send(w, r, a, on.queue); err != nil {
		h.logFailure(r, err)
		panic(http.ErrAbortHandler) // the connection ends, so that a part does not look like the whole
	}
}

// send sends the body of an answer, and computes its further segments. It
// returns nil if the client has disconnected.
func (h *handler) send(w io.Writer, r *http.Request, a *answer, slots *queue) error {
	for {
		if err := a.sendSegment(w); err != nil {
			return nil //nolint:nilerr // the client has disconnected
		}
		if a.rest == nil {
			_ = a.end(w) // as above
			return nil
		}
		complete, err := h.nextSegment(r, a, slots)
		if err != nil {
			return err
		}
		if complete {
			a.rest = nil
		}
	}
}

// nextSegment computes the next segment of an answer while it has a slot. It
// reports whether that is the last one.
func (h *handler) nextSegment(r *http.Request, a *answer, slots *queue) (last bool, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), h.options.Timeout)
	defer cancel()
	release, err := slots.resume(ctx, a.client)
	if err != nil {
		return false, err
	}
	defer release()
	defer a.endSegment()
	return a.rest(ctx)
}

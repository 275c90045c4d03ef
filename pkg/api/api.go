package api

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/gzip"

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
	// Timeout bounds one query. Default: 30 s.
	Timeout time.Duration
	// Concurrency bounds the queries that run at once. Others wait, within
	// their Timeout. Default: 8.
	Concurrency int
	// Missing returns the resources that are not in sync, one line per cause.
	// The recorder is ready anyway, because it can serve the recorded history.
	// Default: none.
	Missing func() []string
	// Refused returns why nothing can be recorded now, or nil. The recorder is
	// ready anyway. Default: nil.
	Refused func() error
	// States returns the resources that are recorded, waited for or only
	// served, with their states. The catalogue's other resources are stopped.
	// Default: none.
	States func() []v1.Resource
	// Metrics serves [v1.MetricsPath]. Default: not found.
	Metrics http.Handler
}

// The defaults of [Options].
const (
	defaultMaxLimit    = 1000
	defaultTimeout     = 30 * time.Second
	defaultConcurrency = 8
)

// minCompressed is the size, in bytes, from which answers are compressed.
const minCompressed = 2048

// handler serves the API. Its fields are not written after New.
type handler struct {
	service *query.Service
	options Options
	running chan struct{} // contains a token for each running query
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
	if o.States == nil {
		o.States = func() []v1.Resource { return nil }
	}
	if o.Metrics == nil {
		o.Metrics = http.NotFoundHandler()
	}
	o.Timeout = cmp.Or(max(o.Timeout, 0), defaultTimeout)
	o.Concurrency = cmp.Or(max(o.Concurrency, 0), defaultConcurrency)
	h := &handler{service: service, options: o, running: make(chan struct{}, o.Concurrency)}
	return compressed(logged(o.Logger, http.HandlerFunc(h.route)))
}

// compressed compresses answers of at least minCompressed bytes with gzip if
// the client accepts it.
func compressed(next http.Handler) http.Handler {
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(minCompressed), gzhttp.CompressionLevel(gzip.BestSpeed), gzhttp.SuffixETag(gzipTagSuffix))
	if err != nil { // the options contradict each other
		return next
	}
	return wrap(next)
}

// route calls the endpoint of the path, which may begin with several slashes.
func (h *handler) route(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		writeError(w, http.StatusMethodNotAllowed, codeMethodNotAllowed, "method "+r.Method+" is not allowed: the API is read-only")
		return
	}
	path := "/" + strings.TrimLeft(r.URL.EscapedPath(), "/")
	object, isObject := strings.CutPrefix(path, v1.EventsPath+"/")
	switch {
	case path == v1.EventsPath:
		h.query(w, r, h.events)
	case isObject:
		h.query(w, r, func(w http.ResponseWriter, r *http.Request) { h.object(w, r, object) })
	case path == v1.ResourcesPath:
		h.query(w, r, h.resources)
	case path == v1.GapsPath:
		h.query(w, r, h.gaps)
	case path == v1.StatePath:
		h.query(w, r, h.state)
	case path == v1.ComparePath:
		h.query(w, r, h.compare)
	case path == v1.HealthPath:
		health(w)
	case path == v1.LivezPath:
		livez(w)
	case path == v1.ReadyzPath:
		h.readyz(w)
	case path == v1.MetricsPath:
		h.options.Metrics.ServeHTTP(w, r)
	default:
		writeError(w, http.StatusNotFound, string(history.NotFound), "path "+r.URL.Path+" not found")
	}
}

// query runs an endpoint that reads the log, once fewer than Concurrency others
// run.
func (h *handler) query(w http.ResponseWriter, r *http.Request, endpoint http.HandlerFunc) {
	ctx, cancel := context.WithTimeout(r.Context(), h.options.Timeout)
	defer cancel()
	select {
	case h.running <- struct{}{}:
		defer func() { <-h.running }()
	case <-ctx.Done():
		// The endpoint's first read fails, and the endpoint reports that with
		// its own text.
	}
	endpoint(w, r.WithContext(ctx))
}

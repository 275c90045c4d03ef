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

// Options complete a handler. Zero fields take their defaults.
type Options struct {
	Logger *slog.Logger // default: none
	// MaxLimit returns the largest page, in records, which is that of those who name no limit. Default: 1,000.
	MaxLimit func() int
	// Timeout bounds one request. Default: 30 s.
	Timeout time.Duration
	// Concurrency is the number of queries that run at a time; others wait, within their timeout. Default: 8.
	Concurrency int
	// Missing returns what is not in sync, one line for each cause. It is not a reason not to be ready: what is recorded is
	// answered. Default: nothing.
	Missing func() []string
	// Refused tells why nothing can be recorded now, nil when it can. It is no reason not to be ready, either. Default: it
	// always can.
	Refused func() error
	// States returns every resource that is recorded or waited for, with its state. Others of the catalogue are stopped.
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

// The size in bytes from which answers are compressed.
const minCompressed = 2048

// handler serves the API. Its fields are never written after New.
type handler struct {
	service *query.Service
	options Options
	running chan struct{} // holds one token for every query that runs
}

// New returns the handler of the whole API. It is safe for concurrent use.
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
	return compressed(observed(o.Logger, http.HandlerFunc(h.route)))
}

// compressed answers in gzip where the client takes it.
func compressed(next http.Handler) http.Handler {
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(minCompressed), gzhttp.CompressionLevel(gzip.BestSpeed))
	if err != nil { // only for options that contradict each other
		return next
	}
	return wrap(next)
}

// route finds the endpoint. Any number of slashes may lead the path.
func (h *handler) route(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		writeError(w, http.StatusMethodNotAllowed, "method_not_allowed", "the API only reads: "+r.Method+" is not allowed")
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
	case path == v1.HealthPath:
		health(w)
	case path == v1.LivezPath:
		livez(w)
	case path == v1.ReadyzPath:
		h.readyz(w)
	case path == v1.MetricsPath:
		h.options.Metrics.ServeHTTP(w, r)
	default:
		writeError(w, http.StatusNotFound, string(history.NotFound), "no such path: "+r.URL.Path)
	}
}

// query runs an endpoint that reads the log, within the timeout and when there is room for it.
func (h *handler) query(w http.ResponseWriter, r *http.Request, endpoint http.HandlerFunc) {
	ctx, cancel := context.WithTimeout(r.Context(), h.options.Timeout)
	defer cancel()
	select {
	case h.running <- struct{}{}:
		defer func() { <-h.running }()
	case <-ctx.Done(): // the endpoint will say so, in its own words
	}
	endpoint(w, r.WithContext(ctx))
}

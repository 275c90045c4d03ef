package api

import (
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// refusal is why a query is not run. It is not a failure of the query: a retry
// may succeed.
type refusal struct {
	status int
	code   string
	reason string // a label of the metric
	text   string
	after  int // of Retry-After, in seconds
}

// Error returns the text of the answer.
func (r *refusal) Error() string { return r.text }

// The refusals. Those of a client's own limits have the status 429, and those
// of the recorder's limits 503.
var (
	errRate     = tooMany("rate", "too many queries in a short time", 1)
	errBacklog  = tooMany("client_queue", "too many queries of this client are waiting", 2)
	errShare    = tooMany("client_memory", "too many answers to this client are being sent", 5)
	errCapacity = unavailable("queue", "too many queries are waiting")
	errWait     = unavailable("wait", "other queries take too long")
	errMemory   = unavailable("memory", "too many answers are being sent")
	errExcess   = unavailable("connections", "too many connections are open")

	errClientStreams = tooMany("client_streams", "too many streams of this client are open", 5)
	errStreams       = unavailable("streams", "too many streams are open")
)

func tooMany(reason, text string, after int) *refusal {
	return &refusal{
		status: http.StatusTooManyRequests, code: codeTooManyRequests, reason: reason, text: text, after: after,
	}
}

func unavailable(reason, text string) *refusal {
	return &refusal{
		status: http.StatusServiceUnavailable, code: string(history.Unavailable), reason: reason, text: text, after: 5,
	}
}

// refusals returns all refusals.
func refusals() []*refusal {
	return []*refusal{
		errRate, errBacklog, errShare, errCapacity, errWait, errMemory, errExcess,
		errClientStreams, errStreams,
	}
}

// maxRetryAfter bounds Retry-After, in seconds.
const maxRetryAfter = 60

// retryAfter returns the refusal with another time.
func (r *refusal) retryAfter(d time.Duration) *refusal {
	other := *r
	other.after = min(max(1, int(math.Ceil(d.Seconds()))), maxRetryAfter)
	return &other
}

// write answers with the refusal.
func (r *refusal) write(w http.ResponseWriter) {
	w.Header().Set("Retry-After", strconv.Itoa(r.after))
	writeError(w, r.status, r.code, r.text+": retry later")
}

// lane is a share of the recorder's resources: the slots and the memory of its
// queries.
type lane struct {
	name   string
	queue  *queue
	memory *memory
}

// Small queries have a lane of their own, so that they don't wait for large
// ones. These are the queries for at most this many records, with or without
// objects and without a filter by contents, those about one object, and those
// for no records at all.
const (
	smallRecords = 100
	smallBare    = 1000
)

// The names of the lanes in metrics.
const (
	smallLane = "small"
	largeLane = "large"
)

// limits decide which queries run, and when.
type limits struct {
	rate         *rate
	small, large lane
	streams      *streams
	metrics      *queryMetrics
}

// newLimits returns the limits of complete options. A quarter of the slots is
// for large queries, and a quarter of the memory for small ones. A large query
// uses several processors.
func newLimits(o *Options) *limits {
	newLane := func(name string, slots, bytes int) lane {
		reserve := name == smallLane
		return lane{
			name, newQueue(slots, reserve, o.Backlog, o.Backlog*backlogClients, o.Patience),
			newMemory(max(bytes, 2*blockBytes)),
		}
	}
	l := &limits{
		rate:  newRate(o.Rate, rateBurst),
		small: newLane(smallLane, o.Concurrency-max(o.Concurrency/4, 1), o.AnswerBytes/4),
		large: newLane(largeLane, max(o.Concurrency/4, 1), o.AnswerBytes-o.AnswerBytes/4),
	}
	l.streams = newStreams(o.Streams, o.Registerer)
	l.metrics = newQueryMetrics(o.Registerer, l.small, l.large)
	return l
}

// lane returns the lane of a query for a page of the timeline. A limit that is
// absent or invalid means a large page. A filter by contents reads many records
// for a page of any size.
func (l *limits) lane(values url.Values) lane {
	for _, name := range contentFilters() {
		if strings.Join(values[name], "") != "" {
			return l.large
		}
	}
	most := smallRecords
	if bare, err := strconv.ParseBool(values.Get(v1.ParamSummary)); err == nil && bare {
		most = smallBare
	}
	if limit, err := strconv.Atoi(values.Get(v1.ParamLimit)); err == nil && limit > 0 && limit <= most {
		return l.small
	}
	return l.large
}

// begin waits until a query may run. It returns the query's answer, and the
// function that releases its slot. The caller must call it, and close the
// answer.
func (l *limits) begin(ctx context.Context, on lane, client string, gzip bool) (a *answer, release func(), err error) {
	if isExcess(ctx) {
		return nil, nil, errExcess
	}
	if err := l.rate.allow(client, time.Now()); err != nil {
		return nil, nil, err
	}
	if err := on.memory.check(client); err != nil { // at once, and not after waiting
		return nil, nil, err
	}
	if release, err = on.queue.acquire(ctx, client); err != nil {
		return nil, nil, err
	}
	if a, err = newAnswer(on.memory, client, gzip); err != nil {
		release()
		return nil, nil, err
	}
	return a, release, nil
}

// refuse answers a query that can't run because of err.
func (l *limits) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // the client has disconnected
	}
	refused, ok := errors.AsType[*refusal](err)
	if !ok {
		refused = errWait // the query's own time has passed
	}
	l.metrics.refused.WithLabelValues(refused.reason).Inc()
	refused.write(w)
}

// remoteHost returns the host that a request comes from.
func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// queryMetrics are the metrics of queries. docs/troubleshooting.md describes
// them.
type queryMetrics struct {
	inFlight prometheus.Gauge
	refused  *prometheus.CounterVec
}

// newQueryMetrics registers the metrics, unless the registerer is nil.
func newQueryMetrics(registerer prometheus.Registerer, lanes ...lane) *queryMetrics {
	const namespace = "watchhistory"
	m := &queryMetrics{
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Name: "queries_in_flight",
			Help: "Queries that wait, that run, or whose answer is being sent.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "queries_refused_total",
			Help: "Queries that a limit refused with the status 429 or 503.",
		}, []string{"reason"}),
	}
	if registerer == nil {
		return m
	}
	for _, r := range refusals() {
		m.refused.WithLabelValues(r.reason) // makes the metric 0 from the start
	}
	registerer.MustRegister(m.inFlight, m.refused)
	for _, l := range lanes {
		gauge := func(name, help string, value func() int) {
			registerer.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Namespace: namespace, Name: name, Help: help, ConstLabels: prometheus.Labels{"lane": l.name},
			}, func() float64 { return float64(value()) }))
		}
		gauge("queries_running", "Queries that are being computed.", func() int { n, _ := l.queue.lengths(); return n })
		gauge("queries_waiting", "Queries that wait for others.", func() int { _, n := l.queue.lengths(); return n })
		gauge("answers_held_bytes", "Memory of answers that are being sent.", l.memory.use)
	}
	return m
}

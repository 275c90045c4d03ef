package recorder

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// metrics are the metrics of a recorder. docs/troubleshooting.md describes
// them. Dashboards depend on their names, labels and buckets.
//
// The vectors with a resource have no series before its stream: see
// streamMetrics.
type metrics struct {
	recorded   *prometheus.CounterVec // by verb
	known      *prometheus.CounterVec
	ignored    *prometheus.CounterVec // by rule
	syncs      *prometheus.CounterVec
	gaps       *prometheus.CounterVec // by reason
	alive      *prometheus.GaugeVec
	checkpoint *prometheus.GaugeVec

	commits        prometheus.Counter
	commitRetries  prometheus.Counter
	commitDuration prometheus.Histogram
	versionLag     prometheus.Histogram
	// lastCommit is a vector without labels, because it has no series before
	// the first commit.
	lastCommit *prometheus.GaugeVec

	documentVersions prometheus.Counter
	// The vectors have no labels, because they have no series before the first
	// read of the documents.
	documents, documentsUnread, documentsRead *prometheus.GaugeVec
}

// newMetrics returns the metrics of r. They are registered if the options have
// a Registerer.
func newMetrics(r *Recorder) *metrics {
	factory := promauto.With(r.opts.Registerer)
	perResource := func(labels ...string) []string { return append([]string{"group", "resource"}, labels...) }
	m := &metrics{
		recorded: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "watchhistory_versions_recorded_total",
			Help: "Versions committed since the start.",
		}, perResource("verb")),
		known: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "watchhistory_versions_known_total",
			Help: "Versions received again that were already recorded.",
		}, perResource()),
		ignored: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "watchhistory_versions_ignored_total",
			Help: "Versions that a rule ignored since the start.",
		}, perResource("rule")),
		syncs: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "watchhistory_syncs_total",
			Help: "Lists of all objects since the start, including the first.",
		}, perResource()),
		gaps: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "watchhistory_gaps_total",
			Help: "Gaps since the start that only a relist ended.",
		}, perResource("reason")),
		alive: factory.NewGaugeVec(prometheus.GaugeOpts{
			Name: "watchhistory_objects_alive",
			Help: "Objects that exist, according to the recorded history.",
		}, perResource()),
		checkpoint: factory.NewGaugeVec(prometheus.GaugeOpts{
			Name: "watchhistory_checkpoint_timestamp_seconds",
			Help: "Time at which the resourceVersion was received that a restart resumes from.",
		}, perResource()),
		commits: factory.NewCounter(prometheus.CounterOpts{
			Name: "watchhistory_commits_total",
			Help: "Transactions committed since the start.",
		}),
		commitRetries: factory.NewCounter(prometheus.CounterOpts{
			Name: "watchhistory_commit_retries_total",
			Help: "Commits that failed and were retried.",
		}),
		commitDuration: factory.NewHistogram(prometheus.HistogramOpts{
			Name:    "watchhistory_commit_duration_seconds",
			Help:    "Time that a transaction took, including retries.",
			Buckets: buckets(),
		}),
		versionLag: factory.NewHistogram(prometheus.HistogramOpts{
			Name: "watchhistory_version_lag_seconds",
			Help: "Time from the API server's write to the commit, " +
				"of versions that a watch delivered and whose manager is known. " +
				"The API server dates writes in whole seconds, so the value is up to one second too high.",
			Buckets: buckets(),
		}),
		lastCommit: factory.NewGaugeVec(prometheus.GaugeOpts{
			Name: "watchhistory_last_commit_timestamp_seconds",
			Help: "Time of the last commit.",
		}, nil),
		documentVersions: factory.NewCounter(prometheus.CounterOpts{
			Name: "watchhistory_catalogue_versions_total",
			Help: "Changes of the API server's documents committed since the start.",
		}),
		documents: factory.NewGaugeVec(prometheus.GaugeOpts{
			Name: "watchhistory_catalogue_documents",
			Help: "Documents that the API server served at the last read.",
		}, nil),
		documentsUnread: factory.NewGaugeVec(prometheus.GaugeOpts{
			Name: "watchhistory_catalogue_documents_unread",
			Help: "Paths of documents that could not be read at the last read.",
		}, nil),
		documentsRead: factory.NewGaugeVec(prometheus.GaugeOpts{
			Name: "watchhistory_catalogue_read_timestamp_seconds",
			Help: "Time of the last complete read of the API server's documents.",
		}, nil),
	}
	factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "watchhistory_commits_refused",
		Help: "1 while a commit fails and is retried, otherwise 0.",
	}, func() float64 {
		if r.RetryError() != nil {
			return 1
		}
		return 0
	})
	factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "watchhistory_queue_records",
		Help: "Versions accepted and not yet committed.",
	}, func() float64 { records, _ := r.queue.depth(); return float64(records) })
	factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "watchhistory_queue_bytes",
		Help: "Memory that these versions take.",
	}, func() float64 { _, bytes := r.queue.depth(); return float64(bytes) })
	return m
}

// buckets returns the upper bounds of the histograms, in seconds.
func buckets() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}
}

// countCommit counts a transaction that was committed at the time now, and its
// entries.
func (m *metrics) countCommit(entries []*entry, took time.Duration, now time.Time) {
	m.commitDuration.Observe(took.Seconds())
	for _, e := range entries {
		e.stream.metrics.countEntry(e, now)
	}
	m.commits.Inc()
	m.lastCommit.WithLabelValues().Set(seconds(now))
}

// countRead counts a complete read of the documents, which began at a time.
func (m *metrics) countRead(documents, unread int, began time.Time) {
	m.documents.WithLabelValues().Set(float64(documents))
	m.documentsUnread.WithLabelValues().Set(float64(unread))
	m.documentsRead.WithLabelValues().Set(seconds(began))
}

// streamMetrics are the series of one resource. A stream holds them, so that
// counting a version looks up no labels.
type streamMetrics struct {
	recorded         [history.Delete + 1]prometheus.Counter // by verb
	known            prometheus.Counter
	ignoredNamespace prometheus.Counter     // because of their namespace
	ignoredChange    prometheus.Counter     // because only ignored fields changed
	syncs            prometheus.Counter     // lists that began
	gaps             *prometheus.CounterVec // by reason; it has no series before the first gap
	alive            prometheus.Gauge
	versionLag       prometheus.Observer // of all resources

	checkpoints *prometheus.GaugeVec // without remaining labels
	// checkpoint is the only series of checkpoints. It is nil while there is no
	// checkpoint. The committer uses it, and the stream's goroutine while the
	// stream has no entry in the queue.
	checkpoint prometheus.Gauge
}

// stream returns the series of a resource. All of them start at zero, except
// those of gaps and of the checkpoint, which do not exist yet.
func (m *metrics) stream(resource schema.GroupResource) *streamMetrics {
	group, name := resource.Group, resource.Resource
	labels := prometheus.Labels{"group": group, "resource": name}
	s := &streamMetrics{
		known:            m.known.WithLabelValues(group, name),
		ignoredNamespace: m.ignored.WithLabelValues(group, name, "namespace"),
		ignoredChange:    m.ignored.WithLabelValues(group, name, "change"),
		syncs:            m.syncs.WithLabelValues(group, name),
		gaps:             m.gaps.MustCurryWith(labels),
		alive:            m.alive.WithLabelValues(group, name),
		versionLag:       m.versionLag,
		checkpoints:      m.checkpoint.MustCurryWith(labels),
	}
	for _, verb := range []history.Verb{history.Create, history.Update, history.Delete} {
		s.recorded[verb] = m.recorded.WithLabelValues(group, name, verb.String())
	}
	return s
}

// countEntry counts an entry that was committed at the time now.
func (s *streamMetrics) countEntry(e *entry, now time.Time) {
	for _, r := range e.records {
		s.recorded[r.Verb].Inc()
		if !r.Initial && r.InferredSince.IsZero() && len(r.Managers) > 0 && !r.Managers[0].Time.IsZero() {
			// Clocks differ: a negative lag counts as zero.
			s.versionLag.Observe(max(now.Sub(r.Managers[0].Time), 0).Seconds())
		}
	}
	if e.checkpoint != nil {
		s.setCheckpoint(*e.checkpoint)
	}
	if e.gap != nil && e.gap.Open() {
		s.gaps.WithLabelValues(string(e.gap.Reason)).Inc()
	}
}

// setCheckpoint sets the time of the last committed checkpoint. A checkpoint
// without an RV removes the series.
func (s *streamMetrics) setCheckpoint(c history.Checkpoint) {
	if c.RV == "" {
		s.checkpoints.DeleteLabelValues()
		s.checkpoint = nil
		return
	}
	if s.checkpoint == nil {
		s.checkpoint = s.checkpoints.WithLabelValues()
	}
	s.checkpoint.Set(seconds(c.Time))
}

// ignored returns how many versions were ignored by a rule.
func (s *streamMetrics) ignored() uint64 {
	return count(s.ignoredNamespace) + count(s.ignoredChange)
}

// count returns the value of a counter.
func count(c prometheus.Counter) uint64 {
	var m dto.Metric
	_ = c.Write(&m) // fails only if an exemplar is invalid, and there are none
	return uint64(m.GetCounter().GetValue())
}

// seconds returns a time as Prometheus represents it, in seconds.
func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

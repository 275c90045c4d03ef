package daemon

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// namespace is the first word of the names of all metrics, except those of the
// Go runtime and the process.
const namespace = "watchhistory"

// metrics are the metrics that the daemon serves. docs/troubleshooting.md
// describes them. Dashboards depend on their names, labels and buckets.
//
// It owns the histograms and the gauges of the configuration. All others are
// read from the recorder and the store at each scrape.
type metrics struct {
	registry       *prometheus.Registry
	commitDuration prometheus.Histogram
	versionLag     prometheus.Histogram
	reloadOK       prometheus.Gauge
	reloadTime     prometheus.Gauge
}

// newMetrics returns the metrics that need no recorder and no store. collect
// adds the others.
func newMetrics() *metrics {
	histogram := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: name, Help: help, Buckets: buckets(),
		})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
	}
	m := &metrics{
		registry:       prometheus.NewRegistry(),
		commitDuration: histogram("commit_duration_seconds", "Time that a transaction took, including retries."),
		versionLag: histogram("version_lag_seconds",
			"Time from the API server's write to the commit, of versions that a watch delivered and whose manager is known. "+
				"The API server dates writes in whole seconds, so the value is up to one second too high."),
		reloadOK: gauge("config_last_reload_successful",
			"1 if the last change of the configuration was applied, 0 if it was rejected."),
		reloadTime: gauge("config_last_reload_timestamp_seconds",
			"Time of the last change of the configuration, applied or rejected. Initially the start."),
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.commitDuration, m.versionLag, m.reloadOK, m.reloadTime,
	)
	return m
}

// buckets returns the upper bounds of the histograms, in seconds.
func buckets() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}
}

// setReloaded sets the outcome of a change of the configuration, at this time.
func (m *metrics) setReloaded(ok bool) {
	m.reloadOK.Set(boolValue(ok))
	m.reloadTime.SetToCurrentTime()
}

// collect adds the metrics of the recorder, the store and the gaps.
func (m *metrics) collect(
	stats func() recorder.Stats, s *store.Store, failures func() map[cause]uint64, openGaps func() []history.Gap,
) {
	m.registry.MustRegister(newCollector(stats, s.Free, openGaps, failures), newStorageCollector(s.Usage))
}

// handler returns the handler of /metrics.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// collector turns one snapshot of the recorder's counters into metrics at each
// scrape.
type collector struct {
	stats    func() recorder.Stats
	free     func() (int64, error)
	openGaps func() []history.Gap
	failed   func() map[cause]uint64

	versions, known, alive   *prometheus.Desc
	ignored                  *prometheus.Desc
	queueRecords, queueBytes *prometheus.Desc
	commits, retries, last   *prometheus.Desc
	refused, freeBytes       *prometheus.Desc
	syncs, checkpoints       *prometheus.Desc
	failures                 *prometheus.Desc
	gaps, gapsOpen           *prometheus.Desc
}

// newCollector returns a collector that calls these functions at each scrape.
func newCollector(
	stats func() recorder.Stats, free func() (int64, error),
	openGaps func() []history.Gap, failed func() map[cause]uint64,
) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
	}
	// perResource is desc with the labels group and resource, and others.
	perResource := func(name, help string, labels ...string) *prometheus.Desc {
		return desc(name, help, append([]string{"group", "resource"}, labels...)...)
	}
	return &collector{
		stats: stats, free: free, openGaps: openGaps, failed: failed,
		versions: perResource("versions_recorded_total", "Versions committed since the start.", "verb"),
		known:    perResource("versions_known_total", "Versions received again that were already recorded."),
		ignored:  perResource("versions_ignored_total", "Versions that a rule ignored since the start.", "rule"),
		alive:    perResource("objects_alive", "Objects that exist, according to the recorded history."),
		syncs:    perResource("syncs_total", "Lists of all objects since the start, including the first."),
		checkpoints: perResource("checkpoint_timestamp_seconds",
			"Time at which the resourceVersion was received that a restart resumes from."),
		failures:     perResource("watch_failures_total", "Times that a resource could no longer be watched.", "reason"),
		gaps:         perResource("gaps_total", "Gaps since the start that only a relist ended.", "reason"),
		gapsOpen:     perResource("gaps_open", "Resources whose changes are currently not observed.", "reason"),
		queueRecords: desc("queue_records", "Versions accepted and not yet committed."),
		queueBytes:   desc("queue_bytes", "Memory that these versions take."),
		commits:      desc("commits_total", "Transactions committed since the start."),
		retries:      desc("commit_retries_total", "Commits that failed and were retried."),
		refused:      desc("commits_refused", "1 while a commit fails and is retried, otherwise 0."),
		freeBytes:    desc("storage_free_bytes", "Free space on the volume of the database."),
		last:         desc("last_commit_timestamp_seconds", "Time of the last commit."),
	}
}

// Describe implements [prometheus.Collector].
func (c *collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements [prometheus.Collector].
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	counter := func(desc *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(desc *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
	s := c.stats()
	for _, r := range s.Resources {
		counter(c.versions, r.Created, r.Group, r.Resource, "create")
		counter(c.versions, r.Updated, r.Group, r.Resource, "update")
		counter(c.versions, r.Deleted, r.Group, r.Resource, "delete")
		counter(c.known, r.Duplicates, r.Group, r.Resource)
		counter(c.ignored, r.IgnoredNamespace, r.Group, r.Resource, "namespace")
		counter(c.ignored, r.IgnoredChange, r.Group, r.Resource, "change")
		gauge(c.alive, float64(r.Live), r.Group, r.Resource)
		counter(c.syncs, r.Lists, r.Group, r.Resource)
		if !r.Checkpoint.IsZero() {
			gauge(c.checkpoints, seconds(r.Checkpoint), r.Group, r.Resource)
		}
		for reason, n := range r.Gaps {
			counter(c.gaps, n, r.Group, r.Resource, string(reason))
		}
	}
	open := map[cause]int{}
	for _, g := range c.openGaps() {
		open[cause{g.GroupResource(), g.Reason}]++
	}
	for l, n := range open {
		gauge(c.gapsOpen, float64(n), l.Group, l.Resource, string(l.reason))
	}
	for l, n := range c.failed() {
		counter(c.failures, n, l.Group, l.Resource, string(l.reason))
	}
	counter(c.commits, s.Batches)
	counter(c.retries, s.Retries)
	gauge(c.queueRecords, float64(s.QueueRecords))
	gauge(c.queueBytes, float64(s.QueueBytes))
	gauge(c.refused, boolValue(s.RetryError != nil))
	// The metric is absent if the volume can't be read.
	if free, err := c.free(); err == nil {
		gauge(c.freeBytes, float64(free))
	}
	if !s.LastCommit.IsZero() {
		gauge(c.last, seconds(s.LastCommit))
	}
}

// storageCollector turns the store's usage into metrics at each scrape.
type storageCollector struct {
	usage func() store.Usage

	bytes, limit, oldest      *prometheus.Desc
	droppedDays, droppedBytes *prometheus.Desc
}

// newStorageCollector returns a collector that calls usage at each scrape.
func newStorageCollector(usage func() store.Usage) *storageCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "storage", name), help, labels, nil)
	}
	return &storageCollector{
		usage:        usage,
		bytes:        desc("bytes", "Size of the database's files on disk."),
		limit:        desc("limit_bytes", "maxStorage. The oldest day is dropped above 9/10 of it. 0 means no limit."),
		oldest:       desc("oldest_version_timestamp_seconds", "Time of the oldest version that is listed."),
		droppedDays:  desc("dropped_days_total", "Days of history dropped since the start.", "reason"),
		droppedBytes: desc("dropped_bytes_total", "Bytes that dropping days freed.", "reason"),
	}
}

// Describe implements [prometheus.Collector].
func (c *storageCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements [prometheus.Collector].
func (c *storageCollector) Collect(ch chan<- prometheus.Metric) {
	u := c.usage()
	gauge := func(desc *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v)
	}
	gauge(c.bytes, float64(u.Bytes))
	gauge(c.limit, float64(u.Limit))
	if !u.Oldest.IsZero() {
		gauge(c.oldest, seconds(u.Oldest))
	}
	for _, reason := range []store.Reason{store.ByAge, store.BySize} {
		d := u.Dropped[reason]
		ch <- prometheus.MustNewConstMetric(c.droppedDays, prometheus.CounterValue, float64(d.Days), string(reason))
		ch <- prometheus.MustNewConstMetric(c.droppedBytes, prometheus.CounterValue, float64(d.Bytes), string(reason))
	}
}

// seconds returns a time as Prometheus represents it, in seconds.
func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

// boolValue returns 1 for true and 0 for false.
func boolValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

package daemon

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/watcher"
)

// metrics are the metrics that the daemon serves. docs/troubleshooting.md
// describes them. Dashboards depend on their names and labels.
//
// The recorder registers its own in registry. The open gaps and the usage of
// the storage are snapshots that are read at each scrape: see gapCollector and
// storageCollector.
type metrics struct {
	registry      *prometheus.Registry
	watchFailures *prometheus.CounterVec // by reason; a series appears with its first failure
	reloadOK      prometheus.Gauge
	reloadTime    prometheus.Gauge
}

// newMetrics returns the metrics that need no store. collect adds the others.
func newMetrics() *metrics {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	factory := promauto.With(registry)
	return &metrics{
		registry: registry,
		watchFailures: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "watchhistory_watch_failures_total",
			Help: "Times that a resource could no longer be watched.",
		}, []string{"group", "resource", "reason"}),
		reloadOK: factory.NewGauge(prometheus.GaugeOpts{
			Name: "watchhistory_config_last_reload_successful",
			Help: "1 if the last change of the configuration was applied, 0 if it was rejected.",
		}),
		reloadTime: factory.NewGauge(prometheus.GaugeOpts{
			Name: "watchhistory_config_last_reload_timestamp_seconds",
			Help: "Time of the last change of the configuration, applied or rejected. Initially the start.",
		}),
	}
}

// setReloaded sets the outcome of a change of the configuration, at this time.
func (m *metrics) setReloaded(ok bool) {
	m.reloadOK.Set(boolValue(ok))
	m.reloadTime.SetToCurrentTime()
}

// countChange counts a change of a watcher's state if it is a failure.
func (m *metrics) countChange(c watcher.Change) {
	if c.Failed() {
		r := c.Resource.GroupResource()
		m.watchFailures.WithLabelValues(r.Group, r.Resource, string(c.Reason)).Inc()
	}
}

// collect adds the metrics of the store and of the open gaps.
func (m *metrics) collect(s *store.Store, openGaps func() []history.Gap) {
	m.registry.MustRegister(newGapCollector(openGaps), newStorageCollector(s.Usage, s.Free))
}

// handler returns the handler of /metrics.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// gapCollector turns a snapshot of the open gaps into a metric at each scrape.
// They are computed from the state of the watches when they are read.
type gapCollector struct {
	openGaps func() []history.Gap

	open *prometheus.Desc
}

// newGapCollector returns a collector that calls openGaps at each scrape.
func newGapCollector(openGaps func() []history.Gap) *gapCollector {
	return &gapCollector{
		openGaps: openGaps,
		open: prometheus.NewDesc("watchhistory_gaps_open",
			"Resources whose changes are currently not observed.", []string{"group", "resource", "reason"}, nil),
	}
}

// Describe implements [prometheus.Collector].
func (c *gapCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.open }

// Collect implements [prometheus.Collector].
func (c *gapCollector) Collect(ch chan<- prometheus.Metric) {
	type cause struct {
		schema.GroupResource

		reason history.GapReason
	}
	open := map[cause]int{}
	for _, g := range c.openGaps() {
		open[cause{g.GroupResource(), g.Reason}]++
	}
	for l, n := range open {
		ch <- prometheus.MustNewConstMetric(
			c.open, prometheus.GaugeValue, float64(n), l.Group, l.Resource, string(l.reason),
		)
	}
}

// storageCollector turns a snapshot of the usage of the store's files and of
// their volume into metrics at each scrape.
type storageCollector struct {
	usage func() store.Usage
	free  func() (int64, error)

	bytes, limit, oldest, freeBytes *prometheus.Desc
	droppedDays, droppedBytes       *prometheus.Desc
}

// newStorageCollector returns a collector that calls usage and free at each
// scrape.
func newStorageCollector(usage func() store.Usage, free func() (int64, error)) *storageCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("watchhistory_storage_"+name, help, labels, nil)
	}
	return &storageCollector{
		usage: usage, free: free,
		bytes:        desc("bytes", "Size of the database's files on disk."),
		limit:        desc("limit_bytes", "maxStorage. The oldest day is dropped above 9/10 of it. 0 means no limit."),
		oldest:       desc("oldest_version_timestamp_seconds", "Time of the oldest version that is listed."),
		freeBytes:    desc("free_bytes", "Free space on the volume of the database."),
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
	// The metric is absent if the volume can't be read.
	if free, err := c.free(); err == nil {
		gauge(c.freeBytes, float64(free))
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

package daemon

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
)

// metrics serves what the recorder counts, and the Go runtime's and the process's own numbers.
func (d *Daemon) metrics(open func() []history.Gap) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		newCollector(d.recorder.Stats, d.store.Free, open, d.failures.counts, d.reloaded.Load),
		newStorageCollector(d.store.Usage),
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

// collector turns one snapshot of the recorder's counters into metrics at each scrape.
type collector struct {
	stats    func() recorder.Stats
	free     func() (int64, error)
	open     func() []history.Gap
	failed   func() map[cause]uint64
	reloaded func() *reload

	versions, known, alive *prometheus.Desc
	ignored                *prometheus.Desc
	queueRecords           *prometheus.Desc
	queueBytes             *prometheus.Desc
	commits, retries, last *prometheus.Desc
	commitTime, lag        *prometheus.Desc
	refused, room          *prometheus.Desc
	syncs, checkpoints     *prometheus.Desc
	failures               *prometheus.Desc
	gaps, gapsOpen         *prometheus.Desc
	reloadOK, reloadAt     *prometheus.Desc
}

func newCollector(
	stats func() recorder.Stats, free func() (int64, error), open func() []history.Gap, failed func() map[cause]uint64, reloaded func() *reload,
) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("watchhistory_"+name, help, labels, nil)
	}
	return &collector{
		stats:        stats,
		free:         free,
		open:         open,
		failed:       failed,
		reloaded:     reloaded,
		versions:     desc("versions_recorded_total", "Versions committed since the start.", "group", "resource", "verb"),
		known:        desc("versions_known_total", "Versions that came again and were recorded already.", "group", "resource"),
		ignored:      desc("versions_ignored_total", "Versions that a rule left out since the start.", "group", "resource", "rule"),
		alive:        desc("objects_alive", "Objects that exist, as far as is known.", "group", "resource"),
		queueRecords: desc("queue_records", "Versions accepted and not yet committed."),
		queueBytes:   desc("queue_bytes", "Memory that these versions take."),
		commits:      desc("commits_total", "Transactions committed since the start."),
		retries:      desc("commit_retries_total", "Commits that failed and were tried again."),
		refused:      desc("commits_refused", "1 while a commit fails and is tried again, 0 else."),
		room:         desc("storage_free_bytes", "Room on the volume of the database."),
		commitTime:   desc("commit_duration_seconds", "How long a transaction took, retries included."),
		lag: desc("version_lag_seconds", "Time from the API server's write to the commit, of versions that a watch brought and that name a writer. "+
			"The API server dates writes in whole seconds, so that up to one is too much."),
		syncs:       desc("syncs_total", "Lists of everything since the start, the first included.", "group", "resource"),
		checkpoints: desc("checkpoint_timestamp_seconds", "When the resourceVersion was received that a restart would go on from.", "group", "resource"),
		failures:    desc("watch_failures_total", "Times that a resource could not be observed any more.", "group", "resource", "reason"),
		gaps:        desc("gaps_total", "Gaps opened since the start that only a relist got over.", "group", "resource", "reason"),
		gapsOpen:    desc("gaps_open", "Resources of which changes are not seen now.", "group", "resource", "reason"),
		last:        desc("last_commit_timestamp_seconds", "When the last transaction was committed."),
		reloadOK:    desc("config_last_reload_successful", "1 where the last change of the configuration is in force, 0 where it was refused."),
		reloadAt:    desc("config_last_reload_timestamp_seconds", "When the configuration was last taken up or refused; at first, the start."),
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
		counter(c.known, r.Known, r.Group, r.Resource)
		counter(c.ignored, r.IgnoredNamespace, r.Group, r.Resource, "namespace")
		counter(c.ignored, r.IgnoredChange, r.Group, r.Resource, "change")
		gauge(c.alive, float64(r.Alive), r.Group, r.Resource)
		counter(c.syncs, r.Syncs, r.Group, r.Resource)
		if !r.Checkpoint.IsZero() {
			gauge(c.checkpoints, seconds(r.Checkpoint), r.Group, r.Resource)
		}
		for reason, n := range r.Gaps {
			counter(c.gaps, n, r.Group, r.Resource, string(reason))
		}
	}
	open := map[cause]int{}
	for _, g := range c.open() {
		open[cause{g.GroupResource(), g.Reason}]++
	}
	for l, n := range open {
		gauge(c.gapsOpen, float64(n), l.Group, l.Resource, string(l.reason))
	}
	for l, n := range c.failed() {
		counter(c.failures, n, l.Group, l.Resource, string(l.reason))
	}
	histogram := func(desc *prometheus.Desc, h recorder.Histogram) {
		ch <- prometheus.MustNewConstHistogram(desc, h.Count, h.Sum.Seconds(), h.AtMost)
	}
	histogram(c.commitTime, s.Commits)
	histogram(c.lag, s.Lag)
	counter(c.commits, s.Batches)
	counter(c.retries, s.Retries)
	gauge(c.queueRecords, float64(s.QueueRecords))
	gauge(c.queueBytes, float64(s.QueueBytes))
	gauge(c.refused, truth(s.Refused != nil))
	if free, err := c.free(); err == nil {
		gauge(c.room, float64(free))
	}
	if !s.LastCommit.IsZero() {
		gauge(c.last, seconds(s.LastCommit))
	}
	reloaded := c.reloaded()
	gauge(c.reloadOK, truth(reloaded.ok))
	gauge(c.reloadAt, seconds(reloaded.at))
}

// seconds returns a time as Prometheus has it.
func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

// truth returns a condition as Prometheus has it.
func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

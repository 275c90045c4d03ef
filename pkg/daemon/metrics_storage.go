package daemon

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/watchhistory/watchhistory/pkg/store"
)

// storageCollector turns what the log takes into metrics at each scrape.
type storageCollector struct {
	usage func() store.Usage

	bytes, limit, oldest *prometheus.Desc
	days, freed          *prometheus.Desc
}

func newStorageCollector(usage func() store.Usage) *storageCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("watchhistory_storage_"+name, help, labels, nil)
	}
	return &storageCollector{
		usage:  usage,
		bytes:  desc("bytes", "What the database's files take on the disk."),
		limit:  desc("limit_bytes", "maxStorage; past nine tenths of it the oldest day is dropped. 0 is no limit."),
		oldest: desc("oldest_version_timestamp_seconds", "When the oldest version was recorded that is listed."),
		days:   desc("dropped_days_total", "Days of history dropped since the start.", "reason"),
		freed:  desc("dropped_bytes_total", "What the database's files shrank by, when days were dropped.", "reason"),
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
		ch <- prometheus.MustNewConstMetric(c.days, prometheus.CounterValue, float64(d.Days), string(reason))
		ch <- prometheus.MustNewConstMetric(c.freed, prometheus.CounterValue, float64(d.Bytes), string(reason))
	}
}

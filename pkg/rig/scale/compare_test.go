package scale_test

import (
	"flag"
	"io/fs"
	"iter"
	"path/filepath"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/sample"
	"github.com/watchhistory/watchhistory/pkg/store"
)

var compared = flag.Int("compared", 5000,
	"number of generated versions for the comparison with the naive layout; make bench-storage uses 60,000")

// The limits of the store's size on disk, for versions of the generated
// cluster.
const (
	minTimesSmaller    = 14 // than the naive layout
	maxBytesPerVersion = 400
)

// generated returns the watch events of a generated cluster.
func generated() iter.Seq[sample.WatchEvent] {
	return sample.WatchEvents(sample.Options{
		Seed: 1, Objects: max(100, *compared/50), Start: time.Unix(1_790_000_000, 0), Every: 100 * time.Millisecond,
	})
}

// recorded returns the watch events of a dev cluster.
func recorded(tb testing.TB) iter.Seq[sample.WatchEvent] {
	tb.Helper()
	return func(yield func(sample.WatchEvent) bool) {
		for f, err := range sample.Recorded() {
			if err != nil {
				tb.Error(err)
				return
			}
			if !yield(f) {
				return
			}
		}
	}
}

// measurement is the result of writing versions to one of the layouts.
type measurement struct {
	versions, transactions int
	elapsed                time.Duration
	disk                   int64 // bytes, of the closed database
}

func (m measurement) rate() float64       { return float64(m.versions) / m.elapsed.Seconds() }
func (m measurement) perVersion() float64 { return float64(m.disk) / float64(m.versions) }

// BenchmarkStorageAgainstNaive writes the same versions to the store, in the
// recorder's batches, and to the naive layout, with and without syncs. It
// reports the ratios. The naive layout stores the watch events as they are, the
// store what the recorder makes of them. An operation is all of that.
func BenchmarkStorageAgainstNaive(b *testing.B) {
	b.Run("made-up", func(b *testing.B) { compare(b, generated(), *compared) })
	b.Run("recorded", func(b *testing.B) { compare(b, recorded(b), 1<<30) })
}

// TestStorage_IsSmall is the part of the comparison that does not depend on the
// machine.
func TestStorage_IsSmall(t *testing.T) {
	batches, events, n := gather(t, generated(), *compared)
	ours, theirs := measureStore(t, batches, n, false), measureNaive(t, events, n, false)
	times := theirs.perVersion() / ours.perVersion()
	t.Logf("%d versions: %.0f bytes each, %.1f times smaller than the %.0f of the naive layout",
		n, ours.perVersion(), times, theirs.perVersion())
	if ours.perVersion() > maxBytesPerVersion {
		t.Errorf("got %.0f bytes per version, want at most %d", ours.perVersion(), maxBytesPerVersion)
	}
	if times < minTimesSmaller {
		t.Errorf("got %.1f times smaller than the naive layout, want at least %d", times, minTimesSmaller)
	}
}

// compare runs both layouts and reports the ratios.
func compare(b *testing.B, events iter.Seq[sample.WatchEvent], most int) {
	b.Helper()
	for b.Loop() {
		batches, events, n := gather(b, events, most)
		ours, theirs := measureStore(b, batches, n, false), measureNaive(b, events, n, false)
		synced, theirsSynced := measureStore(b, batches, n, true), measureNaive(b, events, max(1, n/20), true)
		b.ReportMetric(ours.perVersion(), "disk-bytes/version")
		b.ReportMetric(theirs.perVersion()/ours.perVersion(), "times-smaller")
		b.ReportMetric(ours.rate()/theirs.rate(), "times-faster")
		b.ReportMetric(synced.rate()/theirsSynced.rate(), "times-faster-synced")
		rows := table{{"", "versions", "a transaction", "versions/s", "bytes/version"}}
		for _, row := range []struct {
			name   string
			result measurement
		}{{"store", ours}, {"naive", theirs}, {"store, synced", synced}, {"naive, synced", theirsSynced}} {
			rows.add(row.name, "%d", row.result.versions, "%.0f",
				float64(row.result.versions)/float64(row.result.transactions), "%.0f",
				row.result.rate(), "%.0f", row.result.perVersion())
		}
		b.Log(rows)
	}
}

// gather returns the recorder's batches of the watch events, with most records
// at most, the watch events, and the number of records.
func gather(
	tb testing.TB, events iter.Seq[sample.WatchEvent], most int,
) ([]*history.Batch, iter.Seq[sample.WatchEvent], int) {
	tb.Helper()
	var batches []*history.Batch
	n := 0
	for b := range sample.Batches(tb, events) {
		b.Versions = b.Versions[:min(len(b.Versions), most-n)]
		n += len(b.Versions)
		if batches = append(batches, b); n == most {
			break
		}
	}
	return batches, events, n
}

// measureStore appends the batches to a store and counts the records.
func measureStore(tb testing.TB, batches []*history.Batch, n int, sync bool) measurement {
	tb.Helper()
	dir := tb.TempDir()
	log, err := store.Open(dir, store.Options{NoSync: !sync})
	if err != nil {
		tb.Fatal(err)
	}
	start := time.Now()
	for _, b := range batches {
		if err := log.Append(tb.Context(), b); err != nil {
			tb.Fatal(err)
		}
	}
	m := measurement{versions: n, transactions: len(batches), elapsed: time.Since(start)}
	if found, _, err := log.Count(tb.Context(), history.Filter{}, n+1); found != n || err != nil {
		tb.Errorf("got %d versions in the log, error %v, want %d", found, err, n)
	}
	if err := log.Close(); err != nil {
		tb.Fatal(err)
	}
	m.disk = diskUse(tb, dir)
	return m
}

// measureNaive writes n versions to the naive layout. The time does not include
// generating them.
func measureNaive(tb testing.TB, events iter.Seq[sample.WatchEvent], n int, sync bool) measurement {
	tb.Helper()
	dir := tb.TempDir()
	log, err := openNaive(dir, sync)
	if err != nil {
		tb.Fatal(err)
	}
	m := measurement{versions: n, transactions: n}
	for f := range events {
		if log.versions == n {
			break
		}
		start := time.Now()
		if err := log.append(f); err != nil {
			tb.Fatal(err)
		}
		m.elapsed += time.Since(start)
	}
	if log.versions != n {
		tb.Errorf("got %d versions, want %d", log.versions, n)
	}
	if err := log.close(); err != nil {
		tb.Fatal(err)
	}
	m.disk = diskUse(tb, dir)
	return m
}

// diskUse returns the size of all files of a closed database, except one.
// Badger reserves 1 MiB for its statistics of discarded data, but that file is
// a hole.
func diskUse(tb testing.TB, dir string) (n int64) {
	tb.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "DISCARD" {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

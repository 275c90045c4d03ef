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

var compared = flag.Int("compared", 5000, "how many made-up versions the store is compared with the naive layout on; make bench-storage takes 60,000")

// What the store may take on disk, beside the naive layout and for each version of the made-up cluster.
const (
	timesSmaller  = 14
	bytesAVersion = 400
)

func madeUp() iter.Seq[sample.WatchEvent] {
	return sample.WatchEvents(sample.Options{Seed: 1, Objects: max(100, *compared/50), Start: time.Unix(1_790_000_000, 0), Every: 100 * time.Millisecond})
}

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

// side is one of both that are compared.
type side struct {
	versions, transactions int
	took                   time.Duration
	disk                   int64 // bytes, of the closed database
}

func (s side) rate() float64       { return float64(s.versions) / s.took.Seconds() }
func (s side) perVersion() float64 { return float64(s.disk) / float64(s.versions) }

// BenchmarkStorageAgainstNaive writes the same versions into the store, in the batches that the recorder makes, and into the naive
// layout, synced and not, and reports how many times better the store is. The naive layout gets the whole frames, the store what
// the recorder makes of them. An operation is all of that.
func BenchmarkStorageAgainstNaive(b *testing.B) {
	b.Run("made-up", func(b *testing.B) { compare(b, madeUp(), *compared) })
	b.Run("recorded", func(b *testing.B) { compare(b, recorded(b), 1<<30) })
}

// TestStorageIsSmall is the part of the comparison that does not depend on the machine.
func TestStorageIsSmall(t *testing.T) {
	batches, frames, n := gather(t, madeUp(), *compared)
	ours, theirs := ourSide(t, batches, n, false), naiveSide(t, frames, n, false)
	times := theirs.perVersion() / ours.perVersion()
	t.Logf("%d versions: %.0f bytes each, %.1f times less than the naive layout's %.0f", n, ours.perVersion(), times, theirs.perVersion())
	if ours.perVersion() > bytesAVersion {
		t.Errorf("a version takes %.0f bytes, want at most %d", ours.perVersion(), bytesAVersion)
	}
	if times < timesSmaller {
		t.Errorf("%.1f times smaller than the naive layout, want at least %d", times, timesSmaller)
	}
}

func compare(b *testing.B, frames iter.Seq[sample.WatchEvent], most int) {
	b.Helper()
	for b.Loop() {
		batches, frames, n := gather(b, frames, most)
		ours, theirs := ourSide(b, batches, n, false), naiveSide(b, frames, n, false)
		synced, theirsSynced := ourSide(b, batches, n, true), naiveSide(b, frames, max(1, n/20), true)
		b.ReportMetric(ours.perVersion(), "disk-bytes/version")
		b.ReportMetric(theirs.perVersion()/ours.perVersion(), "times-smaller")
		b.ReportMetric(ours.rate()/theirs.rate(), "times-faster")
		b.ReportMetric(synced.rate()/theirsSynced.rate(), "times-faster-synced")
		rows := table{{"", "versions", "a transaction", "versions/s", "bytes/version"}}
		for _, row := range []struct {
			name string
			side side
		}{{"store", ours}, {"naive", theirs}, {"store, synced", synced}, {"naive, synced", theirsSynced}} {
			rows.add(row.name, "%d", row.side.versions, "%.0f", float64(row.side.versions)/float64(row.side.transactions), "%.0f", row.side.rate(), "%.0f", row.side.perVersion())
		}
		b.Log(rows)
	}
}

// gather returns the batches that the recorder makes of the frames, at most so many records of them, and again the frames.
func gather(tb testing.TB, frames iter.Seq[sample.WatchEvent], most int) ([]*history.Batch, iter.Seq[sample.WatchEvent], int) {
	tb.Helper()
	var batches []*history.Batch
	n := 0
	for b := range sample.Batches(tb, frames) {
		b.Records = b.Records[:min(len(b.Records), most-n)]
		n += len(b.Records)
		if batches = append(batches, b); n == most {
			break
		}
	}
	return batches, frames, n
}

func ourSide(tb testing.TB, batches []*history.Batch, n int, sync bool) side {
	tb.Helper()
	dir := tb.TempDir()
	log, err := store.Open(dir, store.Options{NoSync: !sync})
	if err != nil {
		tb.Fatal(err)
	}
	began := time.Now()
	for _, b := range batches {
		if err := log.Append(tb.Context(), b); err != nil {
			tb.Fatal(err)
		}
	}
	s := side{versions: n, transactions: len(batches), took: time.Since(began)}
	if found, _, err := log.Count(tb.Context(), history.Filter{}, n+1); found != n || err != nil {
		tb.Errorf("%d versions are in the log of %d (%v)", found, n, err)
	}
	if err := log.Close(); err != nil {
		tb.Fatal(err)
	}
	s.disk = diskUse(tb, dir)
	return s
}

// naiveSide takes as much time as the writes do, without that of making frames in between.
func naiveSide(tb testing.TB, frames iter.Seq[sample.WatchEvent], n int, sync bool) side {
	tb.Helper()
	dir := tb.TempDir()
	log, err := openNaive(dir, sync)
	if err != nil {
		tb.Fatal(err)
	}
	s := side{versions: n, transactions: n}
	for f := range frames {
		if log.versions == n {
			break
		}
		began := time.Now()
		if err := log.append(f); err != nil {
			tb.Fatal(err)
		}
		s.took += time.Since(began)
	}
	if log.versions != n {
		tb.Errorf("%d versions of %d", log.versions, n)
	}
	if err := log.close(); err != nil {
		tb.Fatal(err)
	}
	s.disk = diskUse(tb, dir)
	return s
}

// diskUse is the size of all files of a closed database but one: Badger reserves 1 MiB for what it counts as discarded, which is a
// hole in the file.
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

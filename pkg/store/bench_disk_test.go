package store_test

import (
	"io/fs"
	"path/filepath"
	"testing"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// BenchmarkDisk appends a fixed number of versions of a sample cluster, closes
// the log, and opens it again, so that all are in tables. It reports the size
// of the tables.
func BenchmarkDisk(b *testing.B) {
	for b.Loop() {
		dir := b.TempDir()
		fillLog(b, dir)
		s := mustOpen(b, dir, store.Options{NoSync: true})
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(diskUse(b, dir))/benchVersions, "disk-bytes/version")
	}
}

// diskUse returns the size of a closed log's tables in bytes.
func diskUse(tb testing.TB, dir string) (n int64) {
	tb.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".sst" {
			return err
		}
		st, err := d.Info()
		if err == nil {
			n += st.Size()
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// BenchmarkEntry writes each keyspace of a log into its own database, and
// reports its size per version. All keyspaces in one database take slightly
// less.
func BenchmarkEntry(b *testing.B) {
	dir := b.TempDir()
	fillLog(b, dir)
	d := dumped(b, dir)
	spaces := map[string][]string{}
	for k := range d.values {
		space := k[:1]
		if k[0] == key.History {
			space = k[3:4]
		} else if k[0] == 'm' || k[0] == 'c' || k[0] == 'g' || k[0] == 'd' {
			continue // exist once in a log
		} else {
			space += "-object"
		}
		spaces[space] = append(spaces[space], k)
	}
	for space, keys := range spaces {
		b.Run(space, func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(float64(written(b, d, keys))/benchVersions, "disk-bytes/version")
				b.ReportMetric(float64(len(keys)), "keys")
			}
		})
	}
}

// written returns the size of a database with some of a dump's keys.
func written(b *testing.B, d dump, keys []string) int64 {
	b.Helper()
	dir := b.TempDir()
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil).WithBlockSize(16 << 10).
		WithCompression(options.ZSTD).WithZSTDCompressionLevel(1))
	if err != nil {
		b.Fatal(err)
	}
	batch := db.NewWriteBatch()
	for _, k := range keys {
		e := badger.NewEntry([]byte(k), d.values[k])
		e.ExpiresAt = d.expires[k]
		if err := batch.SetEntry(e); err != nil {
			b.Fatal(err)
		}
	}
	if err := batch.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	return diskUse(b, dir)
}

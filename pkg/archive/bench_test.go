package archive_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/archive"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/sample"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// BenchmarkOpen opens an export of a sample cluster, as each command with a
// file does. An operation is a file. Compare it with append, which appends the
// same versions to a log, a thousand at a time.
func BenchmarkOpen(b *testing.B) {
	const versions = 50_000
	at := time.Unix(1_790_000_000, 0)
	clock := func() time.Time { return at }
	c := sample.New(sample.Options{Seed: 1, Objects: 1000, Start: at, Every: time.Second / 10})
	fill := func(b *testing.B, dir string, batches []*history.Batch) *store.Store {
		b.Helper()
		s, err := store.Open(dir, store.Options{NoSync: true, Now: clock})
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range c.Resources() {
			if err := s.Register(b.Context(), r); err != nil {
				b.Fatal(err)
			}
		}
		for _, batch := range batches {
			at = at.Add(time.Minute)
			if err := s.Append(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
		}
		return s
	}
	var batches []*history.Batch
	all := sample.Batches(b, func(yield func(sample.WatchEvent) bool) {
		for range versions {
			if !yield(c.Next()) {
				return
			}
		}
	})
	var pending []history.NewVersion
	for batch := range all {
		if pending = append(pending, batch.Versions...); len(pending) >= 1000 {
			batches, pending = append(batches, &history.Batch{Versions: pending}), nil
		}
	}
	var file bytes.Buffer
	log := fill(b, b.TempDir(), batches)
	err := log.Excerpt(b.Context(), history.Extent{}, func(e *history.Excerpt) error {
		_, err := archive.Write(&file, e, "a benchmark", at, nil)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := log.Close(); err != nil {
		b.Fatal(err)
	}
	n := float64(len(batches) * 1000)
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			r, err := archive.Open(b.Context(), bytes.NewReader(file.Bytes()), b.TempDir(), nil)
			if err != nil {
				b.Fatal(err)
			}
			if err := r.Close(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(file.Len())/n, "B/version")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/version")
	})
	b.Run("append", func(b *testing.B) {
		for b.Loop() {
			if err := fill(b, b.TempDir(), batches).Close(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/version")
	})
}

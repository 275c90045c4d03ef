package recorder_test

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// BenchmarkPipeline feeds status updates of 1,000 pods of 12 KB through one
// stream into a synced store on disk. It measures the time of a version from
// the watch event to the commit, with the previous version cached or read from
// the store.
func BenchmarkPipeline(b *testing.B) {
	b.Run("memory", func(b *testing.B) { benchPipeline(b, 0) })
	b.Run("log", func(b *testing.B) { benchPipeline(b, 1) })
}

func benchPipeline(b *testing.B, memory int) {
	b.Helper()
	log, err := store.Open(b.TempDir(), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	r := recorder.New(log,
		recorder.Options{Logger: slog.New(slog.DiscardHandler), Memory: memory, RedactionKey: log.RedactionKey()})
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	s, err := r.Stream(b.Context(), pods)
	if err != nil {
		b.Fatal(err)
	}
	object := statuses()
	observe := func(rv int) {
		if err := s.Observe(b.Context(), history.WatchEvent{Type: history.Modified, Object: object(rv)}); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.BeginList(b.Context(), gap.Cause{}); err != nil {
		b.Fatal(err)
	}
	if err := s.EndList(b.Context(), "1"); err != nil {
		b.Fatal(err)
	}
	rv := 2
	b.SetBytes(int64(len(object(rv))))
	b.ReportAllocs()
	for b.Loop() {
		observe(rv)
		rv++
	}
	b.StartTimer() // committing the queued records is included
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(rv-2)/b.Elapsed().Seconds(), "versions/s")
}

//go:embed testdata/pod.json
var podTemplate string

// statuses returns a function that returns version rv of one of 1,000 pods as
// JSON, with managedFields, as the load of the dev cluster writes it.
//
// Every version has a different status. Two consecutive versions of a pod are
// of the same second. The JSON is valid until the next call.
func statuses() func(rv int) []byte {
	parts := strings.FieldsFunc(podTemplate, func(r rune) bool { return r == '~' })
	var object []byte
	return func(rv int) []byte {
		object = object[:0]
		for _, part := range parts {
			switch part {
			case "object":
				object = strconv.AppendInt(object, int64(rv%1000), 10)
			case "rv":
				object = strconv.AppendInt(object, int64(rv), 10)
			case "second":
				object = fmt.Appendf(object, "%02d", rv/2000%60)
			default:
				object = append(object, part...)
			}
		}
		return object
	}
}

package recorder_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// BenchmarkPipeline feeds updates of 1,000 pods of 7 KB through one stream into a log on disk, synced. The time is that of a
// version from the frame to the commit: with the version before in memory, and with all of them read from the log.
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
	r := recorder.New(log, recorder.Options{Logger: slog.New(slog.DiscardHandler), Memory: memory, RedactionKey: log.RedactionKey()})
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	s, err := r.Stream(b.Context(), pods)
	if err != nil {
		b.Fatal(err)
	}
	object := large()
	observe := func(rv int) {
		if err := s.Observe(b.Context(), history.Frame{Type: history.Modified, Object: object(rv)}); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.BeginSync(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := s.EndSync(b.Context(), "1"); err != nil {
		b.Fatal(err)
	}
	rv := 2
	b.SetBytes(int64(len(object(rv))))
	b.ReportAllocs()
	for b.Loop() {
		observe(rv)
		rv++
	}
	b.StartTimer() // what is queued is a part of the work
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(rv-2)/b.Elapsed().Seconds(), "versions/s")
}

// large returns the JSON of one of 1,000 pods in the version rv, managedFields included.
func large() func(rv int) []byte {
	var fields, containers strings.Builder
	for i := range 50 {
		fmt.Fprintf(&fields, `"f:field-%d":{".":{},"f:name":{},"f:value":{}},`, i)
		fmt.Fprintf(&containers, `{"name":"c%d","image":"registry.example/app:v%d","ready":true,"restartCount":%d},`, i, i, i*7)
	}
	return func(rv int) []byte {
		return fmt.Appendf(nil, `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web-%d","namespace":"shop","uid":"8b1c2d3e-%d","resourceVersion":"%d",`+
			`"managedFields":[{"manager":"kubelet","operation":"Update","time":"2026-01-02T03:04:%02dZ","fieldsV1":{%s"f:end":{}}}]},`+
			`"spec":{"containers":[%s{"name":"last"}]},"status":{"phase":"Running","message":"at %d"}}`,
			rv%1000, rv%1000, rv, rv%60, fields.String(), containers.String(), rv)
	}
}

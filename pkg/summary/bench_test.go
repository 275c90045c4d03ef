package summary_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/summary"
)

// pods returns two versions of a pod of 7 KB: a container restarted.
func pods() (before, now []byte) {
	var env, statuses strings.Builder
	for i := range 40 {
		fmt.Fprintf(&env, `{"name":"VARIABLE_%d","value":"postgres://database-%d.shop.svc.cluster.local:5432/shop"},`,
			i, i)
	}
	for i := range 3 {
		fmt.Fprintf(&statuses,
			`,{"name":"c%d","ready":true,"restartCount":%d,"image":"registry.example/shop/c%d:1.42.0","imageID":`+
				`"registry.example/shop/c%d@sha256:%064d","containerID":"containerd://%064d","started":true,`+
				`"state":{"running":{"startedAt":"2026-01-02T03:04:05Z"}}}`, i, i, i, i, i, i)
	}
	version := func(rv, restarts int, last string) []byte {
		return fmt.Appendf(nil, `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web-1",`+
			`"namespace":"shop","uid":"8b1c","resourceVersion":"%d","labels":{"app":"web"}},`+
			`"spec":{"nodeName":"node-1",`+
			`"containers":[{"name":"app","image":"registry.example/shop/app:1.42.0","env":[%s{"name":"LAST"}]}]},`+
			`"status":{"phase":"Running",`+
			`"conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2026-01-02T03:04:05Z"}],`+
			`"containerStatuses":[{"name":"app","ready":true,"restartCount":%d,`+
			`"state":{"running":{"startedAt":"2026-01-02T03:04:%02dZ"}},"lastState":{%s}}%s]}}`,
			rv, env.String(), restarts, rv, last, statuses.String())
	}
	return version(7, 0, ""), version(8, 1, `"terminated":{"reason":"OOMKilled","exitCode":137}`)
}

// BenchmarkOf compares and summarizes an update of 7 KB.
func BenchmarkOf(b *testing.B) {
	before, now := pods()
	r := &history.Record{Ref: history.ObjectRef{Resource: "pods", Name: "web-1"}, Verb: history.Update, Object: now}
	b.SetBytes(int64(len(now)))
	b.ReportAllocs()
	for b.Loop() {
		w := summary.Of(r, summary.Compare(before, now))
		if w.Text == "" || w.Problem == "" {
			b.Fatalf("got %+v, want a text and a problem", w)
		}
	}
}

// BenchmarkCompare is the comparison alone.
func BenchmarkCompare(b *testing.B) {
	before, now := pods()
	b.SetBytes(int64(len(now)))
	b.ReportAllocs()
	for b.Loop() {
		summary.Compare(before, now)
	}
}

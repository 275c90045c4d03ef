package diff_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/diff"
)

// BenchmarkSummary summarizes updates. The time of the comparison itself is not
// included.
func BenchmarkSummary(b *testing.B) {
	const pod = `{"status":{"conditions":[{"type":"Ready","status":"$1","reason":"$1"},` +
		`{"type":"ContainersReady","status":"$1","reason":"$1"}],"containerStatuses":[{"name":"app",` +
		`"ready":"$1","restartCount":"$1","state":{"$1":{"reason":"CrashLoopBackOff"}}}]}}`
	const deployment = `{"metadata":{"generation":"$1","resourceVersion":"$1","annotations":{"a":"$1"}},` +
		`"spec":{"replicas":"$1","template":{"metadata":{"labels":{"version":"$1"}},"spec":{"containers":[` +
		`{"name":"app","image":"web:$1","env":[{"name":"LEVEL","value":"$1"}]}]}}}}`
	const status = `{"metadata":{"resourceVersion":"$1"},"status":{"observedGeneration":"$1","replicas":"$1",` +
		`"readyReplicas":"$1","unavailableReplicas":"$1","conditions":[{"type":"Available","status":"$1",` +
		`"lastUpdateTime":"$1","lastTransitionTime":"$1","message":"$1","reason":"$1"}]}}`
	const custom = `{"spec":{"version":"$1","size":"$1","backup":{"retention":"$1","schedule":"$1"}},` +
		`"status":{"observedGeneration":"$1","phase":"$1"}}`
	var lines strings.Builder
	for i := range 50 {
		fmt.Fprintf(&lines, `key%d: value\n`, i)
	}
	for _, update := range []struct{ name, object string }{
		{"pod", pod},
		{"deployment", deployment},
		{"status", status},
		{"custom", custom},
		{"configmap", `{"data":{"LEVEL":"$1"}}`},
		{"file", `{"data":{"app.yaml":"` + lines.String() + `timeout: $1\n"}}`},
	} {
		version := func(n string) (decoded map[string]any) {
			if err := json.Unmarshal([]byte(strings.ReplaceAll(update.object, "$1", n)), &decoded); err != nil {
				b.Fatal(err)
			}
			return decoded
		}
		changes := diff.Objects(version("1"), version("2"))
		b.Run(update.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if diff.Summary(changes) == "" {
					b.Fatal("got no summary")
				}
			}
		})
	}
}

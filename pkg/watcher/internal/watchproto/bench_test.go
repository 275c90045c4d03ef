package watchproto_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/watcher/internal/watchproto"
)

// BenchmarkParseEvent splits an event of 7 KB, half of which are managedFields.
// The members have the order of a pod.
func BenchmarkParseEvent(b *testing.B) {
	fields := strings.Repeat(`"f:labels":{".":{},"f:app":{}},`, 110)
	line := fmt.Appendf(nil, `{"type":"MODIFIED","object":{"kind":"Pod","apiVersion":"v1",`+
		`"metadata":{"name":"web-1","resourceVersion":"42",`+
		`"managedFields":[{"manager":"kubelet","fieldsV1":{%s"f:x":{}}}]},`+
		`"spec":{"containers":[{"name":"c","image":"%s"}]}}}`,
		fields, strings.Repeat("i", 3500))
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := watchproto.ParseEvent(line); err != nil {
			b.Fatal(err)
		}
	}
}

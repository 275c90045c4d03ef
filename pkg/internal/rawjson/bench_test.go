package rawjson_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// object returns an object of the size and shape of a pod, with managedFields.
func object() []byte {
	var fields, containers strings.Builder
	for i := range 60 {
		fmt.Fprintf(&fields, `"f:field-%d":{".":{},"f:name":{},"f:value":{}},`, i)
		fmt.Fprintf(&containers, `{"name":"c%d","image":"registry.example/app:v%d","ready":true},`, i, i)
	}
	return fmt.Appendf(nil, `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web-1","uid":"8b1c","managedFields":`+
		`[{"manager":"kubelet","fieldsV1":{%s"f:end":{}}}]},"spec":{"containers":[%s{"name":"last"}]}}`,
		fields.String(), containers.String())
}

func BenchmarkSkip(b *testing.B) {
	doc := object()
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		s := rawjson.Scan(doc)
		s.Skip()
		if s.End() != nil {
			b.Fatal("not valid")
		}
	}
}

func BenchmarkSkipValid(b *testing.B) {
	doc := object()
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		s := rawjson.ScanValid(doc)
		s.Skip()
		if s.End() != nil {
			b.Fatal("not valid")
		}
	}
}

func BenchmarkMetadata(b *testing.B) {
	doc := object()
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		s := rawjson.Scan(doc)
		found := 0
		for _, key := range s.Members() {
			if string(key) == "metadata" {
				for range s.Members() {
					found++
				}
			}
		}
		if s.End() != nil || found != 3 {
			b.Fatal("not found")
		}
	}
}

func BenchmarkEncodingJSON(b *testing.B) {
	doc := object()
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	var into struct {
		Metadata struct{ Name, UID string }
	}
	for b.Loop() {
		if err := json.Unmarshal(doc, &into); err != nil {
			b.Fatal(err)
		}
	}
}

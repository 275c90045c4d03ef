package summary_test

import (
	"slices"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/summary"
)

func TestOwned(t *testing.T) {
	const (
		before = `{"metadata":{"resourceVersion":"1","labels":{"a":"1","example.com/b":"1"},"finalizers":["x"]},` +
			`"spec":{"replicas":1,"ports":[{"port":80,"protocol":"TCP","name":"web"}],` +
			`"c":[{"name":"app","image":"a:1","env":[{"name":"E"}]},{"name":"side","image":"s:1"}]},` +
			`"status":{"list":[1,2]}}`
		now = `{"metadata":{"resourceVersion":"2","labels":{"a":"2","example.com/b":"2"},"finalizers":["x","y"]},` +
			`"spec":{"replicas":2,"ports":[{"port":80,"protocol":"TCP","name":"api"}],` +
			`"c":[{"name":"app","image":"a:2"},{"name":"side","image":"s:2"},{"name":"new"}]},` +
			`"status":{"list":[1,3]}}`
	)
	tests := []struct {
		name, fields string
		want         []string
	}{
		{"nothing", `{}`, []string{
			`metadata.finalizers[1]`, `metadata.labels.a`, `metadata.labels["example.com/b"]`, `spec.c[name=app].env`,
		}},
		{"a field", `{"f:spec":{"f:replicas":{}}}`, []string{"spec.replicas"}},
		{
			"a field next to others", `{"f:spec":{"f:paused":{},"f:replicas":{}},"f:status":{"f:other":{}}}`,
			[]string{"spec.replicas"},
		},
		{
			"a key with a slash", `{"f:metadata":{"f:labels":{".":{},"f:example.com/b":{}}}}`,
			[]string{`metadata.labels["example.com/b"]`},
		},
		{
			"an item by its name", `{"f:spec":{"f:c":{"k:{\"name\":\"app\"}":{".":{},"f:image":{}}}}}`,
			[]string{"spec.c[name=app].image"},
		},
		{
			"a whole item", `{"f:spec":{"f:c":{"k:{\"name\":\"new\"}":{".":{},"f:image":{}}}}}`,
			[]string{"spec.c[name=new]"},
		},
		{
			"an item by other keys than the path has",
			`{"f:spec":{"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{"f:name":{}}}}}`,
			[]string{"spec.ports[name=web]", "spec.ports[name=api]"},
		},
		{"an item of a set", `{"f:metadata":{"f:finalizers":{"v:\"y\"":{}}}}`, []string{"metadata.finalizers[1]"}},
		{"another item of a set", `{"f:metadata":{"f:finalizers":{"v:\"z\"":{}}}}`, nil},
		{"an item of other keys", `{"f:spec":{"f:ports":{"k:{\"port\":81,\"protocol\":\"TCP\"}":{"f:name":{}}}}}`, nil},
		{"an atomic list", `{"f:status":{"f:list":{}}}`, []string{"status.list[1]"}},
		{"only that it exists", `{"f:spec":{".":{}}}`, nil},
		{"noise", `{"f:metadata":{"f:resourceVersion":{}}}`, nil},
		{"a removed field has no owner", `{"f:spec":{"f:c":{"k:{\"name\":\"app\"}":{"f:name":{}}}}}`, nil},
		{"no fields", ``, nil},
		{"no JSON", `{"f:spec":{"f:replicas":{}}`, nil},
		{"an array", `[{"f:spec":1}]`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := summary.Compare([]byte(before), []byte(now))
			if got := c.Owned([]byte(tt.fields), true); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzOwned(f *testing.F) {
	f.Add(`{"f:spec":{"f:c":{"k:{\"name\":\"app\"}":{".":{},"f:image":{}},"v:1":{},"i:0":{}}}}`)
	f.Fuzz(func(_ *testing.T, fields string) {
		c := summary.Compare([]byte(`{"spec":{"c":[{"name":"app","image":1}],"d":[1]}}`),
			[]byte(`{"spec":{"c":[{"name":"app","image":2}],"d":[2]}}`))
		c.Owned([]byte(fields), true)
		c.Wrote([]byte(fields), slices.Values([][]byte{[]byte(fields)}))
	})
}

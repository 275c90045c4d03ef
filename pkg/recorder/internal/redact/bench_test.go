package redact_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/recorder/internal/redact"
)

// BenchmarkRedact redacts one version of an object of 10 KB. Only the objects
// of the last three cases contain values to hash.
func BenchmarkRedact(b *testing.B) {
	rule := redact.Rule{
		Resource: pods, Paths: []string{"spec.containers[*].env[*].value"}, Names: []string{"^PASSWORD$"},
	}
	pod := func(name string) string {
		env := members(150, func(i int) string {
			return fmt.Sprintf(`{"name":"VARIABLE_%d","value":"plain text number %d"}`, i, i)
		})
		return `{"metadata":{"name":"web","namespace":"shop","uid":"u-1","labels":{"app":"web"}},` +
			`"spec":{"containers":[{"name":"c","env":[` + env + `,{"name":"` + name + `","value":"` + value + `"}]}]}}`
	}
	secret := func(count int) string {
		return `{"metadata":{"name":"s","namespace":"shop","uid":"u-1","labels":{"app":"web"}},"data":{` +
			members(count, func(i int) string {
				return fmt.Sprintf(`"key-%d":"%s"`, i, strings.Repeat("aHVudGVy", 1200/count))
			}) + `}}`
	}
	for _, tt := range []struct {
		name     string
		redactor *redact.Redactor
		object   string
	}{
		{"pod-without-rule", newRedactor(b, pods), pod("PASSWORD")},
		{"pod-without-match", newRedactor(b, pods, rule), pod("USER")},
		{"pod", newRedactor(b, pods, rule), pod("PASSWORD")},
		{"secret-3-values", newRedactor(b, secrets), secret(3)},
		{"secret-100-values", newRedactor(b, secrets), secret(100)},
	} {
		b.Run(tt.name, func(b *testing.B) {
			object := []byte(tt.object)
			b.SetBytes(int64(len(object)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := tt.redactor.Redact(object, noPrevious); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// members returns count JSON members or elements.
func members(count int, member func(int) string) string {
	all := make([]string, count)
	for i := range all {
		all[i] = member(i)
	}
	return strings.Join(all, ",")
}

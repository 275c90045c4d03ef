package apiserver_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/watcher/internal/apiserver"
)

// Errors are written to logs, gaps and the catalogue. An object in place of a
// Status may be a Secret.
func TestErrors_DoNotQuoteObjects(t *testing.T) {
	const value = "aHVudGVyMi1aazN2UTl4TA=="
	for name, body := range map[string]string{
		"secret":       `{"kind":"Secret","apiVersion":"v1","message":"` + value + `","data":{"p":"` + value + `"}}`,
		"list":         "\n " + `{"kind":"SecretList","items":[{"data":{"p":"` + value + `"}}]}`,
		"array":        `[{"data":{"p":"` + value + `"}}]`,
		"half of it":   `{"kind":"Secret","data":{"p":"` + value,
		"wrong fields": `{"kind":"Status","code":"` + value + `","message":"` + value + `"}`,
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, body)
		}))
		client, ctx, cancel := connect(t, &rest.Config{Host: s.URL})
		_, answered := client.Get(ctx, "/", nil)
		for where, err := range map[string]error{"answer": answered, "watch": apiserver.StatusError([]byte(body))} {
			if err == nil || strings.Contains(err.Error(), value) {
				t.Errorf("%s in an %s: got error %v, want one without %s", name, where, err, value)
			}
		}
		cancel()
		client.Close()
		s.Close()
	}
}

package openapi_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/rig/openapi"
)

func TestChecker_FindsWhatIsNotDescribed(t *testing.T) {
	c, err := openapi.NewChecker("../../api/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	header := func(pairs ...string) http.Header {
		h := http.Header{"Content-Type": {"application/json"}, "X-History-Gaps": {"0"}}
		for i := 0; i < len(pairs); i += 2 {
			if h.Del(pairs[i]); pairs[i+1] != "" {
				h.Set(pairs[i], pairs[i+1])
			}
		}
		return h
	}
	const gaps = "/api/v1/gaps"
	const (
		failed = `{"error":{"code":"internal","message":"x"}}`
		other  = "/api/v1/new"
	)
	for name, tt := range map[string]struct {
		answer openapi.Answer
		want   string // in the error; "" means none
	}{
		"described": {openapi.Answer{Path: gaps, Status: 200, Header: header(), Body: []byte(`{"gaps":[]}`)}, ""},
		"slashes": {
			openapi.Answer{Path: "/" + gaps, Status: 200, Header: header(), Body: []byte(`{"gaps":[]}`)}, "",
		},
		"status": {openapi.Answer{Path: gaps, Status: 418, Header: header(), Body: []byte(failed)}, "got status 418"},
		"header": {
			openapi.Answer{Path: gaps, Status: 200, Header: header("X-New", "1"), Body: []byte(`{"gaps":[]}`)},
			"header X-New is not described",
		},
		"value of a header": {
			openapi.Answer{Path: gaps, Status: 200, Header: header("X-History-Gaps", "x"), Body: []byte(`{"gaps":[]}`)},
			"header X-History-Gaps",
		},
		"absent header": {
			openapi.Answer{Path: gaps, Status: 200, Header: header("X-History-Gaps", ""), Body: []byte(`{"gaps":[]}`)},
			"got no header X-History-Gaps",
		},
		"field": {
			openapi.Answer{Path: gaps, Status: 200, Header: header(), Body: []byte(`{"gaps":[],"a":1}`)}, "'a'",
		},
		"absent field": {openapi.Answer{Path: gaps, Status: 200, Header: header(), Body: []byte(`{}`)}, "gaps"},
		"nested field": {
			openapi.Answer{
				Path: gaps, Status: 200, Header: header(),
				Body: []byte(`{"gaps":[{"group":"","resource":"a","start":"yesterday","reason":"x"}]}`),
			},
			"date-time",
		},
		"null":     {openapi.Answer{Path: gaps, Status: 200, Header: header(), Body: []byte(`{"gaps":null}`)}, "array"},
		"not JSON": {openapi.Answer{Path: gaps, Status: 200, Header: header(), Body: []byte(`{"gaps":[`)}, "not JSON"},
		"type": {
			openapi.Answer{Path: gaps, Status: 200, Header: header("Content-Type", "text/html"), Body: []byte(`x`)},
			"got type text/html",
		},
		"path": {
			openapi.Answer{Path: other, Status: 200, Header: header(), Body: []byte(`{}`)}, "neither",
		},
		"error of no path":   {openapi.Answer{Path: other, Status: 404, Header: header(), Body: []byte(failed)}, ""},
		"error without code": {openapi.Answer{Path: other, Status: 404, Header: header(), Body: []byte(`{}`)}, "error"},
		"object's path": {
			openapi.Answer{Path: "/api/v1/events/a", Status: 500, Header: header(), Body: []byte(failed)}, "",
		},
		"method": {
			openapi.Answer{Method: http.MethodPost, Path: gaps, Status: 200, Header: header(), Body: []byte(`{}`)},
			"neither",
		},
	} {
		if tt.answer.Method == "" {
			tt.answer.Method = http.MethodGet
		}
		err := c.Check(tt.answer)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got error %v, want one with %q", name, err, tt.want)
		}
	}
}

func TestBuild_RequiresCommentsAndAnswers(t *testing.T) {
	const v1 = "../../api/v1"
	if _, err := openapi.Build(v1, nil); err != nil {
		t.Errorf("package v1: got error %v, want none", err)
	}
	dir := t.TempDir()
	for _, name := range []string{"api.go", "types.go"} {
		src, err := os.ReadFile(filepath.Join(v1, name))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer(
			"	// ParamUID selects one incarnation of an object.\n", "", `// "create", "update" or "delete"`, "",
		).Replace(string(src))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := openapi.Build(dir, []openapi.Example{{Path: "/health", Status: 404, Type: "text/plain"}})
	for _, want := range []string{
		"field verb of Event has no comment", "parameter uid has no comment",
		"example of /health with status 404 and text/plain: no such answer",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	}
}

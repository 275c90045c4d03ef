package client_test

import (
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
)

func TestCatalogue_DecodesEveryField(t *testing.T) {
	s := newStub(t, 200, "application/json", `{"at":"2026-03-01T10:00:00Z","read":"2026-03-01T09:00:00Z","later":1,`+
		`"version":{"gitVersion":"v1.36.0"},"documents":[{"name":"version","timestamp":"2026-03-01T08:00:00Z",`+
		`"verb":"update","hash":"aa","size":7,`+
		`"inferred":{"start":"2026-03-01T07:00:00Z","end":"2026-03-01T08:00:00Z"}}],`+
		`"unread":[{"name":"openapi/v3","reason":"forbidden"}],"gaps":[{"start":"2026-03-01T09:30:00Z",`+
		`"end":"2026-03-01T10:30:00Z","reason":"restarted"}]}`)
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	got, err := newClient(t, s.URL, client.Options{}).Catalogue(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	if path, query := s.request.URL.Path, s.request.URL.RawQuery; path != "/api/v1/catalogue" ||
		query != "at=2026-03-01T10%3A00%3A00Z" {
		t.Errorf("request: got %s?%s, want /api/v1/catalogue with the time", path, query)
	}
	if !got.At.Equal(at) || got.Read.Hour() != 9 || string(got.Version) != `{"gitVersion":"v1.36.0"}` ||
		len(got.Documents) != 1 || got.Documents[0].Name != "version" || got.Documents[0].Hash != "aa" ||
		got.Documents[0].Inferred.Start.Hour() != 7 || got.Documents[0].Until != nil || len(got.Unread) != 1 ||
		got.Unread[0].Name != "openapi/v3" || len(got.Gaps) != 1 || got.Gaps[0].Reason != "restarted" {
		t.Errorf("got %+v, want every field of the answer", got)
	}
}

func TestDocument_ReturnsContent(t *testing.T) {
	const content = `{"n": 1 , "html": "<&>"}`
	s := newStub(t, 200, "application/json", content)
	c := newClient(t, s.URL+"/prefix", client.Options{})
	got, err := c.Document(t.Context(), client.DocumentQuery{Name: "openapi/v3/apis/apps/v1", Hash: "aa"})
	if err != nil || string(got) != content {
		t.Errorf("got %s, error %v, want %s", got, err, content)
	}
	const path = "/prefix/api/v1/catalogue/openapi/v3/apis/apps/v1"
	if u := s.request.URL; u.Path != path || u.RawQuery != "hash=aa" {
		t.Errorf("request: got %s, want %s with the hash", u, path)
	}
	for _, name := range []string{"", "/", "../events"} {
		if _, err := c.Document(t.Context(), client.DocumentQuery{Name: name}); history.CodeOf(err) != history.Invalid {
			t.Errorf("document %q: got error %v, want an invalid one", name, err)
		}
	}
}

func TestDocumentHistory_ReportsMore(t *testing.T) {
	s := newStub(t, 200, "application/json", `{"name":"version","versions":[{"timestamp":"2026-03-01T08:00:00Z",`+
		`"verb":"delete"}],"gaps":[]}`, "X-Has-More", "true")
	got, more, err := newClient(t, s.URL, client.Options{}).DocumentHistory(t.Context(),
		client.DocumentHistoryQuery{Name: "version", Limit: 1})
	if err != nil || !more || got.Name != "version" || len(got.Versions) != 1 || got.Versions[0].Verb != "delete" {
		t.Errorf("got %+v, more %t, error %v, want one deletion and more", got, more, err)
	}
	if query := s.request.URL.RawQuery; query != "limit=1&versions=true" {
		t.Errorf("query: got %s, want limit=1&versions=true", query)
	}
}

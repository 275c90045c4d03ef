package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// document returns a version of a document.
func document(name string, verb history.Verb, content string, since time.Time) *history.Record {
	r := &history.Record{
		Ref: history.ObjectRef{
			Group: history.Documents().Group, Resource: history.Documents().Resource, Name: name, UID: types.UID(name),
		},
		Version: "v1", Kind: "Document", Verb: verb, RV: history.VersionOfDocument([]byte(content), "").String(),
		Initial: since.IsZero(), InferredSince: since,
	}
	if verb != history.Delete {
		r.Object = history.EncodeDocument(name, []byte(content))
	}
	return r
}

const schemaName = "openapi/v3/apis/apps/v1"

// catalogued returns a server with documents, and their records.
func catalogued(t *testing.T) (*server, []*history.Record) {
	t.Helper()
	s := newServer(t, api.Options{})
	records := []*history.Record{
		document("version", history.Create, `{"gitVersion":"v1.36.0"}`, time.Time{}),
		document(schemaName, history.Create, `{"n": 1 }`, time.Time{}),
		document(schemaName, history.Update, `{"n": 2, "text": "`+strings.Repeat("long ", 1000)+`"}`,
			s.now.Add(time.Second)),
		document(schemaName, history.Delete, "", s.now.Add(3*time.Second)),
	}
	s.put(records...)
	return s, records
}

func TestCatalogue_ListsDocuments(t *testing.T) {
	s, records := catalogued(t)
	code, _, body := s.get(v1.CataloguePath + "?at=" + records[2].Time.Format(time.RFC3339Nano))
	var got v1.Catalogue
	if err := json.Unmarshal([]byte(body), &got); err != nil || code != http.StatusOK {
		t.Fatalf("got %d %s, want a list", code, body)
	}
	if !got.At.Equal(records[2].Time) || string(got.Version) != `{"gitVersion":"v1.36.0"}` || len(got.Documents) != 2 {
		t.Fatalf("got %s, want two documents and the version", body)
	}
	d := got.Documents[0]
	if d.Name != schemaName || d.Verb != "update" || d.Initial || len(d.Hash) != 64 || d.Size < 5000 ||
		!d.Timestamp.Equal(records[2].Time) || !d.Inferred.Start.Equal(records[2].InferredSince) ||
		!d.Inferred.End.Equal(records[2].Time) || !d.Until.Start.Equal(records[3].InferredSince) ||
		!d.Until.End.Equal(records[3].Time) {
		t.Errorf("got %+v, want the version of %s", d, records[2].Time)
	}
	if d := got.Documents[1]; d.Name != "version" || !d.Initial || d.Inferred != nil || d.Until != nil {
		t.Errorf("got %+v, want an initial version without an interval", d)
	}
	if !strings.Contains(body, `"unread":[]`) || !strings.Contains(body, `"gaps":[]`) {
		t.Errorf("got %s, want empty lists", body)
	}
	for target, want := range map[string]string{
		"?at=yesterday":            "parameter at",
		"?at=2000-01-01T00:00:00Z": "parameter at: no history",
		"?at=2200-01-01T00:00:00Z": "in the future", "/" + schemaName: "was not served", "/unknown": "is not recorded",
		"/": "want the name of a document", "/version?hash=0": "no version with this hash",
		"/version?versions=perhaps": "parameter versions", "/version?versions=true&limit=x": "limit",
		"/unknown?versions=true": "is not recorded",
	} {
		code, header, body := s.get(v1.CataloguePath + target)
		if code != http.StatusBadRequest && code != http.StatusNotFound || !strings.Contains(body, want) ||
			header.Get("ETag") != "" {
			t.Errorf("%s: got %d %s, want an error with %q", target, code, body, want)
		}
	}
}

func TestDocument_IsServedByteForByte(t *testing.T) {
	s, records := catalogued(t)
	at := "?at=" + records[1].Time.Format(time.RFC3339Nano)
	code, header, body := s.get(v1.CataloguePath + "/" + schemaName + at)
	hash := history.VersionOfDocument([]byte(`{"n": 1 }`), "").Hash
	if code != http.StatusOK || body != `{"n": 1 }` || header.Get("ETag") != `"`+hash+`"` ||
		header.Get("Content-Type") != v1.ContentType || header.Get("Cache-Control") != "private, no-cache" ||
		header.Get(v1.TimestampHeader) != records[1].Time.Format(time.RFC3339Nano) {
		t.Errorf("got %d %s with %v, want the content and its hash", code, body, header)
	}
	if code, header, body = s.get("//api/v1/catalogue/" + schemaName + "?hash=" + hash); code != http.StatusOK ||
		body != `{"n": 1 }` || !strings.Contains(header.Get("Cache-Control"), "immutable") {
		t.Errorf("by its hash: got %d %s with %v, want the content, immutable", code, body, header)
	}
	for _, tag := range []string{`"` + hash + `"`, `"` + hash + `-gzip"`, "*"} {
		target := v1.CataloguePath + "/" + schemaName + at
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, http.NoBody)
		r.Header.Set("If-None-Match", tag)
		w := httptest.NewRecorder()
		if s.ServeHTTP(w, r); w.Code != http.StatusNotModified || w.Body.Len() > 0 || w.Header().Get("ETag") == "" {
			t.Errorf("with the tag %s: got %d and %d bytes, want 304", tag, w.Code, w.Body.Len())
		}
	}
	code, header, body = s.get(v1.CataloguePath + "/" + schemaName + "?versions=true&limit=2")
	var got v1.DocumentHistory
	if err := json.Unmarshal([]byte(body), &got); err != nil || code != http.StatusOK || got.Name != schemaName ||
		len(got.Versions) != 2 || header.Get(v1.HasMoreHeader) != "true" || got.Versions[1].Verb != "update" ||
		got.Versions[1].Until == nil {
		t.Errorf("history: got %d %s, want two of three versions", code, body)
	}
}

package api

import (
	"crypto/sha256"
	_ "embed"
	"net/http"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
)

// openAPI describes the API. A test makes it from the comments of package v1,
// and docs/contributing.md describes how it is changed.
//
//go:embed openapi.json
var openAPI []byte

// document is a JSON document that never changes while the process runs.
type document struct {
	body []byte
	tag  string // of its ETag, without quotes
}

// newDocument returns a document, which must not be modified.
func newDocument(body []byte) document {
	hash := sha256.Sum256(body)
	return document{body, tagOf(hash[:])}
}

// serve writes the document. It contains nothing of the cluster, so it has no
// limits and needs no identity. Another version of the recorder may have
// another document, so clients must ask again each time.
func (d document) serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set(headerTag, `"`+d.tag+`"`)
	header.Set(headerCache, "no-cache")
	if hasTag(r.Header.Values("If-None-Match"), d.tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set(headerType, v1.ContentType)
	header.Set(headerSniffing, sniffingDisabled)
	_, _ = w.Write(d.body) // an error means that the client has disconnected
}

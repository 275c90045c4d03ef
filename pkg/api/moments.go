package api

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"

	"github.com/watchhistory/watchhistory/pkg/query"
)

// gzipTagSuffix is appended to the ETag of a compressed answer, whose bytes
// differ from the same answer without compression.
const gzipTagSuffix = "-gzip"

// tagBytes is the number of bytes of a SHA-256 that an ETag has.
const tagBytes = 16

// writeMoments writes the headers about what may be missing from an answer,
// also if the answer is an error.
func writeMoments(w http.ResponseWriter, m *query.Moments) {
	if m.At.IsZero() {
		return
	}
	writeGaps(w, m.Gaps)
	writeIgnored(w, m.Ignored)
	writeCoverage(w, m.Coverage)
	writeRestricted(w, m.Restricted)
}

// writeMomentsPage writes a page. write writes the body. It is called twice
// only if the client has a body, because the second call may be unnecessary
// then.
//
// If the page is final, it has a strong ETag: a hash of the body. A client that
// has the body already gets 304. Clients may store the answer for themselves
// only, and must ask again each time, because rights may change.
func writeMomentsPage(w http.ResponseWriter, r *http.Request, m *query.Moments, write func(io.Writer)) {
	next := ""
	if m.More {
		next = m.Next.String()
	}
	writeCounts(w, r, m.Total, m.Exact, next)
	if !m.Final {
		write(w)
		return
	}
	hash, known := sha256.New(), r.Header.Values("If-None-Match")
	if len(known) > 0 {
		write(hash)
	} else {
		write(io.MultiWriter(hash, w)) // the headers are sent after the body is complete
	}
	_, _ = io.WriteString(hash, next)
	tag := hex.EncodeToString(hash.Sum(nil)[:tagBytes])
	w.Header().Set(headerTag, `"`+tag+`"`)
	w.Header().Set(headerCache, cachePrivately)
	switch {
	case hasTag(known, tag):
		w.Header().Del(headerType)
		w.WriteHeader(http.StatusNotModified)
	case len(known) > 0:
		write(w)
	}
}

// hasTag reports whether an If-None-Match header has an ETag, of the compressed
// answer or of the other one.
func hasTag(headers []string, tag string) bool {
	for entry := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		entry = strings.TrimPrefix(strings.TrimSpace(entry), "W/")
		if entry == "*" || strings.TrimSuffix(strings.Trim(entry, `"`), gzipTagSuffix) == tag {
			return true
		}
	}
	return false
}

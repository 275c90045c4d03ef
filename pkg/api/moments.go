package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/watchhistory/watchhistory/pkg/query"
)

// gzipTagSuffix is appended to the ETag of a compressed answer, whose bytes
// differ from the same answer without compression.
const gzipTagSuffix = "-gzip"

// writeMoments writes the headers about what may be missing from an answer,
// also if the answer is an error.
func writeMoments(w http.ResponseWriter, m *query.Moments) {
	if m.At.IsZero() {
		return
	}
	writeGaps(w, m.Gaps)
	writeIgnored(w, m.Ignored)
	writeCoverage(w, m.Coverage)
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
	tag := hex.EncodeToString(hash.Sum(nil)[:16])
	w.Header().Set("ETag", `"`+tag+`"`)
	w.Header().Set("Cache-Control", "private, no-cache")
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

// writeTiming writes a Server-Timing header with the durations of two steps.
func writeTiming(w http.ResponseWriter, first string, d time.Duration, second string, e time.Duration) {
	var b bytes.Buffer
	for i, step := range []struct {
		name string
		time time.Duration
	}{{first, d}, {second, e}} {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s;dur=%.1f", step.name, float64(step.time.Microseconds())/1000)
	}
	w.Header().Set("Server-Timing", b.String())
}
